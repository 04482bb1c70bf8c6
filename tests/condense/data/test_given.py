"""What Python holds is data everywhere; sets say where their data are, or how to give them again."""

import io
import sys

import pytest
from rich.console import Console

import condense
from condense.data.given import read_given
from condense.data.load import load_data
from synth.errors import BadInput
from tests.support.data_files import refused
from tests.support.ways import (
    NAMES,
    TEXT,
    TEXT_TEST,
    XT,
    MapStyle,
    X,
    Y,
    dataset,
    frame,
    npz,
    parquet,
    saved,
)


def test_things_that_are_no_data_are_refused():
    refused(X, "an array has no labels; give (x, y)")
    refused((X, Y, XT), "3 things are no data; give (x, y), (x_train, y_train, x_test, y_test), a data frame")
    refused({"a": (X, Y), "b": (X, Y)}, "has the parts a, b; one must be called train")
    for given in (3, None, (at for at in range(3))):  # which annotations refuse while tests run
        with pytest.raises(BadInput, match=f"{type(given).__name__} is no data that can be read in any order; give "):
            read_given(given, {})
    refused((X, Y[:3]), "24 train examples but 3 train labels; there must be as many")
    refused(([object()] * 3, [0, 1, 2]), "examples are object; they must be numbers")
    refused(MapStyle(lambda x: x[: 2 + int(x[0, 0, 0]) % 3]), "train examples have several shapes, such as")
    refused([(X[0], 1, 2)] * 3, "3 things are no data")


def test_arrays_are_data_everywhere(tmp_path):
    data = condense.from_arrays(X, TEXT, XT, y_test := TEXT_TEST, classes=NAMES, name="pets")
    named = condense.from_arrays(X, TEXT, x_test=XT, y_test=y_test, name="pets")
    assert data.digest == named.digest == load_data((X, TEXT, XT, TEXT_TEST)).digest and data.spec == "arrays:pets"
    assert data.digest != condense.from_arrays(X, TEXT[::-1].copy(), XT, TEXT_TEST).digest
    assert load_data(data) is data
    synth = condense.distill("random", (X, TEXT, XT, TEXT_TEST), ipc=1, net="mlp:width=4", out=tmp_path / "a")
    assert synth.info.data == "arrays:tuple" and synth.info.data_digest == data.digest
    scored = condense.evaluate(tmp_path / "a", data=(X, TEXT, XT, TEXT_TEST), recipe="quick", epochs=1, seeds=1, rows="distilled")
    assert scored.digest == data.digest and not scored.drawn
    with pytest.raises(BadInput, match=r"data 'arrays:tuple': these were arrays.*data=condense\.from_arrays"):
        condense.evaluate(tmp_path / "a", rows="distilled")
    for wrong, words in (
        ({"x_test": XT}, "x_test and y_test belong together; give both or neither"),
        ({"classes": ["ape", "bee"]}, "label 'cow' is none of the classes ape, bee"),
        ({"options": "layot=nchw"}, "no option 'layot=nchw'"),
    ):
        with pytest.raises(BadInput, match=words):
            condense.from_arrays(X, TEXT, **wrong)


def test_a_drawn_test_split_is_said_in_tables(tmp_path):
    synth = condense.distill("random", (X, Y), ipc=1, net="mlp:width=4")
    scored = condense.evaluate(synth, data=(X, Y), recipe="quick", epochs=1, seeds=1, rows="distilled")
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(scored.table())
    assert "test: 20 % of the rows, drawn by split=0" in " ".join(console.export_text().split())
    assert scored.as_json()["data"]["test"] == "20 % of the rows, drawn by split=0"


