"""Scoring and showing a set, preparing data, and the demonstration: the tables, files and JSON that a user gets."""

import json
import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import condense
import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense.__main__ import run
from condense.data.load import load_data
from condense.evaluation.report import Evaluation
from evals.report import Report
from synth.errors import RunFailed
from synth.files.format import load_set
from tests.support.cli import program, record, surroundings, wait

REPORT = Report("mlp", "quick", "distilled", (0.5,), 1.0)


@pytest.mark.slow
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
    assert re.match(
        r"compiling and timing mlp:width=4,\S+, mlp:width=3,\S+ for an estimate\n4 rows of 3 seeds: about ", told
    )  # compiling takes long
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


@pytest.mark.slow
def test_a_set_that_another_program_wrote_is_scored(tmp_path):
    """By numpy alone, with the keys that docs/format.md requires: ten images in the model space of their own mean and deviation."""
    data = load_data("digits")
    raw, y = data.source.train.x, data.source.train.y
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


@pytest.mark.slow
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

    monkeypatch.setattr("condense.evaluation.scoring.run_rows", fail)
    assert run(["evaluate", str(finished), "--json", "a.json"]) == 1
    assert Path("a.json").read_text() == "old"


def test_several_sets_give_one_table_and_a_list_of_documents(finished, tmp_path, capsys):
    """Their real images are trained on once, in one call and in the next."""
    for name in "ab":
        shutil.copytree(finished, tmp_path / name, ignore=shutil.ignore_patterns("cells"))
    way = ["--net", "mlp:width=3", "--seeds", "1", "--recipe", "quick", "--epochs", "1", "--rows", "random", "--json"]
    assert run(["evaluate", "a", "b", *way, "two.json", "--cache", "c"]) == 0
    said = capsys.readouterr()
    assert "beside all" in said.out and said.err.count("timing") == 1 and len([*Path("c").iterdir()]) == 1
    done = [line for line in said.err.splitlines() if " scored: " in line]  # each set is told when it is done, the table comes last
    assert [line.partition(" %")[0].rstrip("0123456789.") for line in done] == [
        f"{i} of 2 scored: {name}, random " for i, name in ((1, "a"), (2, "b"))
    ]
    assert run(["evaluate", "b", *way, "b.json", "--cache", "c"]) == 0
    said = capsys.readouterr()
    assert said.err == "1 rows of 1 seeds: finished before\n" and "±" not in said.out
    documents = json.loads(Path("two.json").read_text())
    assert [one["set"] for one in documents] == ["a/set.npz", "b/set.npz"] and documents[1] == json.loads(Path("b.json").read_text())
    assert not Path("a/cells").exists()


@pytest.mark.slow
def test_an_evaluation_that_is_killed_goes_on_and_the_next_one_takes_no_time(finished, tmp_path):
    """Killed as often as there is something to kill, it equals one that ran through; the next takes at most 5 s of processor time."""
    shutil.copytree(finished, tmp_path / "a", ignore=shutil.ignore_patterns("cells"))
    way = ["evaluate", "a", "--net", "mlp:width=4", "--seeds", "3", "--recipe", "quick", "--rows", "distilled,random", "--json"]
    for cells in (1, 2, 4, 5):
        with subprocess.Popen([sys.executable, "-m", "condense", *way, "x.json"], env=surroundings(), stderr=subprocess.PIPE) as process:
            wait(lambda cells=cells: len([*Path("a").glob("cells/*.json")]) >= cells, process)
            process.kill()
    assert not Path("x.json").exists()
    for name, more in (("on.json", []), ("again.json", []), ("whole.json", ["--cache", "none"])):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = program(*way, name, *more)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert done.returncode == 0, done.stderr
        if name == "again.json":
            assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime <= 5
            assert "finished before" in done.stderr
    on, again, whole = (json.loads(Path(f"{name}.json").read_text()) for name in ("on", "again", "whole"))
    assert on == again
    for one in (on, whole):
        assert all(row.pop("seconds") >= 0 for row in one["results"])
    assert on == whole and len({tuple(row["accuracy"]) for row in on["results"]}) == 2


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


@pytest.mark.slow
def test_a_terminal_without_the_letters_still_gets_its_scores(finished):
    argv = ["evaluate", str(finished), "--net", "mlp:width=3", "--seeds", "2", "--recipe", "dc", "--epochs", "1", "--rows", "distilled"]
    env = surroundings(PYTHONIOENCODING="ascii")
    done = subprocess.run([sys.executable, "-m", "condense", *argv], capture_output=True, text=True, env=env, timeout=120)
    assert done.returncode == 0 and re.search(r"\d\.\d \? \d\.\d", done.stdout) and "Error" not in done.stderr


@pytest.mark.parametrize("found", [None, "somewhere/condense"])
def test_the_demonstration_says_how_its_next_commands_are_reached(found, tmp_path, monkeypatch, capsys):
    """`make demo` leaves an environment that nobody has activated."""
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").touch()
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.setattr(shutil, "which", lambda name: found)
    monkeypatch.setattr(condense, "distill", lambda *args, **more: None)
    monkeypatch.setattr(condense, "evaluate", lambda *args, **more: Evaluation("", "digits", "", "test", 10, {"total": 1}, (REPORT,)))
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
