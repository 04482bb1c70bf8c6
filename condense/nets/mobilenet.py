"""Inverted residuals with depthwise convolutions, for small images (Sandler et al., MobileNetV2, arXiv 1801.04381, section 3)."""

from functools import partial

import jax
from flax import nnx

from condense.nets.layers import ConvNorm, Linear, NormKind, Tape, global_average, not_erased


class Inverted(nnx.Module):
    """1x1 convolution to `expand` times the channels, depthwise 3x3, 1x1 down without activation, and x added where shapes agree."""

    def __init__(self, inputs: int, width: int, stride: int, draw, *, expand: int, norm: NormKind):
        inner = expand * inputs
        self.up = ConvNorm(inputs, inner, 1, draw, norm=norm)
        self.deep = ConvNorm(inner, inner, 3, draw, norm=norm, stride=stride, depthwise=True)
        self.down = ConvNorm(inner, width, 1, draw, norm=norm)
        self.short = (inputs, stride) == (width, 1)

    def __call__(self, x, tape: Tape):
        y = jax.nn.relu6(self.up(x, tape))
        y = self.down(jax.nn.relu6(self.deep(y, tape)), tape)
        return x + y if self.short else y


class MobileNet(nnx.Module):
    """3x3 stem, three stages of inverted residuals, 1x1 convolution to twice the channels, global average, one linear layer."""

    def __init__(self, image, classes, draw, *, width: int, depth: int, expand: int, norm: NormKind):
        not_erased("mobilenet", norm, image, 4)
        self.stem, blocks, inputs = ConvNorm(image[2], width, 3, draw, norm=norm), [], width
        for stage in range(3):
            for block in range(depth):
                stride, outputs = 2 if stage and not block else 1, width * 2**stage
                blocks.append(Inverted(inputs, outputs, stride, draw, expand=expand, norm=norm))
                inputs = outputs
        self.blocks, self.last = nnx.List(blocks), ConvNorm(inputs, 2 * inputs, 1, draw, norm=norm)
        self.head = Linear(2 * inputs, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.relu6(self.stem(x, tape))
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = jax.nn.relu6(self.last(x, tape))
        return global_average(tape.conv)


def mobilenet(*, width: int = 16, depth: int = 1, expand: int = 4, norm: NormKind = "batch"):
    """MobileNetV2's inverted residuals for small images: three stages of `depth` blocks with `width`, 2 and 4 `width` channels."""
    return partial(MobileNet, width=width, depth=depth, expand=expand, norm=norm)