def test_a_set_finds_its_data_from_another_folder(tmp_path, monkeypatch):
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir(), there.mkdir()
    npz(here)
    monkeypatch.chdir(here)
    condense.distill("random", "npz:a.npz?limit=20", ipc=1, net="mlp:width=4", out="run")
    monkeypatch.chdir(there)
    how = {"recipe": "quick", "epochs": 1, "seeds": 1, "rows": "distilled"}
    assert condense.load_set(here / "run/set.npz").info.data_path == f"npz:{here}/a.npz?limit=20"
    assert condense.evaluate(here / "run", **how).spec == f"npz:{here}/a.npz?limit=20"
    (here / "a.npz").rename(there / "b.npz")
    with pytest.raises(
        BadInput, match=rf"--data: the set was made from npz:a\.npz\?limit=20, at {here}/a\.npz, and nothing is there; where the"
    ):
        condense.evaluate(here / "run", **how)
    assert condense.evaluate(here / "run", data="b.npz?limit=20", **how).digest == condense.load_set(here / "run/set.npz").info.data_digest
    condense.distill("random", f"npz:{there}/b.npz", ipc=1, net="mlp:width=4", out="run")
    assert condense.load_set("run/set.npz").info.data_path == ""
    (there / "b.npz").unlink()
    with pytest.raises(
        BadInput, match=r"the set was made from npz:.*b\.npz, and nothing is there; where the data have moved, give them by --data"
    ):
        condense.evaluate("run", **how)


def test_data_frames_and_data_sets_name_their_labels(tmp_path):
    table = frame().assign(label=Y.astype(float))
    assert load_data(table).classes == ("0", "1", "2") and load_data(table, options="label=species").classes == NAMES
    refused(table, "there is no column 'specie'", "use label=COLUMN; did you mean species?", options="label=specie")
    refused(frame().assign(species=None), "row 0 of the train frame: column 'species' is empty", options="label=species")
    pandas = pytest.importorskip("pandas")
    refused(pandas.DataFrame({"a": [1.0, None] * 12, "label": TEXT}), "row 1 of the train frame: column 'a' is empty")
    with pytest.raises(BadInput, match="IterableDataset is no data that can be read in any order"):
        read_given(dataset().to_iterable_dataset(), {})
    sizes = dataset().map(lambda row, at: {"image": row["image"].resize((5 + at % 2, 6))}, with_indices=True)
    refused(sizes, 'add options="size=N" to cut all to one size')
    assert load_data(sizes, options="size=4").image == (4, 4, 3)


def test_without_its_library_a_kind_says_what_to_install(tmp_path, monkeypatch):
    for module, spec in (("datasets", f"hf:{tmp_path}"), ("pyarrow.parquet", f"parquet:{tmp_path}/a.parquet")):
        monkeypatch.setitem(sys.modules, module, None)
        (tmp_path / "a.parquet").touch()
        refused(spec, "install it by pip install 'condense-workbench[interop]'")


def test_broken_columns_are_refused(tmp_path):
    pytest.importorskip("pyarrow")
    pytest.importorskip("datasets")
    (tmp_path / "t.parquet").write_bytes(b"PAR1 nothing PAR1")
    refused(f"parquet:{tmp_path}/t.parquet", "is no parquet file (", "write it again")
    refused(parquet(tmp_path, image=[b"no picture"] * 24, label=Y.tolist()), "row 0 of t.parquet is no whole picture")
    refused(
        parquet(tmp_path, image=[X[0, : 2 + at % 2].tolist() for at in range(24)], label=Y.tolist()),
        "holds arrays of several shapes; make all alike",
    )
    refused(
        parquet(tmp_path, a=Y.tolist(), b=Y.tolist()),
        "there is no column that is surely that of the labels (there: a, b); use label=COLUMN",
    )
    assert load_data(parquet(tmp_path, a=Y.tolist(), b=Y.tolist()) + "&label=a").image == (1,)
    place = saved(tmp_path)
    (tmp_path / "saved" / "train" / "dataset_info.json").write_text("{")
    refused(f"hf:{place}", "datasets cannot read it (", "name a folder that save_to_disk wrote")
    refused(f"hf:{tmp_path}/none", "there is no folder")
