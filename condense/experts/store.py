"""Trajectories on disk: `experts.json` and, for each expert, `expert_0000.npy` f32[epochs + 1, parameters], row t after t epochs; or, where
the ends alone are recorded, f32[2, parameters], before training and after the last epoch.

Rows are flat parameters in the order of `jax.flatten_util.ravel_pytree(params)`. Files are memory-mapped, so that a matching step reads its
rows and nothing else. `experts.json` is written after its arrays, and says of an unfinished training how many experts are there.
"""

import json
import math
import os
import shutil
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float32

from condense.data.readers.source import regular
from condense.nets.registry import BY_AXES
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.memory import megabytes
from synth.files.npz import read_npy_header
from synth.files.owned import open_owned
from synth.files.records import Either, Flag, ListOf, Real, Table, Text, Whole, read_record
from synth.options import Precision

FORMAT = 1
RECORD = "experts.json"
SPARE = 1 << 26  # bytes that stay free beside the trajectories: checkpoints and logs
REMEDY = "give the folder that `condense experts --out DIR` made"
COUNT = Whole(1, 1 << 48)
HELD = Table(
    {
        **dict.fromkeys(("net", "recipe", "data", "data_digest", "preprocess"), Text()),
        **dict.fromkeys(("asked", "epochs", "size"), COUNT),
        **dict.fromkeys(("format", "count", "seed", "split_seed"), Whole(0, 1 << 48)),
        "options": Table(rest=Either((Real(), Flag()))),
        "image": ListOf(Whole(1, 1 << 20), least=1, most=3),
        "classes": ListOf(Text(), least=1),
        "accuracy": ListOf(ListOf(Real(0, 1))),
    },
    {"sums": ListOf(ListOf(Whole(0, (1 << 32) - 1))), "precision": Text(get_args(Precision)), "ends": Flag()},
    rest=None,
)


def name(expert: int) -> str:
    """The name of the file of an expert, numbered from 0: `expert_0003.npy`."""
    return f"expert_{expert:04d}.npy"


def checksum(row: Float32[np.ndarray, " p"]) -> int:
    """Tells the parameters of one epoch from others: the CRC-32 of their bytes as little-endian f32."""
    return zlib.crc32(np.ascontiguousarray(row, "<f4").data)


@dataclass(frozen=True)
class Header:
    """The contents of `experts.json`.

    Args:
      net: canonical specification. recipe, options: how they were trained.
      asked, count: how many experts were asked for and how many are there. epochs, size: of each, and its number of parameters.
      image, classes: what the networks take and give.
      data, data_digest, preprocess: specification, digest of the contents, digest of what leads to model space.
      seed, split_seed: of the training, and of the validation split that it left out.
      accuracy: on the validation split by expert and epoch (0: before training), fractions; empty where there is no such split.
      sums: checksums (CRC-32) of the parameters, by expert and recorded epoch; empty where an older version wrote the record.
      precision: of the products in the networks while they were trained; the record names it where it is not f32.
      ends: whether the parameters before training and after the last epoch alone are recorded.
    """

    net: str
    recipe: str
    options: dict[str, float | int | bool]
    asked: int
    count: int
    epochs: int
    size: int
    image: tuple[int, ...]
    classes: tuple[str, ...]
    data: str
    data_digest: str
    preprocess: str
    seed: int
    split_seed: int
    accuracy: tuple[tuple[float, ...], ...]
    sums: tuple[tuple[int, ...], ...] = field(default=(), kw_only=True)
    precision: Precision = field(default="f32", kw_only=True)
    ends: bool = field(default=False, kw_only=True)
    format: int = field(default=FORMAT, kw_only=True)

    @property
    def kept(self) -> range:
        """The epochs after which parameters are recorded (0: before training), in the order of a file's rows."""
        return kept_epochs(self.epochs, self.ends)


