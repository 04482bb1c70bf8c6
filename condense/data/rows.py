"""Raw rows of a data set, and their views in model space.

This is the contract between what reads a place (`condense.data.readers`) and everything that trains, fits, selects or scores. A reader
returns `Rows` for training and `Rows` for the test. Rows may lie in memory, lie in a file, or be decoded when somebody asks for them.
Whoever uses them assumes no array:

- `take(index)` returns the rows that `index` names, in the order of `index`, as an array [m ...] of `dtype`. An index is an array of whole
  numbers in [0, n). It may name a row several times, and it may be empty. The same index always returns the same bits.
- `y` holds the class index of every row, i32[n], in memory.
- `shape` is the shape that an array of all rows would have, n first. `dtype` is uint8 (0..255) or a float type; float images lie in [0, 1].
- `in_memory` says whether all rows lie in memory already. Only then may a view keep a copy of them in model space.

`InMemory` is one implementation. Another one writes these five and nothing else: parts, limits, normalisation and statistics are built on
them here.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float32, Int, Int32, UInt8

from condense.data.whitened import Whitened
from synth.base import Examples
from synth.files.memory import MemoryBudget
from synth.images.preprocess import CHUNK, Preprocess, Standard, unit

LARGE = 1 << 28  # bytes that may be taken without a count of what is free


@runtime_checkable
class Rows(Protocol):
    """Raw rows of one data set and their class indices, wherever they lie; the head of this file is the whole contract.

    `in_memory` says whether all rows lie in memory already.
    """

    in_memory: bool

    @property
    def y(self) -> Int32[np.ndarray, " n"]:
        """The class index of every row."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the shape of one."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array that `take` returns."""
        ...

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """The raw rows with the numbers `index` in [0, n), in its order, as an array [m ...] of `dtype`. A number may be there several
        times."""
        ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Rows that are an array `x` [n ...] of raw examples, and their class indices."""

    x: np.ndarray
    y: Int32[np.ndarray, " n"]
    in_memory = True

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.x.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the array."""
        return self.x.dtype

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """A copy of the rows that `index` names, in its order."""
        return self.x[np.asarray(index, np.int64)]


@dataclass(frozen=True, eq=False)
class Part:
    """The rows that `index` names, in its order; a part of other `Rows`, and itself `Rows`. It copies only class indices."""

    rows: Rows
    index: Int[np.ndarray, " n"]

    @property
    def in_memory(self) -> bool:
        """Whether the rows that this is a part of lie in memory."""
        return self.rows.in_memory

    @cached_property
    def y(self) -> Int32[np.ndarray, " n"]:
        """The class index of every row of the part."""
        return self.rows.y[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows of the part, then the shape of one."""
        return (len(self.index), *self.rows.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self.rows.dtype

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """The rows that `index` names, in its order. It counts the rows of the part from 0, not those of the whole."""
        return self.rows.take(self.index[np.asarray(index, np.int64)])

    @property
    def crops(self) -> bool:
        """Whether networks are trained on random parts of the rows, as `take_crops` gives them."""
        return getattr(self.rows, "crops", False)

    def take_crops(self, index: Int[np.ndarray, " m"], seeds: Int[np.ndarray, " m"]) -> np.ndarray:
        """A random part of each row that `index` names, as its seed says."""
        return self.rows.take_crops(self.index[np.asarray(index, np.int64)], seeds)


def pieces(rows: Rows) -> Iterator[np.ndarray]:
    """All raw rows in their order, as arrays [m ...] of `CHUNK` (2,048) rows; the last one holds what is left."""
    for at in range(0, rows.shape[0], CHUNK):
        yield rows.take(np.arange(at, min(at + CHUNK, rows.shape[0])))


@dataclass(frozen=True, eq=False)
class Slices:
    """Gives `Rows` the interface that `synth.images.preprocess.fit` reads: a length, a shape, a dtype and slices."""

    rows: Rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the rows: their number, then the shape of one."""
        return self.rows.shape

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self.rows.dtype

    def __len__(self) -> int:
        return self.rows.shape[0]

    def __getitem__(self, where: slice) -> np.ndarray:
        return self.rows.take(np.arange(*where.indices(len(self))))


@dataclass(frozen=True, eq=False)
class View:
    """Rows in model space: a `synth.base.Split`, which feeds, teachers, statistics, starts and scores read.

    `take` normalises the rows that it takes, and keeps none of them, save what the next paragraph says.

    A row has the same bits whatever is taken beside it. Where the preprocessing computes every number from that number alone, this holds by
    itself. Whitening is a matrix product, which may round a row differently in another batch. So the view whitens all rows, once, in pieces
    of `CHUNK`, when the first is taken, and keeps the result: in memory where rows lie there, else in a file without a name.

    Args:
      rows: the raw rows.
      preprocess: from raw to model space.
      y: their class indices.
    """

    rows: Rows
    preprocess: Preprocess
    y: Int32[np.ndarray, " n"]

    def __len__(self) -> int:
        return self.rows.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the shape of one."""
        return self.rows.shape

    @property
    def in_memory(self) -> bool:
        """Whether the raw rows lie in memory. Where they do not, whoever needs all of them takes them in pieces
        (`synth.training.stream`)."""
        return self.rows.in_memory

    def take(self, index: Int[np.ndarray, " m"]) -> Examples:
        """The rows that `index` names, in its order, with their class indices: x is f32[m ...] in model space, normalised or whitened.

        Raises BadInput where rows stay in their files, and so many of them would take more memory than may be taken.
        """
        index = np.asarray(index, np.int64)
        needed = 4 * len(index) * math.prod(self.shape[1:])
        if needed > LARGE and not self.rows.in_memory:
            remedy = "take fewer, as by limit=N, or smaller ones"
            MemoryBudget(f"{len(index):,} of the rows, which stay in their files, at once", remedy=remedy).take(needed)
        if self.preprocess.elementwise:
            return Examples(self._model_space(index), self.y[index])
        return Examples(self._whitened.take(index), self.y[index])

    def prepare(self) -> None:
        """Makes what the first `take` makes, a whitening of all rows, now: threads that take rows cannot be interrupted."""
        if not self.preprocess.elementwise:
            self._whitened.prepare()

    @property
    def packed(self) -> bool:
        """Whether raw rows are bytes that a device can normalise, a channel at a time. Then `unpack(take_bytes(index))` has the bits of
        `take(index).x`."""
        return self.rows.dtype == np.uint8 and isinstance(self.preprocess, Standard)

    def take_bytes(self, index: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m ..."]:
        """The raw rows that `index` names, in its order. Only for a view that is `packed`."""
        return self.rows.take(np.asarray(index, np.int64))

    @property
    def crops(self) -> bool:
        """Whether networks are trained on random parts of the rows, as the option `crops` of pictures in files says. Then `take_crops`
        gives them, where the view is `packed`."""
        return getattr(self.rows, "crops", False)

    def take_crops(self, index: Int[np.ndarray, " m"], seeds: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m ..."]:
        """A random part of each raw row that `index` names, of the size of rows, in its order. The seed of a row alone says which part."""
        return self.rows.take_crops(np.asarray(index, np.int64), seeds)

    def unpack(self, raw: UInt8[np.ndarray, "m ..."] | UInt8[Array, "m ..."]) -> Float32[Array, "m ..."]:
        """Raw rows in model space, moved to the device as bytes if they are not there. Only for a view that is `packed`."""
        bytes_of_channels = np.arange(256, dtype=np.uint8).reshape(-1, 1).repeat(raw.shape[-1], 1)
        return _looked_up(jnp.asarray(raw), jnp.asarray(self.preprocess.apply(unit(bytes_of_channels))))

    def unlabelled(self) -> "View":
        """The same rows as examples of one class, 0."""
        made = replace(self, y=np.zeros_like(self.y))
        made.__dict__["_whitened"] = self._whitened  # it is made once for both
        return made

    @cached_property
    def _whitened(self) -> Whitened:
        return Whitened(replace(self)._model_space, self.shape, self.in_memory)  # not of this view, which would never be freed

    def _model_space(self, index: np.ndarray) -> Float32[np.ndarray, "m ..."]:
        x = np.empty((len(index), *self.shape[1:]), np.float32)
        for at in range(0, len(index), CHUNK):
            x[at : at + CHUNK] = self.preprocess.apply(unit(self.rows.take(index[at : at + CHUNK])))
        return x


@jax.jit
def _looked_up(raw, table):
    """What the table [256 c] holds of every byte. Computed here, a compiler would round it otherwise."""
    channels = jnp.arange(table.shape[1], dtype=jnp.int32).reshape((1,) * (raw.ndim - 1) + (-1,))
    return jnp.take(table.ravel(), raw.astype(jnp.int32) * table.shape[1] + channels)


def view(rows: Rows, preprocess: Preprocess) -> View:
    """The rows in model space, with their own class indices."""
    return View(rows, preprocess, rows.y)
