"""What teachers are worth: measured once, kept beside them, and told apart by what it depends on."""

import json
import os
import shutil

import numpy as np
import pytest

from condense.__main__ import run as command
from condense.data.load import load_data
from condense.evaluation.validation import validation_score
from condense.inputs import priors
from condense.inputs.priors import measured
from condense.runtime.lock import locked
from condense.teachers.train import train_teachers
from condense.workflows.evaluate import evaluate
from evals.recipes import recipe
from matchers.decoupled.cvdd import voting_weights
from synth.errors import BadInput
from synth.files.format import load_set
from synth.labelling import teacher_digest
from tests.support.three_classes import clouds, make_set

NETS = ("mlp:norm=batch,width=16", "mlp:norm=batch,width=12")
QUICK = {"ipc": 2, "steps": 2, "epochs": 2}


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **clouds())
    return f"npz:{path}"


@pytest.fixture(scope="module")
def made(spec, tmp_path_factory):
    """A committee of two small networks with batch statistics."""
    return train_teachers(spec, tmp_path_factory.mktemp("teachers"), net=NETS, epochs=2, batch=16, lr=0.1)


@pytest.mark.slow
def test_a_prior_is_the_accuracy_of_data_from_one_teacher(spec, made, monkeypatch):
    """What is scored was recovered from the member that is asked about, here the second of two, and is labelled by it alone."""
    data, member, seen = load_data(spec), made.members[1], {}
    original = priors.run

    def running(key, matcher, synth, *args, **more):
        seen["fed"], seen["start"] = matcher.feed.value, np.asarray(synth.x.store().pixels)
        return original(key, matcher, synth, *args, **more)

    def scoring(data, net, chosen, *, seed, teachers, seeds):
        seen["scored by"] = (net, chosen.name, seed, [teacher_digest(teacher) for teacher in teachers], seeds)
        return lambda synth: seen.update(synth=synth) or 0.625

    monkeypatch.setattr(priors, "run", running)
    monkeypatch.setattr(priors, "validation_score", scoring)
    options = {"lr": 0.25, "crop": 1.0, "roll": 0.0, "patches": "none", "labels": "online"}
    assert priors.worth(data, member, made.members[0].name, ipc=2, steps=2, epochs=2, folder=None, options=options) == 62.5
    assert seen["scored by"] == (made.members[0].name, "cvdd:epochs=2", data.seed, [teacher_digest(member)], priors.SEEDS)
    (fed,), synth = seen["fed"], seen["synth"]
    assert fed is member.vars and synth.y.teachers == f"{teacher_digest(member)}*1" and synth.y.statistics == "batch/2"
    before, after = seen["start"], np.asarray(synth.x.pixels)
    assert before.shape == after.shape == (6, 8, 8, 1) and (before != after).mean() > 0.9


