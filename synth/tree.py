"""Small numerics on trees of arrays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_norm(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Euclidean norm along `axis` whose derivative at zero is zero, where that of a plain norm is NaN (a dead channel)."""
    square = jnp.sum(x * x, axis)
    alive = square > 0
    return jnp.where(alive, jnp.sqrt(jnp.where(alive, square, 1)), 0)


def with_gradient(value: Float[Array, ""], x: Float[Array, "..."], slope: Float[Array, "..."]) -> Float[Array, ""]:
    """`value`, whose derivative by x is `slope`, computed before: value + <slope, x - x>, with all but the first x held constant."""
    value, still, slope = jax.lax.stop_gradient((value, x, slope))
    return value + jnp.sum(slope * (x - still))


def all_finite(tree) -> bool:
    """Whether every number in the tree is finite; fetches the arrays."""
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating))
