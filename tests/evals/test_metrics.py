"""Numbers about a set beside its accuracy, against values by hand: DD-Ranking, coverage and diversity, classes, curves, leakage."""

import math
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from evals import dd_ranking as dd
from evals.augmentations import AUGMENTATIONS, under
from evals.curves import curve_of
from evals.leakage import Leakage, leakage, measure_leakage
from evals.recipes import recipe
from evals.report import Report, class_accuracies, join
from evals.retraining import EvalRecipe
from evals.spread import coverage, diversity, spread, squared_distances
from synth.errors import BadInput
from synth.images.augment import cut_each
from synth.images.views import view_of
from tests.support.linear import linear_net

E = math.e


def test_scores_of_dd_ranking_are_those_of_its_formulae():
    """No difference at all gives 0.2689; the ends of the range give 0 and 1."""
    assert dd.hard_label_recovery(0.9, 0.6) == pytest.approx(0.3) and dd.improvement_over_random(0.6, 0.5) == pytest.approx(0.1)
    assert dd.label_robust_score(0.0, 0.0) == pytest.approx(0.2689, abs=5e-5)
    assert dd.label_robust_score(1.0, -1.0) == pytest.approx(1.0) and dd.label_robust_score(-1.0, 1.0) == pytest.approx(0.0)
    assert dd.label_robust_score(0.1, 0.3, weight=0.25) == pytest.approx((E ** (0.025 - 0.225) - 1 / E) / (E - 1 / E))
    assert dd.augmentation_robust_score(0.2, -0.1) == pytest.approx((E**0.05 - 1 / E) / (E - 1 / E))
    assert dd.augmentation_robust_score(0.2, -0.1, weight=1.0) == pytest.approx((E**0.2 - 1 / E) / (E - 1 / E))


@pytest.mark.parametrize(
    "call",
    [
        lambda: dd.hard_label_recovery(90.0, 60.0),
        lambda: dd.improvement_over_random(0.5, 60.0),
        lambda: dd.label_robust_score(10.0, -20.0),
        lambda: dd.augmentation_robust_score(20.0, 10.0),
    ],
)
def test_per_cent_are_refused(call):
    """In the exponent they would give nonsense, as in the published code."""
    with pytest.raises(BadInput, match=r"DD-Ranking: .*; give|DD-Ranking: .*: give .*not per cent"):
        call()


def test_coverage_counts_the_real_examples_that_have_a_chosen_one_among_their_neighbours():
    """On a line: radii to the nearest other are 1, 1, 1, 7; to the second nearest 2, 1, 2, 8."""
    real = np.array([[0.0], [1.0], [2.0], [9.0]])
    assert coverage(real, np.array([[0.5]]), neighbours=1) == 0.5, "0 and 1 are within 1 of it, 2 and 9 are not"
    assert coverage(real, np.array([[2.5]]), neighbours=1) == 0.5, "2, and 9 from a distance of 6.5"
    assert coverage(real, np.array([[-1.5]]), neighbours=2) == 0.25 and coverage(real, np.array([[-3.0]]), neighbours=2) == 0
    assert coverage(real, real[:1], neighbours=9) == 0.75 + 0.25, "as far as the farthest, with few real ones"
    assert coverage(real[:1], real[:1]) == 1.0
    many = np.random.default_rng(0).normal(size=(2500, 3))
    assert coverage(many, many[:300], neighbours=5) == pytest.approx(by_loops(many, many[:300], 5)), "in pieces"


def by_loops(real, chosen, k):
    own = np.sqrt(((real[:, None] - real[None]) ** 2).sum(-1))
    radius = np.sort(own, 1)[:, k]  # the first is the example itself
    return (np.sqrt(((real[:, None] - chosen[None]) ** 2).sum(-1)).min(1) <= radius + 1e-9).mean()


def test_diversity_is_the_spread_of_pairs_beside_that_of_real_pairs():
    """Squared distances of the pairs of 0, 1, 5 are 1, 25, 16, their mean 14; of 0, 2 there is 4."""
    real, chosen = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0], [2.0]])
    assert diversity(real, chosen) == pytest.approx(math.sqrt(4 / 14)) and diversity(real, real) == 1
    assert math.isnan(diversity(real, chosen[:1])) and math.isnan(diversity(real[:1].repeat(3, 0), chosen))
    np.testing.assert_allclose(squared_distances(real, chosen), [[0, 4], [1, 1], [25, 9]])


