"""A set of collages from the command line: made, described, scored, shipped and read back, always as what it is."""

import json
from dataclasses import replace

import pytest

from condense import describe, evaluate, export, import_set, load_set
from condense.__main__ import run as command
from condense.data.load import load_data
from tests.support.three_classes import NET, make_set, three_classes
from tests.support.toy_ranks import toy_ranks, write_ranks


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return three_classes(tmp_path_factory.mktemp("data"))


def test_a_set_of_collages_is_described_and_shipped_as_one(data, tmp_path):
    """Its card tells how to train on it, and what is read back shows cells as well."""
    synth = replace(make_set(data), cells=2)
    assert dict(describe(synth).rows)["examples"].endswith(", each a collage of 2x2, of which networks see one at a time")
    assert "collage" not in str(describe(make_set(data)))
    place = export(synth, tmp_path / "out").path
    card = (place / "README.md").read_text()
    assert "- Every image is a collage of 2x2 images of its class: train on one cell at a time, drawn at random" in card
    assert import_set(place, data=data).cells == 2
    assert "collage" not in (export(make_set(data), tmp_path / "plain").path / "README.md").read_text()


@pytest.mark.slow
def test_pca_from_the_command_line_to_its_score(data, tmp_path, capsys):
    (tmp_path / "ranks").mkdir()
    write_ranks(tmp_path / "ranks", toy_ranks(data.train.y, digest=data.digest))
    call = ["distill", "pca", "--data", data.spec, "--ranks", str(tmp_path / "ranks"), "--ipc", "2", "--net", NET, "--out"]
    assert command([*call, str(tmp_path / "run")]) == 0
    synth = load_set(tmp_path / "run" / "set.npz")
    assert (synth.cells, len(synth), synth.info.recipe) == (2, 6, "rethinking_hard")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["config"]["grid"] == 2
    assert command([*call, str(tmp_path / "run")]) == 0 and "is done" in capsys.readouterr().err
    rows = "distilled,random,random_2x2,kmeans"
    flags = ["--rows", rows, "--seeds", "2", "--epochs", "3", "--json", str(tmp_path / "a.json")]
    assert command(["evaluate", str(tmp_path / "run"), *flags]) == 0
    found = json.loads((tmp_path / "a.json").read_text())
    assert [row["set_kind"] for row in found["results"]] == rows.split(",") and found["ipc"] == 2
    assert {row["recipe"] for row in found["results"]} == {"rethinking_hard:epochs=3"}
    ridge = evaluate(synth, data=load_data(data.spec), recipe="krr", rows=rows.split(","), seeds=1)
    assert all(0 < report.mean <= 1 for report in ridge.reports)
    for ablation, cells in ((["--rule", "random"], 2), (["--grid", "1"], 1), (["--no-inside"], 1)):
        assert command([*call, str(tmp_path / ablation[-1]), *ablation]) == 0
        assert load_set(tmp_path / ablation[-1] / "set.npz").cells == cells
