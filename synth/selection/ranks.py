"""Ranks: what small networks, called proxies, said of every training example after each epoch of their training. Scores are read from it.

The folder holds `ranks.json` and one array a field in `rank_FIELD.npy`, all little-endian. They are memory-mapped, so that a score reads
its fields and nothing else. There are K networks, T epochs and n examples, in the order of the training split. p are a network's
probabilities for an example as it is stored (without augmentation), z its logits, y the example's class, phi the input of the last linear
layer.

| field | array | holds, after every epoch |
|---|---|---|
| `probability` | f32[K T n] | p_y |
| `margin` | f32[K T n] | z_y - max over the other classes of z |
| `correct` | u8[K T n] | 1 where y has the largest logit |
| `error` | f32[K T n] | the norm of p minus the one-hot row of y |
| `entropy` | f16[K T n] | of p, in nats |
| `divergence` | f32[K T n] | KL(p after this epoch, p after the one before); the first epoch is compared with the network as it was drawn |
| `gradient` | f32[K T n] | `error` times the norm of (phi, 1): the norm of the loss's gradient by the last layer |
| `full_gradient` | f32[K T n] | the norm of the loss's gradient by all parameters; only where it was asked for |
| `label` | i32[n] | y |
| `embedding` | f16[n d] | phi of the first network after the last epoch |

The fields of every epoch take 23 bytes an example, epoch and network, and 27 with `full_gradient`.
"""

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int, Shaped

from synth.errors import BadInput
from synth.files.atomic import write_bytes
from synth.files.npz import read_npy_header
from synth.files.owned import open_owned
from synth.files.records import Flag, ListOf, Real, Table, Text, Whole, read_record

FORMAT = 1
RECORD = "ranks.json"
REMEDY = "give the folder that `condense rank --out DIR` made"
AGAIN = "rank the examples again"
PER_EPOCH = {
    "probability": "<f4",
    "margin": "<f4",
    "correct": "|u1",
    "error": "<f4",
    "entropy": "<f2",
    "divergence": "<f4",
    "gradient": "<f4",
}
FULL = {"full_gradient": "<f4"}
ONCE = {"label": "<i4", "embedding": "<f2"}
DTYPES = PER_EPOCH | FULL | ONCE
COUNT = Whole(1, 1 << 40)
HELD = Table(
    {
        **dict.fromkeys(("net", "data", "data_digest"), Text()),
        **dict.fromkeys(("networks", "epochs", "examples", "width"), COUNT),
        **dict.fromkeys(("format", "seed", "split_seed"), Whole(0, 1 << 48)),
        "full": Flag(),
        "classes": ListOf(Text(), least=2),
        "recipe": Table(rest=Real()),
        "sums": Table(rest=Whole(0, (1 << 32) - 1)),
    },
    rest=None,
)


@dataclass(frozen=True)
class Header:
    """The contents of `ranks.json`.

    Args:
      net: canonical specification of the proxies.
      networks, epochs, examples: K, T and n. width: d of the embedding.
      full: whether the norm of the full gradient is there.
      recipe: how the proxies were trained: step size and batch.
      data, data_digest, classes: specification of the data, digest of their contents, names of their classes.
      seed, split_seed: of the training, and of the validation split that it left out.
      sums: checksum (CRC-32) of every field's numbers, by field.
    """

    net: str
    networks: int
    epochs: int
    examples: int
    width: int
    full: bool
    recipe: dict[str, float]
    data: str
    data_digest: str
    classes: tuple[str, ...]
    seed: int
    split_seed: int
    sums: dict[str, int]
    format: int = field(default=FORMAT, kw_only=True)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of the array of every field that is there, by the field's name."""
        often = (self.networks, self.epochs, self.examples)
        fields = PER_EPOCH | (FULL if self.full else {})
        return dict.fromkeys(fields, often) | {"label": (self.examples,), "embedding": (self.examples, self.width)}


