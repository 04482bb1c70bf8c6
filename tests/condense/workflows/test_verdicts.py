"""What is said where nothing was learned."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import condense
from condense.data.load import load_data
from condense.workflows.verdicts import LastScore, tell_far_pixels, tell_no_gain, tell_no_room
from evals.report import Report
from matchers.base import Matcher
from synth.images.content import Pixels

MATCHER = Matcher(lambda key, synth: (), None, finish=lambda key, state, synth: replace(synth, weight=jnp.ones(len(synth))))


@pytest.fixture(scope="module")
def start():
    return condense.distill("random", "digits", ipc=1)


def test_a_set_that_its_own_start_equals_is_warned_of_once(start, capsys):
    for gained, warned in ((0.01, False), (0, True), (-0.2, True)):
        seen = []

        def score(synth, gained=gained, seen=seen):
            seen.append(synth)
            return 0.5 + (gained if len(seen) == 1 else 0)

        scored = LastScore(score)
        scored(replace(start, x=Pixels(start.x.decode() + 1)))
        tell_no_gain(jax.random.key(0), MATCHER, start, scored)
        assert seen[1].weight is not None and jnp.array_equal(seen[1].x.decode(), start.x.decode())  # as it would be stored
        line = f"the set scores {50 + 100 * gained:.1f} % on validation and its own start 50.0 %: nothing was gained; try another step"
        assert (line in capsys.readouterr().err) == warned


def test_nothing_is_scored_for_the_warning_where_nothing_was_scored(start, capsys):
    tell_no_gain(jax.random.key(0), MATCHER, start, None)
    tell_no_gain(jax.random.key(0), MATCHER, start, LastScore(lambda synth: pytest.fail("scored")))
    assert "warning" not in capsys.readouterr().err


@pytest.mark.parametrize(("scale", "warned"), [(5, False), (11, True)])
def test_pixels_far_outside_the_data_are_warned_of(start, scale, warned, capsys):
    data = load_data("digits")
    most = float(jnp.abs(data.train.take(np.arange(256)).x).max())
    tell_far_pixels(replace(start, x=Pixels(jnp.full((1, 8, 8, 1), scale * most))), data)
    assert (f"warning: pixels reach {scale * most:.3g} in model space" in capsys.readouterr().err) == warned


@pytest.mark.parametrize(("random", "full", "warned"), [(0.947, 0.947, True), (0.90, 0.929, True), (0.90, 0.931, False)])
def test_a_transfer_without_room_is_warned_of(random, full, warned, capsys):
    """Where all of the source is less than 3 points above as many random images; for the network of which that is so alone."""

    def rows(net, full):
        return [Report(net, "mse+probe", kind, (score,), 1.0) for kind, score in (("random", random), ("distilled", 0.99), ("full", full))]

    tell_no_room("mnist", "probe", [*rows("wide", 0.99), *rows("narrow", full)])
    said = capsys.readouterr().err
    line = f"warning: mnist, probe, narrow: random images have {100 * random:.1f} % and all of the source {100 * full:.1f} %, so no set"
    assert (line in said) == warned and "wide" not in said
    tell_no_room("mnist", "probe", rows("narrow", full)[:2])
    assert not capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_gains_nothing_says_so_and_an_evaluation_tells_far_pixels(tmp_path, capsys):
    call = {"ipc": 1, "net": "mlp:width=4", "steps": 20, "batch": 8, "eval_every": 20, "start": "kmeans"}
    condense.distill("dm", "digits", lr=1e2, out=tmp_path / "a", **call)
    said = capsys.readouterr().err
    assert "nothing was matched" in said and "warning: pixels reach" in said and "nothing was gained; try another step size" in said
    condense.evaluate(tmp_path / "a", recipe="krr-ntk", seeds=1, rows="distilled")
    assert "warning: pixels reach" in capsys.readouterr().err
