"""VGG11 for 32x32 images (Simonyan and Zisserman, arXiv 1409.1556, configuration A, with one linear layer)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Conv, Linear, NormKind, Tape, flatten, max_pool, need
from condense.nets.layers import norm as norm_layer

# Channels and whether 2x2 max pooling follows.
LAYERS = ((64, True), (128, True), (256, False), (256, True), (512, False), (512, True), (512, False), (512, True))


class VGG(nnx.Module):
    """Eight 3x3 convolutions, five of them pooled, then one linear layer."""

    def __init__(self, image, classes, draw, *, norm: NormKind):
        need("vgg", image, 32)
        h, w, channels = image
        inputs = (channels, *(width for width, _ in LAYERS))
        self.convs = nnx.List([Conv(c, width, 3, draw, padding=1) for c, (width, _) in zip(inputs, LAYERS, strict=False)])
        self.norms = nnx.List([norm_layer(norm, width) for width, _ in LAYERS])
        self.head = Linear((h // 32) * (w // 32) * inputs[-1], classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        for conv, norm, (_, pool) in zip(self.convs, self.norms, LAYERS, strict=True):
            x = jax.nn.relu(norm(conv(x, tape), tape))
            x = max_pool(x) if pool else x
        tape.conv = x
        return flatten(x)


def vgg(*, norm: NormKind = "instance"):
    """VGG11 for small images: eight 3x3 convolutions and one linear layer, for images of at least 32x32 (or 28x28).

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(VGG, norm=norm)
