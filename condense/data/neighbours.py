"""The real examples that are nearest to synthetic ones, by Euclidean distance in model space."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from synth.base import Split

PIECE, MOST_NUMBERS = 2_000, 200_000_000  # rows that are compared at a time, and numbers of all rows that are compared


class Neighbours(NamedTuple):
    """The nearest real examples of n synthetic ones, nearest first.

    Args:
      index: their rows in the split. distance: to each, Euclidean.
      seen: how many rows were compared. Of a split of more than 200 million numbers that is a part, at equal steps.
    """

    index: Int[np.ndarray, "n k"]
    distance: Float[np.ndarray, "n k"]
    seen: int


def find_nearest(x: Float[np.ndarray, "n ..."], split: Split, *, count: int = 3) -> Neighbours:
    """Finds the `count` rows of a split that are nearest to each example, by Euclidean distance; fewer where there are fewer. All are in
    model space. Rows are read in pieces. Of a split of more than 200 million numbers only rows at equal steps are compared."""
    flat = np.asarray(x, np.float32).reshape(len(x), -1)
    every = -(-len(split.y) * flat.shape[1] // MOST_NUMBERS)
    rows = np.arange(0, len(split.y), max(1, every))
    index, squared = np.zeros((len(flat), 0), np.int64), np.zeros((len(flat), 0), np.float32)
    for start in range(0, len(rows), PIECE):
        piece = rows[start : start + PIECE]
        real = np.asarray(split.take(piece).x, np.float32).reshape(len(piece), -1)
        apart = (flat**2).sum(1)[:, None] - 2 * flat @ real.T + (real**2).sum(1)[None]
        index = np.concatenate([index, np.broadcast_to(piece[None], apart.shape)], 1)
        squared = np.concatenate([squared, apart], 1)
        kept = np.argsort(squared, axis=1, kind="stable")[:, :count]
        index, squared = np.take_along_axis(index, kept, 1), np.take_along_axis(squared, kept, 1)
    return Neighbours(index, np.sqrt(np.maximum(squared, 0)), len(rows))
