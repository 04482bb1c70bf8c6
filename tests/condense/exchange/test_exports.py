"""Every export opened by the library that it is for, without condense; and what is refused."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from condense.exchange import find_format
from condense.exchange.folder import folder_names
from condense.exchange.parcel import unpack
from condense.workflows.export import export
from synth.errors import BadInput
from synth.images.preprocess import Standard
from tests.support.exports import CLASSES, INDEX, MEAN, STD, in_bytes, learned, same

RAW = np.asarray(learned().x.pixels) * STD + MEAN
SHOWN = np.rint(np.clip(RAW, 0, 1) * 255)


def test_class_folders_are_in_the_order_of_the_classes(tmp_path):
    export(learned(), tmp_path / "out")
    folders = sorted(path.name for path in (tmp_path / "out" / "train").iterdir())
    assert folders == ["0_cat", "1_ant---bee", "2_dog"]
    for label, folder in enumerate(folders):
        for path in (tmp_path / "out" / "train" / folder).iterdir():
            row = int(path.stem)
            assert INDEX[row] == label
            np.testing.assert_array_equal(np.asarray(Image.open(path)), SHOWN[row])
    with np.load(tmp_path / "out" / "labels.npz", allow_pickle=False) as file:
        np.testing.assert_allclose(file["raw"], RAW, atol=1e-6)
        assert file["label"].tolist() == INDEX.tolist() and file["classes"].tolist() == list(CLASSES) and file["lr"] == np.float32(0.02)
    assert folder_names(("a", "b c")) == ["a", "b c"] and folder_names(("2", "10")) == ["0_2", "1_10"]
    assert len(set(folder_names(tuple("..x" for _ in range(12))))) == 12 and folder_names((".", "..")) == ["0_.", "1_.."]


def test_parquet_is_opened_by_pyarrow(tmp_path):
    from pyarrow import parquet

    export(learned(), tmp_path / "out", to="parquet")
    table = parquet.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet")
    assert table["label"].to_pylist() == INDEX.tolist()
    np.testing.assert_allclose(np.array(table["raw"].to_pylist()).reshape(RAW.shape), RAW, atol=1e-6)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(table["image"][1].as_py()["bytes"]))), SHOWN[1])


@pytest.mark.parametrize(
    ("name", "keys"), [("folder", ("image", "label")), ("parquet", ("image", "label")), ("webdataset", ("png", "cls"))]
)
def test_datasets_reads_it(name, keys, tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    export(in_bytes(), tmp_path / "out", to=name)
    told = datasets.load_dataset(str(tmp_path / "out"), split="train", cache_dir=str(tmp_path / "cache"))
    image, label = keys
    found = sorted((int(row[label]), np.asarray(row[image]).tobytes()) for row in told)
    assert found == sorted((int(c), image.tobytes()) for c, image in zip(INDEX, np.asarray(in_bytes().x.pixels), strict=True))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")  # it leaves the file open
def test_webdataset_reads_it(tmp_path):
    webdataset = pytest.importorskip("webdataset")
    export(learned(), tmp_path / "out", to="webdataset")
    rows = list(webdataset.WebDataset(str(tmp_path / "out" / "data" / "train-000000.tar"), shardshuffle=False).decode("rgb8"))
    assert [row["cls"] for row in rows] == INDEX.tolist()
    np.testing.assert_array_equal([row["png"] for row in rows], SHOWN)
    np.testing.assert_allclose([row["raw.npy"] for row in rows], RAW, atol=1e-6)


def test_tensorflow_datasets_reads_it(tmp_path):
    import tensorflow_datasets as tfds

    export(learned(), tmp_path / "out", to="tfds")
    builder = tfds.builder_from_directory(tmp_path / "out" / "1.0.0")
    assert builder.info.features["label"].names == list(CLASSES) and builder.info.splits["train"].num_examples == 6
    rows = list(builder.as_data_source("train"))
    assert [int(row["label"]) for row in rows] == INDEX.tolist()
    np.testing.assert_array_equal([row["image"] for row in rows], SHOWN)
    np.testing.assert_allclose([row["raw"] for row in rows], RAW, atol=1e-6)


def test_torch_reads_it_with_weights_only(tmp_path):
    torch = pytest.importorskip("torch")
    export(learned(), tmp_path / "set.pt", to="torch")
    found = torch.load(tmp_path / "set.pt", weights_only=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "set.pt"] and found["classes"] == list(CLASSES)
    np.testing.assert_allclose(found["raw"].numpy().transpose(0, 2, 3, 1), RAW, atol=1e-6)
    assert found["label"].tolist() == INDEX.tolist() and found["lr"] == torch.tensor(0.02)
    assert same(unpack(find_format("torch").read(tmp_path / "set.pt"), "set.pt"), learned())


def test_an_older_export_is_replaced_only_with_force(tmp_path):
    out = tmp_path / "out"
    export(learned(), out)
    with pytest.raises(BadInput, match=r"--out .*out: is there already; give another path, or --force to replace it"):
        export(in_bytes(), out)
    assert same(unpack(find_format("folder").read(out), "out"), learned())
    export(in_bytes(), out, force=True)
    assert same(unpack(find_format("folder").read(out), "out"), in_bytes())
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("my own")
    with pytest.raises(BadInput, match="is there already and no export of condense; give another path"):
        export(learned(), mine, force=True)
    assert (mine / "README.md").read_text() == "my own" and sorted(tmp_path.iterdir()) == [mine, out]


def test_what_makes_no_pictures_is_refused(tmp_path):
    two = learned(x=learned().x._replace(pixels=learned().x.pixels[..., :2]))
    two = learned(x=two.x, info=type(two.info)(CLASSES, Standard(MEAN[:2], STD[:2])))
    with pytest.raises(BadInput, match="--to folder: pictures have 1, 3 or 4 channels, the set's images 2; use --to torch"):
        export(two, tmp_path / "out")
    with pytest.raises(BadInput, match=r"--out .*: cannot write it"):
        export(learned(), tmp_path / "no" / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["folder", "parquet", "webdataset", "tfds"])
def test_a_damaged_export_is_refused_in_one_line(name, tmp_path):
    out, how = tmp_path / "out", find_format(name)
    export(learned(), out, to=name)
    for path in sorted(path for path in out.rglob("*") if path.is_file() and path.suffix not in (".md", ".json", ".txt", ".png")):
        kept = path.read_bytes()
        for data in (kept[: len(kept) // 2], b""):
            path.write_bytes(data)
            try:
                assert same(unpack(how.read(out), "out"), learned()) and data, "only padding was lost"
            except BadInput as error:
                assert "\n" not in str(error)
        path.write_bytes(kept)
    assert same(unpack(how.read(out), "out"), learned())


def test_archives_of_strangers_are_not_trusted(tmp_path):
    out = tmp_path / "out"
    export(learned(), out, to="webdataset")
    with tarfile.open(out / "data" / "train-000000.tar", "a") as tar:
        link = tarfile.TarInfo("000009.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(BadInput, match=r"holds '000009\.png', which is no part of an export"):
        find_format("webdataset").read(out)
    export(in_bytes(), tmp_path / "folder")
    with np.load(tmp_path / "folder" / "labels.npz") as file:
        arrays = dict(file)
    arrays["files"][0] = "../a.png"
    np.savez(tmp_path / "folder" / "labels.npz", **arrays)
    with pytest.raises(BadInput, match="names a picture outside the folder"):
        find_format("folder").read(tmp_path / "folder")