class Ranks:
    """The log of some proxies.

    Args:
      folder: where it lies; None for one in memory.
      header: what it is of.
      fields: the arrays by field, as the head of this file describes them.
    """

    def __init__(self, folder: Path | None, header: Header, fields: Mapping[str, Shaped[np.ndarray, "..."]]):
        self.folder, self.header, self._fields = folder, header, fields
        self.networks, self.epochs, self.examples = header.networks, header.epochs, header.examples
        self._checked: set[str] = set()

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the fields that are there."""
        return tuple(self._fields)

    def read(self, name: str) -> Shaped[np.ndarray, "..."]:
        """The array of a field, mapped for reading. Its numbers are compared with their checksum when they are read first.

        Raises BadInput where the field is not there, or its file is damaged.
        """
        if name not in self._fields:
            raise BadInput(f"--ranks {self.folder}: holds no {name} (there: {', '.join(self._fields)}); {AGAIN}")
        array = self._fields[name]
        if self.folder is not None and name not in self._checked:
            if checksum(array) != self.header.sums[name]:
                raise BadInput(f"{self.folder / file_name(name)}: is not as it was written; {AGAIN}")
            self._checked.add(name)
        return array

    def labels(self) -> Int[np.ndarray, " n"]:
        """The class index of every example, in the order of the training split."""
        return self.read("label")

    def embeddings(self) -> Float[np.ndarray, "n d"]:
        """The input of the last layer of the first network, after its last epoch: a row an example, f32."""
        return np.asarray(self.read("embedding"), np.float32)

    def identity(self) -> str:
        """A line that identifies this log, contents included."""
        header = self.header
        sums = zlib.crc32(json.dumps(header.sums, sort_keys=True).encode())
        trained = f"{header.networks} x {header.epochs} epochs of {header.net}, seed {header.seed}, contents {sums:08x}"
        return f"{trained}, {header.data} of digest {header.data_digest[:12]}, split {header.split_seed}"


def file_name(field: str) -> str:
    """The name of a field's file, `rank_FIELD.npy`."""
    return f"rank_{field}.npy"


def checksum(array: Shaped[np.ndarray, "..."]) -> int:
    """The CRC-32 of an array's bytes in C order. It does not depend on whether they lie in memory or in a file."""
    found = 0
    for row in array.reshape(-1, array.shape[-1]) if array.ndim > 1 else array[None]:
        found = zlib.crc32(np.ascontiguousarray(row).data, found)
    return found


def read_ranks(directory: str | Path, *, flag: str = "--ranks") -> Ranks:
    """Opens the log in a folder. Its header and the sizes of its files are checked; no number is read. Messages name the flag `flag`.

    Raises BadInput for a folder without a finished log, and for files that are not what the record says.
    """
    folder = Path(directory)
    header = read_header(folder, flag=flag)
    return Ranks(folder, header, {name: map_field(folder / file_name(name), name, shape) for name, shape in header.shapes().items()})


def read_header(folder: Path, *, flag: str = "--ranks") -> Header:
    """Reads and checks `ranks.json` in a folder. Raises BadInput, whose message may name `flag`, where it is missing or impossible."""
    path = folder / RECORD
    if not path.is_file():
        raise BadInput(f"{flag} {folder}: no {RECORD} there; {REMEDY} and finished")
    held: dict[str, Any] = read_record(path, HELD, what="is no record of ranks", remedy=REMEDY)
    if held["format"] != FORMAT:
        raise BadInput(f"{path}: is of format {held['format']}, and this version reads {FORMAT}; {AGAIN}")
    header = Header(**held | {"classes": tuple(held["classes"])})
    if missing := header.shapes().keys() - header.sums.keys():
        raise BadInput(f"{path}: is no record of ranks (it has no checksum of {min(missing)}); {REMEDY}")
    return header


def write_header(folder: Path, header: Header) -> None:
    """Writes `ranks.json` into the folder, whole or not at all; it comes last, so a folder that has it is finished."""
    write_bytes(folder / RECORD, (json.dumps(asdict(header), indent=1, allow_nan=False) + "\n").encode())


def map_field(path: Path, field: str, shape: tuple[int, ...]) -> np.ndarray:
    """The array in the file `path`, mapped for reading. The file must be an .npy of this shape and of the dtype that the field has; its own
    header is matched against that, never evaluated.

    Raises BadInput where the file is missing, or is not such an array.
    """
    dtype = np.dtype(DTYPES[field])
    try:
        with open_owned(path) as file:
            member, fortran, start = read_npy_header(file, str(path), False)
        if (member.dtype, member.shape, fortran) != (dtype, shape, False):
            raise BadInput(f"{path}: holds {member.dtype} of shape {member.shape}, not {dtype} of {shape}; {AGAIN}")
        if (length := path.stat().st_size) != start + math.prod(shape) * dtype.itemsize:
            raise BadInput(f"{path}: has {length} bytes, not the {start + math.prod(shape) * dtype.itemsize} of its array; {AGAIN}")
        return np.memmap(path, dtype, mode="r", offset=start, shape=shape)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read ({error.strerror or error}); {AGAIN}") from error
