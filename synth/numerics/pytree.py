"""Small numerics on PyTrees of arrays."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree


def safe_norm(x: Float[Array, "..."], *, axis: int) -> Float[Array, "..."]:
    """Euclidean norm along `axis`. Its derivative at zero is zero, not NaN as for a plain norm (a dead channel needs that)."""
    square = jnp.sum(x * x, axis)
    alive = square > 0
    return jnp.where(alive, jnp.sqrt(jnp.where(alive, square, 1)), 0)


def with_gradient(value: Float[Array, ""], x: Float[Array, "..."], slope: Float[Array, "..."]) -> Float[Array, ""]:
    """Returns `value` with the derivative `slope` by x, both computed before: value + <slope, x - x>, where all but the first x is held
    constant."""
    value, still, slope = jax.lax.stop_gradient((value, x, slope))
    return value + jnp.sum(slope * (x - still))


def all_finite(tree) -> bool:
    """Whether all floating numbers of a PyTree are finite; other leaves are not read. Waits for the arrays."""
    return all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating))


def floats(tree: PyTree) -> tuple[list, Callable]:
    """(the floating leaves of a PyTree, `rebuild`): rebuild(leaves) is the tree with these in their place and the remaining leaves as they
    were; with `zeros=True` the remaining leaves become their zero gradients (of dtype float0)."""
    leaves, structure = jax.tree.flatten(tree)
    real = [jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in leaves]

    def rebuild(diff: list, *, zeros: bool = False) -> Any:
        diff = iter(diff)
        still = [np.zeros(leaf.shape, jax.dtypes.float0) for leaf in leaves] if zeros else leaves
        return structure.unflatten([next(diff) if is_real else leaf for is_real, leaf in zip(real, still, strict=True)])

    return [leaf for leaf, is_real in zip(leaves, real, strict=True) if is_real], rebuild
