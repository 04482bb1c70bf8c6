"""Smooth experts of AST (Shen, Yang and Lam, arXiv 2310.10541): a slow start, a gradient penalty and a late drop of the step size."""

from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from condense.experts.base import ExpertRecipe
from synth.base import Net, Vars
from synth.errors import BadInput
from synth.numerics.pytree import safe_norm
from synth.options import BelowOne, NonNegative, Positive
from synth.training.fit import on_examples
from synth.training.microbatch import rows_of, total

DROP = 0.6


def loss_weight(epoch) -> Float[Array, ""]:
    """0.50, 0.55, ..., 0.95 in the first ten epochs, counted from 0, and 1 from then on."""
    return jnp.minimum(1, 0.5 + 0.05 * jnp.asarray(epoch).astype(jnp.float32))


def gradient_penalty(net: Net, params, x: Float[Array, "b ..."], counts: Float[Array, " b"]) -> Float[Array, ""]:
    """Mean over counted images and pixels of (|| d sum_k f_k(x) / dx ||_2 - 1)^2, the norm over the channels of a pixel; a
    vector counts as one pixel. f_k are the logits in training mode, and `counts` says how often each image counts in the mean."""

    def cost(params, rows):
        x, share = rows
        slopes = jax.grad(lambda x: jnp.sum(net.apply(Vars(params), x, train=True).logits))(x)
        return jnp.sum(jnp.mean((safe_norm(slopes, axis=-1) - 1) ** 2, tuple(range(1, x.ndim - 1))) * share)

    share = (counts / jnp.sum(counts)).astype(x.dtype)
    return total(cost, params, (x, share), rows_of(len(x), x.shape[1:]))


def smooth(
    *,
    lr: Annotated[float, Positive] = 0.003,
    momentum: Annotated[float, BelowOne] = 0.9,
    weight_decay: Annotated[float, NonNegative] = 1e-3,
    batch: int = 256,
    penalty: Annotated[float, NonNegative] = 2.0,
    cold: bool = False,
) -> ExpertRecipe:
    """SGD with momentum and decay on a loss that starts light and keeps the gradient by the image near length one.

    L = w(epoch) l(A(x); theta) + penalty E_(x, pixel) (|| d sum_k f_k(x) / dx || - 1)^2, w = 0.50, 0.55, ..., 0.95, then 1; l the mean
    cross entropy, A DSA with parameters drawn for every image, the penalty on images that are not augmented. After epoch E // 2 + 1 of E,
    counted from 0, the step size falls to 0.6 of itself and momentum starts anew.

    Args:
      lr: step size (> 0).
      momentum: in [0, 1).
      weight_decay: of every parameter (>= 0).
      batch: examples a step.
      penalty: weight of the gradient penalty (>= 0); 0 leaves it out.
      cold: leaves out the light start: w = 1 throughout.
    """
    for name, value in (("penalty", penalty), ("weight-decay", weight_decay)):
        if value < 0:
            raise BadInput(f"--{name} {value}: give a number of at least 0")

    def objective(net, augment, x, y):
        entropy = on_examples(net, x, y, augment=augment)

        def loss(params, stats, item):
            value, stats = entropy(params, stats, item)
            value = value if cold else value * loss_weight(item.view[0]).astype(value.dtype)
            if penalty:
                value = value + penalty * gradient_penalty(net, params, x[item.index], item.counts)
            return value, stats

        return loss

    return ExpertRecipe(lr, momentum, weight_decay, batch, objective, drop=DROP)
