"""GraphSAGE with the mean aggregator."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.graphs.network import EdgeLabels, GraphNet, Readout
from condense.nets.layers import Linear
from condense.nets.precision import matmul
from synth.graphs.base import message


class SageLayer(nnx.Module):
    """h_i' = relu( W h_i + V mean over j in N(i) of h_j + b ); the mean of no neighbours is 0."""

    def __init__(self, alphabet, width, draw):
        self.own, self.other = Linear(width, width, draw), draw.parameter((width, width), width)
        self.edges = EdgeLabels(alphabet.edges, width, draw)

    def __call__(self, hop, nodes, below, above):
        sums = message(hop, self.edges(hop, nodes[hop.senders]))
        mean = sums / jnp.maximum(above, 1)[:, None]
        return jax.nn.relu(self.own(nodes[hop.same]) + matmul(mean, self.other[...]))


def sage(*, width: int = 128, depth: int = 2, readout: Readout = "mean"):
    """GraphSAGE: a node and the mean of its neighbours, each through its own matrix, for graphs.

    Hamilton, Ying and Leskovec, NeurIPS 2017, algorithm 1 (mean aggregator, without the normalisation of its line 7). `width` is the
    size of the node vectors, `depth` the number of layers, `readout` what a graph takes of its nodes' vectors. Returns the network's
    constructor: (alphabet, classes, `Draw`) -> module.
    """
    return partial(GraphNet, layer=SageLayer, width=width, depth=depth, readout=readout)
