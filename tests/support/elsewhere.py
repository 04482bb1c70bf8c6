"""Examples that do not say that they lie in memory, for what goes over a split in pieces."""

from dataclasses import dataclass, field

import numpy as np

from synth.base import Examples


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """The examples; `asked` counts how many were taken at a time."""

    examples: Examples
    asked: list = field(default_factory=list)
    in_memory = False

    @property
    def y(self) -> np.ndarray:
        """Class indices."""
        return self.examples.y

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples, then the shape of one."""
        return self.examples.shape

    def take(self, index: np.ndarray) -> Examples:
        """Those that are named."""
        self.asked.append(len(index))
        return self.examples.take(index)
