"""npz archives from strangers, and archives with the same bytes every time.

Reading trusts nothing: names, dtypes, shapes and sizes are known and checked before any data is read, and nothing is ever unpickled.
Arrays come back in native byte order, C order, as integers, floats, booleans or (only where asked) fixed-width text.
"""

import contextlib
import errno
import io
import math
import os
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL, replacing
from synth.files.memory import PACKED, SHARE, SHARE_OF_PACKED, MemoryBudget, megabytes

LIMIT = 32 << 30  # bytes of all arrays together; 200 images of each class of ImageNet take 28
CHUNK = 1 << 20
INFLATION = 1032  # the most that deflate can shrink a byte stream
TORCH = "`condense import FILE --data SPEC --out SET.npz` makes a set of a published one; arrays go in by condense.from_arrays"
NAME = re.compile(r"[a-z0-9_]+(?:/[a-z0-9_]+)*\.npy")
DESCR = re.compile(r"""['"]descr['"]\s*:\s*['"]([<>|=]?)([biufUS])([1-9]\d{0,7})['"]\s*[,}]""")
ORDER = re.compile(r"""['"]fortran_order['"]\s*:\s*(True|False)\s*[,}]""")
SHAPE = re.compile(r"""['"]shape['"]\s*:\s*\(((?:\s*\d{1,18}\s*,)*\s*(?:\d{1,18}\s*)?)\)\s*[,}]""")
SIZES = {"b": (1,), "i": (1, 2, 4, 8), "u": (1, 2, 4, 8), "f": (2, 4, 8)}


class Member(NamedTuple):
    """What an array of an archive declares of itself; nothing of its data has been read."""

    dtype: np.dtype
    shape: tuple[int, ...]


