"""Rules: a kept set is what its definition says, against brute force; balance, weights and refusals."""

import jax
import numpy as np
import pytest

from synth.errors import BadInput
from synth.selection.rules import RULES, keep

KEY = jax.random.key(0)
labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [20, 15, 12])).astype(np.int32)
SCORES = np.random.default_rng(1).permutation(len(labels)).astype(np.float32)
EMBEDDINGS = np.random.default_rng(2).normal(size=(len(labels), 4)).astype(np.float32)
EACH = {0: 5, 1: 5, 2: 5}


def kept(rule: str, counts=EACH, **more) -> np.ndarray:
    return keep(KEY, rule, SCORES, labels, counts, embeddings=EMBEDDINGS, **more).index


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("counts", [EACH, 15], ids=["balanced", "free"])
def test_a_rule_keeps_as_many_as_are_wanted_each_once_and_class_by_class(rule, counts):
    index = kept(rule, counts)
    assert len(set(index.tolist())) == len(index) == 15 and (np.diff(labels[index]) >= 0).all()
    assert counts == 15 or np.bincount(labels[index]).tolist() == [5, 5, 5]
    np.testing.assert_array_equal(index, kept(rule, counts))


def test_the_easiest_are_exactly_the_lowest_scores_and_the_hardest_the_highest():
    for c in range(3):
        members = sorted(np.flatnonzero(labels == c), key=lambda one: SCORES[one])
        of_class = [index[labels[index] == c] for index in (kept("easy"), kept("hard"), kept("middle"))]
        first = (len(members) - 5) // 2
        wanted = members[:5], members[-5:], members[first : first + 5]
        assert [sorted(found.tolist()) for found in of_class] == [sorted(map(int, one)) for one in wanted]
    assert set(SCORES[kept("easy", 15)]) == set(np.sort(SCORES)[:15])
    assert set(SCORES[kept("hard", 15)]) == set(np.sort(SCORES)[-15:])


def test_equal_scores_go_to_the_example_that_comes_first():
    flat = np.zeros(len(labels), np.float32)
    for rule in ("easy", "hard"):
        assert keep(KEY, rule, flat, labels, 4).index.tolist() == sorted(range(4), key=lambda one: labels[one])


def test_moderate_is_nearest_to_the_median():
    values = np.float32([0, 1, 2, 3, 100, 101])
    assert sorted(keep(KEY, "moderate", values, np.zeros(6, np.int32), 2).index.tolist()) == [2, 3]
    assert sorted(keep(KEY, "middle", values + 5, np.zeros(6, np.int32), 2).index.tolist()) == [2, 3]
    skewed = np.float32([0, 10, 11, 12, 90])  # the median is 11; the middle of the order is the same here
    assert sorted(keep(KEY, "moderate", skewed, np.zeros(5, np.int32), 3).index.tolist()) == [1, 2, 3]


def test_ccs_gives_every_stratum_its_share_and_cuts_exactly_the_hardest():
    values = np.concatenate([np.full(50, 0.1), np.full(3, 0.3), np.full(20, 0.6), np.full(7, 0.9)]).astype(np.float32)
    values += np.linspace(0, 1e-3, 80, dtype=np.float32)
    y = np.zeros(80, np.int32)
    found = keep(KEY, "ccs", values, y, 23, strata=4)
    stratum = np.digitize(values, [0.2, 0.4, 0.8])  # of 50, 3, 20 and 7, the smallest first: 3 of 5, 6 of 20 // 3, 14 // 2, 7
    assert np.bincount(stratum[found.index]).tolist() == [7, 3, 7, 6]
    stands_for = np.array([50 / 7, 3 / 3, 20 / 7, 7 / 6])[stratum[found.index]]
    np.testing.assert_allclose(found.weight, stands_for / stands_for.mean())
    easiest = set(np.argsort(values, kind="stable")[:60].tolist())
    cut = {int(one) for seed in range(20) for one in keep(jax.random.key(seed), "ccs", values, y, 30, strata=4, drop=0.25).index}
    assert cut <= easiest and max(values[list(cut)]) > 0.6, "a quarter of the hardest goes, and no more"


def test_weights_of_ccs_and_kcenter_add_up_to_the_pool():
    for rule in ("ccs", "kcenter"):
        found = keep(KEY, rule, SCORES, labels, 15, embeddings=EMBEDDINGS, strata=3)
        assert np.isclose(found.weight.sum(), 15) and found.weight.min() > 0
    chosen = kept("kcenter", 15)
    nearest = np.linalg.norm(EMBEDDINGS[:, None] - EMBEDDINGS[chosen], axis=2).argmin(1)
    weight = keep(KEY, "kcenter", SCORES, labels, 15, embeddings=EMBEDDINGS).weight
    np.testing.assert_allclose(weight * len(labels) / 15, np.bincount(nearest, minlength=15))
    assert keep(KEY, "easy", SCORES, labels, 15).weight is None


def test_kcenter_takes_the_farthest_each_time():
    order = keep(
        KEY, "kcenter", np.zeros(5, np.float32), np.zeros(5, np.int32), 3, embeddings=np.float32([[0], [1], [2], [10], [-7]])
    ).index
    assert set(order.tolist()) == {1, 3, 4}  # the one nearest to the mean, 1.2, then 10, then -7
    same = np.zeros((4, 2), np.float32)
    assert len(set(keep(KEY, "kcenter", np.zeros(4, np.float32), np.zeros(4, np.int32), 4, embeddings=same).index.tolist())) == 4


def test_too_few_examples_are_refused():
    with pytest.raises(BadInput, match="--rule easy: 13 examples are wanted, and class 2 has 12 for training; take fewer"):
        kept("easy", {2: 13})
    with pytest.raises(BadInput, match=r"the data have 24 for training after --drop 0\.5; take fewer"):
        kept("hard", 40, drop=0.5)
