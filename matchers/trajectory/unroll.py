"""Training as a differentiable function: N steps of gradient descent, and the exact adjoint at one parameter vector of memory a step.

Parameters are one flat vector theta f[P], in the order of `jax.flatten_util.ravel_pytree`. A step sees rows: a PyTree of arrays that lead
with the batch. The cost of rows is the sum of what each contributes, so that a batch may be worked through in pieces that stay in a CPU's
cache.
"""

import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from synth.numerics.pytree import floats
from synth.training.microbatch import summed


class Walk(NamedTuple):
    """N steps of gradient descent, without their arrays.

    Args:
      draw: (learned, item) -> rows: the batch of a step, a differentiable function of what is learned. It is drawn again where its
        gradient is asked for, so it must be a pure function.
      cost: (params, rows) -> f[], the sum over rows of each row's weighted loss.
      unravel: theta f[P] -> params.
      momentum: mu in [0, 1) of the descent.
      marks: after how many steps the parameters are wanted, in rising order; 0 is the start, N the end.
      exact: False leaves out how the gradient of a step depends on the parameters that the steps before it reached (TESLA).
      rows: how many rows a piece has, at least 1.
    """

    draw: Callable
    cost: Callable
    unravel: Callable
    momentum: float = 0.0
    marks: tuple[int, ...] = ()
    exact: bool = True
    rows: int = sys.maxsize


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def unroll(
    walk: Walk, start: Float[Array, " p"], learned: PyTree, beta: Float[Array, ""], items: PyTree
) -> tuple[Float[Array, "k p"], Float[Array, " n"]]:
    """The parameters after `walk.marks` steps of descent, and the loss that each step saw. Only the parameters are differentiable.

      g_i = grad_theta cost(theta_i, draw(learned, items_i)),  b_i = mu b_{i-1} + g_i,  theta_{i+1} = theta_i - beta b_i,  b_{-1} = 0.

    Backwards, with v_i the gradient of the outcome by theta_i, and r_N = 0:

      r_i = v_{i+1} + mu r_{i+1},  v_i = v_{i+1} - beta H_i r_i + (the outcome's own gradient by theta_i),
      d/dbeta = - sum_i <g_i, r_i>,  d/dlearned = - beta sum_i d<g_i, r_i>/dlearned.

    Only theta_0 ... theta_N are kept. A step is computed again from its theta_i: one pass gives <g_i, r_i>, and its gradient by theta and
    by the rows gives the rest. `exact=False` drops H_i, which is what TESLA (Cui et al., ICML 2023) computes: the gradient with every
    theta_i held constant inside g_i. With one step the two are equal; with more they are not.

    Args:
      walk: the descent.
      start: theta_0.
      learned: what `walk.draw` reads, of any floating leaves (integers are carried along).
      beta: step size.
      items: a PyTree whose leaves lead with the N steps.
    """
    return _forward(walk, start, learned, beta, items)[0]


def _forward(walk: Walk, start, learned, beta, items):
    def step(carry, item):
        theta, b = carry
        params = walk.unravel(theta)

        def slope(rows):
            return jax.value_and_grad(walk.cost)(params, rows), ()

        (loss, grads), _ = summed(slope, walk.draw(learned, item), walk.rows)
        b = walk.momentum * b + _flat(grads) if walk.momentum else _flat(grads)
        return (theta - beta * b, b if walk.momentum else ()), (theta, loss)

    first = (start, jnp.zeros_like(start) if walk.momentum else ())
    (last, _), (thetas, losses) = jax.lax.scan(step, first, items)
    steps = len(thetas)
    wanted = jnp.stack([last if mark == steps else thetas[mark] for mark in walk.marks])
    return (wanted, losses), (thetas, learned, beta, items)


def _backward(walk: Walk, kept, cotangents):
    thetas, learned, beta, items = kept
    wanted, steps = cotangents[0], len(thetas)
    diff, rebuild = floats(learned)

    def step(carry, at):
        v, r, slopes, slope_beta = carry
        theta, item, mark = at
        r = v + walk.momentum * r if walk.momentum else v
        params, direction = walk.unravel(theta), walk.unravel(r)

        def along(params, rows):
            return jax.jvp(lambda p: walk.cost(p, rows), (params,), (direction,))[1]

        def slope(rows):
            if walk.exact:
                inner, (curved, by_rows) = jax.value_and_grad(along, argnums=(0, 1))(params, rows)
                return (inner, curved), by_rows
            inner, by_rows = jax.value_and_grad(along, argnums=1)(params, rows)
            return (inner, ()), by_rows

        rows, pull = jax.vjp(lambda diff: walk.draw(rebuild(diff), item), diff)
        (inner, curved), by_rows = summed(slope, rows, walk.rows)
        slopes = jax.tree.map(lambda total, part: total - beta * part, slopes, pull(by_rows)[0])
        if walk.exact:
            v = v - beta * _flat(curved)
        v = v + jnp.where(mark >= 0, wanted[mark], jnp.zeros_like(v))
        return (v, r if walk.momentum else (), slopes, slope_beta - inner), None

    inside = [walk.marks.index(i) if i in walk.marks else -1 for i in range(steps)]
    last = wanted[walk.marks.index(steps)] if steps in walk.marks else jnp.zeros_like(thetas[0])
    first = (last, jnp.zeros_like(last) if walk.momentum else (), jax.tree.map(jnp.zeros_like, diff), jnp.zeros_like(beta))
    (v, _, slopes, slope_beta), _ = jax.lax.scan(step, first, (thetas, items, jnp.asarray(inside)), reverse=True)
    return v, rebuild(slopes, zeros=True), slope_beta, None


unroll.defvjp(_forward, _backward)


def _flat(tree: PyTree) -> jax.Array:
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)])
