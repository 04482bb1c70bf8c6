"""What readers of vectors return: rows of numbers in their own units, checked. Nothing here trusts a file."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from condense.data.readers.source import check_alike, check_classes
from condense.data.rows import Rows, pieces
from synth.errors import BadInput
from synth.files.format import printable

VECTORS = {"examples": "vectors", "axes": "n d"}  # as `check_alike` takes them


@dataclass(frozen=True, eq=False)
class VectorSource:
    """Raw vectors, checked.

    Args:
      name, spec: a short name, and what the user asked for (messages begin with it).
      train, test: f32[n d], of one length d.
      classes: C >= 2 names, in the order of the class indices; kept as sets store them, with U+FFFD for what cannot be printed.
      columns: what the numbers are called, as `synth.vectors.Vectors` has it; empty where that is not known.

    Raises:
      BadInput: lengths that differ, labels outside 0..C-1, classes with fewer than two training vectors, numbers that are not finite.
    """

    name: str
    spec: str
    train: Rows
    test: Rows
    classes: tuple[str, ...]
    columns: str = ""
    flips: ClassVar[bool] = False
    modality: ClassVar[str] = "vectors"

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))
        check_alike(self.spec, self.train, self.train.y, self.test, self.test.y, **VECTORS)
        check_classes(self.spec, self.train.y, self.test.y, self.classes, "vectors")
        for part, rows in (("train", self.train), ("test", self.test)):
            if not all(np.isfinite(piece).all() for piece in pieces(rows)):
                raise BadInput(f"{self.spec}: {part} vectors hold NaN or infinite numbers; every number must be finite in float32")

    @property
    def shape(self) -> tuple[int, ...]:
        """How many numbers a vector has."""
        return self.train.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the raw vectors."""
        return self.train.dtype