class Archive:
    """An open npz archive, as `opened` gives it: `members` by name (without `.npy`), all checked; `read` gives one of them."""

    def __init__(self, path, file: zipfile.ZipFile, text: tuple[str, ...], limit: int | None):
        self.path, self._file, self._text = path, file, text
        self.members: dict[str, Member] = {}
        self._fortran: dict[str, bool] = {}
        self._starts: dict[str, int] = {}
        self._memory, self._reserved = MemoryBudget(str(path), remedy="use a smaller file"), set()
        size = os.fstat(file.fp.fileno()).st_size
        infos = file.infolist()
        if limit is not None and sum(info.file_size for info in infos) > limit:
            raise BadInput(f"{path}: declares more than {limit} bytes of data; such an archive is not opened")
        if sum(info.compress_size for info in infos) > size:
            raise BadInput(f"{path}: damaged, its members are larger than the file")
        for info in infos:
            self._admit(info)

    def _admit(self, info: zipfile.ZipInfo) -> None:
        shown = repr(info.orig_filename[:80])
        if info.orig_filename.endswith("data.pkl"):
            raise BadInput(f"{self.path}: is a file of PyTorch; {TORCH}")
        if not NAME.fullmatch(info.orig_filename):
            raise BadInput(f"{self.path}: member {shown} has no plain name; names are a-z, 0-9, _ and / and end in .npy")
        name = info.orig_filename.removesuffix(".npy")
        if name in self.members:
            raise BadInput(f"{self.path}: member {shown} is there twice; every array stands once")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or info.flag_bits & 0x1:
            raise BadInput(f"{self.path}: member {shown} is encrypted or compressed in an unknown way; use numpy.savez")
        packed = info.compress_size * (INFLATION if info.compress_type == zipfile.ZIP_DEFLATED else 1)
        if info.file_size > packed:
            raise BadInput(f"{self.path}: member {shown} declares {info.file_size} bytes and holds fewer")
        with reading(self.path, name), self._file.open(info) as stream:
            member, fortran, start = read_npy_header(stream, f"{self.path}: member {shown}", name in self._text)
        declared = start + math.prod(member.shape) * member.dtype.itemsize
        if declared != info.file_size:
            raise BadInput(f"{self.path}: member {shown} declares shape {member.shape}, {declared} bytes, and holds {info.file_size}")
        self.members[name], self._fortran[name], self._starts[name] = member, fortran, start

    def reserve(self, *names: str, more: int = 0) -> None:
        """Counts arrays that will be read, and `more` bytes that they are decoded to, before a byte is spent on one.

        An array counts once, however often it is named. Raises BadInput where all is more than may be read, see `synth.files.memory`.
        """
        fresh = [self._file.getinfo(f"{name}.npy") for name in names if name not in self._reserved]
        self._reserved.update(names)
        self._memory.take(more + sum(info.file_size for info in fresh), stored=sum(info.compress_size for info in fresh))

    def read(self, name: str, *, rows: Int[np.ndarray, " m"] | None = None) -> np.ndarray:
        """The array `name`, writable; with `rows`, which ascend, these of its first axis alone, and no other is held in memory (except
        where it is stored in Fortran order).

        Raises BadInput where it is missing, damaged, larger than may be read or holds impossible text, RunFailed without memory.
        """
        if name not in self.members:
            raise BadInput(f"{self.path}: array '{name}' is missing (there: {', '.join(self.members) or 'none'})")
        if rows is not None and not self._fortran[name]:
            return self._some(name, rows)
        self.reserve(name)
        array = self._all(name)
        return array if rows is None else array[rows]

    def is_mappable(self, name: str) -> bool:
        """Whether an array stands row after row (not in Fortran order) in the byte order of this machine, so that `mapped` can give it."""
        return not self._fortran[name] and self.members[name].dtype.isnative

    def mapped(self, name: str) -> np.ndarray:
        """An array that `is_mappable`, mapped for reading: its bytes are read when they are looked at, and cannot be changed.

        Of one that is stored as it is, no checksum is compared. A compressed one is unpacked into a file without a name. That may take half
        of the disk's room, or a sixteenth where it is packed a hundredfold. Raises BadInput where it is larger or damaged.
        """
        (dtype, shape), info = self.members[name], self._file.getinfo(f"{name}.npy")
        if info.compress_type == zipfile.ZIP_STORED:
            with reading(self.path, name):
                return self._mapped(info, self._starts[name], dtype, shape)
        free, needed = shutil.disk_usage(tempfile.gettempdir()).free, info.file_size
        if needed > free // (SHARE_OF_PACKED if needed > PACKED * info.compress_size else SHARE):
            room = f"is packed, and {tempfile.gettempdir()} has {megabytes(free)} free for its {megabytes(needed)}"
            raise BadInput(f"{self.path}: array '{name}' {room}; save it by numpy.savez, or set TMPDIR to a folder of a larger disk")
        with reading(self.path, name), self._file.open(info) as stream, tempfile.TemporaryFile() as file:
            read_npy_header(stream, f"{self.path}: array '{name}'", False)
            try:
                shutil.copyfileobj(stream, file, CHUNK)
                file.flush()
            except OSError as error:
                if error.errno not in {*FULL, errno.EFBIG}:
                    raise
                room = f"is packed, and there is no room in {tempfile.gettempdir()} to unpack it ({error.strerror})"
                raise BadInput(f"{self.path}: array '{name}' {room}; save it by numpy.savez, or set TMPDIR to a larger place") from error
            return np.memmap(file, dtype, mode="r", shape=shape)

    def _some(self, name: str, rows: np.ndarray) -> np.ndarray:
        dtype, shape = self.members[name]
        size = math.prod(shape[1:]) * dtype.itemsize
        info = self._file.getinfo(f"{name}.npy")
        self._memory.take(len(rows) * size, stored=info.compress_size)
        if info.compress_type == zipfile.ZIP_STORED:
            with reading(self.path, name):
                return np.asarray(self._mapped(info, self._starts[name], dtype, shape)[rows], dtype.newbyteorder("="))
        found, many = np.empty((len(rows), *shape[1:]), dtype), max(1, CHUNK // max(1, size))
        with reading(self.path, name), self._file.open(info) as stream:
            read_npy_header(stream, f"{self.path}: array '{name}'", False)
            for first in range(0, shape[0], many):
                block = np.empty((min(many, shape[0] - first), *shape[1:]), dtype)
                _fill(stream, block.view(np.uint8).reshape(-1).data)
                low, high = np.searchsorted(rows, (first, first + len(block)))
                found[low:high] = block[rows[low:high] - first]
            stream.read(1)  # its checksum is compared when the last byte has arrived
        return found.astype(dtype.newbyteorder("="), copy=False)

    def _mapped(self, info: zipfile.ZipInfo, start: int, dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
        """An array that is stored as it is, mapped for reading."""
        file = self._file.fp
        file.seek(info.header_offset)
        names = struct.unpack("<26x2H", file.read(30))  # the length of its name and of what zip notes beside it
        return np.memmap(file, dtype, mode="r", offset=info.header_offset + 30 + sum(names) + start, shape=shape)

    def _all(self, name: str) -> np.ndarray:
        dtype, shape = self.members[name]
        try:
            data = bytearray(math.prod(shape) * dtype.itemsize)
        except MemoryError as error:
            raise RunFailed(f"{self.path}: no memory for array '{name}' of shape {shape}; use a smaller file") from error
        with reading(self.path, name), self._file.open(name + ".npy") as stream:
            read_npy_header(stream, f"{self.path}: array '{name}'", name in self._text)
            _fill(stream, memoryview(data))
            stream.read(1)  # its checksum is compared when the last byte has arrived
            array = np.ndarray(shape, dtype, data, order="F" if self._fortran[name] else "C")
        array = np.asarray(array, dtype.newbyteorder("="), order="C")
        check_values(array, f"{self.path}: array '{name}'")
        return array


@contextlib.contextmanager
def opened(path: str | os.PathLike, *, text: tuple[str, ...] = (), limit: int | None = LIMIT) -> Iterator[Archive]:
    """The archive at `path`, open while the block runs, every member checked and none read.

    Args:
      text: names of arrays that may be fixed-width text (unicode or bytes); every other one must be integer, float or boolean.
      limit: the most bytes all arrays may declare together; None where those of them that are read are counted, see `reserve`.

    Raises BadInput for whatever is no archive, is damaged, or holds a member with a strange name, dtype or size.
    """
    if not os.path.isfile(path):
        what = "is a folder" if os.path.isdir(path) else "is no regular file" if os.path.exists(path) else "does not exist"
        raise BadInput(f"{path}: {what}; give an .npz file")
    with contextlib.ExitStack() as stack:
        with reading(path, ""):
            file = stack.enter_context(zipfile.ZipFile(stack.enter_context(open(path, "rb"))))
        yield Archive(path, file, text, limit)


def write_npz(path: str | os.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Writes `arrays` by name as one archive, whole or not at all, little-endian, in order of name: the same arrays give the same bytes.

    Raises ValueError for a name or dtype that `opened` would refuse, RunFailed for more bytes than it reads or where the disk is full,
    BadInput where the folder is missing or may not be written.
    """
    total = sum(np.asarray(value).nbytes + 128 for value in arrays.values())
    if total > LIMIT:
        raise RunFailed(f"{path}: is not written, because its arrays take {total:,} bytes and no more than {LIMIT:,} are read; store less")
    with replacing(path) as handle, zipfile.ZipFile(handle, "w") as file:
        for name, value in sorted(arrays.items()):
            array = np.asarray(value, order="C")
            if not NAME.fullmatch(name + ".npy") or array.dtype.kind not in "biufU":
                raise ValueError(f"array '{name}' of dtype {array.dtype} cannot be stored")
            info = zipfile.ZipInfo(name + ".npy", (1980, 1, 1, 0, 0, 0))
            info.create_system, info.external_attr, info.file_size = 3, 0o644 << 16, array.nbytes + 128
            with file.open(info, "w") as stream:
                np.lib.format.write_array(stream, array.astype(array.dtype.newbyteorder("<"), copy=False), allow_pickle=False)


def read_npy_header(stream: io.BufferedIOBase, shown: str, text: bool) -> tuple[Member, bool, int]:
    """(dtype and shape, whether in Fortran order, at which byte the data start) of the array that begins here in the stream, which stands
    there afterwards. The header is matched, never evaluated.

    Raises BadInput, which calls the array `shown`, for anything but plain numbers, or text where `text` allows it.
    """
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\1\0", b"\2\0", b"\3\0"):
        raise BadInput(f"{shown} is no npy array of version 1, 2 or 3")
    width = 2 if magic[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > 1 << 16:
        raise BadInput(f"{shown} has a header of {length} bytes; 65536 are the most")
    header = stream.read(length).decode("latin1")
    descr, order, shape = (pattern.search(header) for pattern in (DESCR, ORDER, SHAPE))
    if not (descr and order and shape):
        raise BadInput(f"{shown} holds objects, records or an unreadable header; arrays are plain numbers")
    end, kind, size = descr.groups()
    if not (text if kind in "US" else int(size) in SIZES[kind]):
        raise BadInput(f"{shown} has dtype {kind}{size}; arrays are plain numbers")
    axes = tuple(int(axis) for axis in shape[1].split(",") if axis.strip())
    if len(axes) > 32:
        raise BadInput(f"{shown} has {len(axes)} axes; 32 are the most")
    return Member(np.dtype(end + kind + size), axes), order[1] == "True", 8 + width + length


def _fill(stream: io.BufferedIOBase, view: memoryview) -> None:
    """The next bytes of a member, as many as there is room for."""
    at = 0
    while at < len(view):
        part = stream.read(min(CHUNK, len(view) - at))
        if not part:
            raise EOFError("data end early")
        view[at : at + len(part)] = part
        at += len(part)


def check_values(array: np.ndarray, shown: str) -> None:
    """Refuses bit patterns that no value has: code points beyond Unicode, halves of surrogate pairs, booleans over 1."""
    if array.dtype.kind == "U":
        points = np.frombuffer(array.tobytes(), np.uint32)
        wrong = ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any()
    else:
        wrong = array.dtype.kind == "b" and (np.frombuffer(array.tobytes(), np.uint8) > 1).any()
    if wrong:
        raise BadInput(f"{shown} holds impossible values")


@contextlib.contextmanager
def reading(path, name: str) -> Iterator[None]:
    """Whatever reading a broken archive raises, as BadInput."""
    try:
        yield
    except (BadInput, RunFailed):
        raise
    except PermissionError as error:
        raise BadInput(f"{path}: may not be read; change its permissions") from error
    except (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OverflowError, ValueError, OSError) as error:
        if str(path).endswith((".pt", ".pth")):
            raise BadInput(f"{path}: is a file of PyTorch; {TORCH}") from error
        where = f"array '{name}' is damaged" if name else "no npz archive, or a damaged one"
        why = " ".join(str(error).split()) or type(error).__name__
        raise BadInput(f"{path}: {where} ({why}); make or copy it again") from error
