"""The first call of every method: data, a budget and a folder, in a few steps. What a run makes for itself is small here."""

import json
from functools import partial

import numpy as np
import pytest

from condense.__main__ import run as command
from condense.inputs import distilled, experts, teacher, teachers
from condense.teachers.self_supervised import train_ssl_teacher
from condense.teachers.train import train_teachers
from matchers import REGISTRY
from synth.files.format import load_set

UNROLLED = [name for name, method in REGISTRY.items() if method.experts]
FAST = {"random", "kmeans"}  # the others compile or label for more than five seconds each
# of infer, compensators alone are more than 1 a class, and of ccfs one distilled image
BUDGETS = {"krrst": ("--size", "3"), "colour": (), "infer": ("--ipc", "2"), "ccfs": ("--ipc", "2")}
EDGES = {name: "?edges=false" for name in ("doscond", "kidd")}


@pytest.fixture
def small(monkeypatch, request):
    """Small experts, teachers and sets of a run's own, trained for as short as they may be to know more than chance."""
    monkeypatch.setattr(distilled, "STEPS", 2)
    monkeypatch.setattr(experts, "COUNT", 1)
    monkeypatch.setattr(experts, "pace_of", lambda examples: (64, 3))
    maps = request.node.callspec.params["name"] == "nrr"  # reads class activation maps, which such a convnet has not
    net = "resnet:depth=8,width=4" if maps else "convnet:norm=batch,width=4,depth=1"
    monkeypatch.setattr(teachers, "default_committee", lambda image: (net, net))
    monkeypatch.setattr(teachers, "train_teachers", partial(train_teachers, epochs=30))
    tiny = {"net": "convnet:norm=batch,width=4,depth=1", "epochs": 1, "batch": 16, "projector": 8}
    monkeypatch.setattr(teacher, "train_ssl_teacher", partial(train_ssl_teacher, **tiny))


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in REGISTRY])
def test_a_first_call_ends_in_a_set(name, spec, small, tmp_path, capsys):
    method, images = REGISTRY[name], "images" in REGISTRY[name].modalities
    data = spec if images else f"toy_graphs{EDGES.get(name, '')}"
    options = method.load().__kwdefaults__ or {}
    short = ["--label-epochs", "2"] if "label_epochs" in options else []
    budget = BUDGETS.get(name, ("--ipc", "1"))
    assert command(["distill", name, "--data", data, *budget, "--steps", "3", *short, "--out", str(tmp_path / "run")]) == 0
    assert "next:" in capsys.readouterr().out
    synth = load_set(tmp_path / "run" / "set.npz")
    assert synth.info.method == name and (tmp_path / "run" / "grid.png").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("name", UNROLLED)
def test_the_step_size_stays_positive_and_the_loss_falls_on_experts_of_the_runs_own(name, tmp_path, capsys):
    """Where --lr-lr moves beta itself, and by much, such a run ends and says what to try: its experts are short. The gate of datm leaves
    out what goes astray, so that run comes to its end and says that nothing was matched."""
    out = tmp_path / "run"
    steps = "300" if name == "ast" else "40"  # its loss, a sum over the student's way, falls slowly beside its noise
    assert command(["distill", name, "--data", "digits", "--ipc", "1", "--steps", steps, "--out", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    sizes, losses = (np.array([row[key] for row in rows if key in row]) for key in ("step_size", "loss"))
    assert len(sizes) and (sizes > 0).all()
    assert np.mean(losses[-10:]) < np.mean(losses[:10])
    wild = ["--positive", "none", "--lr-lr", "100", "--experts", str(out / "experts")]
    capsys.readouterr()
    code = command(["distill", name, "--data", "digits", "--ipc", "1", "--steps", "40", *wild, "--out", str(tmp_path / "b")])
    said = capsys.readouterr().err
    gated = name == "datm"
    assert code == (0 if gated else 1)
    assert ("nothing was matched; try another step size" if gated else "try a smaller ") in said
