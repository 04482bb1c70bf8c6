"""Rows of graphs: what graph readers return, and the views of them that methods and networks read.

This is for graphs what `condense.data.rows` is for images and vectors. `take(index)` returns the graphs that `index` names, in its order,
as a table (`synth.graphs.base.Graphs`) whose edges stand graph after graph; `y` holds the class index of every graph, in memory. Whoever
uses rows assumes no table of all graphs. `GraphsInMemory` is one implementation; another one writes these two and nothing else.
"""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int, Int32

from synth.graphs.base import Alphabet, GraphExamples, Graphs

PIECE = 1 << 14  # graphs in memory at a time, where all of them are looked at once


@runtime_checkable
class GraphRows(Protocol):
    """Graphs of one data set and their class indices, wherever they lie; the head of this file is the whole contract."""

    @property
    def y(self) -> Int32[np.ndarray, " g"]:
        """The class index of every graph."""
        ...

    def take(self, index: Int[np.ndarray, " m"]) -> Graphs:
        """The graphs that `index` names, in its order, as one table."""
        ...


@dataclass(frozen=True, eq=False)
class GraphsInMemory:
    """Graphs that are one table in memory, and their class indices."""

    graphs: Graphs
    y: Int32[np.ndarray, " g"]

    @cached_property
    def _edges(self) -> tuple[np.ndarray, np.ndarray]:
        return self.graphs.edges_by_graph()

    def take(self, index: Int[np.ndarray, " m"]) -> Graphs:
        """A copy of the graphs that `index` names, in its order, as one table."""
        return self.graphs.take(index, edges=self._edges)


@dataclass(frozen=True, eq=False)
class ChangedGraphs:
    """Graphs to which `change` is applied whenever they are taken. What it makes of a graph must not depend on the graphs beside it."""

    rows: GraphRows
    change: Callable[[Graphs], Graphs] = field(repr=False)

    @property
    def y(self) -> Int32[np.ndarray, " g"]:
        """The class index of every graph."""
        return self.rows.y

    def take(self, index: Int[np.ndarray, " m"]) -> Graphs:
        """The changed graphs that `index` names, in its order, as one table."""
        return self.change(self.rows.take(index))


@dataclass(frozen=True, eq=False)
class GraphView:
    """A part of a data set's graphs as examples, which `take` hands out as that of a `synth.base.Split` does.

    Args:
      rows, index: the graphs, and which of them belong to the part.
      classes: the number of classes. alphabet: of all graphs of the data.
    """

    rows: GraphRows
    index: Int[np.ndarray, " n"]
    classes: int
    alphabet: Alphabet
    in_memory = True

    @cached_property
    def y(self) -> Int32[np.ndarray, " n"]:
        """The class index of every graph of the part."""
        return self.rows.y[self.index]

    def take(self, index: Int[np.ndarray, " m"]) -> GraphExamples:
        """The graphs that `index` names, in its order, with class indices. It counts the graphs of the part from 0, not all of the data."""
        index = np.asarray(index, np.int64)
        return GraphExamples(self.rows.take(self.index[index]), self.y[index], self.classes, self.alphabet)


def pieces(rows: Any) -> Iterator[Any]:
    """All graphs of some rows or of a view in their order, at most `PIECE` (16,384) at a time, as its `take` gives them."""
    for at in range(0, len(rows.y), PIECE):
        yield rows.take(np.arange(at, min(at + PIECE, len(rows.y))))


def digest_of_graphs(rows: GraphRows, classes: tuple[str, ...]) -> str:
    """SHA-256 of the class names, of every field of one table of all graphs, and of their class indices, in hexadecimal."""
    found = hashlib.sha256("\0".join(classes).encode())
    lengths = np.zeros(len(Graphs._fields), np.int64)
    for piece in pieces(rows):
        lengths += [len(array) for array in piece]
    for name, length in zip(Graphs._fields, lengths.tolist(), strict=True):
        found.update(f"<i4{(length,)}".encode())
        nodes = 0
        for piece in pieces(rows):
            array = getattr(piece, name) + (nodes if name in ("senders", "receivers") else 0)  # nodes run through all graphs
            found.update(array.astype("<i4").data)
            nodes += len(piece.tags)
    found.update(f"<i4{rows.y.shape}".encode() + rows.y.astype("<i4").tobytes())
    return found.hexdigest()