def test_a_prior_is_measured_with_the_options_of_the_run(spec, made, monkeypatch):
    seen = []
    monkeypatch.setattr(priors, "cvdd", lambda teachers, none, task, **options: seen.append((teachers, task.steps, options)) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        measured(load_data(spec), made.members, folder=None, **QUICK, lr=0.05, crop=0.5, patches="easy")
    assert seen == [(made.members[:1], 2, {"member": 1, "label_epochs": 2, "lr": 0.05, "crop": 0.5, "patches": "easy"})]


@pytest.mark.slow
def test_scores_of_priors_are_means_over_networks(spec, monkeypatch):
    """Three fresh networks as `evaluate` draws them, not the first alone."""
    data = load_data(spec)
    synth = make_set(data)
    report = evaluate(synth, data=data, net=NETS[0], recipe="quick", epochs=3, seeds=3, rows="distilled", split="val").reports[0]
    score = validation_score(data, NETS[0], recipe("quick", epochs=3), seed=0, seeds=3)(synth)
    assert len(set(report.accuracy)) > 1 and score == pytest.approx(report.mean)


def test_priors_are_measured_once_and_kept_beside_the_teachers(spec, made, tmp_path, monkeypatch):
    data, told, calls = load_data(spec), iter((60.0, 70.0, 50.0, 40.0, 55.0, 45.0)), []

    def worth(data, teacher, net, *, folder, **more):
        calls.append((teacher.name, net, folder))
        return next(told)

    monkeypatch.setattr(priors, "worth", worth)
    folder = shutil.copytree(made.folder, tmp_path / "teachers")
    first = measured(data, made.members, folder=folder, **QUICK)
    assert first == (60.0, 70.0) and measured(data, made.members, folder=folder, **QUICK) == first
    assert [call[:2] for call in calls] == [(member.name, made.members[0].name) for member in made.members]  # one student for all
    (kept,) = json.loads((folder / "priors.json").read_text())
    assert sorted(kept["priors"].values()) == [60.0, 70.0] and kept["settings"]["ipc"] == QUICK["ipc"]
    assert measured(data, made.members, folder=folder, **QUICK | {"steps": 3}) == (50.0, 40.0)  # of another measure
    assert measured(data, made.members, folder=folder, **QUICK | {"steps": 3}, lr=0.1) == (55.0, 45.0)  # of other data
    assert measured(data, made.members, folder=folder, **QUICK) == first and len(calls) == 6  # each is kept beside the others
    assert len({place for _, _, place in calls}) == 6  # what was left of one measure is not gone on with in another
    (folder / "priors.json").write_text('{"settings": ')  # torn
    monkeypatch.setattr(priors, "worth", lambda *args, **more: 30.0)
    assert measured(data, made.members, folder=folder, **QUICK) == (30.0, 30.0)


def test_what_another_run_measured_meanwhile_stays(spec, made, tmp_path, monkeypatch):
    data, folder = load_data(spec), shutil.copytree(made.folder, tmp_path / "teachers")

    def slow(*args, **more):
        with monkeypatch.context() as patch:
            patch.setattr(priors, "worth", lambda *args, **more: 20.0)
            measured(data, made.members[1:], folder=folder, **QUICK | {"steps": 3})
        return 60.0

    monkeypatch.setattr(priors, "worth", slow)
    assert measured(data, made.members[:1], folder=folder, **QUICK) == (60.0,)
    monkeypatch.setattr(priors, "worth", lambda *args, **more: pytest.fail("measured before"))
    assert measured(data, made.members[1:], folder=folder, **QUICK | {"steps": 3}) == (20.0,)
    assert measured(data, made.members[:1], folder=folder, **QUICK) == (60.0,)


def test_two_runs_do_not_measure_one_prior_at_once(spec, made, tmp_path, monkeypatch):
    def meet(*args, folder, **more):
        with locked(folder):
            pytest.fail("the folder is free while its prior is measured")

    monkeypatch.setattr(priors, "worth", meet)
    with pytest.raises(BadInput, match=rf"process {os.getpid()} is working on this run; wait for it"):
        measured(load_data(spec), made.members, folder=tmp_path, **QUICK)


def test_priors_of_few_images_are_measured_on_as_many_as_their_collages_take(made, tmp_path, monkeypatch):
    """Fifteen training images a class or a few less, four of them in a collage: three images a class, not ten."""
    held = clouds()
    some = {"x_train": held["x_train"].reshape(3, 100, 8, 8, 1)[:, :15].reshape(-1, 8, 8, 1), "y_train": np.repeat(np.arange(3), 15)}
    np.savez(tmp_path / "few.npz", **held | some)
    data, sizes = load_data(f"npz:{tmp_path / 'few.npz'}"), []
    assert 12 <= np.bincount(data.train.y).min() < 16
    monkeypatch.setattr(priors, "run", lambda key, matcher, synth, *args, **more: sizes.append(len(synth)) or synth)
    monkeypatch.setattr(priors, "validation_score", lambda *args, **more: lambda synth: 0.5)
    assert measured(data, made.members, folder=tmp_path, patches="medium") == (50.0, 50.0) and sizes == [9, 9]
    assert json.loads((tmp_path / "priors.json").read_text())[0]["settings"]["ipc"] == 3


@pytest.mark.slow
def test_cvdd_weighs_by_what_was_measured(spec, made, tmp_path, monkeypatch):
    told = iter((60.0, 70.0))
    monkeypatch.setattr(priors, "worth", lambda *args, **more: next(told))
    flags = f"--data {spec} --ipc 2 --teachers {made.folder} --steps 1 --patches none --label-epochs 1 --crop 1 --roll 0 --lr 0.05"
    assert command(["distill", "cvdd", *flags.split(), "--out", str(tmp_path / "a")]) == 0
    synth = load_set(tmp_path / "a" / "set.npz")
    assert synth.x.kind == "bytes" and synth.y.kind == "committee" and synth.y.statistics == "batch/2"
    weights = [float(member.split("*")[1]) for member in synth.y.teachers.split("+")]
    np.testing.assert_allclose(weights, voting_weights(1, (60.0, 70.0), size=2, temperature=10.0)[0], rtol=1e-6)
    settings = json.loads((made.folder / "priors.json").read_text())[-1]["settings"]
    assert (settings["steps"], settings["seeds"]) == (priors.STEPS, 3)
    used = {"lr": 0.05, "alpha_bn": 0.01, "first": 10.0, "crop": 1.0, "roll": 0.0, "batch": 100, "patches": "none", "parts": 2}
    assert settings["options"] == used


def test_a_budget_in_bytes_is_refused(spec, made, tmp_path, capsys):
    flags = f"--data {spec} --bytes 5000 --teachers {made.folder} --steps 2 --out {tmp_path / 'a'}"
    assert command(["distill", "sre2l", *flags.split()]) == 2
    assert "--bytes 5000: what sre2l stores is not known before it is done; give --ipc N or --size N" in capsys.readouterr().err
