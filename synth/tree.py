"""Small numerics on trees of arrays."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def safe_norm(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Euclidean norm along `axis` whose derivative at zero is zero, where that of a plain norm is NaN (a dead channel)."""
    square = jnp.sum(x * x, axis)
    alive = square > 0
    return jnp.where(alive, jnp.sqrt(jnp.where(alive, square, 1)), 0)


def all_finite(tree) -> bool:
    """Whether every number in the tree is finite; fetches the arrays."""
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating))
