"""Calls of the public interface as a user writes them, for the type checker alone: nothing here runs.

`make lint` checks that results have the types that are asserted, and that every line with `type: ignore` is indeed refused.
"""

from pathlib import Path
from typing import assert_type

import numpy as np
from PIL import Image

import condense
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.experts.store import Experts
from condense.teachers.self_supervised import Representer
from condense.teachers.store import Teachers
from condense.workflows.plan import Plan
from synth.selection.ranks import Ranks


def right_calls() -> None:
    """What comes back."""
    data = assert_type(condense.load_data("digits", seed=1), Data | GraphData)
    assert_type(condense.load_data((np.zeros((4, 2)), [0, 1, 0, 1]), options="test=0.5"), Data | GraphData)
    assert_type(condense.from_arrays(np.zeros((4, 2)), [0, 1, 0, 1], classes=["a", "b"]), Data)
    assert_type(condense.describe("digits").lines(), list[str])
    synth = assert_type(condense.distill("dm", data, ipc=1, out=Path("a"), lr=0.5), condense.SyntheticSet)
    assert_type(condense.evaluate(synth, data=data, net=["mlp", "convnet"], rows="distilled"), condense.Evaluation)
    assert_type(condense.evaluate(["a", Path("b"), synth], cache="c"), condense.Evaluations)
    assert_type(condense.measure_leakage(data, net="mlp"), condense.Leakage)
    assert_type(condense.transfer("a", to=["digits", "mnist"], protocol="probe"), condense.Transfer)
    assert_type(condense.relabel(synth, None, "teachers", "committee"), condense.SyntheticSet)
    assert_type(condense.plan("dm", "digits", ipc=1), Plan)
    assert_type(condense.preview(condense.plan("dm", "digits", ipc=1)), list[str])
    assert_type(condense.rank(data, "r", networks=1), Ranks)
    assert_type(condense.read_ranks("r"), Ranks)
    assert_type(condense.train_experts(data, count=1, epochs=1, out="e"), Experts)
    assert_type(condense.load_experts("e"), Experts)
    assert_type(condense.train_teachers(data, "t", net=["mlp"]), Teachers)
    assert_type(condense.load_teachers("t"), Teachers)
    assert_type(condense.train_ssl_teacher("digits", "s", epochs=1), Representer)
    assert_type(condense.load_ssl_teacher("s"), Representer)
    run = assert_type(condense.load_run("a"), condense.SavedRun)
    assert_type(run.set, condense.SyntheticSet | None)
    assert_type(run.metrics["loss"].dtype, np.dtype)
    assert_type(condense.show(run, per_class=2), Image.Image)
    assert_type(condense.load_set("a/set.npz"), condense.SyntheticSet)
    condense.save_set("b.npz", synth)
    assert_type([*condense.list_methods(), *condense.list_nets(), *condense.list_data()], list[str])
    assert_type([*condense.list_presets(), *condense.list_recipes()], list[str])
    assert_type(condense.__version__, str)
    assert_type([condense.BadInput("wrong"), condense.RunFailed("ended")], list[Exception])


def wrong_calls() -> None:
    """What a type checker refuses."""
    condense.load_data(3)  # type: ignore[arg-type]
    condense.distill("dm", "digits", ipc="1")  # type: ignore[arg-type]
    condense.evaluate("a", "digits")  # type: ignore[call-overload]
    condense.evaluate("a", seeds="2")  # type: ignore[call-overload]
    condense.train_experts("digits", out="e")  # type: ignore[call-arg]
    condense.show(3)  # type: ignore[arg-type]
    condense.distil("dm", "digits")  # type: ignore[attr-defined]
