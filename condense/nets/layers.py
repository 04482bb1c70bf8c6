"""Layers with PyTorch's default initialisation, on f32[b h w c] in model space (or f32[b d]); any float dtype passes through.

Kernels are [kh kw in out] and [in out]: the output axis is last everywhere. Every weight and bias starts as U(-k, k) with
k = 1/sqrt(fan_in) (kaiming-uniform with a = sqrt(5)); the scale and bias of a norm start at 1 and 0.
"""

import math
from functools import reduce
from typing import Literal

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from condense.nets import conv
from condense.nets.depthwise import depthwise
from condense.nets.precision import matmul
from synth.errors import BadInput

NormKind = Literal["instance", "group", "batch", "none"]
Activation = Literal["relu", "leaky_relu", "sigmoid", "swish"]
Pooling = Literal["avg", "max", "none"]
EPSILON, MOMENTUM, GROUPS = 1e-5, 0.1, 4
CUT, CUT_STD = 2.0, 0.8796256610342398  # where a standard normal is cut, and its standard deviation then
LARGE = 160  # pixels a side, above Tiny ImageNet's 64 and the 128 of ImageNet's subsets, below 224


class Tape:
    """Records one forward pass: `conv`, the last feature map, which the network puts there; `norms`, for each batch norm in call order its
    input, the statistics of that and its running ones; `convs`, the input of each convolution in call order. `train` says whether batch
    norms normalise by the batch."""

    def __init__(self, train: bool):
        self.train, self.conv, self.norms, self.convs = train, None, [], []


MOST = 1 << 36  # parameters of a network, whatever the machine


