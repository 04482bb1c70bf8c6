"""Rows of files that can only be read from their beginning on, compressed ones and texts, for whoever looks at all in their order: a row
that lies before the last one costs a new beginning."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int, Int32

from synth.errors import BadInput


@dataclass(eq=False)
class InOrder:
    """Rows of a file that can only be read from its beginning on. One piece of them is in memory; a row before that piece begins the file
    anew.

    Args:
      begin: gives an iterator over all rows from the first on, as arrays [k ...] of one type.
      y: the class index of every row. look: the shape of a row, and `dtype` its type.
      spec: begins messages.
    """

    begin: Callable[[], Iterator[np.ndarray]]
    y: Int32[np.ndarray, " n"]
    look: tuple[int, ...]
    dtype: np.dtype
    spec: str
    in_memory = False
    first: int = field(default=0, init=False)
    held: np.ndarray | None = field(default=None, init=False, repr=False)
    stream: Iterator[np.ndarray] | None = field(default=None, init=False, repr=False)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the shape of one."""
        return (len(self.y), *self.look)

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """A copy of the rows that `index` names, in its order. Raises BadInput where the file ends before one."""
        index = np.asarray(index, np.int64)
        x = np.empty((len(index), *self.look), self.dtype)
        for place in np.argsort(index, kind="stable").tolist():
            x[place] = self.row(int(index[place]))
        return x

    def row(self, at: int) -> np.ndarray:
        """The row with the number `at`, from 0. Raises BadInput where the file ends before it."""
        if self.stream is None or at < self.first:
            self.first, self.held, self.stream = 0, np.empty((0, *self.look), self.dtype), self.begin()
        while at >= self.first + len(self.held):
            self.first += len(self.held)
            self.held = next(self.stream, None)
            if self.held is None:
                self.stream = None
                raise BadInput(f"{self.spec}: ends before row {at} of {len(self.y)}, it was changed while it was read; read it again")
        return self.held[at - self.first]
