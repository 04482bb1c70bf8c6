"""Splits a batch into microbatches that stay in a CPU's cache. Rows are a PyTree of arrays whose first axis is the batch."""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from synth.numerics import backend
from synth.numerics.pytree import floats

PIXELS = 2**15  # of a piece at most: 32 images of 32x32


def rows_of(b: int, image: tuple[int, ...]) -> int:
    """The number of rows in a microbatch, for b images of h w c or vectors of d numbers. On a CPU it is the number with at most PIXELS
    (2^15) pixels or numbers that needs the least padding, and the largest of these. Otherwise, and if all rows fit into one, it is b. Sides
    count as the next multiple of 8: images of 28x28 as 32x32, to which networks pad them."""
    most = max(1, PIXELS // math.prod(-(-side // 8) * 8 for side in image[:2]))
    if not backend.splits_batches() or b <= most:
        return b
    return min(range(most, most // 2, -1), key=lambda rows: -(-b // rows) * rows)


def split_rows(rows: PyTree, size: int) -> PyTree:
    """Splits rows, a PyTree of arrays that lead with the batch, into microbatches [pieces size ...]. The last one is padded with zeros."""
    b = len(jax.tree.leaves(rows)[0])
    pieces = -(-b // size)
    return jax.tree.map(lambda x: jnp.pad(x, [(0, pieces * size - b)] + [(0, 0)] * (x.ndim - 1)).reshape(pieces, size, *x.shape[1:]), rows)


def summed(fn: Callable, rows: PyTree, size: int) -> tuple[PyTree, PyTree]:
    """Computes and returns fn(rows) = (sums over rows, values with the rows first) in microbatches of at most `size` rows. `fn` must add
    nothing to the sums for rows of zeros, which fill up the last microbatch. `rows` is a PyTree of arrays that lead with the batch."""
    b = len(jax.tree.leaves(rows)[0])
    if b <= size:
        return fn(rows)

    def add(total, piece):
        part, values = fn(piece)
        return jax.tree.map(jnp.add, total, part), values

    parts = split_rows(rows, size)
    shapes = jax.eval_shape(fn, jax.tree.map(lambda x: x[0], parts))[0]
    total, values = jax.lax.scan(add, jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes), parts)
    return total, jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:])[:b], values)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 3))
def total(cost: Callable, params: PyTree, rows: PyTree, size: int) -> Float[Array, ""]:
    """Computes cost(params, rows), a sum over rows, in microbatches of at most `size` rows.

    The gradient by `params` is taken piece by piece on the way, so that none is computed twice: differentiating a loop over pieces keeps
    the activations of all of them, or computes each again.
    """
    return summed(lambda part: (cost(params, part), ()), rows, size)[0]


def _forward(cost, params, rows, size):
    value, slope = summed(lambda part: (jax.value_and_grad(cost)(params, part), ()), rows, size)[0]
    return value, (slope, params, rows)


def _backward(cost, size, kept, cotangent):
    slope, params, rows = kept

    _, rebuild = floats(rows)

    def by_rows(part):
        inner, again = floats(part)
        return (), jax.grad(lambda diff: cost(params, again(diff)))(inner)

    sides = summed(by_rows, rows, size)[1]  # where nobody asks for it the compiler drops this half
    return jax.tree.map(lambda g: cotangent * g, slope), rebuild([cotangent * g for g in sides], zeros=True)


total.defvjp(_forward, _backward)
