"""LeNet-5 with rectifiers and max pooling."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Conv, Linear, NormKind, Tape, flatten, max_pool, need
from condense.nets.layers import norm as norm_layer


class LeNet(nnx.Module):
    """Two 5x5 convolutions without padding, each pooled, then three linear layers."""

    def __init__(self, image, classes, draw, *, norm: NormKind):
        need("lenet", image, 16)
        h, w = (((side - 4) // 2 - 4) // 2 for side in image[:2])
        self.convs = nnx.List([Conv(image[2], 6, 5, draw), Conv(6, 16, 5, draw)])
        self.norms = nnx.List([norm_layer(norm, width) for width in (6, 16)])
        self.hidden = nnx.List([Linear(h * w * 16, 120, draw), Linear(120, 84, draw)])
        self.head = Linear(84, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = max_pool(jax.nn.relu(norm(conv(x, tape), tape)))
        tape.conv, x = x, flatten(x)
        for layer in self.hidden:
            x = jax.nn.relu(layer(x))
        return x


def lenet(*, norm: NormKind = "none"):
    """LeNet-5 with rectifiers and max pooling: two 5x5 convolutions and three linear layers, for images of at least 16x16.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(LeNet, norm=norm)
