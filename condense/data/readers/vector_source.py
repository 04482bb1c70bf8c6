"""What readers of vectors return: rows of numbers in their own units, checked. Nothing here trusts a file."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from condense.data.readers.source import ArraySource
from condense.data.rows import Rows, pieces
from synth.errors import BadInput

VECTORS = {"examples": "vectors", "axes": "n d"}  # as `check_alike` takes them


@dataclass(frozen=True, eq=False)
class VectorSource(ArraySource):
    """Raw vectors, checked.

    Args:
      name, spec, classes: as `ArraySource` has them.
      train, test: f32[n d], of one length d.
      columns: what the numbers are called, as `synth.vectors.Vectors` has it; empty where that is not known.

    Raises:
      BadInput: lengths that differ, labels outside 0..C-1, classes with fewer than two training vectors, numbers that are not finite.
    """

    columns: str = ""
    flips: ClassVar[bool] = False
    modality: ClassVar[str] = "vectors"
    axes: ClassVar[str] = VECTORS["axes"]

    def __post_init__(self):
        super().__post_init__()
        self.check_once(self.check_finite)

    def check_finite(self, part: str, rows: Rows) -> None:
        """Raises BadInput where numbers are NaN or infinite. `part`, `train` or `test`, is for the message."""
        if not all(np.isfinite(piece).all() for piece in pieces(rows)):
            raise BadInput(f"{self.spec}: {part} vectors hold NaN or infinite numbers; every number must be finite in float32")
