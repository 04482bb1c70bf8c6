"""Minutes: measured once, written down as steps and options, and never measured again."""

import json
import re
import shlex

import numpy as np
import pytest

import condense
from condense.__main__ import run as command
from condense.engine.measure import Cost
from condense.workflows import lengths
from condense.workflows.calls import without_clock
from condense.workflows.distill import distill
from condense.workflows.lengths import length_of, settle_length
from condense.workflows.plan import plan
from matchers import REGISTRY
from synth.errors import BadInput
from tests.support.toy_pull import PULL

DATA, SMALL = "digits?limit=300", {"ipc": 1, "net": "mlp:width=4", "batch": 4}
CALL = ["--data", DATA, "--ipc", "1", "--net", "mlp:width=4", "--batch", "4"]


@pytest.fixture
def measured(monkeypatch):
    """A step takes 8 s and its compilation 4 s; the list holds the options that were measured with."""
    asked = []
    monkeypatch.setattr(lengths, "step_cost", lambda made, **how: asked.append(made.settings.options) or Cost(4.0, 8.0, 0, 8.0))
    return asked


def test_minutes_become_steps_and_options_that_are_recorded(measured, tmp_path, capfd):
    """One minute less a twentieth and 4 s of compiling: 53 s, which hold 6 steps of 8 s; the rule sets the step size of so many."""
    distill(PULL, DATA, **SMALL, minutes=1, out=tmp_path / "a")
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["length"] == {"minutes": 1.0, "steps": 6, "options": {"lr": 1 / 6}}
    assert (record["steps"], record["finished"], record["config"]["lr"], len(measured)) == (6, 6, 1 / 6, 1)
    said = capfd.readouterr().err
    assert "--minutes 1: 6 steps, 8 s each after 4 s of compiling; experts, teachers and scores come beside that" in said
    assert record["without_clock"] in said


@pytest.mark.slow
def test_the_command_without_a_clock_makes_the_same_set(measured, tmp_path, monkeypatch):
    monkeypatch.setitem(REGISTRY, "pull", PULL)
    assert command(["distill", "pull", *CALL, "--minutes", "1", "--out", str(tmp_path / "a")]) == 0
    said = json.loads((tmp_path / "a" / "run.json").read_text())["without_clock"]
    assert said.endswith(f"--steps 6 --lr {1 / 6}") and "--minutes" not in said
    again = said.replace(str(tmp_path / "a"), str(tmp_path / "b"))
    assert command(shlex.split(again)[1:]) == 0 and len(measured) == 1
    there, here = (condense.load_set(tmp_path / name / "set.npz") for name in "ab")
    np.testing.assert_array_equal(there.x.decode(), here.x.decode())
    records = [json.loads((tmp_path / name / "run.json").read_text()) for name in "ab"]
    assert records[0]["config"] == records[1]["config"]


@pytest.mark.slow
def test_a_resumed_run_measures_nothing_and_ends_as_one_that_was_not_stopped(measured, tmp_path, monkeypatch):
    def stop(log, step: int, **values: float) -> None:
        if step == 3:
            raise KeyboardInterrupt

    call = {**SMALL, "minutes": 1, "checkpoint_every": 2}
    whole = distill(PULL, DATA, **call, out=tmp_path / "a")
    with monkeypatch.context() as at, pytest.raises(KeyboardInterrupt):
        at.setattr("condense.runtime.log.MetricsLog.add", stop)
        distill(PULL, DATA, **call, out=tmp_path / "b")
    assert json.loads((tmp_path / "b" / "run.json").read_text())["state"] == "running"
    monkeypatch.setattr(lengths, "step_cost", lambda made, **how: pytest.fail("it was measured again"))
    resumed = distill(PULL, DATA, **call, out=tmp_path / "b")
    np.testing.assert_array_equal(whole.x.decode(), resumed.x.decode())
    np.testing.assert_array_equal(distill(PULL, DATA, **call, out=tmp_path / "b").x.decode(), resumed.x.decode())  # done: nothing to do


