"""The verbs export and import."""

import pytest

from condense.__main__ import run
from condense.exchange import FORMATS
from synth.files.format import load_set
from tests.support.exports import same


def test_a_run_is_exported_and_comes_back(finished, tmp_path, capsys):
    assert run(["export", str(finished), "--to", "folder", "--out", "out"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("out: ") and "8 bits round" in said and (tmp_path / "out" / "README.md").is_file()
    assert run(["import", "out", "--out", "set.npz"]) == 0
    assert same(load_set("set.npz"), load_set(finished / "set.npz"))
    assert "set.npz: 10 images of 2,560 bytes, hard labels of 40 bytes; next:\n  condense evaluate set.npz" in capsys.readouterr().out


@pytest.mark.slow
def test_check_prints_both_accuracies(finished, capsys):
    check = ["--check", "--recipe", "quick", "--epochs", "1", "--seeds", "1"]
    assert run(["export", str(finished), "--to", "parquet", "--out", "out", *check]) == 0
    lines = capsys.readouterr().out.splitlines()[1:]
    names = [line.strip().split(": ")[0].removeprefix("accuracy of networks trained on the ") for line in lines]
    assert names == ["set", "export", "pictures"] and lines[0].split(": ")[1] == lines[1].split(": ")[1]


def test_wrong_calls_are_refused_in_one_line(refused, finished, tmp_path):
    assert f"--to loud: unknown format (known: {', '.join(FORMATS)})" in refused("export", str(finished), "--to", "loud", "--out", "out")
    assert "export: give --to" in refused("export", str(finished), "--out", "out")
    (tmp_path / "there").mkdir()
    assert "--out there: is there already" in refused("export", str(finished), "--to", "folder", "--out", "there")
    assert "nowhere: does not exist" in refused("import", "nowhere", "--out", "set.npz")
    assert "there: is neither an export nor a release" in refused("import", "there", "--out", "set.npz", "--data", "digits")
    assert "give" in refused("import", "--out", "set.npz")


def test_help_names_what_there_is(capsys):
    assert run(["export", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert "folder|torch|parquet|tfds|webdataset" in said.replace(" ", "") and "--out PATH" in said and "None" not in said
    assert run(["import", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.replace("│", " ").split())
    assert all(flag in said for flag in ("PATH", "--data SPEC", "--out SET", "--normalise KIND", "else standard")) and "None" not in said
