"""Densely connected layers for small images (Huang et al., DenseNet, arXiv 1608.06993, section 3; bottlenecks, compression 1/2)."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from condense.nets.conv import avg_pool
from condense.nets.layers import Conv, Linear, NormKind, Tape, global_average, need, not_erased
from condense.nets.layers import norm as norm_layer

STAGES, BOTTLENECK = 3, 4


class NormConv(nnx.Module):
    """Norm, ReLU and a convolution without bias."""

    def __init__(self, inputs: int, outputs: int, size: int, draw, *, norm: NormKind):
        self.norm, self.conv = norm_layer(norm, inputs), Conv(inputs, outputs, size, draw, padding=size // 2, bias=norm == "none")

    def __call__(self, x, tape: Tape):
        return self.conv(jax.nn.relu(self.norm(x, tape)))


class DenseNet(nnx.Module):
    """3x3 stem, three stages of layers that each add `growth` channels to what they see, global average, one linear layer."""

    def __init__(self, image, classes, draw, *, growth: int, depth: int, norm: NormKind):
        need("densenet", image, 4)
        not_erased("densenet", norm, image, 7)
        width = 2 * growth
        self.stem, layers = Conv(image[2], width, 3, draw, padding=1, bias=norm == "none"), []
        for stage in range(STAGES):
            for _ in range(depth):
                inner = BOTTLENECK * growth
                layers += [NormConv(width, inner, 1, draw, norm=norm), NormConv(inner, growth, 3, draw, norm=norm)]
                width += growth
            if stage < STAGES - 1:
                layers.append(NormConv(width, width // 2, 1, draw, norm=norm))
                width //= 2
        self.layers, self.depth = nnx.List(layers), depth
        self.norm, self.head = norm_layer(norm, width), Linear(width, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        x, layers = self.stem(x), iter(self.layers)
        for stage in range(STAGES):
            for _ in range(self.depth):
                narrow, wide = next(layers), next(layers)
                x = jnp.concatenate([x, wide(narrow(x, tape), tape)], -1)
            if stage < STAGES - 1:
                x = avg_pool(next(layers)(x, tape))
        tape.conv = jax.nn.relu(self.norm(x, tape))
        return global_average(tape.conv)


def densenet(*, growth: int = 8, depth: int = 3, norm: NormKind = "batch"):
    """DenseNet with bottlenecks for small images: three stages of `depth` layers of `growth` channels, halved in number between stages."""
    return partial(DenseNet, growth=growth, depth=depth, norm=norm)
