"""A small set of graphs for demonstrations and tests, drawn the same way every time."""

import numpy as np
from jaxtyping import Int32

from condense.data.graph_rows import GraphsInMemory
from condense.data.readers.base import Reader, Spec
from condense.data.readers.graph_source import OPTIONS, GraphSource
from synth.graphs.base import Graphs

COUNT = 300
ATOMS = (0, 0, 0, 1, 2)  # most nodes carry tag 0


def toy_graphs() -> tuple[Graphs, Int32[np.ndarray, " g"]]:
    """300 molecule-like graphs of 8 to 16 nodes with 3 tags and 2 edge labels, and their classes.

    Both classes are a ring of six with random branches. In class 1 most graphs carry a fork (a node of tag 1 with two of tag 2, one of
    them by an edge of label 1), in class 0 few do: what tells the classes apart is how frequent one small tree is.
    """
    rng, rows, lines, labels = np.random.default_rng(0), [], [], []
    for number in range(COUNT):
        label = number % 2
        tags, edges = _molecule(rng, fork=rng.random() < (0.8 if label else 0.1))
        first = sum(map(len, rows))
        rows.append(tags)
        lines += [(first + a, first + b, kind) for a, b, kind in edges] + [(first + b, first + a, kind) for a, b, kind in edges]
        labels.append(label)
    nodes = np.array([len(tags) for tags in rows], np.int32)
    senders, receivers, kinds = np.array(lines, np.int32).T
    tags = np.concatenate(rows).astype(np.int32)
    return Graphs(nodes, tags, senders.copy(), receivers.copy(), kinds.copy()), np.array(labels, np.int32)


def _molecule(rng: np.random.Generator, *, fork: bool) -> tuple[list[int], list[tuple[int, int, int]]]:
    tags, edges = [0] * 6, [(at, (at + 1) % 6, 0) for at in range(6)]
    for _ in range(rng.integers(2, 8)):
        edges.append((int(rng.integers(len(tags))), len(tags), 0))
        tags.append(int(rng.choice(ATOMS)))
    if fork:
        at = len(tags)
        tags += [1, 2, 2]
        edges += [(int(rng.integers(6)), at, 0), (at, at + 1, 0), (at, at + 2, 1)]
    return tags, edges


def read(spec: Spec) -> GraphSource:
    """The 300 embedded graphs, with the classes `plain` and `forked`, always the same. Nothing of the spec is asked."""
    return GraphSource(GraphsInMemory(*toy_graphs()), ("plain", "forked"), True, ("0", "1", "2"))


READER = Reader("toy_graphs", "300 molecule-like graphs", read, OPTIONS, embedded="is embedded and needs no files")
