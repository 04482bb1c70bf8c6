"""Distilling from the command line and from a notebook: what a run leaves, what a folder allows, presets and budgets."""

import json
import os
import shutil
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import condense
import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense import distill, nets, presets
from condense.__main__ import run
from condense.data.load import load_data
from condense.data.named import NAMED
from condense.data.spec import parse_spec
from condense.plots.frames import find_frames
from condense.runtime import run_folder as runs
from evals.recipes import RECIPES, recipe
from matchers import REGISTRY
from matchers.inputs import option_parameters
from synth.errors import BadInput
from synth.files.format import load_set
from synth.graphs.base import Alphabet
from synth.images.augment import dsa, dsa_strategy
from synth.images.preprocess import Standard
from synth.selection.choose import STARTS
from tests.support.cli import DM, TINY, record, stamps
from tests.support.factories import build_method, complete_options
from tests.support.toy_ranks import toy_ranks
from tests.support.toy_teachers import committee, priors, task


@pytest.fixture
def asked(monkeypatch):
    """What the command line asks for, without the work: the settings of its plan."""
    plans, made = [], SimpleNamespace(represents=False)
    monkeypatch.setattr("condense.workflows.distill.execute", lambda plan: plans.append(plan) or made)
    monkeypatch.setattr("condense.evaluation.counts.too_few", lambda synth, data: None)  # there is no set to be counted
    settings = {"ipc": 7, "net": "mlp", "steps": 40, "lr": 0.25}
    mine = presets.Preset("mine", "dm", "digits?limit=1000", "50.0 %", "this test", "nothing", settings)
    monkeypatch.setitem(presets.PRESETS, "mine", mine)

    def ask(*argv: str) -> dict:
        assert run(["distill", "dm", "--out", "x", *argv]) == 0
        plan = plans[-1]
        return {**plan.settings.common, **plan.settings.options, "force": plan.force, "command": plan.command}

    return ask


def test_what_a_run_leaves(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"set.npz", "run.json", "metrics.jsonl", "grid.png", "checkpoints", "history", ".lock"}
    found = record(finished)
    frames = find_frames(finished)
    assert [frame.step for frame in frames] == list(range(found["steps"] + 1))
    first, last = (np.asarray(Image.open(frames[at].path)) for at in (0, -1))
    synth = load_set(finished / "set.npz")
    raw = np.round(np.clip(synth.info.preprocess.undo(np.asarray(synth.x.decode())), 0, 1) * 255)
    np.testing.assert_array_equal(last[:, :, 0], raw.reshape(80, 8))
    assert first.shape == last.shape and (first != last).any()
    assert found["command"].startswith("condense distill dm --data digits --ipc 1 --net mlp:width=4") and found["seed"] == 3
    chosen = {
        "method": "dm",
        "data": "digits",
        "net": "mlp:width=4,norm=none,act=relu",
        "start": "random",
        "ipc": 1,
        "size": None,
        "bytes": None,
    }
    assert found["config"] == chosen | {"lr": 1.0, "momentum": 0.5, "batch": 2}
    assert found["digest"] == runs.digest(found["config"]) and found["data_digest"] == load_data("digits").digest
    assert {"python", "jax", "numpy", "condense-workbench"} <= found["versions"].keys()
    assert found["backend"] == "cpu" and found["xla_flags"] == os.environ.get("XLA_FLAGS", "") and found["threads"] >= 1
    assert found["wall_seconds"] > 0 and found["peak_memory_bytes"] > 1e7 and (found["steps"], found["finished"]) == (2, 2)
    synth = load_set(finished / "set.npz")
    assert synth.info.seed == 3 and synth.info.config == found["digest"] and synth.x.decode().shape == (10, 8, 8, 1)


def test_a_finished_run_says_so_and_changes_nothing(finished, capsys):
    before = stamps(finished)
    for steps in ("2", "1"):  # how often a run is stored changes nothing in its result
        assert run([*DM, "--steps", steps, "--checkpoint-every", steps, "--seed", "3", "--out", str(finished)]) == 0
        said = capsys.readouterr()
        assert f"{finished} is done: 2 steps; nothing to do" in said.err and f"condense evaluate {finished} --data digits" in said.out
    assert stamps(finished) == before


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--lr", "0.5"], ["lr was 1.0, now 0.5"]),
        (["--seed", "4"], ["seed was 3, now 4"]),
        (["--start", "noise"], ["start was 'random', now 'noise'"]),
        (["--net", "mlp"], ["net was 'mlp:width=4,norm=none,act=relu', now 'mlp:width=128,norm=none,act=relu'"]),
        (["--ipc", "2"], ["ipc was 1, now 2"]),
        (["--eval-every", "1"], ["eval_every was None, now 1"]),
        (["--data", "digits?limit=1000"], ["data was 'digits', now 'digits?limit=1000'", "data_digest was"]),
    ],
)
def test_another_run_in_the_same_folder_is_refused_by_field(argv, words, finished, refused):
    before = stamps(finished)
    said = refused(*DM, "--steps", "2", "--seed", "3", "--out", str(finished), *argv)
    assert all(word in said for word in [*words, "--force", f"--out {finished}"]), said
    assert stamps(finished) == before


