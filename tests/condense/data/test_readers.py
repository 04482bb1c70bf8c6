"""Readers of IDX and npz files: what they give, and what broken or hostile files they refuse before memory is spent."""

import gzip
import math
import os
import pickle
import struct

import numpy as np
import pytest

from condense.data.load import load_data
from condense.data.readers.idx import IDX, read_idx
from synth.base import take_all
from synth.errors import BadInput
from tests.support.data_files import MIB, Trap, idx_bytes, idx_folder, little_memory, refused


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_plain_and_gz(tmp_path, zipped):
    x_train, y_train, x_test, y_test = idx_folder(tmp_path / "d", zipped=zipped)
    data = load_data(f"idx:{tmp_path}/d", validation=0.0)
    np.testing.assert_array_equal(data.source.train.x[..., 0], x_train)
    np.testing.assert_array_equal(data.source.test.x[..., 0], x_test)
    np.testing.assert_array_equal(data.train.y, y_train)
    np.testing.assert_array_equal(data.test.y, y_test)
    assert data.classes == ("0", "1") and data.image == (4, 3, 1) and data.flips


def test_named_idx_set_has_its_class_names(tmp_path, monkeypatch):
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path))
    folder = tmp_path / "fashion_mnist"
    idx_folder(folder)
    for name, n in ((IDX[1], 20), (IDX[3], 6)):
        (folder / name).write_bytes(idx_bytes(np.arange(n) % 10))
    data = load_data("fashion_mnist", validation=0.0)
    assert data.classes[0] == "T-shirt/top" and data.classes[9] == "Ankle boot" and len(data.classes) == 10 and data.flips


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: b"\0\0\x0d" + data[3:], ["does not begin as an IDX file of 3-dimensional bytes"]),
        (lambda data: data[:9], ["does not begin as an IDX file"]),
        (lambda data: data[:-1], ["declares 20x4x3 = 240 bytes but holds 239"]),
        (lambda data: data + b"\0", ["declares 20x4x3 = 240 bytes but holds more"]),
        (lambda data: data[:4] + b"\xff" * 12 + data[16:], ["declares 4294967295x4294967295x4294967295 bytes, more than it can hold"]),
        (lambda data: data[:4] + struct.pack(">3I", 20, 1 << 14, 1 << 14) + data[16:], ["more than it can hold"]),
        (lambda data: data[:4] + struct.pack(">3I", 10, 8, 3) + data[16:], ["10 train images but 20 train labels"]),
        (lambda data: data[:4] + struct.pack(">3I", 20, 12, 1) + data[16:], ["train images are 12x1x1 uint8 but test images 4x3x1 uint8"]),
        (lambda data: data[:4] + struct.pack(">3I", 0, 4, 3), ["train images have shape (0, 4, 3, 1)"]),
    ],
)
def test_broken_idx_is_refused(tmp_path, change, words):
    idx_folder(tmp_path / "d")
    path = tmp_path / "d" / IDX[0]
    path.write_bytes(change(path.read_bytes()))
    with little_memory():
        refused(f"idx:{tmp_path}/d", *words, *([path, "fetch the file again"] if "train images" not in words[0] else []))


def test_gz_that_inflates_beyond_its_declaration_is_not_inflated(tmp_path):
    idx_folder(tmp_path / "d", zipped=True)
    path = tmp_path / "d" / f"{IDX[0]}.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(64 * MIB)))
    with little_memory():
        refused(f"idx:{tmp_path}/d", path, "holds more; fetch the file again")


@pytest.mark.parametrize(("shape", "words"), [((1024, 256, 256), "1024 train images but 20 train labels"), ((20, 2048, 2048), "be alike")])
def test_idx_files_that_do_not_fit_each_other_are_refused_unread(tmp_path, shape, words):
    idx_folder(tmp_path / "d")
    path = tmp_path / "d" / IDX[0]
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", *shape))
    os.truncate(path, 16 + math.prod(shape))  # zeros that take no disk
    with little_memory():
        refused(f"idx:{tmp_path}/d", words)


def test_damaged_gz_is_refused(tmp_path):
    idx_folder(tmp_path / "d", zipped=True)
    path = tmp_path / "d" / f"{IDX[0]}.gz"
    good = path.read_bytes()
    for bad in (good[:-12], good[:40] + bytes(20) + good[60:], b"no gzip", b""):
        path.write_bytes(bad)
        refused(f"idx:{tmp_path}/d", path, "fetch the file again")


def test_idx_pipes_folders_and_gaps_are_refused(tmp_path):
    idx_folder(tmp_path / "d")
    path = tmp_path / "d" / IDX[2]
    path.unlink()
    refused(f"idx:{tmp_path}/d", f"there is no {IDX[2]} or {IDX[2]}.gz in {tmp_path}/d", "each plain or .gz")
    os.mkfifo(path)
    refused(f"idx:{tmp_path}/d", f"{path} is not an ordinary file")
    path.unlink()
    path.mkdir()
    refused(f"idx:{tmp_path}/d", f"{path} is not an ordinary file")
    with pytest.raises(BadInput, match="is damaged"):
        read_idx(path, "x", ndim=3)


def save(path, **other):
    x, y = np.random.default_rng(0).integers(0, 256, (12, 4, 3, 1), np.uint8), np.arange(12) % 3
    np.savez(path, **({"x_train": x, "y_train": y, "x_test": x[:6], "y_test": y[:6]} | other))
    return f"npz:{path}"


