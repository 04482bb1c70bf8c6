"""Statistics of what enters the layers of a trained network, which hold knowledge of real data: how far a batch's are from the running
ones, or from those of one class; and those of convolutions, which networks do not keep."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.base import Split, Teacher
from synth.errors import BadInput
from synth.numerics.pytree import safe_norm

MOST = 128  # real images that go through a network together
PATCH = 4  # pixels a side
ENOUGH, FEWEST = 10_000, 16  # real images that `real_moments` looks at in all, and at least of a class
Layers = tuple[tuple[Float[Array | np.ndarray, "..."], ...], ...]  # moments of every layer, the convolutions' before the batch norms'


def norm_layers(taps: dict[str, Any]) -> int:
    """How many batch-normalisation layers reported their input's statistics in `taps`, those of a `synth.base.Out`."""
    return sum(f"norm{layer}" in taps for layer in range(len(taps)))


def statistics_gap(taps: dict[str, Any], *, first: float = 10.0) -> Float[Array, ""]:
    """R = sum_l m_l (|| mean_l - running mean_l || + || var_l - running var_l ||), m_1 = `first` and 1 for every other layer.

    Plain Euclidean norms, not squared, over a layer's channels; the mean and biased variance are those of the layer's input over the batch
    and its pixels, layers in the order of their calls (SRe2L, NeurIPS 2023, in the form of its released code).

    Args:
      taps: of `synth.base.Out`: (mean f32[d], variance f32[d]) under `norm0`, `norm1`, ... and what the network kept under `running0`, ...
      first: weight of the first layer (>= 0).

    Raises ValueError for a network without batch norms.
    """

    def gap(layer: int) -> jax.Array:
        seen, kept = taps[f"norm{layer}"], taps[f"running{layer}"]
        return sum(safe_norm(a - b, axis=0) for a, b in zip(seen, kept, strict=True))

    gaps = jnp.stack([gap(layer) for layer in range(norm_layers(taps))])
    return first * gaps[0] + jnp.sum(gaps[1:])


