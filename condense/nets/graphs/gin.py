"""The graph isomorphism network."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.graphs.network import EdgeLabels, GraphNet, Readout
from condense.nets.layers import Linear
from synth.graphs.base import message


class GinLayer(nnx.Module):
    """h_i' = relu( MLP( (1 + eps) h_i + sum over j in N(i) of h_j ) ), with a learned eps that starts at 0."""

    def __init__(self, alphabet, width, draw):
        self.first, self.second = Linear(width, width, draw), Linear(width, width, draw)
        self.edges, self.eps = EdgeLabels(alphabet.edges, width, draw), nnx.Param(jnp.zeros((), jnp.float32))

    def __call__(self, hop, nodes, below, above):
        heard = message(hop, self.edges(hop, nodes[hop.senders]))
        inner = jax.nn.relu(self.first((1 + self.eps[...]) * nodes[hop.same] + heard))
        return jax.nn.relu(self.second(inner))


def gin(*, width: int = 128, depth: int = 2, readout: Readout = "mean"):
    """GIN: the sum of the neighbours through two linear layers, for graphs.

    Xu, Hu, Leskovec and Jegelka, ICLR 2019, eq. 4.1. `width` is the size of the node vectors, `depth` the number of layers, `readout` what
    a graph takes of its nodes' vectors. Returns the network's constructor: (alphabet, classes, `Draw`) -> module.
    """
    return partial(GraphNet, layer=GinLayer, width=width, depth=depth, readout=readout)
