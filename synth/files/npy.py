"""Folders of .npy files from strangers, one array a file. What is trusted, checked and refused is as in `synth.files.npz`."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Int

from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.files.npz import LIMIT, NAME, Archive, Member, check_values, opened, read_npy_header, reading


class ArrayFolder:
    """The .npy files of a folder whose names are a-z, 0-9 and _ alone: `members` by name (without `.npy`), all checked; `read` gives one of
    them."""

    def __init__(self, folder: Path, *, text: tuple[str, ...] = (), limit: int | None = LIMIT):
        self.path, self.members, self._fortran, self._starts = folder, dict[str, Member](), {}, {}
        self._memory, self._reserved = MemoryBudget(str(folder), remedy="use smaller files"), set()
        for file in sorted(path for path in folder.glob("*.npy") if NAME.fullmatch(path.name)):  # others are none that is asked for
            name = file.name.removesuffix(".npy")
            if not file.is_file() or not file.resolve().is_relative_to(folder.resolve()):
                raise BadInput(f"{file}: is no file of this folder; put one there instead")
            try:
                with reading(file, name), file.open("rb") as stream:
                    member, self._fortran[name], self._starts[name] = read_npy_header(stream, str(file), name in text)
            except BadInput as error:
                raise BadInput(f"{error}; save it by numpy.save, or move it out of the folder") from error
            declared, holds = self._starts[name] + math.prod(member.shape) * member.dtype.itemsize, file.stat().st_size
            if declared != holds:
                raise BadInput(f"{file}: declares shape {member.shape}, {declared} bytes, and holds {holds}; copy it again")
            self.members[name] = member
        if limit is not None and sum(self._bytes(name) for name in self.members) > limit:
            raise BadInput(f"{folder}: its arrays take more than {limit} bytes; so many are not opened")

    def _bytes(self, name: str) -> int:
        return math.prod(self.members[name].shape) * self.members[name].dtype.itemsize

    def reserve(self, *names: str, more: int = 0) -> None:
        """Counts arrays that will be read, each once, and `more` bytes that they are decoded to, before a byte is spent on one. Raises
        BadInput where all is more than may be read, see `synth.files.memory`."""
        stored = sum(self._bytes(name) for name in names if name not in self._reserved)
        self._reserved.update(names)
        self._memory.take(more + stored, stored=stored)

    def read(self, name: str, *, rows: Int[np.ndarray, " m"] | None = None) -> np.ndarray:
        """The array `name`, writable; with `rows`, these of its first axis alone, and no other is held in memory. Raises BadInput where it
        is damaged, larger than may be read or holds impossible text."""
        if rows is None:
            self.reserve(name)
        else:
            self._memory.take(self._bytes(name) * len(rows) // max(1, self.members[name].shape[0]), stored=self._bytes(name))
        with reading(self.path / f"{name}.npy", name):
            array = np.array(self._mapped(name) if rows is None else self._mapped(name)[rows], order="C")
        array = array.astype(array.dtype.newbyteorder("="), copy=False)
        check_values(array, f"{self.path}: array '{name}'")
        return array

    def is_mappable(self, name: str) -> bool:
        """Whether an array stands row after row (not in Fortran order) in the byte order of this machine, so that `mapped` can give it."""
        return not self._fortran[name] and self.members[name].dtype.isnative

    def mapped(self, name: str) -> np.ndarray:
        """An array that `is_mappable`, mapped for reading: its bytes are read when they are looked at, and cannot be changed. Raises
        BadInput where that fails."""
        with reading(self.path / f"{name}.npy", name):
            return self._mapped(name)

    def _mapped(self, name: str) -> np.ndarray:
        (dtype, shape), order = self.members[name], "F" if self._fortran[name] else "C"
        return np.memmap(self.path / f"{name}.npy", dtype, mode="r", offset=self._starts[name], shape=shape, order=order)


@contextlib.contextmanager
def arrays_at(path: str | os.PathLike, *, text: tuple[str, ...] = (), limit: int | None = LIMIT) -> Iterator[Archive | ArrayFolder]:
    """The arrays of an .npz archive, or of the .npy files of a folder, while the block runs; every one checked and none read. `text` and
    `limit`, and what is raised, are those of `synth.files.npz.opened`."""
    if Path(path).is_dir() and any(Path(path).glob("*.npy")):
        yield ArrayFolder(Path(path), text=text, limit=limit)
    else:
        with opened(path, text=text, limit=limit) as archive:
            yield archive