class Experts:
    """Recorded trajectories; the fields of `Header`, and the parameters by expert and epoch."""

    def __init__(self, folder: Path, header: Header, files: Sequence[np.ndarray]):
        self.folder, self.header, self._files = folder, header, tuple(files)
        self.net, self.count = header.net, header.count
        self.epochs, self.size = header.epochs, header.size
        self.data_digest, self.split_seed, self.ends = header.data_digest, header.split_seed, header.ends

    def identity(self) -> str:
        """A line that identifies these experts."""
        options = ", ".join(f"{key}={value}" for key, value in self.header.options.items())
        rounded = "" if self.header.precision == "f32" else f" in {self.header.precision}"
        trained = f"{self.count} x {self.epochs} epochs of {self.header.recipe}({options}){rounded}, seed {self.header.seed}"
        return f"{trained}, {self.net}, {self.header.data} of digest {self.data_digest[:12]}, split {self.split_seed}"

    def read(self, expert: int, epochs: Sequence[int]) -> Float32[np.ndarray, "k p"]:
        """Parameters of an expert after each of the epochs (0: as initialised). Raises BadInput for an epoch that is not recorded, and
        where a number is not finite or not as it was written."""
        if gone := [epoch for epoch in epochs if epoch not in self.header.kept]:
            raise BadInput(
                f"{self.folder}: holds no parameters after epoch {gone[0]}; train experts without --ends, or read 0 and {self.epochs}"
            )
        places = [self.header.kept.index(epoch) for epoch in epochs]
        rows = np.array(self._files[expert][places])
        for epoch, place, row in zip(epochs, places, rows, strict=True) if self.header.sums else ():
            if checksum(row) != self.header.sums[expert][place]:
                raise BadInput(f"{self.folder / name(expert)}: is not as it was trained (after epoch {epoch}); train the experts again")
        if not np.isfinite(rows).all():
            raise BadInput(f"{self.folder / name(expert)}: holds numbers that are not finite; train the experts again")
        return rows

    def first(self, expert: int) -> Float32[np.ndarray, " p"]:
        """Parameters as initialised."""
        return self.read(expert, [0])[0]

    def last(self, expert: int) -> Float32[np.ndarray, " p"]:
        """Parameters after the last epoch."""
        return self.read(expert, [self.epochs])[0]


def load_experts(folder: str | os.PathLike) -> Experts:
    """Opens the experts of a folder. Their files are checked and memory-mapped; no row is read.

    Raises BadInput for a folder without experts, an unfinished training, and files that are damaged or are not what the record says.
    """
    folder = Path(folder)
    header = read_header(folder)
    if header.count < header.asked:
        raise BadInput(f"--experts {folder}: {header.count} of {header.asked} experts are trained; run `condense experts` there to the end")
    return Experts(folder, header, [_mapped(folder / name(expert), len(header.kept), header.size) for expert in range(header.count)])


def read_header(folder: Path) -> Header:
    """Reads and checks the header in a folder. Raises BadInput if it is missing or impossible."""
    path = regular(folder / RECORD, f"--experts {folder}", remedy=REMEDY)
    held = read_record(path, HELD, what="is no record of experts", remedy=REMEDY)
    try:
        return _checked(held)
    except ValueError as error:
        raise BadInput(f"{path}: is no record of experts ({error}); {REMEDY}") from error


def write_header(folder: Path, header: Header) -> None:
    """Writes the header, whole or not at all."""
    held = {name: value for name, value in asdict(header).items() if (name, value) not in (("precision", "f32"), ("ends", False))}
    write_bytes(folder / RECORD, (json.dumps(held, indent=1, allow_nan=False) + "\n").encode())


def _checked(held: dict) -> Header:
    if held["format"] != FORMAT:
        raise ValueError(f"its format is {held['format']}; this version reads {FORMAT}")
    if held["count"] > held["asked"]:
        raise ValueError("count must be at most asked")
    for key, ends in (("accuracy", False), ("sums", held.get("ends", False))):
        rows, length = held.get(key, []), len(kept_epochs(held["epochs"], ends))
        if rows and (len(rows) != held["count"] or any(len(row) != length for row in rows)):
            raise ValueError(f"{key} must hold {'2' if ends else 'epochs + 1'} numbers for each expert, or be empty")
    lists = {key: tuple(map(tuple, held.get(key, ()))) for key in ("accuracy", "sums")}
    if len(held["image"]) not in BY_AXES:
        raise ValueError("image must be height, width and channels, or one number for vectors")
    return Header(**held | lists | {"image": tuple(held["image"]), "classes": tuple(held["classes"])})


