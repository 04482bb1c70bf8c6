"""Programs are kept between commands, whole or not at all, and only where nobody has said otherwise."""

import os
import sys

import pytest

from condense.cli import app, rank
from condense.runtime.kept_programs import TOLD, keep_programs
from tests.support.cli import program


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """A process that has not imported JAX and was told nothing; the folder that it is to keep programs under."""
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    for name in (*TOLD, "JAX_COMPILATION_CACHE_DIR"):
        monkeypatch.setenv(name, "")  # so that what the function sets is taken back
        monkeypatch.delenv(name)
    monkeypatch.setenv("CONDENSE_PROGRAMS", str(tmp_path / "kept"))
    return tmp_path / "kept"


def test_jax_is_told_a_folder_once(fresh, capsys):
    keep_programs()
    (folder,) = fresh.iterdir()
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == str(folder) and TOLD.items() <= os.environ.items()
    assert f"compiled programs are kept in {folder} (at most 2 GB); --no-cache keeps none" in capsys.readouterr().err
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    keep_programs()
    assert capsys.readouterr().err == "" and list(fresh.iterdir()) == [folder]


@pytest.mark.parametrize("change", [{"CONDENSE_PROGRAMS": "none"}, {"JAX_COMPILATION_CACHE_DIR": "elsewhere"}])
def test_what_the_surroundings_say_counts(fresh, monkeypatch, change):
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    keep_programs()
    assert not fresh.exists() and not set(TOLD) & set(os.environ)
    assert os.environ.get("JAX_COMPILATION_CACHE_DIR") == change.get("JAX_COMPILATION_CACHE_DIR")


def test_a_process_with_jax_in_it_is_left_alone(fresh, monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    keep_programs()
    assert not fresh.exists() and "JAX_COMPILATION_CACHE_DIR" not in os.environ


def test_a_place_that_cannot_be_written_keeps_nothing(fresh):
    fresh.write_text("a file")
    keep_programs()
    assert "JAX_COMPILATION_CACHE_DIR" not in os.environ and fresh.read_text() == "a file"


def test_a_call_without_a_cache_is_the_same_call(monkeypatch):
    asked, acted = [], []
    monkeypatch.setattr(app, "keep_programs", lambda: asked.append(1))
    monkeypatch.setattr(rank, "act", acted.append)
    words = ["rank", "--data", "digits", "--out", "x"]
    app.call([*words, "--no-cache"])
    assert not asked and len(acted) == 1
    app.call(words)
    assert asked and acted[0] == acted[1]


def test_what_a_killed_process_left_is_removed(fresh):
    keep_programs()
    (folder,) = fresh.iterdir()
    for name in ("whole-cache", "whole-atime", "torn-cache", ".lockfile"):
        (folder / name).touch()
    del os.environ["JAX_COMPILATION_CACHE_DIR"]
    keep_programs()
    assert sorted(path.name for path in folder.iterdir()) == [".lockfile", "whole-atime", "whole-cache"]


@pytest.mark.slow
def test_a_second_run_compiles_nothing_and_gives_the_same_set(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_PROGRAMS", str(tmp_path / "kept"))
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    sets, programs = [], []
    for kept in ("none", str(tmp_path / "kept"), str(tmp_path / "kept")):
        monkeypatch.setenv("CONDENSE_PROGRAMS", kept)
        out = tmp_path / f"run{len(sets)}"
        done = program("distill", "dm", "--data", "digits", "--ipc", "1", "--net", "mlp:width=4", "--steps", "2", "--out", str(out))
        assert done.returncode == 0, done.stderr
        sets.append((out / "set.npz").read_bytes())
        programs.append(sorted(path.name for path in tmp_path.glob("kept/*/*-cache")))
    assert sets[0] == sets[1] == sets[2] and programs[0] == [] and len(programs[1]) >= 1 and programs[1] == programs[2]
