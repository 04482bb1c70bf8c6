"""Flat experts (Du et al., Minimizing the Accumulated Trajectory Error, CVPR 2023): SGD on a sharpness-aware direction."""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from condense.experts.base import ExpertRecipe
from synth.errors import BadInput
from synth.options import NonNegative, Positive

TINY = 1e-12


def dot(a: PyTree, b: PyTree) -> Float[Array, ""]:
    """The sum of the products of corresponding numbers, over all leaves of two PyTrees of one structure."""
    return sum(jnp.sum(g * h) for g, h in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def ascent(params: PyTree, grads: PyTree, *, rho: float, adaptive: bool) -> PyTree:
    """e = rho w^2 g / (|| |w| g || + 1e-12), elementwise in the parameters w, with the norm over all of them; without `adaptive`
    rho g / (|g| + 1e-12). `grads` is g."""
    scaled = jax.tree.map(jnp.multiply, params, grads) if adaptive else grads
    length = rho / (jnp.sqrt(dot(scaled, scaled)) + TINY)
    return jax.tree.map(lambda s, w: length * (s * w if adaptive else s), scaled, params)


def surrogate(grads: PyTree, perturbed: PyTree, *, alpha: float) -> PyTree:
    """g_p - alpha g_perp, where g_perp = g - <g, g_p> g_p / |g_p|^2 is the part of g that is orthogonal to g_p. `grads` is g, `perturbed`
    g_p; products and norms are over all leaves."""
    along = dot(grads, perturbed) / jnp.maximum(dot(perturbed, perturbed), TINY**2)
    return jax.tree.map(lambda g, p: p - alpha * (g - along * p), grads, perturbed)


def gsam(objective: Callable, *, rho: float, alpha: float, adaptive: bool) -> Callable:
    """Builds (params w, stats, item) -> ((loss, stats), direction). The direction is g_p - alpha g_perp (see `surrogate`), with g and g_p
    the gradients of `objective` at w and at w + e on the same view, and e as `ascent` has it; loss and stats are those at w."""
    slope = jax.value_and_grad(objective, has_aux=True)

    def direction(params, stats, item):
        out, grads = slope(params, stats, item)
        step = ascent(params, grads, rho=rho, adaptive=adaptive)
        _, perturbed = slope(jax.tree.map(jnp.add, params, step), stats, item)
        return out, surrogate(grads, perturbed, alpha=alpha)

    return direction


def flat(
    *,
    lr: Annotated[float, Positive] = 0.01,
    batch: int = 256,
    rho: Annotated[float, NonNegative] = 0.01,
    alpha: Annotated[float, NonNegative] = 0.3,
    unscaled: bool = False,
) -> ExpertRecipe:
    """SGD on the surrogate gap's direction (GSAM): two gradients a step, the second where the loss nearby is higher.

    w <- w - lr (g_p - alpha g_perp), g = grad l(w), g_p = grad l(w + e), e = rho w^2 g / || |w| g ||, g_perp = g - <g, g_p> g_p / |g_p|^2.
    Zhuang et al., Surrogate Gap Minimization, ICLR 2022, with the adaptive radius of Kwon et al., ASAM, ICML 2021.

    Args:
      lr: step size (> 0).
      batch: examples a step.
      rho: radius of the perturbation (>= 0); 0 is SGD.
      alpha: weight of the orthogonal part (>= 0); 0 is sharpness-aware minimisation; as published 0.3, or 1.
      unscaled: measures the radius alike for all weights, not relative to each: e = rho g / |g|.
    """
    for name, value in (("rho", rho), ("alpha", alpha)):
        if value < 0:
            raise BadInput(f"--{name} {value}: give a number of at least 0")
    return ExpertRecipe(lr, batch=batch, direction=lambda objective: gsam(objective, rho=rho, alpha=alpha, adaptive=not unscaled))
