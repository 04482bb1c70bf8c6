"""Channel splits and shuffles, for small images (Ma et al., ShuffleNet V2, arXiv 1807.11164, section 4)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.layers import ConvNorm, Linear, NormKind, Tape, global_average, not_erased
from synth.errors import BadInput


def shuffle(x):
    """The two halves of the channels, interleaved."""
    return jnp.stack(jnp.split(x, 2, -1), -1).reshape(x.shape)


class Branch(nnx.Module):
    """1x1 convolution, depthwise 3x3 without activation, 1x1 convolution."""

    def __init__(self, inputs: int, width: int, stride: int, draw, *, norm: NormKind):
        self.first = ConvNorm(inputs, width, 1, draw, norm=norm)
        self.deep = ConvNorm(width, width, 3, draw, norm=norm, stride=stride, depthwise=True)
        self.last = ConvNorm(width, width, 1, draw, norm=norm)

    def __call__(self, x, tape: Tape):
        return jax.nn.relu(self.last(self.deep(jax.nn.relu(self.first(x, tape)), tape), tape))


class Unit(nnx.Module):
    """Half of the channels pass, the other half goes through a branch; then both are shuffled."""

    def __init__(self, width: int, draw, *, norm: NormKind):
        self.branch = Branch(width // 2, width // 2, 1, draw, norm=norm)

    def __call__(self, x, tape: Tape):
        left, right = jnp.split(x, 2, -1)
        return shuffle(jnp.concatenate([left, self.branch(right, tape)], -1))


class Shrink(nnx.Module):
    """Two branches of stride 2 over all channels, one of them without its first convolution; then both are shuffled."""

    def __init__(self, inputs: int, width: int, draw, *, norm: NormKind):
        self.deep = ConvNorm(inputs, inputs, 3, draw, norm=norm, stride=2, depthwise=True)
        self.last = ConvNorm(inputs, width // 2, 1, draw, norm=norm)
        self.branch = Branch(inputs, width // 2, 2, draw, norm=norm)

    def __call__(self, x, tape: Tape):
        left = jax.nn.relu(self.last(self.deep(x, tape), tape))
        return shuffle(jnp.concatenate([left, self.branch(x, tape)], -1))


class ShuffleNet(nnx.Module):
    """3x3 stem, two stages that halve the image, 1x1 convolution to twice the channels, global average, one linear layer."""

    def __init__(self, image, classes, draw, *, width: int, depth: int, norm: NormKind):
        if width % 2:
            raise BadInput(f"--net shufflenet:width must be even, because channels are split in halves, got {width}")
        not_erased("shufflenet", norm, image, 4)
        self.stem, blocks = ConvNorm(image[2], width, 3, draw, norm=norm), []
        for inputs in (width, 2 * width):
            blocks.append(Shrink(inputs, 2 * inputs, draw, norm=norm))
            blocks += [Unit(2 * inputs, draw, norm=norm) for _ in range(depth)]
        self.blocks, self.last = nnx.List(blocks), ConvNorm(4 * width, 8 * width, 1, draw, norm=norm)
        self.head = Linear(8 * width, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.relu(self.stem(x, tape))
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = jax.nn.relu(self.last(x, tape))
        return global_average(tape.conv)


def shufflenet(*, width: int = 24, depth: int = 2, norm: NormKind = "batch"):
    """ShuffleNet V2's units for small images: stages of 2 and 4 `width` channels, each a unit of stride 2 and `depth` plain ones."""
    return partial(ShuffleNet, width=width, depth=depth, norm=norm)
