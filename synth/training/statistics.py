"""How far a batch's statistics are from the running statistics of a trained network, which hold knowledge of real data."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synth.numerics.pytree import safe_norm


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
