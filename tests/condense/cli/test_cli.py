"""The command line as a user meets it: every verb, its files and JSON, and what a wrong call is told."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import fields
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from docstring_parser import parse as parse_docstring
from PIL import Image

import condense.api
import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense import nets, presets
from condense.__main__ import run
from condense.api import distill
from condense.data.load import load_data
from condense.data.spec import NAMED, parse_spec
from condense.evaluation.report import Evaluation
from condense.runtime import run_folder as runs
from condense.workflows.options import build_method, complete_options, option_parameters
from evals.recipes import RECIPES, recipe
from evals.report import Report
from matchers import REGISTRY
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set
from synth.graphs.base import Alphabet
from synth.images.augment import dsa, dsa_strategy
from synth.images.preprocess import Standard
from synth.selection.choose import STARTS
from tests.support.places import ROOT
from tests.support.toy_teachers import committee, priors, task

TINY = ["--net", "mlp:width=4", "--batch", "2"]
REPORT = Report("mlp", "quick", "distilled", (0.5,), 1.0)
DM = ["distill", "dm", "--data", "digits", "--ipc", "1", *TINY]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder of its own, with no prepared data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "data"))


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a wrong call and gives its one line; it exits with 2, says nothing on stdout and leaves nothing behind."""

    def call(*argv: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert run(list(argv)) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("condense: ") and said.err.count("\n") == 1, said
        assert sorted(tmp_path.rglob("*")) == before
        return said.err

    return call


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two steps of `dm`, made by the command line; nobody writes there."""
    place = tmp_path_factory.mktemp("runs") / "a"
    assert run([*DM, "--steps", "2", "--seed", "3", "--out", str(place)]) == 0
    return place


def program(*argv: str, **more) -> subprocess.CompletedProcess:
    """The real program, in a process of its own."""
    how = {"capture_output": True, "text": True, "timeout": 120, "env": surroundings()} | more
    return subprocess.run([sys.executable, "-m", "condense", *argv], **how)


def surroundings(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **more}


def record(place: Path) -> dict:
    return json.loads((place / "run.json").read_text())


def stamps(place: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*") if path.is_file()}


# Help and lists


def test_first_page_names_every_verb_and_no_other(capsys):
    assert run(["--help"]) == 0
    said = capsys.readouterr()
    assert re.findall(r"^  (\w+)  ", said.out, re.M) == list(condense.cli.app.VERBS) and said.err == ""
    assert run([]) == 2
    assert capsys.readouterr().err == f"condense: give a verb: {', '.join(condense.cli.app.VERBS)}\n"


@pytest.mark.parametrize(
    ("verb", "flags"),
    [
        (
            "evaluate",
            ["--data SPEC", "--net NET", "--seeds N", "--recipe NAME", "--rows LIST", "--split test|val", "--json FILE", "(default: test)"],
        ),
        ("teachers", ["--data SPEC", "--out DIR", "--ssl barlow", "--net NET", "--epochs N"]),
        ("transfer", ["--to SPEC", "--fraction F", "--protocol NAME[:F]", "--draws N", "--teacher DIR", "(default: 5)"]),
        ("experts", ["--data SPEC", "--count N", "--epochs N", "--out DIR", "--net NET", "--recipe NAME", "--lr X", "(default: sgd)"]),
        ("show", ["--out FILE", "--per-class N", "--stretch", "(default: grid.png)"]),
        ("data", ["NAME", "--from DIR"]),
        ("list", ["methods|data|nets|presets|recipes"]),
        ("demo", ["--out DIR", "--force"]),
    ],
)
def test_help_of_a_verb_shows_its_flags(verb, flags, capsys):
    assert run([verb, "--help"]) == 0
    said = capsys.readouterr()
    assert said.err == "" and all(flag in said.out for flag in flags) and "None" not in said.out


@pytest.mark.parametrize("method", REGISTRY)
def test_help_of_a_method_comes_from_its_factory(method, capsys):
    """Common flags and the factory's own, each with a text and its default; the description is the docstring's, equation included."""
    assert run(["distill", method, "--help"]) == 0
    page = capsys.readouterr().out
    document = parse_docstring(REGISTRY[method].__doc__)
    assert all(text in page for text in (document.short_description, *(document.long_description or "").split("\n")[:1]))
    assert "None" not in page and "convnet, or what experts are of" in " ".join(page.replace("│", " ").split())
    own = option_parameters(REGISTRY[method])
    words = " ".join(page.replace("│", " ").split())
    for name in (
        "data",
        "out",
        "ipc",
        "size",
        "bytes",
        "net",
        "steps",
        "seed",
        "start",
        "eval-every",
        "checkpoint-every",
        "preset",
        "force",
    ):
        assert re.search(rf"--{name} ([A-Z]+ )?[a-z`]", words), name
    for name, parameter in own.items():
        text = next(p.description for p in document.params if name in p.arg_name.split(", "))
        flag = ("no-" if parameter.default is True else "") + name.replace("_", "-")
        assert f"--{flag} " in words and " ".join(text.split()).rstrip(".") in words
        assert parameter.default in (None, False) or f"(default: {parameter.default})" in words


def test_help_of_distill_lists_the_methods(capsys):
    assert run(["distill", "--help"]) == 0
    assert re.findall(r"^  (\w+)  ", capsys.readouterr().out, re.M) == list(REGISTRY)


@pytest.mark.parametrize(
    ("what", "names"), [("methods", REGISTRY), ("data", NAMED), ("nets", nets.NETS), ("presets", presets.PRESETS), ("recipes", RECIPES)]
)
def test_lists_have_a_line_a_name(what, names, capsys):
    assert run(["list", what]) == 0
    said = capsys.readouterr()
    assert said.err == "" and [line.split()[0] for line in said.out.splitlines()] == list(names)
    assert all(len(line.split()) > 3 for line in said.out.splitlines())


# Wrong calls


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nope"], ["verb 'nope'", "distill, evaluate"]),
        (["distill", "nope", "--out", "x"], ["method 'nope'", "random, kmeans, herding, dc, dsa, dm"]),
        (["distill", "dm"], ["distill dm: give --data SPEC and --out DIR"]),
        (["distill", "dm", "--data", "digits"], ["give --out DIR;"]),
        (["evaluate"], ["evaluate: give DIR_OR_SET"]),
        (["experts", "--out", "x"], ["experts: give --data SPEC and --count N and --epochs N"]),
        (["show"], ["show: give DIR_OR_SET"]),
        (["data"], ["data: give NAME"]),
        (["list"], ["list: give methods|data|nets|presets|recipes"]),
        (["list", "horses"], ["unknown list 'horses'", "methods, data, nets, presets, recipes"]),
        (["demo", "--out"], ["--out: needs a value"]),
        (["show", "x", "--wide"], ["show: unknown argument '--wide'", "--out, --per-class"]),
        (["data", "mnist", "--form", "x"], ["unknown argument '--form'", "(known: --from)"]),
        (["evaluate", "x", "--net"], ["--net: names no network"]),
        (["evaluate", "x", "--net", "mlp", "--seeds", "1", "--net=lenet"], ["--net is given 2 times; give all its values after one"]),
        (["transfer", "x", "--to", "mnist", "--to", "digits"], ["--to is given 2 times; give all its values after one"]),
        (["evaluate", "x"], ["x: no set.npz there", "finished run"]),
        (["show", "x"], ["x: no set.npz there"]),
        (["data", "digits", "--from", "x"], ["data digits", "needs no files"]),
        (["data", "mnist", "--from", "x"], ["data mnist --from x", "no such folder"]),
    ],
)
def test_a_wrong_call_is_told_in_one_line(argv, words, refused):
    said = refused(*argv)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--ipc", "two"], ["--ipc: 'two' is not a whole number"]),
        (["--ipc", ""], ["--ipc: '' is not a whole number"]),
        (["--ipc", "1.5"], ["--ipc: '1.5' is not a whole number"]),
        (["--lr", "quick"], ["--lr: 'quick' is not a number"]),
        (["--bogus", "3"], ["unknown argument '--bogus'", "--eval-every", "--momentum"]),
        (["stray"], ["unknown argument 'stray'"]),
        (["--steps"], ["--steps: needs a value"]),
        (["--steps", "0"], ["--steps 0", "at least 1"]),
        (["--steps", "-5"], ["--steps -5", "at least 1"]),
        (["--eval-every", "-1"], ["--eval-every -1", "at least 1"]),
        (["--eval-every", "0"], ["--eval-every 0", "at least 1"]),
        (["--checkpoint-every", "0"], ["--checkpoint-every 0", "at least 1"]),
        (["--seed", "-1"], ["--seed -1", "from 0 to 4294967295"]),
        (["--seed", "4294967296"], ["--seed 4294967296", "from 0 to 4294967295"]),
        (["--batch", "0"], ["--batch 0", "at least 1"]),
        (["--lr", "nan"], ["--lr nan", "above 0"]),
        (["--lr", "inf"], ["--lr inf", "above 0"]),
        (["--lr", "0"], ["--lr 0.0", "above 0"]),
        (["--lr", "-1e-3"], ["--lr -0.001", "above 0"]),
        (["--momentum", "1"], ["--momentum 1.0", "in [0, 1)"]),
        (["--momentum", "nan"], ["--momentum nan", "in [0, 1)"]),
        (["--start", "nope"], ["--start", "'nope'", "noise, random, kmeans, collage, herding"]),
        (["--preset", "nope"], ["--preset", "'nope'", "dm_cifar10_10"]),
        (["--preset", ""], ["--preset", "unknown preset ''"]),
        (["--preset=dc_cifar10_10"], ["--preset dc_cifar10_10", "belongs to dc, not to dm"]),
        (["--net", "nope"], ["--net nope", "convnet_doubling, mlp"]),
        (["--net", "mlp:depth=3"], ["--net mlp:depth=3", "'depth'", "width"]),
        (["--net", "mlp:width=0"], ["--net mlp:width=0", "at least 1"]),
        (["--net", "lenet"], ["--net lenet", "at least 16x16"]),
        (["--data", "nope"], ["data 'nope'", "digits, mnist"]),
        (["--data", "zip:x"], ["data 'zip:x'", "idx, npz, folder, tfds"]),
        (["--data", "npz:x.npz"], ["x.npz", "does not exist"]),
        (["--data", "digits?size=3"], ["digits?size=3", "normalise="]),
        (["--data", "fashion_mnist"], ["fashion_mnist", "condense data fashion_mnist --from DIR"]),
        (["--data", "cifar10"], ["cifar10", "condense data cifar10 --from DIR"]),
        (["--size", "10"], ["exactly one of --ipc, --size and --bytes (given: --ipc, --size)"]),
        (["--ipc", "0"], ["--ipc 0", "at least 1"]),
        (["--ipc", "-3"], ["--ipc -3", "at least 1"]),
    ],
)
def test_a_wrong_choice_of_distill_is_told_in_one_line(argv, words, refused):
    said = refused("distill", "dm", "--data", "digits", "--out", "x", "--ipc", "1", *TINY, *argv)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("budget", "words"),
    [
        ([], ["exactly one of --ipc, --size and --bytes (given: none)"]),
        (["--size", "15"], ["--size 15", "the nearest are 10 and 20"]),
        (["--size", "0"], ["--size 0", "at least 1"]),
        (["--size", "7"], ["--size 7", "at least 10"]),
        (["--bytes", "2599"], ["--bytes 2599", "at least 2600"]),
    ],
)
def test_a_budget_that_buys_nothing_says_what_would(budget, words, refused):
    said = refused("distill", "random", "--data", "digits", "--out", "x", *budget)
    assert all(word in said for word in words), said


def test_an_unknown_choice_of_a_literal_names_the_known(refused):
    said = refused("distill", "kmeans", "--data", "digits", "--out", "x", "--ipc", "1", "--space", "time")
    assert all(word in said for word in ("--space", "'time'", "pixels", "embed"))


def test_a_wrong_call_leaves_the_folder_to_the_right_one(capsys):
    """Too many images a class shows only when they are drawn, after the run has its folder."""
    assert run(["distill", "random", "--data", "digits", "--ipc", "1000", "--out", "x"]) == 2
    assert re.fullmatch(r"condense: --ipc 1000: class 0 has \d+ real examples; take at most \d+\n", capsys.readouterr().err)
    assert run(["distill", "random", "--data", "digits", "--ipc", "2", "--out", "x"]) == 0


def test_an_out_that_is_no_folder_of_a_run(refused, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "one.tex").write_text("years")
    assert "--out file: cannot write there" in refused(*DM, "--out", "file")
    assert "--out file/deep: cannot write there" in refused(*DM, "--out", "file/deep")
    assert "--out thesis: holds files but no run (such as one.tex)" in refused(*DM, "--out", "thesis")


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--json", "no/file.json"], ["--json no/file.json", "cannot write there"]),
        (["--json", "."], ["--json .", "is a folder"]),
        (["--json", ""], ["--json", "is a folder"]),
        (["--seeds", "0"], ["--seeds 0", "at least 1"]),
        (["--seeds", "-2"], ["--seeds -2", "at least 1"]),
        (["--seed", "-1"], ["--seed -1", "from 0 to"]),
        (["--epochs", "0"], ["--epochs 0", "at least 1"]),
        (["--rows", "distilled,horses"], ["--rows", "'horses'", "distilled, random, kmeans, full"]),
        (["--rows", ","], ["--rows", "distilled, random, kmeans, full"]),
        (["--split", "train"], ["--split", "'train'", "test, val"]),
        (["--recipe", "nope"], ["--recipe", "'nope'", "dsa, quick, full"]),
        (["--net", "mlp", "nope"], ["--net nope", "convnet_doubling, mlp"]),
        (["--data", "nope"], ["data 'nope'", "digits, mnist"]),
        (["--seeds", "many"], ["--seeds: 'many' is not a whole number"]),
    ],
)
def test_a_wrong_evaluation_is_refused_before_any_training(argv, words, finished, refused, monkeypatch):
    monkeypatch.setattr("condense.workflows.evaluate.run_jobs", lambda *args, **more: pytest.fail("trained"))
    said = refused("evaluate", str(finished), *argv)
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--out", "no/a.png"], ["--out no/a.png", "cannot write there"]),
        (["--out", "."], ["--out .", "is a folder"]),
        (["--per-class", "0"], ["--per-class 0", "at least 1"]),
    ],
)
def test_a_wrong_picture_is_refused(argv, words, finished, refused):
    said = refused("show", str(finished), *argv)
    assert all(word in said for word in words), said


def test_a_file_that_is_no_set_is_refused(refused, tmp_path):
    (tmp_path / "a.npz").write_text("not a zip")
    for verb in ("evaluate", "show"):
        assert "a.npz" in refused(verb, "a.npz")


# Failures of other kinds


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (BadInput("--a 1: is\nwrong"), 2, "--a 1: is wrong"),
        (RunFailed("no luck"), 1, "no luck"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (MemoryError(), 1, "memory refused; use a smaller budget, --net width or --batch"),
        (
            RuntimeError("RESOURCE_EXHAUSTED: out of memory"),
            1,
            "the device has no memory left; use a smaller budget, --net width or --batch",
        ),
        (OSError(28, "No space left on device", "a/b"), 1, "a/b: No space left on device; make room and run again"),
        (PermissionError(13, "Permission denied", "a/b"), 2, "a/b: Permission denied; give a place that may be read and written"),
        (KeyError("x"), 1, "KeyError: 'x'; CONDENSE_DEBUG=1 shows where"),
    ],
)
def test_every_failure_has_its_exit_code_and_one_line(error, code, words, monkeypatch, capsys):
    def fail(argv):
        raise error

    monkeypatch.delenv("CONDENSE_DEBUG", raising=False)
    monkeypatch.setattr(condense.cli.app, "call", fail)
    assert run(["list"]) == code
    assert capsys.readouterr() == ("", f"condense: {words}\n")
    monkeypatch.setenv("CONDENSE_DEBUG", "1")
    if isinstance(error, KeyError):
        with pytest.raises(KeyError):
            run(["list"])


def test_an_interrupted_run_says_that_it_goes_on(monkeypatch, capsys):
    def stop(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(condense.cli.app, "call", stop)
    assert run(["distill", "dm"]) == 130 and "the same command goes on" in capsys.readouterr().err
    assert run(["evaluate", "x"]) == 130 and capsys.readouterr().err == "condense: interrupted\n"


def test_a_run_that_leaves_the_numbers_fails_with_1(capsys):
    assert run([*DM, "--steps", "6", "--lr", "1e38", "--out", "x"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"^condense: the loss or the set is not finite at step \d; .*try a smaller step size$", said, re.M)
    assert "Traceback" not in said and record(Path("x"))["state"] == "failed"


# Distilling


def test_what_a_run_leaves(finished):
    names = {path.name for path in finished.iterdir()}
    assert names == {"set.npz", "run.json", "metrics.jsonl", "grid.png", "checkpoints", ".lock"}
    found = record(finished)
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


@pytest.mark.parametrize("spec", ["images", "graphs"])
def test_scores_on_the_way_need_a_validation_split(spec, refused, tmp_path):
    rng, y = np.random.default_rng(0), np.arange(4) % 2
    np.savez(tmp_path / "a.npz", x_train=rng.random((4, 8, 8)), y_train=y, x_test=rng.random((4, 8, 8)), y_test=y)
    ring = "3 {}\n0 2 1 2\n0 2 0 2\n0 2 0 1\n"
    (tmp_path / "a.txt").write_text("4\n" + "".join(ring.format(label) for label in y))
    data, method = {"images": ("npz:a.npz", ["dm", *TINY]), "graphs": ("tu:a.txt", ["doscond"])}[spec]
    said = refused("distill", *method, "--data", data, "--ipc", "1", "--steps", "1", "--out", "x", "--eval-every", "1")
    assert f"--eval-every 1: {data} is too small for a validation split" in said
    assert not (tmp_path / "x").exists()


# Presets


@pytest.fixture
def asked(monkeypatch):
    """What the command line asks the library for, without the work."""
    calls, made = [], SimpleNamespace(represents=False)
    monkeypatch.setattr(condense.api, "distill", lambda method, data, **more: calls.append({"method": method, "data": data} | more) or made)
    settings = {"ipc": 7, "net": "mlp", "steps": 40, "lr": 0.25}
    mine = presets.Preset("mine", "dm", "digits?limit=1000", "50.0 %", "this test", "nothing", settings)
    monkeypatch.setitem(presets.PRESETS, "mine", mine)

    def ask(*argv: str) -> dict:
        assert run(["distill", "dm", "--out", "x", *argv]) == 0
        return calls[-1]

    return ask


def test_a_flag_beats_a_preset_beats_a_default(asked):
    plain = asked("--data", "digits", "--ipc", "1")
    assert (plain["net"], plain["steps"], plain["lr"], plain["momentum"], plain["batch"]) == (None, None, 1.0, 0.5, 256)
    preset = asked("--preset", "mine")
    assert {name: preset[name] for name in ("data", "ipc", "size", "net", "steps", "lr", "momentum")} == {
        "data": "digits?limit=1000", "ipc": 7, "size": None, "net": "mlp", "steps": 40, "lr": 0.25, "momentum": 0.5,
    }  # fmt: skip
    flags = asked("--lr", "2", "--preset=mine", "--net", "lenet", "--data=digits", "--steps", "3")
    assert (flags["lr"], flags["net"], flags["data"], flags["steps"], flags["ipc"]) == (2.0, "lenet", "digits", 3, 7)
    for budget in (["--size", "20"], ["--size=20"]):  # one budget replaces another kind's
        assert (asked("--preset", "mine", *budget)["ipc"], asked("--preset", "mine", *budget)["size"]) == (None, 20)
    assert asked("--preset", "mine", "--eval-every", "5", "--force")["force"] is True and preset["force"] is False
    assert asked("--preset", "mine")["command"] == "condense distill dm --out x --preset mine"


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_preset_is_a_run_that_can_be_made(name):
    preset = presets.PRESETS[name]
    method, settings = preset.method, presets.preset_of(name, preset.method)
    made_by = condense.cli.distill.method_class(method, settings)
    assert settings.keys() <= {f.name for f in fields(made_by)}
    data = parse_spec(settings["data"])
    assert data.name in NAMED or data.kind in ("folder", "tu")  # the last two for what nobody may hand on
    assert len({"ipc", "size", "bytes", "support"} & settings.keys()) == 1
    own = {key: value for key, value in settings.items() if key in option_parameters(REGISTRY[method])}
    shape = Alphabet(37) if data.kind == "tu" else (32, 32, 3)
    handed = {
        "net": nets.build(settings.get("net", "gin" if data.kind == "tu" else "convnet"), shape, 10),
        "augment": dsa(dsa_strategy(True)),
    }
    handed |= {"teachers": committee(5, image=(32, 32, 3)), "priors": priors(5), "task": task((32, 32, 3), flips=True)}
    handed |= {"experts": SimpleNamespace(epochs=50), "teacher": None, "budget": None if "support" in settings else ("ipc", 1)}
    matcher = build_method(method, complete_options(method, own), **handed)
    assert matcher.own_start is None or "start" not in settings
    assert matcher.start in STARTS and recipe(matcher.recipe).name in RECIPES
    place = f" --{preset.flag()} X" if preset.first else ""
    assert f"condense distill {method} --preset {name}{place} --out " in preset.record() and preset.claim in preset.record()


# The same checks from a notebook


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"steps": 0}, "--steps 0"),
        ({"steps": 2.5}, "--steps 2.5"),
        ({"steps": True}, "--steps True"),
        ({"seed": -1}, "--seed -1"),
        ({"seed": None}, "--seed None"),
        ({"eval_every": 0}, "--eval-every 0"),
        ({"checkpoint_every": -1}, "--checkpoint-every -1"),
        ({"ipc": 1.5}, "--ipc 1.5"),
        ({"ipc": None}, "exactly one of"),
        ({"lr": float("nan")}, "--lr nan"),
        ({"lr": "fast"}, "--lr fast"),
        ({"batch": 0}, "--batch 0"),
        ({"momentum": -0.1}, "--momentum -0.1"),
        ({"learning_rate": 1.0}, "dm has no option --learning-rate (known: --lr, --momentum, --batch)"),
        ({"start": "nope"}, "--start: unknown start 'nope'"),
        ({"net": "nope"}, "--net nope"),
    ],
)
def test_the_library_checks_as_the_command_line_does(wrong, words, tmp_path):
    given = {"ipc": 1, "net": "mlp:width=4", "out": tmp_path / "x"} | wrong
    with pytest.raises(BadInput, match=re.escape(words)):
        condense.api.distill("dm", "digits", **given)
    assert not (tmp_path / "x").exists()


def test_the_library_names_what_else_is_wrong():
    with pytest.raises(BadInput, match="method 'nope'"):
        condense.api.distill("nope", "digits", ipc=1)
    with pytest.raises(BadInput, match="--space time: give one of pixels, embed"):
        condense.api.distill("kmeans", "digits", ipc=1, space="time")
    with pytest.raises(BadInput, match="--outer 0"):
        condense.api.distill("dc", "digits", ipc=1, outer=0)


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
    synth = condense.api.distill("dm", data, ipc=np.int64(1), **options)
    assert "is done" in capsys.readouterr().err
    assert synth.x.decode().tobytes() == load_set(finished / "set.npz").x.decode().tobytes()
    with pytest.raises(BadInput, match="split_seed was None, now 4"):  # another validation split is another run
        condense.api.distill("dm", load_data("digits", seed=4), ipc=1, **options)


def test_a_run_of_the_library_records_its_call():
    condense.api.distill("random", "digits", ipc=1, out="x", seed=5)
    command = record(Path("x"))["command"]
    assert command.startswith("condense.api.distill(method='random', data='digits'") and "ipc=1" in command and "seed=5" in command


# Evaluating and showing


def test_evaluate_prints_a_table_and_writes_json(finished, capsys):
    argv = [
        "--net",
        "mlp:width=4",
        "mlp:width=3",
        "--seeds",
        "3",
        "--recipe",
        "dc",
        "--epochs",
        "2",
        "--rows",
        "distilled, random",
        "--json",
        "a.json",
    ]
    assert run(["evaluate", str(finished), *argv]) == 0
    page, told = capsys.readouterr()
    assert re.match(r"timing mlp:width=4,\S+, mlp:width=3,\S+ for an estimate\n4 rows of 3 seeds: about ", told)  # compiling takes long
    document = json.loads(Path("a.json").read_text())
    assert document.keys() == {"set", "data", "seed", "ipc", "bytes", "results"} and document["seed"] == 0
    assert document["set"] == str(finished / "set.npz") and document.get("split", "test") == "test" and document["ipc"] == 1
    assert document["data"] == {"spec": "digits", "digest": load_data("digits").digest}
    content, labels = 10 * 64 * 4, 10 * 4
    size = (finished / "set.npz").stat().st_size
    assert document["bytes"] == {"content": content, "labels": labels, "total": content + labels, "preprocessing": 8, "file": size}
    rows = document["results"]
    specs = [f"mlp:width={width},norm=none,act=relu" for width in (4, 3)]
    assert [(row["net"], row["set_kind"]) for row in rows] == [(net, kind) for net in specs for kind in ("distilled", "random")]
    for row in rows:
        assert row.keys() == {"net", "recipe", "set_kind", "accuracy", "mean", "std", "seconds"} and row["recipe"] == "dc:epochs=2"
        assert len(row["accuracy"]) == 3 and all(0 <= value <= 1 for value in row["accuracy"])
        assert row["mean"] == pytest.approx(np.mean(row["accuracy"])) and row["std"] == pytest.approx(np.std(row["accuracy"], ddof=0))
        assert f"{100 * row['mean']:.1f} ± {100 * row['std']:.1f}" in page
    assert "distilled" in page and "random" in page and "kmeans" not in page and "test accuracy" in page


def test_a_set_that_another_program_wrote_is_scored(tmp_path):
    """By numpy alone, with the keys that docs/format.md requires: ten images in the model space of their own mean and deviation."""
    data = load_data("digits")
    raw, y = data.source.x_train, data.source.y_train
    first = np.array([np.flatnonzero(y == c)[0] for c in range(10)])
    header = {"format": 1, "content": "pixels", "labels": "hard", "preprocess": "standard", "classes": [str(c) for c in range(10)]}
    arrays = {"x/pixels": ((raw[first] - 0.3) / 0.4).astype("f4"), "y/index": np.arange(10, dtype="i4")}
    arrays |= {"preprocess/mean": np.array([0.3], "f4"), "preprocess/std": np.array([0.4], "f4")}
    np.savez(tmp_path / "theirs.npz", header=json.dumps(header), **arrays)
    argv = ["--data", "digits", "--net", "mlp:width=32", "--seeds", "2", "--recipe", "dc", "--epochs", "400", "--json", "a.json"]
    assert run(["evaluate", "theirs.npz", *argv, "--rows", "distilled,random"]) == 0
    document = json.loads(Path("a.json").read_text())
    assert document["ipc"] == 1 and document["bytes"]["total"] == 10 * 64 * 4 + 10 * 4
    assert [row["set_kind"] for row in document["results"]] == ["distilled", "random"]
    assert all(row["mean"] > 0.3 for row in document["results"])  # chance is 0.1


def test_evaluate_on_validation_says_so(finished, capsys):
    argv = [
        "--net",
        "mlp:width=3",
        "--seeds",
        "1",
        "--epochs",
        "1",
        "--rows",
        "random",
        "--split",
        "val",
        "--recipe",
        "quick",
        "--json",
        "a.json",
    ]
    assert run(["evaluate", str(finished / "set.npz"), "--data", "digits", *argv]) == 0
    document = json.loads(Path("a.json").read_text())
    assert document["split"] == "val" and "val accuracy" in capsys.readouterr().out
    assert [(row["set_kind"], row["recipe"]) for row in document["results"]] == [("random", "quick:epochs=1")]


def test_a_json_that_was_there_is_replaced_only_at_the_end(finished, monkeypatch):
    Path("a.json").write_text("old")

    def fail(*args, **more):
        assert [path.name for path in Path().iterdir()] == ["a.json"]
        raise RunFailed("diverged")

    monkeypatch.setattr("condense.workflows.evaluate.run_jobs", fail)
    assert run(["evaluate", str(finished), "--json", "a.json"]) == 1
    assert Path("a.json").read_text() == "old"


def test_show_draws_a_picture(finished, capsys):
    assert run(["show", str(finished), "--out", "a.png", "--per-class", "3"]) == 0
    assert capsys.readouterr().out == "a.png\n"
    with Image.open("a.png") as picture:
        assert picture.format == "PNG" and picture.height >= 10 * 32
    assert run(["show", str(finished), "--out", "b.png", "--per-class", "3", "--stretch"]) == 0
    assert Path("a.png").read_bytes() != Path("b.png").read_bytes()
    assert run(["show", str(finished / "set.npz")]) == 0 and Path("grid.png").read_bytes() == (finished / "grid.png").read_bytes()


def test_a_prepared_set_is_used(tmp_path, capsys):
    """A folder of pictures becomes a named set, which the other verbs then take."""
    for part in ("train", "test"):
        for name in ("ant", "bee"):
            (tmp_path / "files" / part / name).mkdir(parents=True)
            for number in range(4):
                pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(tmp_path / "files" / part / name / f"{number}.png")
    assert run(["data", "insects", "--from", "files"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'data' / 'tfds' / 'insects'}\n"
    assert run(["distill", "random", "--data", "insects", "--ipc", "1", "--out", "x"]) == 0
    assert load_set("x/set.npz").info.classes == ("ant", "bee")


# Real processes


def test_the_program_is_quick_and_quiet():
    """Lists import neither networks' nor checkpoints' nor data's libraries, and nothing writes to stderr but the import log."""
    done = program("list", "methods")
    assert done.returncode == 0 and done.stderr == "" and done.stdout.startswith("  random")
    code = "import sys; from condense.__main__ import run; run(['list', 'methods']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=120).stderr.split()
    assert "matchers.distribution.dm" in loaded and not {"orbax", "sklearn", "tensorflow_datasets", "flax", "torch", "pandas"} & set(loaded)
    code = "import sys; from condense.__main__ import run; run(['--help']); print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=120).stderr.split()
    assert "condense.cli.app" in loaded and "jax" not in loaded


def test_exit_codes_of_the_program(finished):
    done = program("distill", "nope")
    assert (done.returncode, done.stdout) == (2, "") and done.stderr.startswith("condense: unknown method 'nope'")
    done = program(*DM, "--steps", "2", "--seed", "3", "--out", str(finished))
    assert done.returncode == 0 and done.stderr == f"{finished} is done: 2 steps; nothing to do\n"


def test_a_reader_that_leaves_and_a_full_disk_for_the_output():
    command = f"{sys.executable} -m condense list methods"
    piped = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} | true"], capture_output=True, text=True, env=surroundings(), timeout=120
    )
    assert (piped.returncode, piped.stderr) == (0, "")
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, env=surroundings(), timeout=120)
    assert full.returncode == 1 and full.stderr.count("\n") == 1 and "No space left" in full.stderr


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