@pytest.mark.slow
def test_other_minutes_are_another_run(measured, tmp_path):
    call = {**SMALL, "out": tmp_path / "a"}
    distill(PULL, DATA, **call, minutes=1)
    with pytest.raises(BadInput, match=r"--minutes 2: the run in .* was cut to 1 minutes; repeat its command, give another --out, or --f"):
        distill(PULL, DATA, **call, minutes=2)
    distill(PULL, DATA, **call, minutes=0.5, force=True)
    assert json.loads((tmp_path / "a" / "run.json").read_text())["length"]["steps"] == 3
    distill(PULL, DATA, **call, steps=4, lr=1 / 3)  # a run of given steps goes on from it
    distill(PULL, DATA, **{**call, "out": tmp_path / "b"}, steps=2)
    with pytest.raises(BadInput, match=r"--minutes 1: the run in .* has 2 steps, without minutes; repeat"):
        distill(PULL, DATA, **{**call, "out": tmp_path / "b"}, minutes=1)


def test_what_the_call_or_a_preset_says_beats_the_rule():
    made = plan("frepo", DATA, **SMALL, minutes=1, lr=0.001)
    assert length_of(made, 300).options == {}
    made = plan("frepo", DATA, preset="frepo_fashion_mnist_1_cpu", net="mlp:width=4", batch=4, minutes=1)
    assert made.settings.common["steps"] is None and length_of(made, 300).options == {}


def test_lengths_keep_two_digits():
    made = plan("dm", DATA, **SMALL, minutes=1)
    assert [length_of(made, steps).steps for steps in (7, 99, 437, 1_999, 12_345_678)] == [7, 99, 430, 1_900, 1_000_000]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ({"minutes": 1, "steps": 3}, "--minutes 1: --steps 3 says how long the run is; give one of the two"),
        ({"minutes": 0}, "--minutes 0: give a number above 0"),
        ({"minutes": "1"}, "--minutes 1: give a number above 0"),
    ],
)
def test_wrong_minutes_are_refused(call, words):
    with pytest.raises(BadInput, match=words):
        plan("dm", DATA, **SMALL, **call)


def test_minutes_in_which_no_step_fits_are_refused_with_those_that_would(measured):
    words = r"--minutes 0.05: no step fits: compiling takes 4.0 s here.*; give at least (0\.\d+), or --steps N"
    with pytest.raises(BadInput, match=words) as refused:
        settle_length(plan(PULL, DATA, **SMALL, minutes=0.05))
    enough = float(re.search(words, str(refused.value)).group(1))
    assert enough == 0.22  # (4 + 8) s / 0.95
    assert settle_length(plan(PULL, DATA, **SMALL, minutes=enough)).schedule.steps >= 1


def test_a_method_that_chooses_in_one_step_takes_no_minutes(measured):
    made = plan("random", DATA, ipc=1, minutes=1)
    assert made.minutes is None and "random selects in one step: --minutes changes nothing" in made.remarks
    assert settle_length(made) is made and measured == []


def test_a_real_measuring_ends_in_time():
    """The step of a small network: some fit, and the plan's schedule is theirs."""
    made = settle_length(plan(PULL, DATA, **SMALL, minutes=0.5))
    assert made.length.steps == made.schedule.steps == made.context.steps > 1


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("condense distill dm --minutes 3 --out 'a b'", "condense distill dm --out 'a b' --steps 5 --lr 0.5"),
        ("condense distill dm --minutes=3 --out a", "condense distill dm --out a --steps 5 --lr 0.5"),
        ("condense.distill(method='dm', minutes=3, ipc=1)", "condense.distill(method='dm', ipc=1, steps=5, lr=0.5)"),
        ("a script", "--steps 5 --lr 0.5"),
    ],
)
def test_the_clock_is_taken_out_of_a_command(said, wanted):
    assert without_clock(said, 5, {"lr": 0.5}) == wanted