def test_more_steps_continue_and_force_starts_anew(finished, tmp_path):
    place = Path(shutil.copytree(finished, tmp_path / "a"))
    assert run([*DM, "--steps", "4", "--seed", "3", "--out", str(place)]) == 0
    before, after = ((folder / "metrics.jsonl").read_text() for folder in (finished, place))
    assert after.startswith(before) and [json.loads(line)["step"] for line in after.splitlines()] == [1, 2, 3, 4]
    assert record(place)["finished"] == 4 and (place / "set.npz").read_bytes() != (finished / "set.npz").read_bytes()
    assert run(["distill", "random", "--data", "digits", "--ipc", "2", "--force", "--out", str(place)]) == 0
    assert record(place)["config"]["method"] == "random" and (place / "metrics.jsonl").read_text() == '{"step": 1}\n'
    assert not (place / "checkpoints").exists()


@pytest.mark.parametrize(
    "argv",
    [
        ["distill", "random", "--data", "digits", "--ipc", "1000"],  # shows only when they are drawn
        ["distill", "dm", "--data", "digits", "--ipc", "1000", *TINY],
        [*DM, "--net", "lenet"],
        [*DM, "--data", "digits?limit=20", "--eval-every", "1", "--start", "herding", "--ipc", "3"],
    ],
)
def test_a_wrong_call_with_force_leaves_the_run_that_was_there(argv, finished, tmp_path):
    place = Path(shutil.copytree(finished, tmp_path / "a"))
    before = stamps(place)
    assert run([*argv, "--force", "--out", str(place)]) == 2
    assert {name: held for name, held in stamps(place).items() if not name.endswith(".lock")} == {
        name: held for name, held in before.items() if not name.endswith(".lock")
    }


@pytest.mark.slow
@pytest.mark.parametrize("budget", [["--ipc", "2"], ["--size", "20"], ["--bytes", "5200"], ["--bytes", "7799"]])
def test_budgets_of_three_kinds_buy_the_same(budget):
    assert run(["distill", "random", "--data", "digits", *budget, "--out", "x"]) == 0
    synth = load_set("x/set.npz")
    assert np.bincount(np.asarray(synth.y.probs()).argmax(1)).tolist() == [2] * 10 and synth.x.nbytes() + synth.y.nbytes() == 5200
    argv = ["--net", "mlp:width=3", "--seeds", "1", "--recipe", "dc", "--epochs", "1", "--rows", "distilled", "--json", "a.json"]
    assert run(["evaluate", "x", *argv]) == 0
    assert json.loads(Path("a.json").read_text())["ipc"] == (2 if budget[0] == "--ipc" else None)


def test_selection_says_that_steps_do_not_matter(capsys):
    assert run(["distill", "random", "--data", "digits", "--ipc", "1", "--steps", "9", "--out", "x"]) == 0
    assert "random selects in one step: --steps changes nothing" in capsys.readouterr().err
    assert run(["distill", "random", "--data", "digits", "--ipc", "1", "--eval-every", "9", "--out", "x"]) == 0
    assert "--eval-every changes nothing" in (said := capsys.readouterr().err) and "x is done" in said


def test_the_next_command_can_be_pasted(tmp_path, capsys):
    rng = np.random.default_rng(0)
    images = {f"x_{part}": rng.random((20, 8, 8), np.float32) for part in ("train", "test")}
    np.savez(tmp_path / "my data.npz", **images, y_train=np.arange(20) % 2, y_test=np.arange(20) % 2)
    assert run(["distill", "random", "--data", "npz:my data.npz?flip=false&limit=18", "--ipc", "1", "--out", "a run"]) == 0
    assert "condense evaluate 'a run' --data 'npz:my data.npz?flip=false&limit=18'" in capsys.readouterr().out


def test_a_set_of_classes_whose_names_cannot_be_printed_is_scored_on_its_own_data(tmp_path, capsys):
    """No-break space, zero-width non-joiner, an emoji with joiners: stored as U+FFFD, and known so wherever they are compared."""
    rng, names = np.random.default_rng(0), np.array(["no\xa0break", "non\u200cjoined", "\U0001f469\u200d\U0001f52c"])
    y = np.arange(30) % 3
    np.savez(tmp_path / "a.npz", x_train=rng.random((30, 8, 8)), y_train=y, x_test=rng.random((30, 8, 8)), y_test=y, class_names=names)
    assert run(["distill", "random", "--data", "npz:a.npz", "--ipc", "1", "--out", "x"]) == 0
    assert load_set("x/set.npz").info.classes == ("no\ufffdbreak", "non\ufffdjoined", "\U0001f469\ufffd\U0001f52c")
    argv = ["--net", "mlp:width=3", "--seeds", "1", "--recipe", "dc", "--epochs", "1", "--rows", "distilled", "--json", "a.json"]
    assert run(["evaluate", "x", *argv]) == 0
    assert "warning" not in capsys.readouterr().err and json.loads(Path("a.json").read_text())["ipc"] == 1


