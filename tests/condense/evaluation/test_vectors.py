"""Sets of vectors from a table to a score: every method that takes them, the rows beside them, and what is refused."""

import json

import numpy as np
import pytest

from condense import distill, evaluate
from condense.__main__ import run as command
from condense.data.load import load_data
from condense.experts import train_experts
from condense.workflows.plan import plan
from condense.workflows.relabel import relabel
from condense.workflows.transfer import transfer
from matchers import REGISTRY
from synth.errors import BadInput
from synth.files.format import load_set
from synth.vectors import Vectors, unaugmented

NET = "mlp:width=4"
TRAJECTORIES = {"inner_steps": 2, "max_start": 2, "lr": 1.0, "lr_lr": 1e-7}
OPTIONS = {name: TRAJECTORIES for name in ("mtt", "ftd", "ast", "datm")}
OPTIONS |= {"dc": {"batch": 8, "outer": 1, "inner": 1}, "dm": {"batch": 8}, "kip": {"batch": 8}, "frepo": {"batch": 8, "pool": 2}}
OPTIONS |= {"ncfm": {"batch": 8, "frequencies": 16}, "tgdd": {"batch": 8}}
TAKING = [name for name, method in REGISTRY.items() if "vectors" in method.modalities]


@pytest.fixture(scope="module")
def spec(tmp_path_factory) -> str:
    """A table of two numbers and a colour, whose three classes lie apart."""
    rng, place = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "t.csv"
    rows = [(100 * (at % 3) + rng.normal(0, 10), 1e-3 * (at % 2 + rng.normal()), "red" if at % 3 else "blue", at % 3) for at in range(90)]
    place.write_text("size,weight,colour,kind\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    return f"csv:{place}?label=kind"


def test_the_methods_that_take_vectors():
    assert set(TAKING) == {"random", "kmeans", "herding", "select", "dc", "dm", "ncfm", "tgdd", "kip", "frepo", "mtt", "ftd", "ast", "datm"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=() if name in ("random", "dm") else pytest.mark.slow) for name in TAKING])
def test_a_first_call_gives_a_set_that_a_file_holds_and_that_scores(name, spec, tmp_path):
    synth = distill(name, spec, ipc=2, net=NET, steps=3, out=tmp_path / "a", **OPTIONS.get(name, {}))
    data, stored = load_data(spec), load_set(tmp_path / "a" / "set.npz")
    assert isinstance(stored.x, Vectors) and stored.x.columns == data.source.columns and stored.x.decode().shape == (6, 4)
    np.testing.assert_array_equal(stored.x.decode(), synth.x.decode())
    assert np.isfinite(stored.x.decode()).all() and (tmp_path / "a" / "grid.png").stat().st_size > 500
    result = evaluate(tmp_path / "a", seeds=1, rows="distilled", epochs=None if "krr" in synth.info.recipe else 2)
    assert result.modality == "vectors" and result.bytes["content"] == 6 * 4 * 4
    assert synth.info.recipe == ("krr-ntk" if name == "kip" else "dc")


def test_a_plan_augments_nothing_and_buys_bytes(spec):
    made = plan("dm", spec, bytes=6 * (4 * 4 + 4) + 5, net=NET)
    assert made.per_class == 2 and made.resolved.values()["augment"] is unaugmented and made.modality.name == "vectors"
    usual = plan("dm", spec, size=3)
    assert usual.net == "mlp:width=128,norm=none,act=relu" and usual.recipe == "dc" and usual.per_class == 1


