"""A modality costs eight files beside its reader and its tests: its own content, and a line in each table that is patched here.

What the lines refer to is in `tests.support.toy_modality`. The tables are all that a new modality touches: nothing else is patched.
"""

from dataclasses import replace

import numpy as np
import pytest

import condense
import matchers
from condense.__main__ import run as command
from condense.data import load, modality
from condense.data.readers import READERS
from condense.evaluation import modalities as scores
from condense.nets import registry
from condense.plots import modalities as plots
from matchers.method import Method
from synth import content
from tests.support import toy_modality

SPEC = "waves:here"
TABLES = (  # what a new modality adds to: the file, its table, its line there
    (modality, "MODALITIES", toy_modality.SIGNALS),
    (load, "BUILDERS", toy_modality.BUILDER),
    (scores, "EVALUATORS", toy_modality.EVALUATOR),
    (plots, "DRAWERS", toy_modality.draw),
    (content, "KINDS", toy_modality.Signals),
)


@pytest.fixture
def signals(monkeypatch):
    """The modality, known to every room."""
    for module, table, line in TABLES:
        monkeypatch.setitem(getattr(module, table), "signals", line)
    monkeypatch.setitem(registry.BY_AXES, 2, "signals")
    for name, network in registry.NETS.items():  # the line ARRAYS of condense/nets/registry.py
        if network.takes == registry.ARRAYS:
            monkeypatch.setitem(registry.NETS, name, network._replace(takes=(*registry.ARRAYS, "signals")))
    for name, method in matchers.REGISTRY.items():  # the line ARRAYS of matchers/__init__.py
        if set(matchers.ARRAYS) <= set(method.modalities):
            monkeypatch.setitem(matchers.REGISTRY, name, replace(method, modalities=(*method.modalities, "signals")))
    monkeypatch.setitem(READERS, "waves", toy_modality.READER)
    touched = {module.__file__ for module, _, _ in TABLES} | {registry.__file__, matchers.__file__}
    assert len(touched) + 1 <= 8, "and the file of its content"
    return load.load_data(SPEC)


def test_signals_are_data(signals):
    assert (signals.modality, signals.image, signals.flips, len(signals.train.y)) == ("signals", (16, 2), False, 81)
    some = signals.train.take(np.arange(81)).x
    np.testing.assert_allclose(some.mean((0, 1)), 0, atol=1e-5)
    np.testing.assert_allclose(some.std((0, 1)), 1, atol=1e-4)


@pytest.mark.parametrize("name", ["random", "kmeans", "herding", "dm"])
def test_signals_are_chosen_and_learned(name, signals, tmp_path, capsys):
    out = tmp_path / "run"
    steps = ["--steps", "3"] if name == "dm" else []
    assert command(["distill", name, "--data", SPEC, "--ipc", "2", *steps, "--out", str(out)]) == 0
    assert "next:" in capsys.readouterr().out and (out / "grid.png").is_file()
    synth = condense.load_set(out / "set.npz")
    assert isinstance(synth.x, toy_modality.Signals) and synth.x.values.shape == (6, 16, 2) and synth.info.method == name
    assert command(["show", str(out / "set.npz"), "--out", str(tmp_path / "a.png")]) == 0
    real = {row.tobytes() for row in np.asarray(signals.train.take(np.arange(81)).x)}
    assert ({row.tobytes() for row in np.asarray(synth.x.values)} <= real) == (name != "dm")


@pytest.mark.slow
def test_signals_are_scored_and_matched_by_trajectories(signals, tmp_path):
    for name in ("dm", "mtt"):
        synth = condense.distill(name, signals, ipc=1, steps=3, out=tmp_path / name)
        scored = condense.evaluate(synth, rows=("distilled", "random", "kmeans", "full"), epochs=5)
        assert [report.set_kind for report in scored.reports] == ["distilled", "random", "kmeans", "full"]
        assert {report.net for report in scored.reports} == {"mlp:width=16,norm=none,act=relu"}


def test_what_does_not_take_signals_says_so(signals, capsys):
    for call, words in (
        (["distill", "dsa", "--ipc", "1"], "dsa: takes images, and waves:here holds signals"),
        (["distill", "dm", "--ipc", "1", "--net", "convnet"], "the data are signals, and convnet does not take them"),
    ):
        assert command([*call, "--data", SPEC, "--out", "x"]) == 2
        assert words in capsys.readouterr().err


def test_methods_of_arrays_are_those_that_a_new_modality_gets():
    assert {name for name, method in matchers.REGISTRY.items() if set(matchers.ARRAYS) <= set(method.modalities)} >= {"dc", "dm", "mtt"}
    assert all(isinstance(method, Method) for method in matchers.REGISTRY.values())