def class_statistics(teacher: Teacher, examples: Split) -> dict[str, tuple[Float[np.ndarray, "classes d"], ...]]:
    """What the real images of each class give the inputs of a network's batch norms: under `running0`, `running1`, ... in the order of
    their calls the mean and the biased variance of every channel, over the images of a class and their pixels.

    Of a class all images are taken that fill batches of equal size for all classes, which is up to 128. Raises BadInput where a class has
    none.
    """
    rows = [np.flatnonzero(examples.y == label) for label in range(int(np.max(examples.y)) + 1)]
    if not (size := min(MOST, *map(len, rows))):
        raise BadInput("--statistics class: a class has no training images; give data with some of every class")

    @jax.jit
    def moments(vars, x):
        taps = teacher.net.apply(vars, x).taps
        layers = (taps[f"norm{layer}"] for layer in range(norm_layers(taps)))
        return tuple((mean, var + mean**2) for mean, var in layers)  # of equal batches these two average to those of all

    def of_class(members):
        parts = members[: len(members) // size * size].reshape(-1, size)
        return jax.tree.map(
            lambda *each: np.mean(each, 0, dtype=np.float64), *(moments(teacher.vars, examples.take(part).x) for part in parts)
        )

    found = jax.tree.map(lambda *each: np.stack(each), *map(of_class, rows))
    return {
        f"running{layer}": (mean.astype(np.float32), np.maximum(0, square - mean**2).astype(np.float32))
        for layer, (mean, square) in enumerate(found)
    }


def moments(x: Float[Array, "b *s c"]) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Mean and biased variance of every channel."""
    axes = tuple(range(x.ndim - 1))
    return x.mean(axes), x.var(axes)


def patch_moments(x: Float[Array, "b h w c"]) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
    """Mean and biased variance of every patch of 4x4 pixels, over the images, the channels and the patch's pixels, row by row; of images
    whose sides are enlarged to the next multiple of 4 first (bilinear), where they are none."""
    b, h, w, c = x.shape
    tall, wide = (-(-side // PATCH) * PATCH for side in (h, w))
    if (tall, wide) != (h, w):
        x = jax.image.resize(x, (b, tall, wide, c), "linear", antialias=False)
    cells = x.reshape(b, tall // PATCH, PATCH, wide // PATCH, PATCH, c)
    axes = (0, 2, 4, 5)
    return cells.mean(axes).ravel(), cells.var(axes).ravel()


def layer_moments(taps: dict[str, Any]) -> Layers:
    """The moments of a batch in every layer of a network with batch norms: of the input of a convolution (mean, variance, mean of the
    patches, variance of the patches), of that of a batch norm (mean, variance). The convolutions come first, each kind in call order."""
    convs = (taps[f"conv_input{layer}"] for layer in range(len(taps)) if f"conv_input{layer}" in taps)
    norms = (taps[f"norm{layer}"] for layer in range(norm_layers(taps)))
    return (*((*moments(x), *patch_moments(x)) for x in convs), *norms)


class RealMoments(NamedTuple):
    """What real images give the layers of a network: `whole`, the moments of all together, and `classes`, for every class (the leading
    axis) the means over its images of the moments of each; None where nobody asked."""

    whole: Layers
    classes: Layers | None


def real_moments(teachers: Sequence[Teacher], examples: Split, *, by_class: bool) -> tuple[RealMoments, ...]:
    """The moments that real images give the inputs of all layers of each network, over all of them, or over about 10,000 where there are
    more: of every class in proportion, and at least 16, that lie evenly among its images. All networks see an image while it is at hand.

    Those of batch norms over all images are the running ones that the network keeps. Raises BadInput where a class has no image.
    """
    y = np.asarray(examples.y)
    members = [np.flatnonzero(y == label) for label in range(int(y.max()) + 1)]
    if not all(map(len, members)):
        raise BadInput("--data: a class has no training images; give data with some of every class")
    most = [max(FEWEST, ENOUGH * len(own) // len(y)) for own in members]
    kept = [own[np.linspace(0, len(own) - 1, min(len(own), count)).astype(np.int64)] for own, count in zip(members, most, strict=True)]
    chosen, labels = np.concatenate(kept), np.repeat(np.arange(len(kept)), [len(own) for own in kept])
    counts = np.array([len(own) for own in kept], np.float64)
    size, found = min(MOST, len(chosen)), [_Sums(teacher, len(members), by_class) for teacher in teachers]
    shares = np.array([len(own) for own in members]) / len(y) / counts  # what an image of each class counts among all
    for at in range(0, len(chosen), size):
        real = len(chosen[at : at + size])
        x = examples.take(np.resize(chosen[at : at + size], size)).x  # a short last batch is filled up with rows that are not counted
        for sums in found:
            sums.add(x, labels[at : at + real], shares[labels[at : at + real]])
    return tuple(sums.moments(counts) for sums in found)


class _Sums:
    """Sums of the moments of single images under one network: over all, and over those of every class where `by_class`."""

    def __init__(self, teacher: Teacher, classes: int, by_class: bool):
        self.teacher, self.classes, self.by_class = teacher, classes, by_class
        self.whole: Any = None
        self.own: Any = None

        @jax.jit
        def look(vars, x):
            taps = teacher.net.apply(vars, x).taps
            return _each_image(taps), tuple(taps[f"running{layer}"] for layer in range(norm_layers(taps)))

        self.look = look

    def add(self, x: Float[Array | np.ndarray, "b ..."], labels: Int[np.ndarray, " n"], shares: Float[np.ndarray, " n"]) -> None:
        """Counts the first n images, of these classes; `shares` are what they count among all."""
        layers, self.running = jax.tree.map(np.asarray, self.look(self.teacher.vars, x))
        layers = jax.tree.map(lambda leaf: leaf[: len(labels)].astype(np.float64), layers)
        # squares of the means beside them: the variance of all is the mean variance and that of the means
        now = tuple(tuple((shares @ part, shares @ part**2) for part in layer) for layer in layers)
        self.whole = now if self.whole is None else jax.tree.map(np.add, self.whole, now)
        if self.by_class:
            if self.own is None:
                self.own = jax.tree.map(lambda leaf: np.zeros((self.classes, leaf.shape[1])), layers)
            jax.tree.map(lambda total, leaf: np.add.at(total, labels, leaf), self.own, layers)

    def moments(self, counts: Float[np.ndarray, " k"]) -> RealMoments:
        """What was counted, for so many images of every class."""
        convs = self.whole[: len(self.whole) - len(self.running)]

        def pooled(layer):
            for (mean, square), (var, _) in zip(layer[::2], layer[1::2], strict=True):
                yield from (mean, var + square - mean**2)

        whole = (*(tuple(pooled(layer)) for layer in convs), *self.running)
        means = jax.tree.map(lambda total: total / counts[:, None], self.own) if self.by_class else None
        return jax.tree.map(lambda leaf: leaf.astype(np.float32), RealMoments(whole, means))


def _each_image(taps: dict[str, Any]) -> Layers:
    """As `layer_moments`, of each image by itself; arrays lead with the images."""

    def alone(find: Callable, x):
        return jax.vmap(lambda one: find(one[None]))(x)

    convs = (taps[f"conv_input{layer}"] for layer in range(len(taps)) if f"conv_input{layer}" in taps)
    norms = (taps[f"norm_input{layer}"] for layer in range(norm_layers(taps)))
    return (*((*alone(moments, x), *alone(patch_moments, x)) for x in convs), *(alone(moments, x) for x in norms))
