"""Optimisers and step-size schedules beside those of `synth.training.fit`. A schedule maps the number of steps done, i32[], to a factor
f32[]."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int
from optax.contrib import MuonDimensionNumbers

from synth.numerics.pytree import safe_norm
from synth.training.fit import adam


def cosine(steps: int, *, floor: float = 0.0) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """A function from the number t of steps done to a factor: floor + (1 - floor) (1 + cos(pi t / steps)) / 2, and `floor` from `steps`
    on."""

    def factor(count):
        share = jnp.minimum(count.astype(jnp.float32) / steps, 1)
        return floor + (1 - floor) * (1 + jnp.cos(jnp.pi * share)) / 2

    return factor


def linear(steps: int, *, floor: float = 0.0) -> Callable[[Int[Array, ""]], Float[Array, ""]]:
    """A function from the number of steps done to a factor: a straight line from 1 to `floor` at `steps`, and `floor` from there on."""

    def factor(count):
        return 1 - (1 - floor) * jnp.minimum(count.astype(jnp.float32) / steps, 1)

    return factor


def scheduled(tx: optax.GradientTransformation, factor: Callable) -> optax.GradientTransformation:
    """An optimiser that multiplies the updates of `tx` by `factor(t)`, with t the number of steps done before, i32[]."""

    def init(params):
        return jnp.zeros((), jnp.int32), tx.init(params)

    def update(grads, state, params):
        count, inner = state
        updates, inner = tx.update(grads, inner, params)
        return jax.tree.map(lambda u: u * factor(count).astype(u.dtype), updates), (count + 1, inner)

    return optax.GradientTransformation(init, update)


class Averaging(NamedTuple):
    """State of `averaging`: that of the optimiser inside, and the running average of the parameters."""

    inner: optax.OptState
    average: optax.Params


def averaging(tx: optax.GradientTransformation, decay: float) -> optax.GradientTransformation:
    """The optimiser `tx`, which beside keeps a running average of the parameters: a <- decay a + (1 - decay) p after every step, from the
    first parameters on. Its updates are those of `tx`."""

    def init(params):
        return Averaging(tx.init(params), params)

    def update(grads, state, params):
        updates, inner = tx.update(grads, state.inner, params)
        average = jax.tree.map(lambda a, p, u: decay * a + (1 - decay) * (p + u), state.average, params, updates)
        return updates, Averaging(inner, average)

    return optax.GradientTransformation(init, update)


def muon(lr, *, weight_decay: float = 0.0, rms: float = 0.2) -> optax.GradientTransformation:
    """Muon (Jordan et al., 2024), by optax: momentum whose singular values five Newton-Schulz steps bring near 1, times sqrt(max(m, n)) rms
    for m x n, which makes steps as large as Adam's (Liu et al., arXiv 2502.16982). `lr` may be traced.

    Arrays of two axes and more are matrices of their last axis by all others, and decay, apart from the gradient. Other arrays move by
    Adam with Nesterov's momentum, without decay.
    """

    def matrices(params):
        return jax.tree.map(lambda p: MuonDimensionNumbers(tuple(range(p.ndim - 1)), p.ndim - 1) if p.ndim > 1 else None, params)

    tx = optax.contrib.muon(lr, weight_decay=weight_decay, consistent_rms=rms, muon_weight_dimension_numbers=matrices)

    def update(grads, state, params):
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the power of its int32 counter
            return tx.update(grads, state, params)

    return optax.GradientTransformation(tx.init, update)


def lamb(lr, *, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-6) -> optax.GradientTransformation:
    """LAMB (You et al., ICLR 2020, algorithm 2) without weight decay: Adam's direction, scaled to `lr` times the norm of the parameters.

    Every array of the tree is a layer. One that is zero, or whose direction is, moves as under Adam.
    """
    tx = adam(lr, b1=b1, b2=b2, epsilon=epsilon)

    def update(grads, state, params):
        updates, state = tx.update(grads, state, params)

        def scale(u, p):
            of, to = safe_norm(u.ravel(), axis=0) / jnp.asarray(lr, u.dtype), safe_norm(p.ravel(), axis=0)
            return u * jnp.where((of > 0) & (to > 0), to / jnp.where(of > 0, of, 1), 1)

        return jax.tree.map(scale, updates, params), state

    return optax.GradientTransformation(tx.init, update)
