"""The graph attention network."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.graphs.network import EdgeLabels, GraphNet, Readout
from condense.nets.layers import Linear
from condense.nets.precision import matmul
from synth.errors import BadInput
from synth.graphs.base import edge_softmax, message

SLOPE = 0.2


class GatLayer(nnx.Module):
    """h_i' = relu( sum over j in N(i) and i of a_ij W h_j + b ), a_ij the softmax over j of leaky_relu(u . W h_j + v . W h_i), a head."""

    def __init__(self, alphabet, width, draw, *, heads):
        self.linear, self.edges = Linear(width, width, draw), EdgeLabels(alphabet.edges, width, draw)
        self.sender, self.receiver = (draw.parameter((heads, width // heads), width // heads) for _ in range(2))

    def __call__(self, hop, nodes, below, above):
        heads, width = self.sender[...].shape
        sent = matmul(nodes, self.linear.kernel[...])
        along, own = self.edges(hop, sent[hop.senders]).reshape(-1, heads, width), sent[hop.same].reshape(-1, heads, width)
        asked = jnp.sum(own * self.receiver[...][None], -1)
        scores = jnp.sum(along * self.sender[...][None], -1) + asked[hop.receivers]
        edge, kept = edge_softmax(
            hop, jax.nn.leaky_relu(scores, SLOPE), jax.nn.leaky_relu(jnp.sum(own * self.sender[...][None], -1) + asked, SLOPE)
        )
        heard = message(hop, (along * edge[..., None]).reshape(-1, heads * width))
        return jax.nn.relu(heard + (own * kept[..., None]).reshape(-1, heads * width) + self.linear.bias[...][None])


def gat(*, width: int = 128, depth: int = 2, heads: int = 4, readout: Readout = "mean"):
    """GAT: neighbours weighed by learned attention, for graphs.

    Velickovic et al., ICLR 2018, eq. 1 to 5. `width` is the size of the node vectors over all `heads`, which must divide it, `depth` the
    number of layers, `readout` what a graph takes of its nodes' vectors. Returns the network's constructor: (alphabet, classes, `Draw`) ->
    module.

    Raises BadInput where `heads` does not divide `width`.
    """
    if width % heads:
        raise BadInput(f"--net gat:width={width},heads={heads}: the heads share the width; give a multiple of {heads}")
    return partial(GraphNet, layer=partial(GatLayer, heads=heads), width=width, depth=depth, readout=readout)
