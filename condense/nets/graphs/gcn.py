"""The graph convolutional network."""

from functools import partial

import jax
from flax import nnx

from condense.nets.graphs.network import EdgeLabels, GraphNet, Readout
from condense.nets.layers import Linear
from condense.nets.precision import matmul
from synth.graphs.base import message


class GcnLayer(nnx.Module):
    """h_i' = relu( sum over j in N(i) and i of W h_j / sqrt((d_i + 1) (d_j + 1)) + b ), with d the degrees in the graph."""

    def __init__(self, alphabet, width, draw):
        self.linear, self.edges = Linear(width, width, draw), EdgeLabels(alphabet.edges, width, draw)

    def __call__(self, hop, nodes, below, above):
        sent, low, high = matmul(nodes, self.linear.kernel[...]), jax.lax.rsqrt(below + 1), jax.lax.rsqrt(above + 1)
        weight = low[hop.senders] * high[hop.receivers]
        heard = message(hop, self.edges(hop, sent[hop.senders]), weight=weight)
        own = sent[hop.same] * (high * high)[:, None]
        return jax.nn.relu(heard + own + self.linear.bias[...][None])


def gcn(*, width: int = 128, depth: int = 2, readout: Readout = "mean"):
    """GCN: neighbours weighed by the degrees of both ends, for graphs.

    Kipf and Welling, ICLR 2017, eq. 2. `width` is the size of the node vectors, `depth` the number of layers, `readout` what a graph takes
    of its nodes' vectors. Returns the network's constructor: (alphabet, classes, `Draw`) -> module.
    """
    return partial(GraphNet, layer=GcnLayer, width=width, depth=depth, readout=readout)
