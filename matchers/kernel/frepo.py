"""Neural feature regression with pooling (Zhou, Nezhadarya and Ba, NeurIPS 2022)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from matchers.base import Matcher, Task
from matchers.kernel.common import Ridge, descend_ridge, embed, one_hot_targets
from matchers.kernel.pool import PoolSchedule
from synth.base import Net
from synth.errors import BadInput
from synth.labels.plain import Target
from synth.options import Positive
from synth.training.fit import adam, on_examples
from synth.training.optim import cosine, lamb, scheduled
from synth.training.ridge import centred

ROWS = 1000  # of a larger set, drawn for every step of a network, as released


FAR = 12.0  # steps times step size: how far the images go, in units of their own norm, were the step size constant
SLOWEST, FASTEST = 3e-4, 0.04  # step sizes: as published, for 500,000 steps, and the largest that was tried at one image a class


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """The option `lr` for so many steps and images a class: 12 / steps, at most 0.04 / per_class and at least 0.0003, to two digits. It
    falls as the run grows longer, so that the images go equally far, and with more images, whose regression bears smaller steps alone.
    `options` are not read.

    Fitted on validation images of digits and Fashion-MNIST, both of ten classes, at one and ten images a class, that is 10 and 100 images
    in all (`docs/experiments/length_rules.json`). At other numbers of classes the cap was not fitted, though conditioning may depend on
    the images in all: 100 classes at one image get 0.04 as ten classes do, and two at ten get 0.004. Of two classes at one image, 0.04 was
    run beside 0.012, which are within 3 points of each other (`docs/experiments/few_pictures.json`)."""
    return {"lr": float(f"{max(SLOWEST, min(FAR / steps, FASTEST / (per_class or 1))):.2g}")}


def margin(y: Float[Array, "n c"]) -> Float[Array, ""]:
    """- mean_j min(y_j(1) - y_j(2), 1 / C) over the two largest of every label: pushes them 1 / C apart, and no further."""
    first, second = jax.lax.top_k(y, 2)[0].T
    return -jnp.mean(jnp.minimum(first - second, jnp.asarray(1 / y.shape[1], y.dtype)))


def start_labels(key, synth, examples):
    """The set with regression values in place of its hard labels: one-hot rows minus 1 / C, divided by sqrt(C / 10), C the number of
    classes. `key` and `examples` are not read."""
    classes = synth.y.classes
    return replace(synth, y=Target(centred(synth.y.index, classes) / jnp.sqrt(jnp.float32(classes / 10))))


def frepo(
    net: Net,
    task: Task,
    *,
    lr: Annotated[float, Positive] = 3e-4,
    decay: int | None = None,
    batch: int = 512,
    pool: int = 10,
    pool_steps: int = 100,
    net_lr: Annotated[float, Positive] = 3e-4,
    reg: Annotated[float, Positive] = 1e-6,
    flip: bool = False,
) -> Matcher:
    """Learns images and labels whose ridge head, on the features of a network from a pool, is right about real images.

    L = E_t 1/2 || K_ts (K_ss + lambda I)^-1 Y_s - Y_t ||^2 - E_j min(y_j(1) - y_j(2), 1 / C), with K = <phi(x), phi(x')>,
    lambda = reg tr(K_ss) / n and the two largest numbers y(1), y(2) of a learned label. phi is a network of the pool in evaluation mode;
    one that has served takes a step on the set (Adam, half the squared error), and is renewed after `pool_steps` of them. LAMB moves
    images and labels.

    Args:
      net: the family of networks.
      task: the run that it serves.
      lr: step size of LAMB, relative to the norm of the images and of the labels (> 0); falls to a tenth by a cosine. Where none is given,
        a run has 12 / steps, at most 0.04 / images a class and at least 0.0003, as published for 500,000 steps.
      decay: steps until it has fallen; by default those of the run.
      batch: real images a step.
      pool: networks kept.
      pool_steps: steps on the set that a network trains before it is renewed.
      net_lr: step size of that training (> 0).
      reg: of the ridge regression, times the mean of the diagonal (> 0).
      flip: whether mirror images join the set in the regression, with the same labels.

    Raises:
      BadInput: `flip` for examples that are no images.
    """
    if flip and len(task.image) != 3:
        raise BadInput("--flip: these examples are no images, so they have no mirror images; leave it out")
    life = PoolSchedule(net, adam(net_lr), lambda synth: on_examples(net, synth.x.decode(), synth.y), size=pool, most=pool_steps, rows=ROWS)
    ridge = Ridge(embed(net), one_hot_targets, reg=reg, flip=flip, penalty=margin)
    tx = scheduled(lamb(lr), cosine(task.steps if decay is None else decay, floor=0.1))
    return descend_ridge(ridge, tx, batch=batch, life=lambda synth: life, prepare=start_labels, recipe="frepo")
