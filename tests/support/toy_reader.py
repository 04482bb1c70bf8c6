"""A reader in one file: the location names a text file with two counts, and the images are drawn when they are asked for.

Image i is of class i % 3. Its pixels are a pattern of its number on top of a level of its class, so that any of them can be computed alone.
No more than `MOST` are handed out at a time: what asks for more assumes that all are in memory.
"""

from dataclasses import dataclass

import numpy as np

from condense.data.readers.base import Number, Reader, Spec
from condense.data.readers.source import OPTIONS, Source
from synth.errors import BadInput

MOST = 2048
CLASSES = ("low", "middle", "high")


def images(index: np.ndarray, size: int) -> np.ndarray:
    """u8[m size size 1] of these numbers."""
    number = np.asarray(index, np.int64)[:, None] * 2654435761 + np.arange(size * size)[None] * 40503
    return (60 * (np.asarray(index) % 3)[:, None] + (number >> 7) % 97).astype(np.uint8).reshape(-1, size, size, 1)


@dataclass(frozen=True, eq=False)
class Drawn:
    """Rows first, first + 1 ... of the images."""

    first: int
    count: int
    size: int
    in_memory = False
    dtype = np.dtype(np.uint8)

    @property
    def y(self) -> np.ndarray:
        """Class by number."""
        return (np.arange(self.first, self.first + self.count) % 3).astype(np.int32)

    @property
    def shape(self) -> tuple[int, ...]:
        """n h w c."""
        return self.count, self.size, self.size, 1

    def take(self, index: np.ndarray) -> np.ndarray:
        """Drawn now."""
        assert len(index) <= MOST, f"{len(index)} rows are asked for at once"
        return images(self.first + np.asarray(index, np.int64), self.size)


def read(spec: Spec) -> Source:
    """The counts of training and test images are in the file."""
    try:
        train, test = map(int, spec.place().read_text().split())
    except (OSError, ValueError):
        raise BadInput(f"{spec.text}: {spec.location} does not hold two counts; write them there") from None
    size = spec.options.get("size", 4)
    return Source(spec.name, spec.text, Drawn(0, train, size), Drawn(train, test, size), CLASSES, flips=False)


READER = Reader("drawn", "a text file with the numbers of training and of test images", read, OPTIONS | {"size": Number(least=2, most=64)})