def _mapped(path: Path, rows: int, size: int) -> np.ndarray:
    """The array of a file, f32[rows size], mapped for reading. The file's header is matched against that, never evaluated."""
    regular(path, f"--experts {path.parent}", remedy="train the experts again")
    try:
        with open_owned(path) as file:
            member, fortran, start = read_npy_header(file, str(path), False)
        if (member.dtype, member.shape, fortran) != (np.dtype("<f4"), (rows, size), False):
            raise BadInput(f"{path}: holds {member.dtype} of shape {member.shape}, not f32[{rows}, {size}]; train the experts again")
        if (length := path.stat().st_size) != start + rows * size * 4:
            raise BadInput(f"{path}: has {length} bytes, not the {start + rows * size * 4} of its array; train the experts again")
        return np.memmap(path, np.float32, mode="r", offset=start, shape=(rows, size))
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); train the experts again") from error


def kept_epochs(epochs: int, ends: bool) -> range:
    """The epochs after which the parameters of a training of so many (>= 1) are recorded, 0 before training: all, or the ends alone."""
    return range(0, epochs + 1, epochs if ends else 1)


def bytes_needed(count: int, epochs: int, size: int, *, ends: bool = False) -> int:
    """Bytes on disk of `count` trajectories, each of `epochs` + 1 times `size` parameters in f32; of 2 times where the ends alone are
    recorded."""
    return count * len(kept_epochs(epochs, ends)) * size * 4


def check_room(folder: Path, needed: int) -> None:
    """Raises RunFailed if the folder's disk has no room for `needed` more bytes and 64 MiB beside them."""
    free = shutil.disk_usage(folder).free
    if needed + SPARE > free:
        raise RunFailed(
            f"--out {folder}: the trajectories need {megabytes(needed)} and the disk has {megabytes(free)} free;"
            " take fewer --count, fewer --epochs, a smaller --net, or another disk"
        )


class Recorder:
    """Writes one expert's trajectory, a row for each of the epochs `kept`: rows go into a hidden file, which gets its final name after the
    last row."""

    def __init__(self, folder: Path, expert: int, kept: range, size: int):
        self.path = folder / name(expert)
        self.partial = folder / f".{name(expert)}.partial"
        self.kept, self.shape = kept, (len(kept), size)

    def reopen(self) -> None:
        """Hides the expert's file again where it has its final name, as a process that died before it wrote the record leaves it. Else does
        nothing. Raises RunFailed if the disk refuses."""
        try:
            if self.path.is_file() and not self.partial.exists():
                os.replace(self.path, self.partial)
        except OSError as error:
            raise _full(self.path, error) from error

    def create(self) -> None:
        """Creates the hidden file in its full length, all zeros, in place of one that is there. Raises RunFailed if the disk refuses."""
        try:
            self.partial.unlink(missing_ok=True)
            with self.partial.open("xb") as file:
                shape = {"descr": "<f4", "fortran_order": False, "shape": self.shape}
                np.lib.format.write_array_header_1_0(file, shape)
                file.truncate(file.tell() + math.prod(self.shape) * 4)
        except OSError as error:
            raise _full(self.partial, error) from error

    def row(self, epoch: int) -> np.ndarray | None:
        """Reads the parameters after one of the epochs `kept` (0: before training) back from the hidden file; None if there is no such
        file, or a damaged one."""
        try:
            return np.array(_mapped(self.partial, *self.shape)[self.kept.index(epoch)])
        except BadInput:
            return None

    def write(self, epoch: int, params: Float32[np.ndarray, " p"]) -> None:
        """Puts the parameters after an epoch (0: before training) on the disk, if it is one of those `kept`. Raises RunFailed where the
        disk refuses."""
        if epoch not in self.kept:
            return
        try:
            # written, not mapped: a full disk is an error here, and the death of the process there
            with self.partial.open("r+b") as file:
                file.seek(self.partial.stat().st_size - (self.shape[0] - self.kept.index(epoch)) * self.shape[1] * 4)
                file.write(np.ascontiguousarray(params, "<f4").tobytes())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _full(self.partial, error) from error

    def finish(self) -> tuple[int, ...]:
        """Gives the file its final name, and returns the `checksum` of every row, from before training on."""
        os.replace(self.partial, self.path)
        return tuple(checksum(row) for row in _mapped(self.path, *self.shape))


def _full(path: Path, error: OSError) -> RunFailed:
    return RunFailed(f"{path}: cannot write ({error.strerror or error}); make room and run the same command again")
