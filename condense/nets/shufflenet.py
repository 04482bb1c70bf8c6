"""Channel splits and shuffles (Ma et al., ShuffleNet V2, arXiv 1807.11164, section 4)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.layers import ConvNorm, Linear, NormKind, Tape, global_average, is_large, max_pool3, not_erased
from synth.errors import BadInput


def shuffle(x):
    """The two halves of the channels (the last axis) of x, interleaved: the first of either half, then the second of either, and so on."""
    return jnp.stack(jnp.split(x, 2, -1), -1).reshape(x.shape)


def even(name: str, width: int) -> None:
    """Raises BadInput if a number of channels, `width`, is odd and cannot be split into halves. `name` is of the network, for messages."""
    if width % 2:
        raise BadInput(f"--net {name}:width must be even, because channels are split in halves, got {width}")


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
    """3x3 stem, stages that halve the image, 1x1 convolution to `last` channels, global average, one linear layer.

    A stage has `widths` channels and, after its unit of stride 2, so many plain ones as `depths` says. With `halving`, large images are
    first halved by the stem's stride and by max pooling.
    """

    def __init__(self, image, classes, draw, *, name: str, stem: int, widths, depths, last: int, norm: NormKind, halving: bool):
        self.halving = halving and is_large(image)
        not_erased(name, norm, image, 2 ** (len(widths) + 2 * self.halving))
        self.stem, blocks, inputs = ConvNorm(image[2], stem, 3, draw, norm=norm, stride=1 + self.halving), [], stem
        for width, depth in zip(widths, depths, strict=True):
            blocks.append(Shrink(inputs, width, draw, norm=norm))
            blocks += [Unit(width, draw, norm=norm) for _ in range(depth)]
            inputs = width
        self.blocks, self.last = nnx.List(blocks), ConvNorm(inputs, last, 1, draw, norm=norm)
        self.head = Linear(last, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x = jax.nn.relu(self.stem(x, tape))
        if self.halving:
            x = max_pool3(x)
        for block in self.blocks:
            x = block(x, tape)
        tape.conv = jax.nn.relu(self.last(x, tape))
        return global_average(tape.conv)


def shufflenet(*, width: int = 24, depth: int = 2, norm: NormKind = "batch"):
    """ShuffleNet V2's units for small images: stages of 2 and 4 `width` channels, each a unit of stride 2 and `depth` plain ones.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.

    Raises:
      BadInput: an odd width.
    """
    even("shufflenet", width)
    sizes = {"stem": width, "widths": (2 * width, 4 * width), "depths": (depth, depth), "last": 8 * width}
    return partial(ShuffleNet, name="shufflenet", norm=norm, halving=False, **sizes)


def shufflenet_v2(*, width: int = 116, norm: NormKind = "batch"):
    """ShuffleNet V2: stages of `width`, 2 and 4 `width` channels; 116 is the paper's 1x, 48 its 0.5x and 176 its 1.5x. Images of less than
    160 pixels a side are halved three times, not five.

    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.

    Raises:
      BadInput: an odd width.
    """
    even("shufflenet_v2", width)
    sizes = {"stem": 24, "widths": (width, 2 * width, 4 * width), "depths": (3, 7, 3), "last": 1024}
    return partial(ShuffleNet, name="shufflenet_v2", norm=norm, halving=True, **sizes)
