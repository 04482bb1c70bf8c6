"""Densely connected layers (Huang et al., DenseNet, arXiv 1608.06993, section 3; bottlenecks, compression 1/2)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.conv import avg_pool
from condense.nets.layers import Conv, Linear, NormKind, Tape, global_average, is_large, max_pool3, need, not_erased
from condense.nets.layers import norm as norm_layer

BOTTLENECK = 4


class NormConv(nnx.Module):
    """Norm, ReLU and a convolution without bias."""

    def __init__(self, inputs: int, outputs: int, size: int, draw, *, norm: NormKind):
        self.norm, self.conv = norm_layer(norm, inputs), Conv(inputs, outputs, size, draw, padding=size // 2, bias=norm == "none")

    def __call__(self, x, tape: Tape):
        return self.conv(jax.nn.relu(self.norm(x, tape)), tape)


class DenseNet(nnx.Module):
    """A stem, then stages of as many layers as `depths` says, then a global average and one linear layer. Each layer adds `growth` channels
    to its input.

    The stem is a 3x3 convolution; the `published` one has a norm and a ReLU too, and large images it halves twice: a 7x7 convolution of
    stride 2 and 3x3 max pooling of stride 2.
    """

    def __init__(self, image, classes, draw, *, name: str, growth: int, depths: tuple[int, ...], norm: NormKind, published: bool):
        halvings = len(depths) - 1
        need(name, image, 2**halvings)
        self.halving = published and is_large(image)
        not_erased(name, norm, image, 2 ** (halvings + 1) - 1)
        size, stride, width = (7, 2, 2 * growth) if self.halving else (3, 1, 2 * growth)
        self.stem = Conv(image[2], width, size, draw, stride=stride, padding=size // 2, bias=norm == "none")
        self.first, layers = norm_layer(norm, width) if published else None, []
        for stage, depth in enumerate(depths):
            for _ in range(depth):
                inner = BOTTLENECK * growth
                layers += [NormConv(width, inner, 1, draw, norm=norm), NormConv(inner, growth, 3, draw, norm=norm)]
                width += growth
            if stage < halvings:
                layers.append(NormConv(width, width // 2, 1, draw, norm=norm))
                width //= 2
        self.layers, self.depths = nnx.List(layers), depths
        self.norm, self.head = norm_layer(norm, width), Linear(width, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x, layers = self.stem(x, tape), iter(self.layers)
        if self.first:
            x = jax.nn.relu(self.first(x, tape))
        if self.halving:
            x = max_pool3(x)
        for stage, depth in enumerate(self.depths):
            for _ in range(depth):
                narrow, wide = next(layers), next(layers)
                x = jnp.concatenate([x, wide(narrow(x, tape), tape)], -1)
            if stage < len(self.depths) - 1:
                x = avg_pool(next(layers)(x, tape))
        tape.conv = jax.nn.relu(self.norm(x, tape))
        return global_average(tape.conv)


def densenet(*, growth: int = 8, depth: int = 3, norm: NormKind = "batch"):
    """DenseNet with bottlenecks for small images: three stages of `depth` layers of `growth` channels, halved in number between stages.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(DenseNet, name="densenet", growth=growth, depths=(depth,) * 3, norm=norm, published=False)


def densenet121(*, norm: NormKind = "batch"):
    """DenseNet-121: stages of 6, 12, 24 and 16 layers of 32 channels; a 3x3 stem below 160 pixels a side, else the published.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(DenseNet, name="densenet121", growth=32, depths=(6, 12, 24, 16), norm=norm, published=True)
