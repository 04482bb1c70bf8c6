"""Rows of columns that stay where they are and are read when they are taken, a batch at a time; quickly where that is in their order."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int32

from synth.errors import BadInput

FAR = 4096  # rows ahead from which on columns are asked anew, as they may skip what lies between
TOGETHER = 64  # rows that are made into an array at a time


@runtime_checkable
class Columns(Protocol):
    """Rows in columns.

    `shown` is what messages call them, `stored` the bytes that hold them (None where that says nothing), `kinds` the kind of every column
    by name: `picture`, `array`, `class`, `plain`, or another, which is not read.
    """

    shown: str
    stored: int | None
    kinds: dict[str, str]

    def __len__(self) -> int: ...

    def batches(self, names: Sequence[str], *, first: int = 0) -> Iterator[dict[str, Sequence]]:
        """The values of these columns from the row `first` on, by name of column, a batch of rows after another; how many are in a batch is
        not said."""
        ...

    def classes(self, name: str) -> tuple[str, ...]:
        """The names of the classes in a column of kind `class`, in the order of the class indices; () for others."""
        ...


class Column:
    """The values of one column by number. Only one batch of them is held."""

    def __init__(self, spec: str, part: Columns, name: str):
        self.spec, self.part, self.name = spec, part, name
        self.first, self.held, self.stream = 0, (), part.batches([name])

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, at: int) -> Any:
        if not 0 <= at < len(self):
            raise IndexError(at)
        if not 0 <= at - self.first < len(self.held) + FAR:
            self.first, self.held, self.stream = at, (), self.part.batches([self.name], first=at)
        while at >= self.first + len(self.held):
            self.first += len(self.held)
            self.held = next(self.stream, {self.name: ()})[self.name]
            if not len(self.held):
                raise BadInput(f"{self.spec}: {self.part.shown} ends before row {at}, and declares {len(self)} rows; write it again")
        return self.held[at - self.first]


@dataclass(frozen=True, eq=False)
class Arrays:
    """A column of arrays as rows.

    Args:
      values: the column. y: the class index of every row. look: the shape of a row, and `dtype` the type, once it is converted.
      convert: turns raw arrays [m ...] into rows.
    """

    values: Column
    y: Int32[np.ndarray, " n"]
    look: tuple[int, ...]
    dtype: np.dtype
    convert: Callable[[np.ndarray], np.ndarray]
    in_memory = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the shape of one."""
        return (len(self.y), *self.look)

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """The rows that `index` names, in its order, converted."""
        index = np.asarray(index, np.int64)
        x, order = np.empty((len(index), *self.look), self.dtype), np.argsort(index, kind="stable")
        for at in range(0, len(index), TOGETHER):
            some = order[at : at + TOGETHER]
            x[some] = self.convert(np.asarray([np.asarray(self.values[row]) for row in index[some].tolist()]))
        return x
