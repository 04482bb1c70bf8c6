"""What teachers are worth: measured once, kept beside them, and told apart by what it depends on."""

import json
import shutil

import numpy as np
import pytest

from condense import priors
from condense.__main__ import run as command
from condense.data import load_data
from condense.priors import measured
from condense.teachers import make_teachers
from matchers.cvdd import voting_weights
from synth.file import load_set
from tests.scoring import clouds

NETS = ("mlp:norm=batch,width=16", "mlp:norm=batch,width=12")
QUICK = {"ipc": 2, "steps": 2, "epochs": 2}


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **clouds())
    return f"npz:{path}"


@pytest.fixture(scope="module")
def made(spec, tmp_path_factory):
    """A committee of two small networks with batch statistics."""
    return make_teachers(spec, tmp_path_factory.mktemp("teachers"), net=NETS, epochs=2, batch=16, lr=0.1)


@pytest.mark.slow
def test_a_prior_is_the_accuracy_of_data_from_one_teacher(spec, made):
    data = load_data(spec)
    (value,) = measured(data, made.members[:1], folder=None, **QUICK)
    assert value * len(data.val.y) / 100 == pytest.approx(round(value * len(data.val.y) / 100)) and 0 <= value <= 100


def test_priors_are_measured_once_and_kept_beside_the_teachers(spec, made, tmp_path, monkeypatch):
    data, told, calls = load_data(spec), iter((60.0, 70.0, 50.0, 40.0)), []
    monkeypatch.setattr(priors, "worth", lambda data, teacher, net, **more: calls.append((teacher.name, net)) or next(told))
    folder = shutil.copytree(made.folder, tmp_path / "teachers")
    first = measured(data, made.members, folder=folder, **QUICK)
    assert first == (60.0, 70.0) and measured(data, made.members, folder=folder, **QUICK) == first
    assert calls == [(member.name, made.members[0].name) for member in made.members]  # one student for all
    kept = json.loads((folder / "priors.json").read_text())
    assert sorted(kept["priors"].values()) == [60.0, 70.0] and kept["settings"]["ipc"] == QUICK["ipc"]
    assert measured(data, made.members, folder=folder, **QUICK | {"steps": 3}) == (50.0, 40.0)  # of another measure
    (folder / "priors.json").write_text('{"settings": ')  # torn
    monkeypatch.setattr(priors, "worth", lambda *args, **more: 30.0)
    assert measured(data, made.members, folder=folder, **QUICK) == (30.0, 30.0)


def test_cvdd_weighs_by_what_was_measured(spec, made, tmp_path, monkeypatch):
    told = iter((60.0, 70.0))
    monkeypatch.setattr(priors, "worth", lambda *args, **more: next(told))
    flags = f"--data {spec} --ipc 2 --teachers {made.folder} --steps 1 --patches none --label-epochs 1 --crop 1 --roll 0"
    assert command(["distill", "cvdd", *flags.split(), "--out", str(tmp_path / "a")]) == 0
    synth = load_set(tmp_path / "a" / "set.npz")
    assert synth.x.kind == "bytes" and synth.y.kind == "committee" and synth.y.statistics == "batch/2"
    weights = [float(member.split("*")[1]) for member in synth.y.teachers.split("+")]
    np.testing.assert_allclose(weights, voting_weights(1, (60.0, 70.0), size=2, temperature=10.0)[0], rtol=1e-6)
    assert json.loads((made.folder / "priors.json").read_text())["settings"]["steps"] == priors.STEPS


def test_a_budget_in_bytes_is_refused(spec, made, tmp_path, capsys):
    flags = f"--data {spec} --bytes 5000 --teachers {made.folder} --steps 2 --out {tmp_path / 'a'}"
    assert command(["distill", "sre2l", *flags.split()]) == 2
    assert "--bytes 5000: what sre2l stores is not known before it is done; give --ipc N or --size N" in capsys.readouterr().err
