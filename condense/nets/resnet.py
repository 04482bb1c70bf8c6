"""Residual networks for small images: 3x3 stem, stages of basic blocks, global average, one linear layer (He et al., arXiv 1512.03385)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import Conv, Linear, NormKind, Tape, global_average
from condense.nets.layers import norm as norm_layer
from synth.errors import BadInput


class Block(nnx.Module):
    """relu(norm(conv(relu(norm(conv(x))))) + x), with a strided 1x1 convolution and norm on x where shapes change."""

    def __init__(self, inputs: int, width: int, stride: int, draw, *, norm: NormKind):
        bias = norm == "none"
        self.conv1, self.norm1 = Conv(inputs, width, 3, draw, stride=stride, padding=1, bias=bias), norm_layer(norm, width)
        self.conv2, self.norm2 = Conv(width, width, 3, draw, padding=1, bias=bias), norm_layer(norm, width)
        self.project = (inputs, stride) != (width, 1)
        if self.project:
            self.conv3, self.norm3 = Conv(inputs, width, 1, draw, stride=stride, bias=bias), norm_layer(norm, width)

    def __call__(self, x, tape: Tape):
        y = jax.nn.relu(self.norm1(self.conv1(x), tape))
        y = self.norm2(self.conv2(y), tape)
        return jax.nn.relu(y + (self.norm3(self.conv3(x), tape) if self.project else x))


class ResNet(nnx.Module):
    """Stages of `blocks` basic blocks; every stage after the first halves the image."""

    def __init__(self, image, classes, draw, *, name: str, widths: tuple[int, ...], blocks: int, norm: NormKind):
        h, w, channels = image
        shrink = 2 ** (len(widths) - 1)
        if norm == "instance" and max(h, w) <= shrink:
            raise BadInput(
                f"--net {name}:norm=instance erases {h}x{w} images, which end as single pixels: "
                f"use norm=group, batch or none, or images of at least {shrink + 1}x{shrink + 1}"
            )
        self.stem, self.norm = Conv(channels, widths[0], 3, draw, padding=1, bias=norm == "none"), norm_layer(norm, widths[0])
        layers, inputs = [], widths[0]
        for stage, width in enumerate(widths):
            for block in range(blocks):
                layers.append(Block(inputs, width, 2 if stage and not block else 1, draw, norm=norm))
                inputs = width
        self.blocks, self.head = nnx.List(layers), Linear(inputs, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.relu(self.norm(self.stem(x), tape))
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = x
        return global_average(x)


def resnet(*, depth: int = 8, width: int = 16, norm: NormKind = "batch"):
    """ResNet for small images: three stages of `width`, 2 `width` and 4 `width` channels; depth 8, 14, 20, ... (6n + 2).

    Raises:
      BadInput: another depth.
    """
    if depth < 8 or depth % 6 != 2:
        raise BadInput(f"--net resnet:depth must be 8, 14, 20, ... (6n + 2), got {depth}")
    return partial(ResNet, name="resnet", widths=(width, 2 * width, 4 * width), blocks=(depth - 2) // 6, norm=norm)


def resnet18(*, norm: NormKind = "instance"):
    """ResNet-18 for small images: 3x3 stem, four stages of two blocks with 64, 128, 256 and 512 channels."""
    return partial(ResNet, name="resnet18", widths=(64, 128, 256, 512), blocks=2, norm=norm)
