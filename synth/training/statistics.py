"""Statistics of what enters the layers of a trained network, which hold knowledge of real data: how far a batch's are from the running
ones, or from those of one class; and those of convolutions, which networks do not keep."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synth.base import Split, Teacher
from synth.errors import BadInput
from synth.numerics.pytree import safe_norm

MOST = 128  # real images that go through a network together
PATCH, ENOUGH = 4, 10_000  # pixels a side of a patch, real images that `real_moments` looks at
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


def real_moments(teacher: Teacher, examples: Split, *, by_class: bool) -> RealMoments:
    """The moments of the inputs of all layers over real images, or over 10,000 that lie evenly among them where there are more.

    Those of batch norms over all images are the running ones that the network keeps. Raises BadInput with `by_class` where a class has no
    image, and where the network does not tell the inputs of its batch norms.
    """
    classes = int(np.max(examples.y)) + 1 if by_class else 1
    chosen = np.unique(np.linspace(0, len(examples.y) - 1, min(len(examples.y), ENOUGH)).astype(np.int64))
    labels = np.asarray(examples.y)[chosen] if by_class else np.zeros(len(chosen), np.int32)
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    if not counts.all():
        raise BadInput("--category: a class has no training images; give data with some of every class, or 0")

    @jax.jit
    def total(vars, x, of_class):  # of_class f32[b classes]: 1 for an image's class; padding has none
        taps = teacher.net.apply(vars, x).taps
        layers = _each_image(taps, norms=by_class)
        sums = jax.tree.map(lambda leaf: jnp.einsum("bd,bk->kd", leaf, of_class, precision=jax.lax.Precision.HIGHEST), layers)
        squares = tuple(
            tuple(jnp.einsum("bd,b->d", leaf**2, of_class.sum(1), precision=jax.lax.Precision.HIGHEST) for leaf in layer[::2])
            for layer in layers
        )
        running = tuple(taps[f"running{layer}"] for layer in range(norm_layers(taps)))
        return sums, squares, running

    size, found = min(MOST, len(chosen)), None
    for at in range(0, len(chosen), size):
        rows = np.resize(chosen[at : at + size], size)  # a short last batch is filled up with rows that count for no class
        of_class = (
            np.eye(classes, dtype=np.float32)[np.resize(labels[at : at + size], size)] * (np.arange(size) < len(chosen) - at)[:, None]
        )
        *now, running = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), total(teacher.vars, examples.take(rows).x, of_class))
        found = now if found is None else jax.tree.map(np.add, found, now)
    sums, squares = found

    def pooled(layer, square):
        for mean, var, of_square in zip(layer[::2], layer[1::2], square, strict=True):
            mean = mean.sum(0) / len(chosen)
            yield from (mean, (var.sum(0) + of_square) / len(chosen) - mean**2)

    convs = len(squares) - len(running) * by_class
    whole = (*(tuple(pooled(*pair)) for pair in zip(sums[:convs], squares[:convs], strict=True)), *running)
    means = jax.tree.map(lambda leaf: leaf / counts[:, None], tuple(sums)) if by_class else None
    return jax.tree.map(lambda leaf: leaf.astype(np.float32), RealMoments(whole, means))


def _each_image(taps: dict[str, Any], *, norms: bool) -> Layers:
    """As `layer_moments`, of each image by itself, without the batch norms unless `norms`; arrays lead with the images."""
    if norms and "norm_input0" not in taps:
        raise BadInput("--category: a teacher does not tell what enters its batch norms; give 0, or a network of this project")

    def alone(find: Callable, x):
        return jax.vmap(lambda one: find(one[None]))(x)

    convs = (taps[f"conv_input{layer}"] for layer in range(len(taps)) if f"conv_input{layer}" in taps)
    normed = (taps[f"norm_input{layer}"] for layer in range(norm_layers(taps) if norms else 0))
    return (*((*alone(moments, x), *alone(patch_moments, x)) for x in convs), *(alone(moments, x) for x in normed))
