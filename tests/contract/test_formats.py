"""What every export format keeps, and that a new one costs a file and a line."""

import ast
import json
import os
import re
import sys
from importlib.util import find_spec
from types import ModuleType

import numpy as np
import pytest
import yaml

import condense
from condense import exchange
from condense.exchange import FORMATS, find_format
from condense.exchange.base import Contents, Format
from condense.exchange.parcel import pack, unpack
from condense.workflows.export import export
from synth.errors import BadInput
from tests.support.exports import CLASSES, INDEX, OTHERS, SETS, learned, same

NEEDS = {"torch": "torch"}
READY = [name for name in [*FORMATS, "toy"] if name not in NEEDS or find_spec(NEEDS[name])]

TOY = Format(
    "one archive of numpy",
    lambda parcel, folder, card: np.savez(
        folder / "toy.npz", header=parcel.header, images=parcel.images, **parcel.numbers(), **parcel.whole
    ),
    lambda path: Contents((held := dict(np.load(path / "toy.npz"))).pop("images"), held, str(held.pop("header"))),
    lambda path: (path / "toy.npz").is_file(),
    (("numpy", 'import numpy\n\nlabel = numpy.load("toy.npz")["label"]'),),
)


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """A format of a few lines, registered by the one line that a new one costs beside its file."""
    module = ModuleType("toy_format")
    module.FORMAT = TOY
    monkeypatch.setitem(sys.modules, "toy_format", module)
    monkeypatch.setitem(FORMATS, "toy", "toy_format")


@pytest.mark.parametrize("kind", SETS)
@pytest.mark.parametrize("name", READY)
def test_a_set_comes_back_bit_for_bit(name, kind, tmp_path):
    synth, how = SETS[kind](), find_format(name)
    made = export(synth, tmp_path / "out", to=name)
    assert made.path == tmp_path / "out" and list(tmp_path.iterdir()) == [made.path] and how.finds(made.path)
    assert [other for other in READY if find_format(other).finds(made.path)] == [name]
    assert same(unpack(how.read(made.path), "out"), synth)


@pytest.mark.parametrize("name", READY)
def test_the_card_says_how_it_is_loaded_and_that_is_true(name, tmp_path, monkeypatch):
    """Its YAML is read, and its blocks of Python that need what is installed are run in the export's folder."""
    export(learned(), tmp_path / "out", to=name)
    card = (tmp_path / "out" / "README.md").read_text()
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "unknown" and head["task_categories"] == ["image-classification"] and "dataset-distillation" in head["tags"]
    assert "Source of the data: `npz:somewhere.npz`" in card and "unknown unless the owner of the data" in card
    assert "Step size learned with the images: 0.02" in card.replace("0.0199999996", "0.02")
    assert "2 of 360 numbers (0.56 %) lie outside [0, 1], by up to 0.250 below and 0.500 above, and are cut off" in card
    assert [heading for heading, _ in find_format(name).usage] or name == "toy"
    monkeypatch.chdir(tmp_path / "out")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for code in re.findall(r"```python\n(.*?)```", card, re.S):
        if all(find_spec(package) for package in imported(code)) and "datasets" not in imported(code):
            held: dict = {}
            exec(code, held)
            if "label" in held:
                assert np.asarray(held["label"]).tolist() == INDEX.tolist()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("what", ["images", "vectors", "graphs", "dense", "trees"])
def test_every_block_of_a_card_runs(what, name, tmp_path, monkeypatch):
    """Also those that load an export by datasets, PyTorch and webdataset."""
    synth = {"images": learned, **OTHERS}[what]()
    if name == "torch":
        pytest.importorskip("torch")
    try:
        export(synth, tmp_path / "out", to=name)
    except BadInput as error:
        assert "use --to folder" in str(error)
        pytest.skip(str(error))
    monkeypatch.chdir(tmp_path / "out")
    card = find_format(name, parcel=pack(synth)).usage if name == "torch" else None
    text = (tmp_path / "out" / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert len(blocks) == len(card) if card else len(blocks) == (1 if what == "trees" else 3)
    for package in {package for code in blocks for package in imported(code)}:
        pytest.importorskip(package)
    if any("datasets" in imported(code) for code in blocks):
        import datasets

        monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    label = pack(synth).label.tolist()
    for code in blocks:
        held: dict = {}
        exec(code, held)
        if "label" in held:
            assert np.asarray(held["label"]).tolist() == label
        loaded = held.get("rows", held["data"] if "datasets" in imported(code) else None)
        if loaded is not None and hasattr(loaded, "features") and {"label"} & set(loaded.features):
            classes = [one if isinstance(one, str) else str(int(one)) for one in loaded["label"]]
            names = pack(synth).classes
            assert sorted(classes) in (sorted(map(str, label)), sorted(names[at] for at in label))


def imported(code: str) -> set[str]:
    nodes = ast.walk(ast.parse(code))
    return {alias.name.split(".")[0] for node in nodes if isinstance(node, ast.Import) for alias in node.names}


@pytest.mark.parametrize("name", READY)
def test_nothing_stays_of_an_export_that_failed(name, tmp_path, monkeypatch):
    how = find_format(name)

    def broken(parcel, folder, card):
        how.write(parcel, folder, card)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exchange, "find_format", lambda name, *, parcel=None: how._replace(write=broken))
    monkeypatch.setattr("condense.workflows.export.find_format", exchange.find_format)
    with pytest.raises(condense.RunFailed, match="No space left on device"):
        export(learned(), tmp_path / "out", to=name)
    assert list(tmp_path.iterdir()) == []


def test_every_format_has_its_lines():
    listed = {name: find_format(name) for name in FORMATS if name not in NEEDS or find_spec(NEEDS[name])}
    assert all(how.about and {"numpy"} <= {heading for heading, _ in how.usage} for how in listed.values())
    with pytest.raises(BadInput, match=f"--to loud: unknown format \\(known: {', '.join(FORMATS)}\\)"):
        find_format("loud")


def test_a_format_that_lacks_its_library_says_which(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(BadInput, match=r"--to torch needs torch, which cannot be imported; pip install 'condense-workbench\[interop\]'"):
        export(learned(), tmp_path / "out", to="torch")
    assert list(tmp_path.iterdir()) == []


def test_a_parcel_holds_raw_images_and_what_labels_say():
    parcel = pack(SETS["soft"]())
    assert parcel.classes == CLASSES and json.loads(parcel.header)["labels"] == "soft"
    assert parcel.rows["raw"].min() == pytest.approx(-0.25) and parcel.rows["raw"].max() == pytest.approx(1.5)
    np.testing.assert_allclose(parcel.rows["probabilities"].sum(-1), 1, atol=1e-6)
    assert (
        parcel.images[0, 0, 0, 0] == 0
        and parcel.images[5, 4, 3, 2] == 255
        and set(parcel.whole) == {"lr", "preprocess_mean", "preprocess_std"}
    )
    assert "raw" not in pack(SETS["bytes"]()).rows and str(pack(SETS["bytes"]()).clipped) == "pictures hold the images exactly"
    assert os.sep not in "".join(parcel.rows)
