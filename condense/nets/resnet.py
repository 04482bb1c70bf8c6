"""Residual networks: stem, stages of blocks, global average, one linear layer (He et al., arXiv 1512.03385)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Conv, ConvNorm, Linear, NormKind, Tape, global_average, is_large, max_pool3, not_erased
from condense.nets.layers import norm as norm_layer
from synth.errors import BadInput


class Block(nnx.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + x), with a strided 1x1 convolution and norm on x where shapes change."""

    growth = 1  # output channels a unit of width

    def __init__(self, inputs: int, width: int, stride: int, draw, *, norm: NormKind):
        bias = norm == "none"
        self.conv1, self.norm1 = Conv(inputs, width, 3, draw, stride=stride, padding=1, bias=bias), norm_layer(norm, width)
        self.conv2, self.norm2 = Conv(width, width, 3, draw, padding=1, bias=bias), norm_layer(norm, width)
        self.project = (inputs, stride) != (width, 1)
        if self.project:
            self.conv3, self.norm3 = Conv(inputs, width, 1, draw, stride=stride, bias=bias), norm_layer(norm, width)

    def __call__(self, x, tape: Tape):
        y = jax.nn.relu(self.norm1(self.conv1(x, tape), tape))
        y = self.norm2(self.conv2(y, tape), tape)
        return jax.nn.relu(y + (self.norm3(self.conv3(x, tape), tape) if self.project else x))


class Bottleneck(nnx.Module):
    """A 1x1 convolution to `width` channels, a strided 3x3 one and a 1x1 one to four times the width, and x added as in `Block`."""

    growth = 4

    def __init__(self, inputs: int, width: int, stride: int, draw, *, norm: NormKind):
        outputs = self.growth * width
        self.down = ConvNorm(inputs, width, 1, draw, norm=norm)
        self.wide = ConvNorm(width, width, 3, draw, norm=norm, stride=stride)
        self.up = ConvNorm(width, outputs, 1, draw, norm=norm)
        self.short = ConvNorm(inputs, outputs, 1, draw, norm=norm, stride=stride) if (inputs, stride) != (outputs, 1) else None

    def __call__(self, x, tape: Tape):
        y = jax.nn.relu(self.wide(jax.nn.relu(self.down(x, tape)), tape))
        y = self.up(y, tape)
        return jax.nn.relu(y + (self.short(x, tape) if self.short else x))


class ResNet(nnx.Module):
    """A residual network of stages with `blocks` blocks each. Every stage after the first halves the image.

    The stem is a 3x3 convolution; with `halving`, and large images, the published one: 7x7 of stride 2 and 3x3 max pooling of stride 2.
    """

    def __init__(self, image, classes, draw, *, name: str, block=Block, widths, blocks: tuple[int, ...], norm: NormKind, halving=True):
        not_erased(name, norm, image, 2 ** (len(widths) - 1))
        self.halving, bias = halving and is_large(image), norm == "none"
        size, stride = (7, 2) if self.halving else (3, 1)
        self.stem = Conv(image[2], widths[0], size, draw, stride=stride, padding=size // 2, bias=bias)
        self.norm, layers, inputs = norm_layer(norm, widths[0]), [], widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            for number in range(count):
                layers.append(block(inputs, width, 2 if stage and not number else 1, draw, norm=norm))
                inputs = block.growth * width
        self.blocks, self.head = nnx.List(layers), Linear(inputs, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.relu(self.norm(self.stem(x, tape), tape))
        if self.halving:
            x = max_pool3(x)
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = x
        return global_average(x)


def resnet(*, depth: int = 8, width: int = 16, norm: NormKind = "batch"):
    """ResNet for small images: three stages of `width`, 2 `width` and 4 `width` channels; depth 8, 14, 20, ... (6n + 2).

    `depth` counts the layers, in n blocks a stage. Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.

    Raises:
      BadInput: another depth.
    """
    if depth < 8 or depth % 6 != 2:
        raise BadInput(f"--net resnet:depth must be 8, 14, 20, ... (6n + 2), got {depth}")
    blocks = ((depth - 2) // 6,) * 3
    return partial(ResNet, name="resnet", widths=(width, 2 * width, 4 * width), blocks=blocks, norm=norm, halving=False)


def resnet18(*, norm: NormKind = "instance"):
    """ResNet-18: four stages of two blocks with 64, 128, 256 and 512 channels; a 3x3 stem below 160 pixels a side, else the published.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(ResNet, name="resnet18", widths=(64, 128, 256, 512), blocks=(2, 2, 2, 2), norm=norm)


def resnet50(*, norm: NormKind = "batch"):
    """ResNet-50: 3, 4, 6 and 3 bottlenecks with 256, 512, 1024 and 2048 channels at their ends; stems as `resnet18`'s. The stride is that
    of the 3x3 convolutions, as in common weights. The stem is a 3x3 convolution below 160 pixels a side, else the published.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(ResNet, name="resnet50", block=Bottleneck, widths=(64, 128, 256, 512), blocks=(3, 4, 6, 3), norm=norm)
