"""What rows of images or vectors hold, looked at once, a piece at a time: ranges, counts, and rows that are there several times."""

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import NamedTuple

import numpy as np

from condense.data.alike import repeats
from condense.data.readers.source import ArraySource
from condense.data.rows import Rows
from condense.runtime.log import progress
from synth.images.preprocess import unit

PIECE = 1 << 22  # numbers that are in memory at a time
LONG = 20_000  # rows that take long enough for a progress bar


class Facts(NamedTuple):
    """What a source holds.

    Args:
      low, high: the smallest and the largest raw number of all rows, so of bytes 0 and 255 at most.
      mean, std: of the training rows, a channel of images at a time, or one over all numbers of vectors; of images between 0 and 1.
      train, test: the number of rows of every class.
      repeated: training rows that equal an earlier one. contradicted: those of them whose label differs from that of the first such row.
      shared: test rows that equal a training row.
    """

    low: float
    high: float
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: tuple[int, ...]
    test: tuple[int, ...]
    repeated: int
    contradicted: int
    shared: int


def facts_of(source: ArraySource) -> Facts:
    """Looks at every row of a source once; no more than a few megabytes of them are in memory, if they are not there already."""
    n = len(source.train.y) + len(source.test.y)
    sums, spans, hashes, count = 0.0, [], [], 0
    with progress(n, f"looking at {source.spec}") if n >= LONG else nullcontext() as bar:
        for part, rows in enumerate((source.train, source.test)):
            found = []
            for x in pieces_of(rows):
                spans.append((x.min(), x.max()))
                found += [hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in x]
                if part == 0:
                    numbers = unit(x).astype(np.float64) if source.modality == "images" else x.astype(np.float64)
                    numbers = numbers.reshape(-1, x.shape[-1]) if source.modality == "images" else numbers.reshape(-1, 1)
                    sums, count = sums + np.stack([numbers.sum(0), (numbers**2).sum(0)]), count + len(numbers)
                if bar:
                    bar.advance(len(x))
            hashes.append(np.frombuffer(b"".join(found), np.uint64))
    mean = sums[0] / count
    std = np.sqrt(np.maximum(sums[1] / count - mean**2, 0))
    low, high = (float(end) for end in (min(span[0] for span in spans), max(span[1] for span in spans)))
    classes = len(source.classes)
    counts = (tuple(np.bincount(rows.y, minlength=classes).tolist()) for rows in (source.train, source.test))
    repeated, contradicted = repeats(hashes[0], source.train.y)
    shared = int(np.isin(hashes[1], hashes[0]).sum())
    return Facts(low, high, tuple(mean.tolist()), tuple(std.tolist()), *counts, repeated, contradicted, shared)


def pieces_of(rows: Rows) -> Iterator[np.ndarray]:
    """All raw rows in their order, in arrays of at most `PIECE` (four million) numbers, and of one row at least."""
    many = max(1, PIECE // int(np.prod(rows.shape[1:])))
    for at in range(0, rows.shape[0], many):
        yield rows.take(np.arange(at, min(at + many, rows.shape[0])))
