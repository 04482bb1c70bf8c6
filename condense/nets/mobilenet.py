"""Inverted residuals with depthwise convolutions (Sandler et al., MobileNetV2, arXiv 1801.04381, section 3)."""

import math
from functools import partial

import jax
from flax import nnx

from condense.nets.layers import ConvNorm, Linear, NormKind, Tape, global_average, not_erased, strides_for

# expand, width, depth, stride, kernel size: the paper's table 2
TABLE = ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 32, 3, 2, 3), (6, 64, 4, 2, 3), (6, 96, 3, 1, 3), (6, 160, 3, 2, 3), (6, 320, 1, 1, 3))


class Inverted(nnx.Module):
    """1x1 convolution to `expand` times the channels, depthwise one, 1x1 down without activation, and x added where shapes agree.
    `weigh`, a module made of the block's input channels and the expanded ones, changes the image before it is brought down."""

    def __init__(self, inputs: int, width: int, stride: int, draw, *, expand: int, size: int, norm: NormKind, act, weigh):
        inner = expand * inputs
        self.up = ConvNorm(inputs, inner, 1, draw, norm=norm) if expand > 1 else None
        self.deep = ConvNorm(inner, inner, size, draw, norm=norm, stride=stride, depthwise=True)
        self.weigh = weigh(inputs, inner, draw) if weigh else None
        self.down = ConvNorm(inner, width, 1, draw, norm=norm)
        self.short, self.act = (inputs, stride) == (width, 1), act

    def __call__(self, x, tape: Tape):
        y = self.act(self.up(x, tape)) if self.up else x
        y = self.act(self.deep(y, tape))
        y = self.down(self.weigh(y) if self.weigh else y, tape)
        return x + y if self.short else y


class MobileNet(nnx.Module):
    """3x3 stem, stages of inverted residuals, 1x1 convolution to `last` channels, global average, one linear layer.

    A stage is (expand, width, depth, stride, kernel size); `stem` is that convolution's width and stride.
    """

    def __init__(self, image, classes, draw, *, name: str, stem, stages, last: int, norm: NormKind, act=jax.nn.relu6, weigh=None):
        first, *strides = strides_for(image, (stem[1], *(stage[3] for stage in stages)))
        not_erased(name, norm, image, math.prod((first, *strides)))
        self.stem, blocks, inputs = ConvNorm(image[2], stem[0], 3, draw, norm=norm, stride=first), [], stem[0]
        for (expand, width, depth, _, size), stride in zip(stages, strides, strict=True):
            for number in range(depth):
                kind = {"expand": expand, "size": size, "norm": norm, "act": act, "weigh": weigh}
                blocks.append(Inverted(inputs, width, 1 if number else stride, draw, **kind))
                inputs = width
        self.blocks, self.last = nnx.List(blocks), ConvNorm(inputs, last, 1, draw, norm=norm)
        self.head, self.act = Linear(last, classes, draw), act

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = self.act(self.stem(x, tape))
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = self.act(self.last(x, tape))
        return global_average(tape.conv)


def mobilenet(*, width: int = 16, depth: int = 1, expand: int = 4, norm: NormKind = "batch"):
    """MobileNetV2's inverted residuals for small images: three stages of `depth` blocks with `width`, 2 and 4 `width` channels.

    `expand` is how many times more channels a block has inside. Returns the network's constructor: (shape of an image, classes, `Draw`) ->
    module.
    """
    stages = tuple((expand, width * 2**stage, depth, 2 if stage else 1, 3) for stage in range(3))
    return partial(MobileNet, name="mobilenet", stem=(width, 1), stages=stages, last=8 * width, norm=norm)


def mobilenet_v2(*, norm: NormKind = "batch"):
    """MobileNetV2 without its dropout. Images of less than 160 pixels a side are halved three times, not five.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(MobileNet, name="mobilenet_v2", stem=(32, 2), stages=TABLE, last=1280, norm=norm)