def test_npz_layouts(tmp_path):
    path = tmp_path / "a.npz"
    x = np.random.default_rng(1).random((12, 4, 3))
    column = (np.arange(12) % 3)[:, None].astype(np.uint8)
    data = load_data(save(path, x_train=x, x_test=x[:6].astype(np.float16), y_train=column), validation=0.0)
    assert data.image == (4, 3, 1) and data.classes == ("0", "1", "2")
    np.testing.assert_allclose(data.preprocess.undo(take_all(data.train).x)[..., 0], x, atol=1e-6)
    data = load_data(save(path, class_names=np.array(["cat", "ape", "bee"])))
    assert data.classes == ("cat", "ape", "bee") and data.name == "a"


def bad(value, dtype=np.float32):
    x = np.full((12, 4, 3, 1), 0.5, dtype)
    x[3, 2, 1, 0] = value
    return {"x_train": x, "x_test": np.full((6, 4, 3, 1), 0.5, dtype)}


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (bad(np.nan), ["train images hold NaN; float images must lie in [0, 1]"]),
        (bad(np.inf), ["train images hold values from 0.5 to inf"]),
        (bad(1.01), ["values from 0.5 to 1.01; float images must lie in [0, 1], or store bytes (uint8) 0..255"]),
        (bad(-0.5), ["values from -0.5 to 0.5"]),
        (bad(3, np.int64), ["images are int64 with values from 0 to 3; needed is uint8 0..255 or float in [0, 1]"]),
        ({"x_train": np.zeros((12, 12), np.uint8)}, ["test vectors have shape", "needed are one or more of [n d]"]),
        ({"x_train": np.zeros((12, 5, 3, 1), np.uint8)}, ["train images are 5x3x1 uint8 but test images 4x3x1 uint8; they must be alike"]),
        ({"x_train": np.zeros((12, 4, 3), np.float32)}, ["they must be alike"]),
        ({"x_test": np.zeros((0, 4, 3), np.uint8), "y_test": np.zeros(0, int)}, ["test images have shape (0, 4, 3, 1)"]),
        ({"x_train": np.zeros((11, 4, 3), np.uint8)}, ["11 train images but 12 train labels; there must be as many"]),
        (
            {"y_train": np.arange(12) / 12},
            ["train labels are no whole numbers; drop those examples, or give classes as whole numbers or text"],
        ),
        (
            {"y_train": np.eye(12, 3, dtype=int)},
            ["train labels are int64 of shape (12, 3); they must be whole numbers or text of shape [n], or one-hot rows [n classes]"],
        ),
        ({"y_train": np.arange(12) // 10 * 2}, ["test holds label 1, which no training image has; those have 0, 2"]),
        ({"y_train": np.zeros(12, int), "y_test": np.zeros(6, int)}, ["class 0 ('0') of 1 has 12 training images", "two or more classes"]),
        (
            {"y_train": np.arange(12) % 3 - 1},
            ["train labels run from -1 to 1; labels are whole numbers from 0, or -1 and 1: drop the examples without a label"],
        ),
        ({"y_train": np.full(12, 2**62)}, ["test holds label 0, which no training image has; those have 4611686018427387904"]),
        ({"y_test": np.full(6, 5)}, ["test holds label 5, which no training image has; those have 0, 1, 2"]),
        ({"class_names": np.array(["a", "b"])}, ["train labels run from 0 to 2; 2 classes have 0..1"]),
        ({"class_names": np.array(["a", "b", "a"])}, ["two classes have the same name"]),
        ({"class_names": np.array(["a", "b\u200c", "b\u200d"])}, ["two classes have the same name, as it can be printed"]),
    ],
)
def test_wrong_npz_contents_are_refused(tmp_path, other, words):
    refused(save(tmp_path / "a.npz", **other), tmp_path / "a.npz", *words)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"y_train": np.arange(3)}, "512 train images but 3 train labels"),
        ({"y_test": np.arange(3)}, "6 test images but 3 test labels"),
        ({"x_test": np.zeros((6, 4, 3), np.uint8)}, "be alike"),
        ({"y_train": np.full(512, -1)}, "train labels run from -1 to -1"),
    ],
)
def test_npz_whose_arrays_do_not_fit_each_other_is_refused_uninflated(tmp_path, other, words):
    """32 MiB of zeros, which deflate to a thousandth."""
    arrays = {"x_train": np.zeros((512, 256, 256), np.uint8), "x_test": np.zeros((6, 256, 256), np.uint8)}
    arrays |= {"y_train": np.arange(512) % 2, "y_test": np.arange(6) % 2}
    np.savez_compressed(tmp_path / "a.npz", **(arrays | other))
    with little_memory():
        refused(f"npz:{tmp_path}/a.npz", words)


def test_npz_with_pickles_or_gaps_is_refused_unread(tmp_path):
    trap = np.array([Trap(tmp_path / "sprung")], object)
    for key in ("x_train", "class_names", "stray"):
        refused(save(tmp_path / "a.npz", **{key: trap}), tmp_path / "a.npz", key, "plain numbers")
    assert not (tmp_path / "sprung").exists()
    pickle.loads(pickle.dumps(trap))
    assert (tmp_path / "sprung").exists()  # the trap works
    np.savez(tmp_path / "b.npz", x_train=np.zeros((3, 2, 2), np.uint8))
    refused(f"npz:{tmp_path}/b.npz", tmp_path / "b.npz", "there is no array y_train (there: x_train)")
    refused(f"npz:{tmp_path}/c.npz", tmp_path / "c.npz", "does not exist")
    (tmp_path / "d.npz").write_bytes((tmp_path / "a.npz").read_bytes()[:300])
    refused(f"npz:{tmp_path}/d.npz", tmp_path / "d.npz", "damaged")