def test_a_flag_beats_a_preset_beats_a_default(asked):
    plain = asked("--data", "digits?limit=500", "--ipc", "1", "--net", "mlp:width=4")
    assert (plain["net"], plain["steps"], plain["lr"], plain["momentum"], plain["batch"]) == ("mlp:width=4", None, 1.0, 0.5, 64)
    preset = asked("--preset", "mine")
    assert {name: preset[name] for name in ("data", "ipc", "size", "net", "steps", "lr", "momentum")} == {
        "data": "digits?limit=1000", "ipc": 7, "size": None, "net": "mlp", "steps": 40, "lr": 0.25, "momentum": 0.5,
    }  # fmt: skip
    flags = asked("--lr", "2", "--preset=mine", "--net", "mlp:width=3", "--data=digits", "--steps", "3")
    assert (flags["lr"], flags["net"], flags["data"], flags["steps"], flags["ipc"]) == (2.0, "mlp:width=3", "digits", 3, 7)
    for budget in (["--size", "20"], ["--size=20"]):  # one budget replaces another kind's
        assert (asked("--preset", "mine", *budget)["ipc"], asked("--preset", "mine", *budget)["size"]) == (None, 20)
    assert asked("--preset", "mine", "--eval-every", "5", "--force")["force"] is True and preset["force"] is False
    assert asked("--preset", "mine")["command"] == "condense distill dm --out x --preset mine"


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_a_run_that_can_be_made(name):
    preset = presets.PRESETS[name]
    method, settings = preset.method, presets.preset_of(name, preset.method)
    made_by = condense.cli.distill.method_class(
        REGISTRY[method], REGISTRY[method].load(), settings, condense.cli.distill.COMMON, dry_run=False
    )
    assert settings.keys() <= {f.name for f in fields(made_by)}
    data = parse_spec(settings["data"])
    assert data.name in NAMED or data.kind in ("folder", "tu")  # the last two for what nobody may hand on
    assert sum(settings.get(name) is not None for name in ("ipc", "size", "bytes", "fraction", "support")) == 1
    own = {key: value for key, value in settings.items() if key in option_parameters(REGISTRY[method].load())}
    shape = Alphabet(37) if data.kind == "tu" else (32, 32, 3)
    handed = {
        "net": nets.build(settings.get("net", "gin" if data.kind == "tu" else "convnet"), shape, 10),
        "augment": dsa(dsa_strategy(True)),
    }
    handed |= {"teachers": committee(5, image=(32, 32, 3)), "priors": priors(5), "task": task((32, 32, 3), flips=True)}
    handed |= {"experts": SimpleNamespace(epochs=50), "teacher": None, "budget": None if settings.get("support") else ("ipc", 1)}
    handed["ranks"] = toy_ranks(np.arange(200) % 10, epochs=11)
    matcher = build_method(method, complete_options(method, own), **handed)
    assert matcher.own_start is None or "start" not in settings
    assert matcher.start in STARTS and (not matcher.recipe or recipe(matcher.recipe).name in RECIPES)
    place = f" --{preset.flag()} X" if preset.first else ""
    assert f"condense distill {method} --preset {name}{place} --out " in preset.record() and preset.claim in preset.record()


def test_a_notebook_and_the_command_line_share_a_run(finished, capsys):
    """Numbers of other types are the same numbers, so the run that the command line finished is found finished."""
    data = load_data("digits", seed=3)
    options = {
        "net": "mlp:width=4",
        "steps": np.int64(2),
        "seed": 3,
        "out": finished,
        "lr": 1,
        "momentum": np.float64(0.5),
        "batch": np.int32(2),
    }
    synth = condense.distill("dm", data, ipc=np.int64(1), **options)
    assert "is done" in capsys.readouterr().err
    assert synth.x.decode().tobytes() == load_set(finished / "set.npz").x.decode().tobytes()
    with pytest.raises(BadInput, match="split_seed was None, now 4"):  # another validation split is another run
        condense.distill("dm", load_data("digits", seed=4), ipc=1, **options)


def test_a_run_of_the_library_records_its_call():
    condense.distill("random", "digits", ipc=1, out="x", seed=5)
    command = record(Path("x"))["command"]
    assert command.startswith("condense.distill(method='random', data='digits'") and "ipc=1" in command and "seed=5" in command


def test_a_run_is_of_its_own_training_images_and_model_space(tmp_path):
    """Data that are handed over may be split or normalised otherwise than their specification says."""
    distill("random", load_data("digits", validation=0.0), ipc=1, out="x")
    for other in (
        "digits",
        load_data("digits", validation=0.2),
        load_data("digits", validation=0.0).under(Standard(*np.ones((2, 1), "f4"))),
    ):
        with pytest.raises(BadInput, match=r"holds another run \(trained_on was '1437 images \(.*\), standard around 0\.3"):
            distill("random", other, ipc=1, out="x")
    with pytest.raises(BadInput, match="--out: is empty; give the name of a folder"):
        distill("random", "digits", ipc=1, out="")
