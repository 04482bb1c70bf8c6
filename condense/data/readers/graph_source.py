"""The return type of graph readers, and functions that they share. They check everything that a file says."""

import contextlib
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from condense.data.graph_rows import GraphRows, GraphsInMemory
from condense.data.readers.base import TRUTH, Number
from condense.data.readers.source import AGAIN, regular
from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.graphs.base import Graphs

LARGEST = 1 << 30  # bytes of one file
LINE = 1 << 22  # bytes of one line
PIECE = 1 << 22  # bytes of a compressed file that are counted at a time
EACH = 16  # bytes of memory that a byte of text becomes at most: a number of two letters is held as 8 bytes, and as 4 in several arrays
OPTIONS = {"degree": TRUTH, "edges": TRUTH, "unique": TRUTH, "split": Number(least=0, most=10**6)}  # of every reader of graphs


class GraphSource(NamedTuple):
    """Graphs as they are in the files.

    Args:
      rows: the graphs, with tags and edge labels numbered from 0 in the order of the values in the file, and class indices in the order of
        the labels in the file.
      classes: those labels as text.
      tagged: whether the nodes have tags of their own.
      tags: what each tag is called.
      test: the numbers of the graphs of a published test fold; None where none is asked for.
    """

    rows: GraphRows
    classes: tuple[str, ...]
    tagged: bool
    tags: tuple[str, ...]
    test: Int[np.ndarray, " t"] | None = None
    modality = "graphs"


def lines_of(path: Path, spec: str, memory: MemoryBudget) -> Iterator[str]:
    """The lines of a text file, one after another, without their ends.

    Raises BadInput where the file, with what is made of it, is too large for `memory`, or where a line is no text or very long.
    """
    regular(path, spec, remedy="name a file that is there")
    zipped = path.suffix == ".gz"
    size, held = path.stat().st_size, path.stat().st_blocks * 512
    if size > LARGEST:
        raise BadInput(f"{spec}: {path} is larger than {LARGEST} bytes; such a file is not read")
    memory.take(EACH * size, stored=min(size, held) if held else None)
    with whole(path, spec), (gzip.open if zipped else open)(path, "rb") as file:
        number, counted = 0, size
        while line := file.readline(LINE + 1):
            number += 1
            if zipped and file.tell() > counted:
                memory.take(EACH * PIECE, stored=0)
                counted += PIECE
            if len(line) > LINE:
                raise BadInput(f"{spec}: line {number} of {path} is longer than {LINE} bytes; such a file is not read")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")  # some programs begin a text with a byte order mark
            except UnicodeDecodeError:
                raise BadInput(f"{spec}: {path} is no text; name a text file") from None
            yield from text.splitlines() or [""]


@contextlib.contextmanager
def whole(path: Path, spec: str) -> Iterator[None]:
    """Raises BadInput where a compressed file turns out to be damaged while it is read in the block."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise BadInput(f"{spec}: {path} is damaged ({error}); {AGAIN}") from None


def numbered_graphs(spec, nodes, tags, ends, kinds, labels) -> GraphSource:
    """Builds a `GraphSource` in which node tags, edge labels and class labels are numbered from 0 in ascending order of the values in the
    file.

    Args:
      nodes: the number of nodes of every graph.
      tags: a value for every node; None gives all the tag 0. Where all are alike, nodes count as untagged.
      ends: sender and receiver of every directed edge, [e 2], numbers of nodes that run through all graphs.
      kinds: a value for every edge; None gives all the label 0.
      labels: the class label of every graph.

    Raises BadInput if there are no nodes or fewer than two classes.
    """
    count = int(np.sum(nodes))
    if not count or len(set(np.asarray(labels).tolist())) < 2:
        raise BadInput(
            f"{spec}: there are {len(labels)} graphs with {len(set(np.asarray(labels).tolist()))} classes; there must be two or more"
        )
    names, y = np.unique(labels, return_inverse=True)
    tag_names, tag = (np.array([0]), np.zeros(count)) if tags is None else np.unique(tags, return_inverse=True)
    kind = np.zeros(len(ends)) if kinds is None else np.unique(kinds, return_inverse=True)[1]
    ends = np.asarray(ends, np.int32)
    graphs = Graphs(np.asarray(nodes, np.int32), tag.astype(np.int32), ends[:, 0].copy(), ends[:, 1].copy(), kind.astype(np.int32))
    tagged = tags is not None and len(tag_names) > 1
    printable = tuple(re.sub(r"[^ -~]", "?", str(name)) for name in names.tolist())
    return GraphSource(GraphsInMemory(graphs, y.astype(np.int32)), printable, tagged, tuple(map(str, tag_names.tolist())))
