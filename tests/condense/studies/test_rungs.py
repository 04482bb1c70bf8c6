"""Rungs and points of a search: what is drawn, kept and how long it runs."""

import numpy as np
import pytest

from condense.studies.rungs import Rung, best_of, counts_of, draw, options_at, rungs_of, spans_of
from condense.workflows.plan import plan
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.errors import BadInput
from synth.options import Range, alternatives
from tests.support.toy_pull import PULL

SMALL = {"ipc": 1, "net": "mlp:width=4"}


def test_points_are_those_of_halton_and_the_first_trial_is_the_call_as_it_stands():
    """In bases 2 and 3; more trials begin with the same points."""
    points = draw(2, 5)
    assert points[0] is None
    np.testing.assert_allclose(points[1:], [(1 / 2, 1 / 3), (1 / 4, 2 / 3), (3 / 4, 1 / 9), (1 / 8, 4 / 9)])
    assert draw(2, 3) == points[:3] and draw(1, 1) == [None]


def test_values_lie_around_what_the_rule_sets_for_the_length():
    """A half is the rule's own value, 1 / 10 in ten steps; the ends are 100 times less and more; what a call gives is not the rule's."""
    made = plan(PULL, "digits?limit=300", **SMALL)
    spans = spans_of(made, ("lr", "momentum"))
    assert options_at(made, spans, None, 10) == {"lr": 0.1, "momentum": 0.0}
    assert options_at(made, spans, (0.5, 0.5), 10) == {"lr": 0.1, "momentum": 0.495}
    assert options_at(made, spans, (0.0, 0.0), 10) == {"lr": 0.001, "momentum": 0.0}
    given = plan(PULL, "digits?limit=300", **SMALL, lr=0.02)
    assert options_at(given, spans_of(given, ("lr",)), (0.5,), 10) == {"lr": 0.02}
    assert options_at(given, spans_of(given, ("lr",)), (1.0,), 10) == {"lr": 2.0}


@pytest.mark.parametrize(("trials", "counts"), [(16, [16, 5, 2]), (5, [5, 2]), (3, [3, 1]), (2, [2]), (1, [1]), (27, [27, 9, 3, 1])])
def test_a_third_is_kept(trials, counts):
    assert counts_of(trials) == counts


def test_rungs_fill_the_time_and_no_more():
    """16 runs at a ninth, 5 at a third and 2 whole ones: 49/9 of the longest, beside 23 times 10 s."""
    rungs = rungs_of(16, seconds=1_800, run=10, step=0.5)
    assert rungs == [Rung(16, 64), Rung(5, 190), Rung(2, 570)]
    spent = sum(count * (10 + 0.5 * steps) for count, steps in rungs)
    assert 0.95 * 1_800 < spent <= 1_800
    with pytest.raises(BadInput, match=r"--minutes: 16 trials need at least 4.2 minutes here beside measuring; give more"):
        rungs_of(16, seconds=240, run=10, step=0.5)


def test_the_best_of_a_rung_is_the_earlier_of_equal_ones_and_none_that_failed():
    rows = [(0, 5, 0.5), (1, 5, 0.7), (2, 5, None), (3, 5, 0.7), (4, 9, 0.9)]
    rows = [{"trial": trial, "steps": steps, "mean": mean, "accuracy": mean and [mean]} for trial, steps, mean in rows]
    assert best_of(rows, 5) == [1, 3, 0]


@pytest.mark.parametrize("name", [name for name, method in REGISTRY.items() if method.tuned])
def test_every_option_that_a_search_varies_has_a_range(name):
    """Written in its annotation, and around its default there is a span."""
    parameters = option_parameters(REGISTRY[name].load())
    for option in REGISTRY[name].tuned:
        (limits,) = (found for base, found in alternatives(parameters[option].annotation) if base in (int, float))
        assert any(isinstance(note, Range) for note in parameters[option].annotation.__metadata__) and limits.words
    assert spans_of_factory(name)


def spans_of_factory(name):
    """The spans of a method's options around their defaults, without a plan."""
    from synth.options import span_of

    parameters = option_parameters(REGISTRY[name].load())
    return [span_of(option, parameters[option].default, parameters[option].annotation) for option in REGISTRY[name].tuned]


@pytest.mark.parametrize(
    ("vary", "words"),
    [
        (("speed",), r"--vary speed: pull has no such option \(known: lr, momentum, batch\)"),
        ((), "--vary: pull does not say what to vary; name options that have a range, of lr, momentum, batch"),
    ],
)
def test_what_cannot_vary_is_refused(vary, words):
    with pytest.raises(BadInput, match=words):
        spans_of(plan(PULL, "digits?limit=300", **SMALL), vary)
