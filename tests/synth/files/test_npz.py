"""Archives from strangers end in one line that names them; files of our own appear whole or not at all."""

import errno
import io
import os
import resource
import struct
import zipfile

import numpy as np
import pytest

from synth.errors import BadInput, RunFailed
from synth.files import atomic
from synth.files.npz import opened, write_npz


def npy(array):
    """An array as the bytes of an npy file, objects pickled."""
    data = io.BytesIO()
    np.save(data, array, allow_pickle=True)
    return data.getvalue()


def forge(path, members, *, compress=zipfile.ZIP_STORED):
    """A zip of (name, bytes) without any check."""
    with zipfile.ZipFile(path, "w", compress) as file:
        for name, data in members:
            file.writestr(name, data)


def lying(shape, descr="'<f8'", data=bytes(8)):
    """An npy member that declares whatever one likes."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + data


def read_all(path):
    """Every array of an archive; only `header` may be text."""
    with opened(path, text=("header",)) as archive:
        return {name: archive.read(name) for name in archive.members}


def some(n=5):
    """Arrays to store."""
    return {"x/a": np.arange(10.0 * n).reshape(n, 10), "b": np.array("text")}


def test_what_is_written_is_read(tmp_path):
    arrays = some() | {"c": np.float16(1.5), "d": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)), "e": np.zeros((0, 2), bool)}
    write_npz(tmp_path / "a.npz", {name.replace("b", "header"): array for name, array in arrays.items()})
    back = read_all(tmp_path / "a.npz")
    assert list(back) == ["c", "d", "e", "header", "x/a"] and str(back["header"]) == "text"
    for name in ("c", "d", "e", "x/a"):
        np.testing.assert_array_equal(back[name], arrays[name])
        assert back[name].dtype.name == arrays[name].dtype.name and back[name].shape == arrays[name].shape
        assert back[name].dtype.isnative and back[name].flags.writeable and back[name].flags.c_contiguous
    with pytest.raises(ValueError, match="cannot be stored"):
        write_npz(tmp_path / "b.npz", {"a": np.array([None])})
    with pytest.raises(ValueError, match="cannot be stored"):
        write_npz(tmp_path / "b.npz", {"../a": np.ones(1)})
    assert os.listdir(tmp_path) == ["a.npz"]


def test_what_would_not_be_read_is_not_written(tmp_path, monkeypatch):
    """Numbers that take no memory here, and an archive of just as much as is read."""
    with pytest.raises(RunFailed, match=r"a\.npz: is not written, because its arrays take 38,654,705,792 bytes and no more than 34,359"):
        write_npz(tmp_path / "a.npz", {"a": np.broadcast_to(np.float16(0), (18 << 30,))})
    assert os.listdir(tmp_path) == []
    monkeypatch.setattr("synth.files.npz.LIMIT", 928)
    write_npz(tmp_path / "a.npz", {"a": np.zeros(100)})
    with opened(tmp_path / "a.npz", limit=928) as archive:
        assert archive.members["a"].shape == (100,)
    with pytest.raises(RunFailed, match="no more than 928 are read"):
        write_npz(tmp_path / "a.npz", {"a": np.zeros(101)})


@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
def test_npy_header_versions(tmp_path, version):
    data, array = io.BytesIO(), np.arange(6).reshape(2, 3)
    np.lib.format.write_array(data, array, version=(2, 0) if version == (3, 0) else version)
    forged = data.getvalue()[:6] + bytes(version) + data.getvalue()[8:]  # version 3 differs from 2 in the encoding of the header alone
    forge(tmp_path / "a.npz", [("a.npy", forged)])
    with opened(tmp_path / "a.npz") as archive:
        assert archive.members["a"] == (np.dtype(np.int64), (2, 3))
        np.testing.assert_array_equal(archive.read("a"), array)
        with pytest.raises(BadInput, match=r"a\.npz: array 'b' is missing"):
            archive.read("b")


GOOD = [("x/pixels.npy", npy(np.zeros((4, 2)))), ("header.npy", npy(np.array("{}")))]
ARCHIVES = {
    "pickle": ([*GOOD, ("a.npy", npy(np.array([{"a": 1}], object)))], "holds objects"),
    "parent": ([*GOOD, ("../evil.npy", npy(np.ones(1)))], "no plain name"),
    "absolute": ([*GOOD, ("/evil.npy", npy(np.ones(1)))], "no plain name"),
    "drive": ([*GOOD, ("c:evil.npy", npy(np.ones(1)))], "no plain name"),
    "control": ([*GOOD, ("a\x1b\n.npy", npy(np.ones(1)))], "no plain name"),
    "script": ([*GOOD, ("evil.py", b"print(1)")], "no plain name"),
    "no npy": ([*GOOD, ("a.npy", b"hello")], "no npy array"),
    "empty member": ([*GOOD, ("a.npy", b"")], "no npy array"),
    "future npy": ([*GOOD, ("a.npy", b"\x93NUMPY\4\0" + npy(np.ones(1))[8:])], "no npy array"),
    "short header": ([*GOOD, ("a.npy", npy(np.ones(1))[:40])], "unreadable header|header"),
    "long header": ([*GOOD, ("a.npy", b"\x93NUMPY\2\0" + struct.pack("<I", 1 << 30) + b" " * 99)], "has a header of"),
    "code": ([*GOOD, ("a.npy", lying("(1,)", "f(1)"))], "unreadable header"),
    "lying shape": ([*GOOD, ("a.npy", lying("(2,)"))], "declares shape"),
    "bomb": ([*GOOD, ("a.npy", lying("(1000000000000,)"))], "declares shape"),
    "nothing, huge": ([*GOOD, ("a.npy", lying("(0, 999999999999999, 999999999999999)", data=b""))], "damaged .*too big"),
    "negative": ([*GOOD, ("a.npy", lying("(-1,)"))], "unreadable header"),
    "wide text": ([*GOOD[:-1], ("header.npy", lying("()", "'<U99999999'"))], "declares shape"),
    "axes": ([*GOOD, ("a.npy", lying("(" + "1," * 33 + ")"))], "has 33 axes"),
    "digits": ([*GOOD, ("a.npy", lying("(" + "1" * 5000 + ",)"))], "unreadable header"),
    "nested": ([*GOOD, ("a.npy", lying("(" * 5000 + ")" * 5000))], "unreadable header"),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_hostile_archives_are_refused(tmp_path, case):
    members, message = ARCHIVES[case]
    path = tmp_path / "evil.npz"
    forge(path, members)
    with pytest.raises(BadInput, match=message) as caught:
        read_all(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == [path]


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_duplicate_member_is_refused(tmp_path):
    forge(tmp_path / "twice.npz", [*GOOD, GOOD[0]])
    with pytest.raises(BadInput, match=r"twice\.npz: member .* is there twice"):
        read_all(tmp_path / "twice.npz")


@pytest.mark.parametrize(
    "array", [np.frombuffer(struct.pack("<I", 0x110000), "<U1"), np.frombuffer(struct.pack("<I", 0xD800), "<U1"), np.uint8([2]).view(bool)]
)
def test_impossible_values_are_refused(tmp_path, array):
    forge(tmp_path / "a.npz", [("a.npy", npy(array.reshape(())))])
    with opened(tmp_path / "a.npz", text=("a",)) as archive, pytest.raises(BadInput, match="impossible values"):
        archive.read("a")


def test_size_cap_and_ratio(tmp_path):
    path = tmp_path / "bomb.npz"
    forge(path, [("a.npy", npy(np.zeros(1_000_000)))], compress=zipfile.ZIP_DEFLATED)
    with opened(path) as archive:
        assert archive.read("a").shape == (1_000_000,)
    with pytest.raises(BadInput, match="more than 1000000 bytes"), opened(path, limit=1_000_000):
        pass
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.index(b"PK\1\2") + 24, 0xF0000000)  # the directory's uncompressed size
    path.write_bytes(data)
    with pytest.raises(BadInput, match="declares 4026531840 bytes and holds fewer"), opened(path):
        pass
    member = lying("(100000000,)")
    forge(path, [("a.npy", member)])
    data = bytearray(path.read_bytes())
    struct.pack_into("<II", data, data.index(b"PK\1\2") + 20, *[len(member) + 799_999_992] * 2)  # both sizes agree with the lie
    path.write_bytes(data)
    with pytest.raises(BadInput, match="larger than the file"), opened(path):
        pass


@pytest.mark.parametrize("kind", ["text", "empty", "folder", "missing", "long", "pipe", "garbage"])
def test_no_archive_is_refused(tmp_path, kind):
    path = tmp_path / "thing.npz"
    made = {"text": lambda: path.write_text("hello"), "empty": path.touch, "folder": path.mkdir, "pipe": lambda: os.mkfifo(path)}
    made |= {"garbage": lambda: path.write_bytes(b"PK\3\4" + bytes(range(256)) * 9), "missing": list, "long": list}
    made[kind]()
    path = tmp_path / ("a" * 300) if kind == "long" else path
    words = {"long": "does not exist", "folder": "is a folder", "missing": "does not exist", "pipe": "no regular file"}
    with pytest.raises(BadInput, match=words.get(kind, "no npz archive")) as caught:
        read_all(path)
    assert str(path) in str(caught.value)


def full(error):
    """A function that fails as a full disk does."""

    def fail(*args):
        raise OSError(error, os.strerror(error))

    return fail


def test_full_disk_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "a.npz"
    write_npz(path, some())
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full(errno.ENOSPC))
        with pytest.raises(RunFailed, match=r"a\.npz: cannot write it \(No space left on device\); free some disk space"):
            write_npz(path, some(7))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, hard))  # a write that fails for real, halfway through
    try:
        with pytest.raises(RunFailed, match=r"a\.npz: cannot write it \(File too large\)"):
            write_npz(path, some(5000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["a.npz"]


def test_interrupt_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.json"
    atomic.write_bytes(path, b"1")
    with pytest.raises(KeyboardInterrupt), atomic.replacing(path) as handle:
        handle.write(b"2")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"1" and os.listdir(tmp_path) == ["a.json"]


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    for place in ("none/a.npz", "file/a.npz", "folder", "a" * 300):
        with pytest.raises(BadInput, match="cannot write") as caught:
            write_npz(tmp_path / place, some())
        assert str(tmp_path / place) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"] and not os.listdir(tmp_path / "folder")


def test_links_stay_links(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "real")
    atomic.write_bytes(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "real").read_bytes() == b"new"


def test_a_file_of_pytorch_is_called_one(tmp_path):
    """In its present form, an archive, and in its old one, a pickle; neither is unpickled."""
    with zipfile.ZipFile(tmp_path / "images_best.pt", "w") as file:
        file.writestr("archive/data.pkl", b"\x80\x02.")
    (tmp_path / "old.pth").write_bytes(b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
    for name in ("images_best.pt", "old.pth"):
        with (
            pytest.raises(BadInput, match=rf"{name}: is a file of PyTorch; `condense import FILE"),
            opened(tmp_path / name),
        ):
            pass


def test_text_may_be_bytes_where_text_is_asked_for(tmp_path):
    np.savez(tmp_path / "a.npz", names=np.array([b"ape", b"bee"]))
    with opened(tmp_path / "a.npz", text=("names",)) as archive:
        assert archive.read("names").tolist() == [b"ape", b"bee"]
    with pytest.raises(BadInput, match=r"'names\.npy' has dtype S3; arrays are plain numbers"), opened(tmp_path / "a.npz"):
        pass
