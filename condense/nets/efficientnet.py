"""Inverted residuals that weigh their channels (Tan and Le, EfficientNet, arXiv 1905.11946, table 1)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import ConvNorm, Linear, NormKind, Tape, global_average, not_erased, strides_for

# expand, width, depth, stride, kernel size
TABLE = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3))
STEM, LAST = 32, 1280


class Weighed(nnx.Module):
    """1x1 convolution to `expand` times the channels, depthwise convolution, channels times weights in (0, 1) from two linear layers on
    their means (Hu et al., arXiv 1709.01507), 1x1 down without activation, and x added where shapes agree."""

    def __init__(self, inputs: int, width: int, stride: int, draw, *, expand: int, size: int, norm: NormKind):
        inner, squeezed = expand * inputs, max(1, inputs // 4)
        self.up = ConvNorm(inputs, inner, 1, draw, norm=norm) if expand > 1 else None
        self.deep = ConvNorm(inner, inner, size, draw, norm=norm, stride=stride, depthwise=True)
        self.squeeze, self.excite = Linear(inner, squeezed, draw), Linear(squeezed, inner, draw)
        self.down = ConvNorm(inner, width, 1, draw, norm=norm)
        self.short = (inputs, stride) == (width, 1)

    def __call__(self, x, tape: Tape):
        y = jax.nn.silu(self.up(x, tape)) if self.up else x
        y = jax.nn.silu(self.deep(y, tape))
        weights = jax.nn.sigmoid(self.excite(jax.nn.silu(self.squeeze(global_average(y)))))
        y = self.down(y * weights[:, None, None], tape)
        return x + y if self.short else y


class EfficientNet(nnx.Module):
    """3x3 stem, stages of weighed inverted residuals, 1x1 convolution, global average, one linear layer."""

    def __init__(self, image, classes, draw, *, norm: NormKind):
        first, *strides = strides_for(image, (2, *(stage[3] for stage in TABLE)))
        not_erased("efficientnet_b0", norm, image, 8)
        self.stem, blocks, inputs = ConvNorm(image[2], STEM, 3, draw, norm=norm, stride=first), [], STEM
        for (expand, width, depth, _, size), stride in zip(TABLE, strides, strict=True):
            for block in range(depth):
                blocks.append(Weighed(inputs, width, 1 if block else stride, draw, expand=expand, size=size, norm=norm))
                inputs = width
        self.blocks, self.last = nnx.List(blocks), ConvNorm(inputs, LAST, 1, draw, norm=norm)
        self.head = Linear(LAST, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.silu(self.stem(x, tape))
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = jax.nn.silu(self.last(x, tape))
        return global_average(tape.conv)


def efficientnet_b0(*, norm: NormKind = "batch"):
    """EfficientNet-B0 without its dropout of units and blocks. Images of less than 160 pixels a side are halved three times, not five."""
    return partial(EfficientNet, norm=norm)
