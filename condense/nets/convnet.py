"""The ConvNet of the condensation papers, and a form of it whose width doubles from block to block."""

from collections.abc import Sequence
from functools import partial

from flax import nnx

from condense.nets.layers import (
    ACTIVATIONS,
    POOLINGS,
    Activation,
    BatchNorm,
    Conv,
    LecunDraw,
    Linear,
    NoNorm,
    NormKind,
    Pooling,
    Tape,
    flatten,
)
from condense.nets.layers import norm as norm_layer
from synth.errors import BadInput


def pooled(image: tuple[int, int, int], depth: int) -> tuple[int, int]:
    """Height and width of images of h, w, c after `depth` halvings, each rounded down. Raises BadInput where nothing is left."""
    h, w, _ = image
    most = min(h, w).bit_length() - 1
    if depth > most:
        raise BadInput(
            f"--net of depth={depth} pools {h}x{w} images to nothing: "
            f"use a depth of at most {most}, pool=none, or images of at least {2**depth}x{2**depth}"
        )
    return h >> depth, w >> depth


class ConvNet(nnx.Module):
    """Blocks of 3x3 convolution, norm, activation and 2x2 pooling, one for every width, then one linear layer."""

    def __init__(self, image, classes, draw, *, widths: Sequence[int], norm: NormKind, act: Activation, pool: Pooling):
        h, w, channels = image
        if pool != "none":
            h, w = pooled(image, len(widths))
        inputs = (channels, *widths)
        self.convs = nnx.List([Conv(a, b, 3, draw, padding=1) for a, b in zip(inputs, widths, strict=False)])
        self.norms = nnx.List([norm_layer(norm, width) for width in widths])
        self.head = Linear(h * w * widths[-1], classes, draw)
        self.act, self.pool = ACTIVATIONS[act], POOLINGS[pool]

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.pool(self.act(norm(conv(x, tape), tape)))
        tape.conv = x
        return flatten(x)


def convnet(*, width: int = 128, depth: int = 3, norm: NormKind = "instance", act: Activation = "relu", pool: Pooling = "avg"):
    """ConvNet of the condensation papers: blocks of 3x3 convolution, norm, activation and 2x2 pooling, then one linear layer.

    Zhao, Mopuri and Bilen, arXiv 2006.05929, section 4.1. `width` is the number of channels of every block, `depth` the number of blocks.
    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(ConvNet, widths=(width,) * depth, norm=norm, act=act, pool=pool)


def convnet_doubling(*, width: int = 128, depth: int = 3, norm: NormKind = "batch", act: Activation = "relu", pool: Pooling = "avg"):
    """ConvNet with twice as many channels from block to block: `width`, 2 `width`, 4 `width`, ...; with batch norm by default.

    The network of KRR-ST (Lee et al., ICLR 2024). That of FRePo has these widths too, see `convnet_frepo`. `depth` is the number of blocks.
    Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(ConvNet, widths=tuple(width << block for block in range(depth)), norm=norm, act=act, pool=pool)


class FrepoConvNet(nnx.Module):
    """Blocks of norm, 3x3 convolution, ReLU and 2x2 pooling, one for every width and without a norm in the first, then one linear layer."""

    def __init__(self, image, classes, draw, *, widths: Sequence[int], norm: NormKind):
        (h, w), draw = pooled(image, len(widths)), LecunDraw(draw)
        inputs = (image[2], *widths)
        self.norms = nnx.List([NoNorm(), *(self.norm_of(norm, width) for width in widths[:-1])])
        self.convs = nnx.List([Conv(a, b, 3, draw, padding=1) for a, b in zip(inputs, widths, strict=False)])
        self.head = Linear(h * w * widths[-1], classes, draw)

    @staticmethod
    def norm_of(norm: NormKind, channels: int) -> nnx.Module:
        """A norm layer for so many channels. The running statistics of batch norm keep a tenth of what they were in every step, and the
        variance in them is biased, as in flax."""
        return BatchNorm(channels, weight=0.9, biased=True) if norm == "batch" else norm_layer(norm, channels)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = POOLINGS["avg"](ACTIVATIONS["relu"](conv(norm(x, tape), tape)))
        tape.conv = x
        return flatten(x)


def convnet_frepo(*, width: int = 128, depth: int = 3, norm: NormKind = "batch"):
    """ConvNet of FRePo's release: norms before the convolutions, twice as many channels from block to block, flax's initialisation.

    Zhou, Nezhadarya and Ba, NeurIPS 2022; yongchaoz/FRePo, lib/models/networks.py. It distils with batch norm, whose running statistics
    keep a tenth of what they were, and is scored with `norm=none`. `width` is the number of channels of the first block, `depth` the number
    of blocks. Returns the network's constructor: (shape of an image, classes, `Draw`) -> module.
    """
    return partial(FrepoConvNet, widths=tuple(width << block for block in range(depth)), norm=norm)
