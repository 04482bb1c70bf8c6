"""How far a batch's statistics are from the running statistics of a trained network, which hold knowledge of real data, or from those of
one class."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synth.base import Split, Teacher
from synth.errors import BadInput
from synth.numerics.pytree import safe_norm

MOST = 128  # real images that go through a network together


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
