"""Folders of .npy files: what is read, and what is refused before anything of it is."""

import io
import re

import numpy as np
import pytest

from synth.errors import BadInput
from synth.files.npy import ArrayFolder, arrays_at


def test_what_lies_there_is_read(tmp_path):
    arrays = {"a": np.arange(12.0).reshape(4, 3), "b": np.asfortranarray(np.arange(6).reshape(3, 2)), "c": np.array([1, 2], ">i4")}
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    with arrays_at(tmp_path) as found:
        assert {name: found.is_mappable(name) for name in found.members} == {"a": True, "b": False, "c": False}
        for name, array in arrays.items():
            read = found.read(name)
            np.testing.assert_array_equal(read, array)
            assert read.flags.writeable and read.flags.c_contiguous and read.dtype.isnative
            np.testing.assert_array_equal(found.read(name, rows=np.array([1])), array[1:2])
        assert not found.mapped("a").flags.writeable


def test_rows_count_as_memory_before_they_are_read(tmp_path, monkeypatch):
    np.save(tmp_path / "x.npy", np.zeros((100, 10)))
    monkeypatch.setenv("CONDENSE_MEMORY", "4000")
    assert ArrayFolder(tmp_path).read("x", rows=np.arange(50)).shape == (50, 10)
    for rows in (np.arange(51), None):
        with pytest.raises(BadInput, match="would take"):
            ArrayFolder(tmp_path).read("x", rows=rows)


def test_files_of_other_names_are_let_be_and_links_stay_inside(tmp_path):
    """Beside arrays lie what systems leave and notes of their owner."""
    place, other = tmp_path / "here", tmp_path / "other.npy"
    place.mkdir()
    np.save(place / "x.npy", np.arange(4))
    for name in ("._x", "Notes-1", "X"):
        (place / f"{name}.npy").write_bytes(b"no array")
    assert [*ArrayFolder(place).members] == ["x"]
    (place / "y.npy").symlink_to(place / "x.npy")
    assert [*ArrayFolder(place).members] == ["x", "y"]
    np.save(other, np.arange(4))
    (place / "z.npy").symlink_to(other)
    with pytest.raises(BadInput, match=re.escape("z.npy: is no file of this folder; put one there instead")):
        ArrayFolder(place)


def cut(data: bytes) -> bytes:
    return data[:-1]


def pickled(data: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("x", cut, "declares shape (4,), 160 bytes, and holds 159; copy it again"),
        ("x", pickled, "holds objects, records or an unreadable header"),
        ("x", lambda data: b"PK" + data, "is no npy array"),
    ],
)
def test_hostile_files_are_refused(tmp_path, name, change, words):
    file = io.BytesIO()
    np.save(file, np.arange(4))
    (tmp_path / f"{name}.npy").write_bytes(change(file.getvalue()))
    with pytest.raises(BadInput, match=re.escape(words)):
        ArrayFolder(tmp_path)


def test_text_is_read_where_it_is_asked_for_and_sizes_are_bounded(tmp_path):
    np.save(tmp_path / "x.npy", np.array(["a", "bc"]))
    with pytest.raises(BadInput, match="has dtype U2"):
        ArrayFolder(tmp_path)
    assert ArrayFolder(tmp_path, text=("x",)).read("x").tolist() == ["a", "bc"]
    with pytest.raises(BadInput, match="take more than 15 bytes"):
        ArrayFolder(tmp_path, text=("x",), limit=15)
