"""What a wrong call is told: one line that names the flag, the exit code, and nothing left behind."""

import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

import condense
import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense.__main__ import run
from synth.errors import BadInput, RunFailed
from tests.support.cli import DM, TINY, program, record, surroundings


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["nope"], ["verb 'nope'", "distill, evaluate"]),
        (["distill", "nope", "--out", "x"], ["method 'nope'", "random, kmeans, herding, select, pca"]),
        (["distill", "dm"], ["distill dm: give --data SPEC and --out DIR"]),
        (["distill", "dm", "--data", "digits"], ["give --out DIR;"]),
        (["evaluate"], ["evaluate: give DIR_OR_SET"]),
        (["experts", "--out", "x"], ["experts: give --data SPEC and --count N and --epochs N"]),
        (["show"], ["show: give DIR_OR_SET"]),
        (["data"], ["data: give NAME"]),
        (["list"], ["list: give methods|data|nets|presets|recipes|suites"]),
        (["list", "horses"], ["unknown list 'horses'", "methods, data, nets, presets, recipes, suites"]),
        (["suite", "digits"], ["suite: give --out DIR"]),
        (["suite", "nowhere", "--out", "x"], ["nowhere: no such file, and no suite of that name", "digits, fashion_mnist"]),
        (["compare"], ["compare: give runs, suites or files of scores"]),
        (["compare", "x", "--to", "x.doc"], ["--to x.doc: unknown ending"]),
        (["compare", "x"], ["x: no run, suite or file of scores there"]),
        (["demo", "--out"], ["--out: needs a value"]),
        (["show", "x", "--wide"], ["show: unknown argument '--wide'", "--out, --per-class"]),
        (["data", "mnist", "--form", "x"], ["unknown argument '--form'", "(known: --from, --size, --test)"]),
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
        (["--net", "nope"], ["--net nope", "convnet_doubling, convnet_frepo, mlp"]),
        (["--net", "mlp:depth=3"], ["--net mlp:depth=3", "'depth'", "width"]),
        (["--net", "mlp:width=0"], ["--net mlp:width=0", "at least 1"]),
        (["--net", "lenet"], ["--net lenet", "at least 16x16"]),
        (["--data", "nope"], ["data 'nope'", "digits, mnist"]),
        (["--data", "zip:x"], ["data 'zip:x'", "idx, npz, folder, tfds"]),
        (["--data", "npz:x.npz"], ["x.npz", "does not exist"]),
        (["--data", "digits?size=3"], ["digits?size=3", "normalise="]),
        (["--data", "fashion_mnist"], ["fashion_mnist", "condense data fashion_mnist --from DIR"]),
        (["--data", "cifar10"], ["cifar10", "condense data cifar10 --from DIR"]),
        (["--size", "10"], ["exactly one of --ipc, --size, --bytes and --fraction (given: --ipc, --size)"]),
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
        ([], ["exactly one of --ipc, --size, --bytes and --fraction (given: none)"]),
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
    assert re.fullmatch(
        r"condense: --ipc 1000: class 0 has \d+ examples beside those for validation; take at most \d+\n", capsys.readouterr().err
    )
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
        (["--rows", "distilled,horses"], ["--rows", "'horses'", "distilled, random, random_2x2, kmeans, herding, easy, hard, noise, full"]),
        (["--rows", ","], ["--rows", "distilled, random, random_2x2, kmeans, herding, easy, hard, noise, full"]),
        (["--split", "train"], ["--split", "'train'", "test, val"]),
        (["--recipe", "nope"], ["--recipe", "'nope'", "dsa, ast, datm, quick, full"]),
        (["--net", "mlp", "nope"], ["--net nope", "convnet_doubling, convnet_frepo, mlp"]),
        (["--data", "nope"], ["data 'nope'", "digits, mnist"]),
        (["--seeds", "many"], ["--seeds: 'many' is not a whole number"]),
    ],
)
def test_a_wrong_evaluation_is_refused_before_any_training(argv, words, finished, refused, monkeypatch):
    monkeypatch.setattr("condense.evaluation.scoring.run_rows", lambda *args, **more: pytest.fail("trained"))
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


def test_a_run_that_leaves_the_numbers_fails_with_1(capsys):
    assert run([*DM, "--steps", "6", "--lr", "1e38", "--out", "x"]) == 1
    said = capsys.readouterr().err
    assert re.search(r"^condense: the loss or the set is not finite at step \d; .*try a smaller step size$", said, re.M)
    assert "Traceback" not in said and record(Path("x"))["state"] == "failed"


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
    plain = {name: value for name, value in surroundings().items() if name != "PYTHONUNBUFFERED"}  # with it nothing stays in a buffer
    full = subprocess.run(["bash", "-c", f"{command} > /dev/full"], capture_output=True, text=True, env=plain, timeout=120)
    assert full.returncode == 1 and full.stderr.count("\n") == 1 and "No space left" in full.stderr


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
        condense.distill("dm", "digits", **given)
    assert not (tmp_path / "x").exists()


def test_the_library_names_what_else_is_wrong():
    with pytest.raises(BadInput, match="method 'nope'"):
        condense.distill("nope", "digits", ipc=1)
    with pytest.raises(BadInput, match="--space time: give one of pixels, embed"):
        condense.distill("kmeans", "digits", ipc=1, space="time")
    with pytest.raises(BadInput, match="--outer 0"):
        condense.distill("dc", "digits", ipc=1, outer=0)


def test_a_refused_demonstration_names_no_flag_that_it_lacks(finished, refused):
    said = refused("demo", "--out", str(finished))
    assert "holds another run" in said
    assert set(re.findall(r"--(\w+)", said)) <= {f.name for f in fields(condense.cli.app.VERBS["demo"].RECORD)}
