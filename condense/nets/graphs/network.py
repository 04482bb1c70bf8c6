"""What all graph networks share: tags to vectors, layers of messages, a readout, one hidden layer and the linear head.

A layer maps f32[n d] on one level of a `synth.graphs.base.GraphBatch` to f32[m d] on the next. It sends with `synth.graphs.base.message`
alone, so the same weights run on graphs, on trees and on colour graphs, and give a node there what they give it here.
"""

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from condense.nets.layers import Draw, Linear
from condense.nets.precision import matmul
from synth.errors import BadInput
from synth.graphs.base import Alphabet, GraphBatch, Hop, pool

Readout = Literal["sum", "mean", "max"]


class EdgeLabels(nnx.Module):
    """Learned vectors, one for every edge label, added to the messages along an edge. If there is one label, nothing is added."""

    def __init__(self, kinds: int, width: int, draw: Draw):
        self.table = draw.parameter((kinds, width), kinds) if kinds > 1 else None

    def __call__(self, hop: Hop, values: Float[Array, "e d"]) -> Float[Array, "e d"]:
        return values if self.table is None else values + self.table[...][hop.labels]


class GraphNet(nnx.Module):
    """`depth` layers of messages, then the readout."""

    def __init__(self, alphabet: Alphabet, classes: int, draw: Draw, *, layer: Callable, width: int, depth: int, readout: Readout):
        self.tags = draw.parameter((alphabet.tags, width), alphabet.tags)
        self.layers = nnx.List([layer(alphabet, width, draw) for _ in range(depth)])
        self.hidden = Linear(width, width, draw)
        self.head = Linear(width, classes, draw)
        self.readout = readout

    def features(self, batch: GraphBatch) -> tuple[Float[Array, "b d"], Float[Array, "n d"]]:
        """Returns a pair: the input of `head` for every graph, and the vectors of the nodes that the readout pools. Raises BadInput where
        the batch is of trees that are less deep than the network has layers."""
        table, depth = self.tags[...], len(self.layers)
        if batch.layered and depth > len(batch.hops):
            raise BadInput(f"--net: {depth} layers look further than these trees of depth {len(batch.hops)}; use depth={len(batch.hops)}")
        whole = jnp.issubdtype(batch.tags.dtype, jnp.integer)
        nodes = table[batch.tags] if whole else matmul(batch.tags, table)
        for level, layer in enumerate(self.layers):
            nodes = layer(batch.hop(level), nodes, batch.degree(level), batch.degree(level + 1))
        return jax.nn.relu(self.hidden(pool(batch, nodes, how=self.readout, layers=depth))), nodes
