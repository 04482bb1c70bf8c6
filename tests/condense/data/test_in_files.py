"""Rows that stay in their files: whitened, looked over once, prepared anew where pictures were changed, and of names that are no text."""

import os
import weakref

import jax
import numpy as np
import pytest

import condense
from condense.__main__ import run as command
from condense.data.images import room_of
from condense.data.load import load_data
from condense.data.readers import shards, source
from condense.data.readers.folder import scan
from condense.data.spec import parse_spec
from condense.experts import train_experts
from synth.base import take_all
from tests.support.data_files import class_folders


@pytest.fixture
def toy(tmp_path):
    """120 + 40 images 4x4x1 in two classes, in an archive."""
    rng, arrays = np.random.default_rng(0), {}
    for part, n in (("train", 120), ("test", 40)):
        arrays |= {f"x_{part}": rng.integers(0, 256, (n, 4, 4, 1), np.uint8), f"y_{part}": np.arange(n) % 2}
    np.savez(tmp_path / "toy.npz", **arrays)
    return tmp_path / "toy.npz"


def same(a, b):
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("kind", ["zca", "zca_relative"])
def test_whitened_rows_are_the_same(toy, kind):
    here, there = (load_data(f"npz:{toy}?stream={word}&normalise={kind}") for word in ("false", "true"))
    same(here.preprocess, there.preprocess)
    same(take_all(here.train), take_all(there.train))
    assert there.train._whitened is there.train.unlabelled()._whitened
    kept = weakref.ref(there.train._whitened)
    index = np.array([5, 0, 5, 77])
    same(here.train.take(index), there.train.take(index))
    del there
    assert kept() is None  # its file goes with the data, not when garbage is collected


def test_a_preparation_begins_anew_where_a_picture_was_changed(tmp_path, monkeypatch):
    """One beyond the rows that are looked at, of as many bytes as before."""
    monkeypatch.setattr(shards, "PIECE", 1)
    class_folders(tmp_path / "src")
    source = scan(parse_spec(f"folder:{tmp_path}/src"))
    before, picture = shards.request(source), source.files[3]
    assert shards.request(source) == before
    picture.write_bytes(picture.read_bytes()[:-1] + b"x")
    assert shards.request(scan(parse_spec(f"folder:{tmp_path}/src"))) != before


def test_names_of_pictures_need_not_be_text(tmp_path):
    class_folders(tmp_path)
    place = next(path for path in sorted(tmp_path.rglob("*.png")) if "train" in path.parts)
    os.rename(place, os.fsencode(place.parent) + b"/\xff.png")
    here, there = (load_data(f"folder:{tmp_path}?stream={word}") for word in ("false", "true"))
    same(take_all(here.train), take_all(there.train))


def test_numbers_in_files_are_looked_over_once(tmp_path, monkeypatch):
    """That they lie in [0, 1] is kept beside the file; one that is changed is looked over again."""
    y, calls, check = np.arange(40) % 2, [], source.check_unit
    arrays = {f"x_{part}": np.random.default_rng(0).random((40, 4, 4, 1), np.float32) for part in ("train", "test")}
    np.savez(tmp_path / "toy.npz", **arrays, y_train=y, y_test=y)
    monkeypatch.setattr(source, "check_unit", lambda spec, part, rows: calls.append(part) or check(spec, part, rows))
    for _ in range(2):
        load_data(f"npz:{tmp_path}/toy.npz?stream=true")
        assert calls == ["train", "test"]
    arrays["x_test"][0, 0, 0, 0] = 2
    np.savez(tmp_path / "toy.npz", **arrays, y_train=y, y_test=y)
    with pytest.raises(condense.BadInput, match="test images hold values from"):
        load_data(f"npz:{tmp_path}/toy.npz?stream=true")


def test_what_ignores_random_parts_says_so(tmp_path, capsys):
    class_folders(tmp_path)
    data = load_data(f"folder:{tmp_path}?size=4&crops=true", validation=0.0)
    train_experts(data, out=tmp_path / "experts", net="mlp:width=8", count=1, epochs=1)
    assert "crops=true: experts learn from whole pictures" in capsys.readouterr().err


def test_a_dry_run_says_what_data_take(toy, tmp_path, capsys):
    """Raw bytes and four more a number of all rows; on the devices the training rows that validation leaves."""
    call = ["teachers", "--net", "mlp:width=4,norm=batch", "--epochs", "1", "--out", str(tmp_path / "t"), "--dry-run", "--data"]
    for word, held in (("false", "0.0128 MB in memory, and 0.00691 MB of training examples on every device"), ("true", "in their files")):
        assert command([*call, f"npz:{toy}?stream={word}"]) == 0
        assert f"2 classes; {held}\n" in capsys.readouterr().out
    assert len(load_data(f"npz:{toy}").train.y) * 4 * 4 * 4 == 6912 and 160 * 16 * 5 == 12800
    assert room_of(load_data("toy_graphs")) == ""
