"""What a synthetic set stores of its examples, and the examples it stands for."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from synth.graph_content import GRAPH_KINDS, ColourGraph, DenseGraphs, PackedGraphs, TreeSummary


class Pixels(NamedTuple):
    """Images stored as they are: f32[n h w c] in model space, unbounded."""

    pixels: Float[Array, "n h w c"]
    kind = "pixels"

    def decode(self) -> jax.Array:
        """The examples themselves, f32[n h w c]."""
        return self.pixels

    def nbytes(self) -> int:
        """Payload bytes."""
        return self.pixels.nbytes


Content = Pixels | TreeSummary | PackedGraphs | ColourGraph | DenseGraphs
KINDS = {kind.kind: kind for kind in (Pixels, *GRAPH_KINDS)}