class Draw:
    """Random numbers from U(-1, 1), taken in order from one draw of `total` numbers. One draw compiles ten times faster than a draw for
    every layer.

    Without a key it hands out zeros and counts in `used` how many are needed.
    """

    def __init__(self, key: jax.Array | None = None, *, total: int = 0):
        self.values = None if key is None else jax.random.uniform(key, (total,), jnp.float32, -1, 1)
        self.used = 0

    def parameter(self, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
        """A parameter from U(-k, k), k = 1/sqrt(fan_in), of the next numbers of the draw; zeros where there was no key, and then BadInput
        where more than 2^36 numbers are needed in all."""
        start, self.used = self.used, self.used + math.prod(shape)
        if self.values is None:
            if self.used > MOST:
                raise BadInput(f"--net: has more than {MOST:,} parameters; use a smaller width or depth")
            return nnx.Param(jnp.zeros(shape, jnp.float32))
        return nnx.Param(self.values[start : self.used].reshape(shape) / math.sqrt(fan_in))


def _last(vector: Array, x: Array) -> Array:
    """A vector along the last axis of x, with x's rank."""
    return vector.reshape((1,) * (x.ndim - 1) + (-1,))


class LecunDraw:
    """Takes its numbers from a `Draw` and makes flax's initialisation of them: matrices and kernels are normal with the variance 1/fan_in,
    cut at two standard deviations, and vectors, which are biases, start at 0."""

    def __init__(self, draw: Draw):
        self.draw = draw

    def parameter(self, shape: tuple[int, ...], fan_in: int) -> nnx.Param:
        """A parameter of that shape: normal with the variance 1/fan_in, cut at two standard deviations. A vector is 0 and takes no number
        from the draw."""
        if len(shape) == 1:
            return nnx.Param(jnp.zeros(shape, jnp.float32))
        uniform = self.draw.parameter(shape, 1)[...]  # U(-1, 1)
        cut = math.sqrt(2) * jax.lax.erf_inv(uniform * math.erf(CUT / math.sqrt(2)))
        return nnx.Param(cut / (CUT_STD * math.sqrt(fan_in)))


class Conv(nnx.Module):
    """Square convolution: kernel f32[size size in out], bias f32[out] or none, `padding` zero pixels on every side."""

    def __init__(
        self, inputs: int, outputs: int, size: int, draw: Draw | LecunDraw, *, stride: int = 1, padding: int = 0, bias: bool = True
    ):
        fan_in = size * size * inputs
        self.kernel = draw.parameter((size, size, inputs, outputs), fan_in)
        self.bias = draw.parameter((outputs,), fan_in) if bias else None
        self.stride, self.padding = stride, padding

    def __call__(self, x: Float[Array, "b h w c"], tape: Tape) -> Float[Array, "b h2 w2 d"]:
        tape.convs.append(x)
        x = conv.conv2d(x, self.kernel[...], stride=self.stride, padding=self.padding)
        return x if self.bias is None else x + _last(self.bias[...], x)


class Depthwise(nnx.Module):
    """Convolution of every channel by itself, size // 2 zero pixels on every side: kernel f32[size size c], size odd, and maybe a bias."""

    def __init__(self, channels: int, size: int, draw: Draw, *, stride: int = 1, bias: bool = True):
        self.kernel = draw.parameter((size, size, channels), size * size)
        self.bias = draw.parameter((channels,), size * size) if bias else None
        self.stride = stride

    def __call__(self, x: Float[Array, "b h w c"], tape: Tape) -> Float[Array, "b h2 w2 c"]:
        tape.convs.append(x)
        x = depthwise(x, self.kernel[...], stride=self.stride)
        return x if self.bias is None else x + _last(self.bias[...], x)


class Linear(nnx.Module):
    """x W + b with W f32[in out] and b f32[out]."""

    def __init__(self, inputs: int, outputs: int, draw: Draw | LecunDraw):
        self.kernel = draw.parameter((inputs, outputs), inputs)
        self.bias = draw.parameter((outputs,), inputs)

    def __call__(self, x: Float[Array, "b d"]) -> Float[Array, "b e"]:
        return matmul(x, self.kernel[...]) + _last(self.bias[...], x)


class GroupNorm(nnx.Module):
    """(x - mean) / sqrt(var + 1e-5) * scale + bias, with the mean and biased variance of a group of one example's channels.

    Wu and He, arXiv 1803.08494, eq. 1. Four groups, or two or one where four do not divide the channels; with `instance`, one a channel.
    """

    def __init__(self, channels: int, *, instance: bool = False):
        self.scale, self.bias = nnx.Param(jnp.ones(channels, jnp.float32)), nnx.Param(jnp.zeros(channels, jnp.float32))
        self.groups = channels if instance else math.gcd(GROUPS, channels)

    def __call__(self, x: Float[Array, "b *s c"], tape: Tape) -> Float[Array, "b *s c"]:
        if self.groups == x.shape[-1]:
            return conv.instance_norm(x, self.scale[...], self.bias[...], epsilon=EPSILON)
        grouped = x.reshape(*x.shape[:-1], self.groups, -1)
        axes = (*range(1, x.ndim - 1), x.ndim)
        mean, var = grouped.mean(axes, keepdims=True), grouped.var(axes, keepdims=True)
        grouped = (grouped - mean) * jax.lax.rsqrt(var + EPSILON)
        return grouped.reshape(x.shape) * _last(self.scale[...], x) + _last(self.bias[...], x)


class BatchNorm(nnx.Module):
    """(x - mean) / sqrt(var + 1e-5) * scale + bias, statistics of the channel in this batch when training, running ones otherwise.

    As in PyTorch, the variance that normalises is biased and the one that enters the running average (weight 0.1) is not. For other
    libraries' ways `weight` is another weight of the batch in that average, and `biased` lets the biased variance enter it. In both modes
    the tape gets the input, its (mean, biased variance) and the running (mean, variance) as they were. Raises BadInput when training on one
    value a channel.
    """

    def __init__(self, channels: int, *, weight: float = MOMENTUM, biased: bool = False):
        self.scale, self.bias = nnx.Param(jnp.ones(channels, jnp.float32)), nnx.Param(jnp.zeros(channels, jnp.float32))
        self.mean, self.var = nnx.BatchStat(jnp.zeros(channels, jnp.float32)), nnx.BatchStat(jnp.ones(channels, jnp.float32))
        self.weight, self.biased = weight, biased

    def __call__(self, x: Float[Array, "b *s c"], tape: Tape) -> Float[Array, "b *s c"]:
        axes = tuple(range(x.ndim - 1))
        mean, var = x.mean(axes), x.var(axes)
        tape.norms.append((x, (mean, var), (self.mean[...], self.var[...])))
        if tape.train:
            n = math.prod(x.shape[:-1])
            if n < 2:
                raise BadInput("batch norm needs more than one value a channel to train: use a larger batch, larger images or norm=group")
            of_var = self.weight if self.biased else self.weight * n / (n - 1)
            self.mean[...] = (1 - self.weight) * self.mean[...] + self.weight * mean
            self.var[...] = (1 - self.weight) * self.var[...] + of_var * var
        else:
            mean, var = self.mean[...], self.var[...]
        factor = jax.lax.rsqrt(var + EPSILON) * self.scale[...]
        return (x - _last(mean, x)) * _last(factor, x) + _last(self.bias[...], x)


class NoNorm(nnx.Module):
    """The input as it is."""

    def __call__(self, x: Array, tape: Tape) -> Array:
        return x


def norm(kind: NormKind, channels: int) -> nnx.Module:
    """A norm layer for so many channels, called as `layer(x, tape)`. `group` has four groups, or two or one where four do not divide the
    channels; `none` returns x."""
    return {
        "instance": lambda: GroupNorm(channels, instance=True),
        "group": lambda: GroupNorm(channels),
        "batch": lambda: BatchNorm(channels),
        "none": NoNorm,
    }[kind]()


norm_layer = norm  # for whoever has an argument of that name


class ConvNorm(nnx.Module):
    """A convolution, full or of every channel by itself, and its norm. Only without a norm does the convolution have a bias."""

    def __init__(self, inputs: int, outputs: int, size: int, draw: Draw, *, norm: NormKind, stride: int = 1, depthwise: bool = False):
        bias = norm == "none"
        square = {"stride": stride, "bias": bias}
        self.conv = Depthwise(inputs, size, draw, **square) if depthwise else Conv(inputs, outputs, size, draw, padding=size // 2, **square)
        self.norm = norm_layer(norm, outputs)

    def __call__(self, x: Float[Array, "b h w c"], tape: Tape) -> Float[Array, "b h2 w2 d"]:
        return self.norm(self.conv(x, tape), tape)


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 2x2 windows with stride 2; a last odd row or column is dropped. Ties share the gradient."""
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    return reduce(jnp.maximum, [x[:, i:h:2, j:w:2] for i in (0, 1) for j in (0, 1)])


def max_pool3(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Maximum over 3x3 windows with stride 2 of values >= 0, one zero pixel on every side: h2 = (h + 1) // 2, and w2 alike."""
    (h, w), x = x.shape[1:3], jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return reduce(jnp.maximum, [x[:, i : i + h : 2, j : j + w : 2] for i in range(3) for j in range(3)])


def flatten(x: Float[Array, "b *s c"]) -> Float[Array, "b d"]:
    """Makes one vector of every example: rows, columns, channels in this order. So the head of a PyTorch network (channels, rows, columns)
    needs its rows permuted."""
    return x.reshape(x.shape[0], -1)


def global_average(x: Float[Array, "b h w c"]) -> Float[Array, "b c"]:
    """Mean over the pixels."""
    return x.mean((1, 2))


def is_large(image: tuple[int, int, int]) -> bool:
    """Whether images of h, w, c have at least 160 pixels on the shorter side. Networks published for ImageNet halve such images five times,
    as published. Smaller images are halved three times: the first two halvings are left out, as in research on small images."""
    return min(image[:2]) >= LARGE


def strides_for(image: tuple[int, int, int], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of a network on images of h, w, c. Where the shorter side has less than 160 pixels, only the last three strides of 2
    remain, and earlier ones become 1; else all stay."""
    halvings = [i for i, stride in enumerate(strides) if stride == 2]
    skipped = [] if is_large(image) else halvings[:-3]
    return tuple(1 if i in skipped else stride for i, stride in enumerate(strides))


ACTIVATIONS = {"relu": jax.nn.relu, "leaky_relu": jax.nn.leaky_relu, "sigmoid": jax.nn.sigmoid, "swish": jax.nn.swish}
POOLINGS = {"avg": conv.avg_pool, "max": max_pool, "none": lambda x: x}


def need(name: str, image: tuple[int, int, int], smallest: int) -> None:
    """Raises BadInput if images of h, w, c have a side of fewer than `smallest` pixels, because the network `name` would pool them to
    nothing."""
    h, w, _ = image
    if min(h, w) < smallest:
        raise BadInput(f"--net {name} pools {h}x{w} images to nothing: it needs images of at least {smallest}x{smallest}")


def not_erased(name: str, norm: NormKind, image: tuple[int, int, int], shrink: int) -> None:
    """Raises BadInput if instance norm would get single pixels, which it turns into zeros.

    Args:
      name: of the network, for the message.
      norm: the network's norm; nothing is raised for another one than `instance`.
      image: h, w, c.
      shrink: the most pixels a side that the network makes one pixel of.
    """
    h, w, _ = image
    if norm == "instance" and max(h, w) <= shrink:
        raise BadInput(
            f"--net {name}:norm=instance erases {h}x{w} images, which end as single pixels: "
            f"use norm=group, batch or none, or images of at least {shrink + 1}x{shrink + 1}"
        )
