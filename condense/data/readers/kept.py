"""What is kept beside data whose rows stay in their files, so that another opening needs no pass over them: labels, a digest, moments.

It is one npz file, `.condense.npz` in the folder that holds the files, or `.NAME.condense.npz` beside a single file. It names the sizes and
times of the files that it was taken of; where these differ, the files were changed, and what is kept is taken again. It holds nothing that
cannot be found again, so that it may be deleted, and data on a disk that cannot be written do without it.
"""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path

import numpy as np

from condense.runtime.log import note
from synth.errors import BadInput, RunFailed
from synth.files.npz import opened, write_npz

LIMIT = 1 << 30  # bytes of what is kept: the labels of a hundred million rows


class Kept:
    """Arrays by name that are kept in a file beside some files, and hold until one of these changes in size or time.

    Args:
      files: all that hold the data.
      spec: begins messages.
    """

    def __init__(self, files: Sequence[Path], spec: str):
        self.files, self.spec = files, spec
        root = self.root
        self.place = root / (f".{files[0].name}.condense.npz" if len(files) == 1 else ".condense.npz")

    @cached_property
    def root(self) -> Path:
        """The folder below which all files lie."""
        return Path(os.path.commonpath([file.parent for file in self.files]))

    def index(self) -> Iterator[tuple[str, int]]:
        """Name below `root`, with / between folders, and bytes of every file."""
        for file, size, _ in self._states:
            yield file.relative_to(self.root).as_posix(), size

    @cached_property
    def _states(self) -> list[tuple[Path, int, int]]:
        states = ((file, file.stat()) for file in self.files)
        return [(file, state.st_size, state.st_mtime_ns) for file, state in states]

    @cached_property
    def stamp(self) -> bytes:
        """A digest of names, sizes and times of change of all files."""
        found = hashlib.sha256()
        for file, size, changed in self._states:
            found.update(os.fsencode(f"{file.relative_to(self.root).as_posix()}\0{size}\0{changed}\n"))
        return found.digest()

    @cached_property
    def _arrays(self) -> dict[str, np.ndarray]:
        if not self.place.is_file():
            return {}
        try:
            with opened(self.place, limit=LIMIT) as archive:
                arrays = {name: archive.read(name) for name in archive.members}
        except BadInput as error:
            note(f"warning: {error}; it is made again")
            return {}
        if not np.array_equal(arrays.pop("stamp", None), np.frombuffer(self.stamp, np.uint8)):
            note(f"{self.spec}: files were changed since {self.place.name} was written; what it says of them is taken again")
            return {}
        return arrays

    def get(self, name: str) -> np.ndarray | None:
        """An array that is kept; None where there is none, or the files were changed since."""
        return self._arrays.get(name)

    def put(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Keeps arrays beside those that are kept. Where the disk cannot be written, nothing is said and they hold only for this object."""
        self._arrays.update(arrays)
        with suppress(BadInput, RunFailed):
            write_npz(self.place, {**self._arrays, "stamp": np.frombuffer(self.stamp, np.uint8)})
