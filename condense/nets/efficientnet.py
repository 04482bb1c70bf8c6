"""Inverted residuals that weigh their channels (Tan and Le, EfficientNet, arXiv 1905.11946, table 1)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Linear, NormKind, global_average
from condense.nets.mobilenet import MobileNet

# expand, width, depth, stride, kernel size
TABLE = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))


class Weights(nnx.Module):
    """Channels times weights in (0, 1) that two linear layers give on their means (Hu et al., arXiv 1709.01507)."""

    def __init__(self, inputs: int, channels: int, draw):
        squeezed = max(1, inputs // 4)
        self.squeeze, self.excite = Linear(channels, squeezed, draw), Linear(squeezed, channels, draw)

    def __call__(self, x):
        return x * jax.nn.sigmoid(self.excite(jax.nn.silu(self.squeeze(global_average(x)))))[:, None, None]


def efficientnet_b0(*, norm: NormKind = "batch"):
    """EfficientNet-B0 without its dropout of units and blocks. Images of less than 160 pixels a side are halved three times, not five.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    how = {"norm": norm, "act": jax.nn.silu, "weigh": Weights}
    return partial(MobileNet, name="efficientnet_b0", stem=(32, 2), stages=TABLE, last=1280, **how)