def test_a_disk_that_fills_on_the_way_keeps_what_is_there_and_the_same_command_goes_on(finished, tmp_path, capsys):
    """More steps of a finished run where no file can grow past 100 bytes: one line, exit 1. Then room, and the bits of one run."""
    shutil.copytree(finished, "a")
    argv = [*DM, "--steps", "4", "--seed", "3", "--out"]
    kept = {name: digest for name, (_, digest) in stamps(Path("a")).items() if name.endswith((".npz", ".png"))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        assert run([*argv, "a"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("condense: ")]
    assert len(said) == 1 and "File too large" in said[0] and "Traceback" not in said[0]
    assert {name: digest for name, (_, digest) in stamps(Path("a")).items() if name in kept} == kept and len(kept) >= 2
    assert run([*argv, "a"]) == run([*argv, "b"]) == 0
    assert load_set("a/set.npz").x.decode().tobytes() == load_set("b/set.npz").x.decode().tobytes()
    assert (record(Path("a"))["state"], record(Path("a"))["finished"]) == ("done", 4)


@pytest.mark.parametrize("at", ["save_set", "save_grid"])
def test_a_run_that_dies_after_its_last_step_is_completed(at, finished, monkeypatch):
    """Before the set is written, and between the set and its picture."""

    def die(*args):
        raise KeyboardInterrupt

    argv = [*DM, "--steps", "2", "--seed", "3", "--out", "a"]
    with monkeypatch.context() as patch:
        patch.setattr(condense.api, at, die)
        assert run(argv) == 130 and record(Path("a"))["state"] == "running"
    assert run(argv) == 0 and record(Path("a"))["state"] == "done"
    for name in ("grid.png", "metrics.jsonl"):
        assert Path("a", name).read_bytes() == (finished / name).read_bytes()
    assert load_set("a/set.npz").x.decode().tobytes() == load_set(finished / "set.npz").x.decode().tobytes()


@pytest.mark.slow
def test_a_terminal_without_the_letters_still_gets_its_scores(finished):
    argv = ["evaluate", str(finished), "--net", "mlp:width=3", "--seeds", "1", "--recipe", "dc", "--epochs", "1", "--rows", "distilled"]
    env = surroundings(PYTHONIOENCODING="ascii")
    done = subprocess.run([sys.executable, "-m", "condense", *argv], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0 and re.search(r"\d\.\d \? 0\.0", done.stdout) and "Error" not in done.stderr


def wait(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_resumes_bit_for_bit(tmp_path):
    argv = [*DM, "--checkpoint-every", "5", "--out"]
    start = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings())
    process = start([sys.executable, "-m", "condense", *argv, "a", "--steps", "1000000"])
    try:
        wait(lambda: list(tmp_path.glob("a/checkpoints/[0-9]*")), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == "condense: interrupted; the same command goes on where it stopped"
    stopped = record(Path("a"))
    assert stopped["state"] == "running" and stopped["step"] >= 5 and not Path("a/set.npz").exists()
    steps = str(stopped["step"] + 5)
    for place in ("a", "b"):
        assert (done := program(*argv, place, "--steps", steps)).returncode == 0, done.stderr
    assert load_set("a/set.npz").x.decode().tobytes() == load_set("b/set.npz").x.decode().tobytes()
    assert record(Path("a"))["wall_seconds"] > stopped["wall_seconds"]


@pytest.mark.parametrize("seconds", [0.1, 0.6, 1.2])
def test_ctrl_c_while_it_starts_is_an_interruption_too(seconds):
    """While modules load and steps compile: from the moment that the program, and no longer Python, answers signals."""
    code = "import sys; from condense.__main__ import main; print('begun', flush=True); main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *DM, "--out", "a"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings())
    assert process.stdout.readline() == "begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1] == "condense: interrupted; the same command goes on where it stopped"


def test_an_interruption_in_a_place_that_drops_it_is_raised_again():
    code = """
import gc, signal, sys, time
from condense import interrupts
interrupts.reraise_interrupts()
done = []
gc.callbacks.append(lambda phase, info: done or (done.append(1), signal.raise_signal(signal.SIGINT)))
try:
    gc.collect()
    time.sleep(9)
    print("lost")
except KeyboardInterrupt:
    print("kept")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=60)
    assert (told.stdout, told.stderr) == ("kept\n", "")


def test_a_refused_demonstration_names_no_flag_that_it_lacks(finished, refused):
    said = refused("demo", "--out", str(finished))
    assert "holds another run" in said
    assert set(re.findall(r"--(\w+)", said)) <= {f.name for f in fields(condense.cli.app.VERBS["demo"].RECORD)}


@pytest.mark.parametrize("found", [None, "somewhere/condense"])
def test_the_demonstration_says_how_its_next_commands_are_reached(found, tmp_path, monkeypatch, capsys):
    """`make demo` leaves an environment that nobody has activated."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: found)
    monkeypatch.setattr(condense.api, "distill", lambda *args, **more: None)
    monkeypatch.setattr(condense.api, "evaluate", lambda *args, **more: Evaluation("", "digits", "", "test", 10, {"total": 1}, (REPORT,)))
    assert run(["demo"]) == 0
    assert ("source .venv/bin/activate" in capsys.readouterr().out) == (found is None)


@pytest.mark.slow
def test_the_demonstration():
    said = program("demo", "--out", "d", timeout=500)
    assert said.returncode == 0, said.stderr
    assert all(word in said.stdout for word in ("distilled", "random", "kmeans", "d/grid.png", "condense evaluate d "))
    score = {kind: float(re.search(rf"{kind}\W+([\d.]+)", said.stdout)[1]) for kind in ("distilled", "random")}
    assert score["distilled"] > score["random"]
    with Image.open("d/grid.png") as picture:
        assert picture.format == "PNG" and picture.height >= 10 * 32
    assert record(Path("d"))["command"] == "condense demo --out d"


# The package


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A function that runs Python where a wheel of the checkout is installed, and the folder it is in."""
    pytest.importorskip("hatchling", reason="building the wheel without a network needs hatchling")
    place = tmp_path_factory.mktemp("wheel")
    quiet = {"capture_output": True, "text": True, "timeout": 240, "check": True}
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place / "dist")]
    subprocess.run(build, cwd=ROOT, **quiet)
    (wheel,) = (place / "dist").glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    packages = ("condense", "matchers", "evals", "synth")
    assert inside == {str(path.relative_to(ROOT)) for package in packages for path in (ROOT / package).rglob("*.py")}
    site = place / "site"
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], **quiet)
    return partial(subprocess.run, env=surroundings(PYTHONPATH=str(site)), **quiet), site


def test_a_wheel_works_outside_the_checkout(installed):
    call, site = installed
    where = call([sys.executable, "-P", "-c", "import condense, synth; print(condense.__file__, synth.__file__)"])
    assert where.stdout.count(str(site)) == 2
    done = call([sys.executable, str(site / "bin" / "condense"), "list", "methods"])
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(REGISTRY) and done.stderr == ""


@pytest.mark.slow
def test_a_wheel_distils(installed):
    call, site = installed
    call([sys.executable, str(site / "bin" / "condense"), "distill", "random", "--data", "digits", "--ipc", "1", "--out", "x"])
    assert len(load_set("x/set.npz")) == 10 and Path("x/grid.png").is_file()