def test_spread_is_a_mean_over_the_classes_that_a_set_has():
    real, labels = np.array([[0.0], [1.0], [5.0], [0.0], [4.0], [8.0]]), np.array([0, 0, 0, 1, 1, 1])
    one = spread(real, labels, np.array([[0.0], [2.0], [4.0]]), np.array([0, 0, 1]), neighbours=1)
    assert one.coverage == pytest.approx((1 + 1) / 2) and one.diversity == pytest.approx(math.sqrt(4 / 14)), "class 1 has no pair"
    assert math.isnan(spread(real, labels, real[:1], labels[:1]).diversity)


def test_accuracies_of_classes_are_shares_of_rows():
    taken = np.array([[[3, 1], [0, 0]], [[1, 3], [0, 0]]])
    np.testing.assert_array_equal(class_accuracies(taken), [0.5, np.nan])
    report = Report("mlp", "quick", "random", (0.5, 0.5), 1.0, confusion=(((3, 1), (1, 1)), ((4, 0), (2, 0))))
    np.testing.assert_allclose(report.per_class(), [(0.75 + 1) / 2, 0.25])
    assert report._replace(confusion=None).per_class() is None
    told = report.as_json(per_class=True)
    assert told["per_class"] == pytest.approx([0.875, 0.25]) and told["confusion"] == [[[3, 1], [1, 1]], [[4, 0], [2, 0]]]
    empty = report._replace(confusion=(((3, 1), (0, 0)),)).as_json(per_class=True)
    assert empty["per_class"] == [0.75, None], "JSON has no NaN"
    assert not {"per_class", "confusion"} & {*report.as_json(), *report._replace(confusion=None).as_json(per_class=True)}


def test_a_curve_says_accuracies_by_seed_and_the_steps_before_each():
    made = curve_of([np.array([1, 4]), np.array([3, 2])], 4, (5, 10))
    assert made == {"best_on_test": (0.75, 1.0), "curve": ((0.25, 0.75), (1.0, 0.5)), "curve_steps": (5, 10)}
    report = Report("mlp", "quick", "random", (0.75, 0.5), 1.0, **made)
    assert report.as_json()["curve"] == {"steps": [5, 10], "accuracy": [[0.25, 0.75], [1.0, 0.5]]}
    both = join([report, report], 3)
    assert both.curve == (*report.curve, report.curve[0]) and both.curve_steps == (5, 10)


def test_an_augmentation_stands_in_place_of_the_recipes_own():
    plain, mixed = recipe("dsa"), recipe("fkd")
    for name, one in AUGMENTATIONS.items():
        for chosen in (plain, mixed):
            made = under(chosen, name)
            assert (made.augment, made.view, made.lr, made.epochs, made.name) == (
                one.augment,
                one.view,
                chosen.lr,
                chosen.epochs,
                chosen.name,
            )
        assert not one.view or str(view_of(one.view)) == one.view
        assert one.about and one.augment in get_args(get_type_hints(EvalRecipe)["augment"])


def test_a_square_of_half_the_side_is_cut_out_of_every_image():
    x = jnp.ones((64, 8, 8, 1))
    cut = np.asarray(cut_each(jax.random.key(0), x, siamese=False))[..., 0] == 0
    assert all(1 <= image.any(1).sum() <= 4 and image.sum() == image.any(1).sum() * image.any(0).sum() for image in cut)
    assert max(image.sum() for image in cut) == 16 and len({image.tobytes() for image in cut}) > 20


def test_leakage_is_what_is_known_of_held_out_labels_beyond_chance():
    assert leakage(0.4, 0.1) == pytest.approx(0.3) and Leakage(1.0, 0.9, 0.4, 0.1).leakage == pytest.approx(0.3)


@pytest.mark.slow
def test_a_students_answers_leak_what_only_the_teacher_saw():
    """A linear network of 100 inputs that has memorised 150 labels: its answers to 75 examples tell most of its weights."""
    x = jax.random.normal(jax.random.key(1), (225, 10, 10, 1))
    found = measure_leakage(jax.random.key(0), linear_net(100), x, 3, epochs=1500, lr=1e-2)
    assert found.memorised > 0.9 and found.shown > 0.9 and found.leakage > 0.15, found
    assert found.unseen < 0.5, "chance is a third"