@pytest.mark.slow
def test_the_document_of_a_table(spec, tmp_path, capsys):
    """The usual rows and all the training rows, in the command line's JSON; the size alone tells the classes apart."""
    run, out = str(tmp_path / "run"), tmp_path / "a.json"
    assert command(["distill", "kmeans", "--data", spec, "--ipc", "2", "--net", NET, "--out", run]) == 0
    asked = ["--net", "mlp:width=16", "linear", "--seeds", "2", "--rows", "distilled,random,kmeans,full", "--json", str(out)]
    assert command(["evaluate", run, *asked]) == 0
    document = json.loads(out.read_text())
    kinds = ["distilled", "random", "kmeans", "full"]
    assert [row["set_kind"] for row in document["results"]] == 2 * kinds and document["ipc"] == 2
    assert document["bytes"] | {"file": 0} == {"content": 96, "labels": 24, "total": 120, "preprocessing": 32, "file": 0}
    recipes = {row["set_kind"]: row["recipe"] for row in document["results"]}
    assert recipes == dict.fromkeys(kinds[:3], "dc") | {"full": "full_vectors"}
    assert [row["mean"] for row in document["results"] if row["set_kind"] == "full" and row["net"].startswith("mlp")] == [1.0]
    said = capsys.readouterr().out
    assert "vectors" in said and "full (recipe full_vectors)" in said


@pytest.mark.slow
def test_experts_of_vectors_are_recorded_and_followed(spec, tmp_path):
    experts = train_experts(spec, count=1, epochs=2, out=tmp_path / "e", net=NET)
    assert experts.header.image == (4,) and experts.header.net.startswith("mlp:width=4")
    synth = distill("mtt", spec, experts=str(tmp_path / "e"), ipc=1, steps=2, **TRAJECTORIES | {"span": 1, "max_start": 1})
    assert synth.info.net == experts.header.net and synth.x.decode().shape == (3, 4)


def test_a_dry_run_says_what_it_would_take(spec, tmp_path, capsys):
    assert command(["distill", "dm", "--data", spec, "--ipc", "2", "--net", NET, "--out", str(tmp_path / "a"), "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "65 training vectors, 7 for validation, 3 classes" in said and "ipc 2: 6 vectors, 120 bytes" in said
    assert not (tmp_path / "a").exists()


def test_what_is_for_images_is_refused_in_one_line(spec):
    for method, options, words in (
        ("dsa", {}, "dsa: takes images, and csv:.* holds vectors"),
        ("dm", {"net": "convnet"}, "the data are vectors, and convnet does not take them; use one of linear, mlp$"),
        ("dm", {"start": "collage"}, "--start collage: makes no vectors; use one of noise, random, kmeans, herding$"),
        ("frepo", {"flip": True}, "--flip: these examples are no images, so they have no mirror images; leave it out"),
        ("dm", {"ipc": None, "bytes": 59}, "--bytes 59: one vector a class needs at least 60"),
    ):
        with pytest.raises(BadInput, match=words):
            plan(method, spec, **{"ipc": 1} | options)
    synth = distill("random", spec, ipc=1, net=NET)
    for asked, words in (
        ({"recipe": "dsa"}, "--recipe dsa: is for images; use dc"),
        ({"teachers": "t"}, "--teachers t: trained networks see images, and the set holds vectors; leave it out"),
        ({"data": "digits"}, "--data digits: holds images, the set vectors; give the data the set was made for"),
    ):
        with pytest.raises(BadInput, match=words):
            evaluate(synth, **asked)


def test_vectors_of_another_length_or_another_normalisation_are_told(spec, tmp_path):
    synth = distill("random", spec, ipc=1, net=NET)
    (tmp_path / "t.csv").write_text("size,kind\n" + "".join(f"{at},{at % 3}\n" for at in range(30)))
    with pytest.raises(BadInput, match="its vectors are 1, the set's 4; give the data the set was made for"):
        evaluate(synth, data=f"csv:{tmp_path / 't.csv'}?label=kind")


def test_what_asks_for_images_of_a_set_is_refused(spec):
    """Transfer, labels of teachers, teachers: in one line, though the labels are numbers as transfer wants them."""
    learned = distill("kip", spec, ipc=1, net=NET, steps=1, batch=8)
    with pytest.raises(BadInput, match="the set holds vectors, and transfer is for images; `condense evaluate` scores it"):
        transfer(learned, to=spec)
    with pytest.raises(BadInput, match=r"--data csv:.*: holds vectors, and this takes images"):
        relabel(learned, None, (), "hard")
