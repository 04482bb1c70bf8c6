"""Rows that are there several times, and graphs that look alike."""

import numpy as np
from jaxtyping import Int32

from condense.data.graph_rows import GraphRows
from synth.graphs.refinement import looks, refine

LAYERS = 5  # of networks to which graphs look alike


def looks_of(rows: GraphRows) -> Int32[np.ndarray, " g"]:
    """A number for every graph, the same for graphs that look alike: to all networks here of at most 5 layers their tags, edge labels and
    joints are the same. Classes do not count. All graphs are in memory for it."""
    return looks(refine(rows.take(np.arange(len(rows.y))), LAYERS))


def repeats(hashes: np.ndarray, y: np.ndarray) -> tuple[int, int]:
    """How many rows have the hash of an earlier row, and how many of these have another label `y` than the first row with that hash."""
    _, first, where = np.unique(hashes, return_index=True, return_inverse=True)
    original = first[where]
    again = original != np.arange(len(hashes))
    return int(again.sum()), int((again & (y != y[original])).sum())
