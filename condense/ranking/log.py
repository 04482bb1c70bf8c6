"""The log of ranks while it is written: one file a field, epoch after epoch, and the record when all is there."""

import math
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from synth.errors import BadInput, RunFailed
from synth.files.memory import megabytes
from synth.selection.ranks import DTYPES, Header, checksum, file_name, map_field, write_header

SPARE = 1 << 26  # bytes that stay free beside the log: checkpoints and metrics


class RankLog:
    """The files of a log whose record is not written yet."""

    def __init__(self, folder: Path, header: Header):
        self.folder, self.header, self.shapes = folder, header, header.shapes()

    def whole(self) -> bool:
        """Whether all files are there and of the right size."""
        try:
            for name in self.shapes:
                self.read(name)
        except BadInput:
            return False
        return True

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The array that the file of a field holds so far, mapped for reading; 0 where nothing was written yet. Raises BadInput where the
        file is not there, or of another size."""
        return map_field(self.folder / file_name(name), name, self.shapes[name])

    def create(self) -> None:
        """Creates all files, full of zeros. Raises RunFailed where the disk has no room."""
        needed, free = log_bytes(self.header) + last_bytes(self.header), shutil.disk_usage(self.folder).free
        if needed + SPARE > free:
            fewer = "take fewer --networks, fewer --epochs, or another disk"
            raise RunFailed(f"--out {self.folder}: the log needs {megabytes(needed)} and the disk has {megabytes(free)} free; {fewer}")
        for name, shape in self.shapes.items():
            path = self.folder / file_name(name)
            try:
                path.unlink(missing_ok=True)
                with path.open("xb") as file:
                    np.lib.format.write_array_header_1_0(file, {"descr": DTYPES[name], "fortran_order": False, "shape": shape})
                    file.truncate(file.tell() + math.prod(shape) * np.dtype(DTYPES[name]).itemsize)
            except OSError as error:
                raise _full(path, error) from error

    def write_epoch(self, network: int, epoch: int, fields: Mapping[str, Shaped[np.ndarray, " n"]]) -> None:
        """Puts the fields of an epoch of a network, by name and a number an example, on the disk. Networks and epochs count from 0. Raises
        RunFailed where the disk refuses."""
        for name, row in fields.items():
            self.write(name, (network * self.header.epochs + epoch) * self.header.examples, row)

    def write(self, name: str, first: int, numbers: Shaped[np.ndarray, "..."]) -> None:
        """Puts numbers on the disk, in the place of as many of the field `name`, from the number `first` of its flattened array on. Raises
        RunFailed where the disk refuses."""
        path, dtype = self.folder / file_name(name), np.dtype(DTYPES[name])
        try:
            # written, not mapped: a full disk is an error here, and the death of the process there
            with path.open("r+b") as file:
                file.seek(path.stat().st_size - (math.prod(self.shapes[name]) - first) * dtype.itemsize)
                file.write(np.ascontiguousarray(numbers, dtype).tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _full(path, error) from error

    def finish(self) -> None:
        """Writes the record, with the checksum of every field."""
        sums = {name: checksum(self.read(name)) for name in self.shapes}
        write_header(self.folder, replace(self.header, sums=sums))


class LastLogits:
    """The logits of all examples after the latest epoch, f32[n classes], in a file without a name that goes with the process: of many
    examples in many classes they are more than memory should hold twice.

    Args:
      folder: whose disk holds them. header: says how many examples and classes there are.
    """

    def __init__(self, folder: Path, header: Header):
        self.folder, self._classes = folder, len(header.classes)
        try:
            self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
            self._file.truncate(last_bytes(header))
        except OSError as error:
            raise _full(folder, error) from error

    def swap(self, first: int, logits: Float[np.ndarray, "m classes"]) -> Float[np.ndarray, "m classes"]:
        """Puts the logits of the examples from number `first` on in the place of their earlier ones, and returns those. Raises RunFailed
        where the disk refuses."""
        try:
            self._file.seek(at := 4 * first * self._classes)
            before = np.frombuffer(self._file.read(logits.nbytes), np.float32).reshape(logits.shape)
            self._file.seek(at)
            self._file.write(np.ascontiguousarray(logits, np.float32).data)
            self._file.flush()
        except OSError as error:
            raise _full(self.folder, error) from error
        return before

    def close(self) -> None:
        """Gives the file back to the disk."""
        with suppress(OSError):  # of numbers that the disk has refused before
            self._file.close()


def last_bytes(header: Header) -> int:
    """Bytes of the logits of all examples after one epoch."""
    return 4 * header.examples * len(header.classes)


def log_bytes(header: Header) -> int:
    """Bytes of the numbers of all fields of a log."""
    return sum(math.prod(shape) * np.dtype(DTYPES[name]).itemsize for name, shape in header.shapes().items())


def _full(path: Path, error: OSError) -> RunFailed:
    return RunFailed(f"{path}: cannot write ({error.strerror or error}); make room and run the same command again")
