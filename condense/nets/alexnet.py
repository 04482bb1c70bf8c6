"""The small AlexNet of the condensation papers."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Conv, Linear, NormKind, Tape, flatten, max_pool, need
from condense.nets.layers import norm as norm_layer

# Channels, kernel size and whether 2x2 max pooling follows.
LAYERS = ((128, 5, True), (192, 5, True), (256, 3, False), (192, 3, False), (192, 3, True))


class AlexNet(nnx.Module):
    """Five convolutions, three of them pooled, then one linear layer."""

    def __init__(self, image, classes, draw, *, norm: NormKind):
        need("alexnet", image, 8)
        h, w, channels = image
        inputs = (channels, *(width for width, _, _ in LAYERS))
        self.convs = nnx.List([Conv(c, width, size, draw, padding=size // 2) for c, (width, size, _) in zip(inputs, LAYERS, strict=False)])
        self.norms = nnx.List([norm_layer(norm, width) for width, _, _ in LAYERS])
        self.head = Linear((h // 8) * (w // 8) * inputs[-1], classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        for conv, norm, (_, _, pool) in zip(self.convs, self.norms, LAYERS, strict=True):
            x = jax.nn.relu(norm(conv(x, tape), tape))
            x = max_pool(x) if pool else x
        tape.conv = x
        return flatten(x)


def alexnet(*, norm: NormKind = "none"):
    """AlexNet for small images: five convolutions without striding and one linear layer, for images of at least 8x8.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(AlexNet, norm=norm)
