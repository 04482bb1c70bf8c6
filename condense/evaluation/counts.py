"""How many examples of every class a set has and costs, and how often the commonest class is right."""

from typing import Any

import numpy as np
from jaxtyping import Int

from synth.set import SyntheticSet


def class_counts(synth: SyntheticSet) -> np.ndarray:
    """The set's number of examples of every class, i64[classes]; an example belongs to its most probable class."""
    return np.bincount(np.asarray(synth.y.probs()).argmax(-1), minlength=len(synth.info.classes))


def row_counts(synth: SyntheticSet) -> np.ndarray:
    """How many real examples of every class cost as much as the set, i64[classes]: as many as it has examples, or fewer (rounded up) if its
    examples share stored images."""
    counts, images = class_counts(synth), getattr(synth.x, "images", len(synth))
    return counts if images >= len(synth) else -(-counts * images // len(synth))


def too_few(synth: SyntheticSet, data: Any, *, cells: int = 1) -> int | None:
    """The index of the first class of which the data has fewer training examples than cost as much as the set, or for `cells` above 1 than
    as many collages of cells x cells take, cells**2 times as many. None where there is none."""
    counts = row_counts(synth) * cells**2
    short = np.flatnonzero(np.bincount(data.train.y, minlength=len(counts)) < counts)
    return int(short[0]) if short.size else None


def images_a_class(synth: SyntheticSet) -> int | None:
    """How many real examples of every class cost as much as the set. None if that differs between classes or the set's budget was not given
    as examples a class."""
    counts = row_counts(synth)
    return int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None


def share_of_commonest(train: Int[np.ndarray, " n"], part: Int[np.ndarray, " m"]) -> float:
    """The fraction of `part`, class indices, that belong to the most frequent class of the training examples' indices, `train`."""
    return float(np.mean(part == np.bincount(train).argmax()))
