"""Selection by the log of proxies: which images are kept, how many, with which weights, and what is refused."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from condense.data.load import load_data
from condense.workflows.distill import distill
from condense.workflows.plan import plan
from condense.workflows.preview import preview
from matchers.selection.select import select
from synth.base import take_all
from synth.errors import BadInput
from synth.selection.ranks import read_ranks
from synth.selection.scores import scores
from tests.support.matching import KEY
from tests.support.methods import arrays
from tests.support.toy_data import as_set, blobs
from tests.support.toy_ranks import toy_ranks, write_ranks


def chosen_of(synth, x) -> list[int]:
    """Which of the images x the set shows."""
    shown = np.asarray(synth.x.decode())
    return [int(np.flatnonzero((np.asarray(x) == one).all(tuple(range(1, one.ndim + 1))))[0]) for one in shown]


def step(ranks, examples, each: int, **options):
    start = as_set(blobs(each, seed=4))
    matcher = select(ranks, **options)
    return matcher.step(KEY, (), start, examples)[0]


def test_a_kept_set_is_exactly_the_lowest_scores():
    examples = blobs(9)
    ranks = toy_ranks(examples.y)
    for by in ("el2n", "aum", "forgetting:never=easiest", "moderate"):
        value, chosen = scores(ranks, by), chosen_of(step(ranks, examples, 2, by=by), examples.x)
        for c in range(3):
            members = np.flatnonzero(np.asarray(examples.y) == c)
            lowest = members[np.argsort(value[members], kind="stable")[:2]]
            assert {one for one in chosen if examples.y[one] == c} == set(lowest.tolist())
    free = step(ranks, examples, 2, balanced=False)
    value, chosen = scores(ranks, "el2n"), chosen_of(free, examples.x)
    assert set(chosen) == set(np.argsort(value, kind="stable")[:6].tolist())
    np.testing.assert_array_equal(free.y.index, np.asarray(examples.y)[chosen])


def test_weights_are_stored_where_they_are_asked_for():
    examples = blobs(9)
    ranks = toy_ranks(examples.y)
    assert step(ranks, examples, 2, rule="kcenter").weight is None
    weight = step(ranks, examples, 2, rule="kcenter", weighted=True).weight
    assert weight.dtype == jnp.float32 and np.isclose(weight.mean(), 1) and len(weight) == 6
    with pytest.raises(BadInput, match="--weighted: rule easy gives no weights; leave it out, or take ccs or kcenter"):
        select(ranks, weighted=True)


def test_a_log_of_other_examples_is_refused():
    with pytest.raises(BadInput, match="is of other examples than the training split; rank this data"):
        step(toy_ranks(blobs(8).y), blobs(9), 2)
    with pytest.raises(BadInput, match="--by speed: unknown score 'speed'"):
        select(toy_ranks([0, 1]), by="speed")


@pytest.fixture(scope="module")
def ranked(tmp_path_factory):
    """Toy data, and a folder with ranks of them."""
    folder = tmp_path_factory.mktemp("ranked")
    np.savez(folder / "toy.npz", **arrays())
    data = load_data(f"npz:{folder / 'toy.npz'}")
    (folder / "ranks").mkdir()
    write_ranks(folder / "ranks", toy_ranks(data.train.y, digest=data.digest))
    return data, folder / "ranks"


def test_a_fraction_is_a_budget(ranked):
    data, folder = ranked
    n = len(data.train.y)
    made = distill("select", data, ranks=str(folder), fraction=0.3)
    assert len(made) == int(0.3 * n) // 3 * 3 and made.info.budget == "fraction"
    free = distill("select", data, ranks=str(folder), fraction=0.3, balanced=False)
    assert len(free) == int(0.3 * n)
    value = scores(read_ranks(folder), "el2n")
    assert set(chosen_of(free, take_all(data.train).x)) == set(np.argsort(value, kind="stable")[: len(free)].tolist())
    assert len(distill("select", data, ranks=str(folder), ipc=2, balanced=False)) == 6
    assert len(distill("select", data, ranks=str(folder), size=7, balanced=False)) == 7
    assert len(distill("select", data, ranks=str(folder), bytes=10 * 260, balanced=False)) == 10
    for share, words in ((0.01, "--fraction 0.01: 0 of 54, and one image a class needs at least 3"), (2.0, "give a number in \\(0, 1\\]")):
        with pytest.raises(BadInput, match=words):
            plan("select", data, ranks=str(folder), fraction=share)
    assert len(distill("random", data, fraction=0.3)) == len(made)


def test_a_run_prints_and_records_the_full_name_of_its_score(ranked, tmp_path, capsys):
    """`el2n` of four epochs and of twenty are two scores."""
    data, folder = ranked
    distill("select", data, ranks=str(folder), ipc=1, out=tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["score"] == "el2n:first=1,last=4,networks=2"
    assert "examples are scored by el2n:first=1,last=4,networks=2\n" in capsys.readouterr().err
    shorter = plan("pca", data, ranks=str(folder), ipc=1, by="el2n:last=3")
    assert shorter.matcher.score == "el2n:first=1,last=3,networks=2"
    assert "score     el2n:first=1,last=3,networks=2" in preview(shorter)
    unread = [{"rule": "random"}, {"rule": "kcenter"}]
    assert [plan("select", data, ranks=str(folder), ipc=1, **rule).matcher.score for rule in unread] == ["", ""]
    dropping = plan("select", data, ranks=str(folder), ipc=1, rule="kcenter", drop=0.1, by="aum")
    assert dropping.matcher.score == "aum:of=logits,networks=2"


def test_ranks_of_other_data_are_refused(ranked):
    _, folder = ranked
    with pytest.raises(BadInput, match=r"made of toy of digest .*, and digits has .*; give --data toy"):
        plan("select", "digits", ranks=str(folder), ipc=1)
