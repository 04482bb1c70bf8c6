"""Kernel inducing points (Nguyen, Chen and Lee, ICLR 2021; Nguyen, Novak, Xiao and Lee, NeurIPS 2021)."""

from dataclasses import replace
from typing import Annotated, Literal

import jax
import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, once
from matchers.kernel.common import NOTHING, Ridge, descend_ridge, embed, one_hot_targets
from matchers.kernel.pool import PoolSchedule
from synth.base import Examples, Net, fresh
from synth.labels.plain import Target
from synth.options import Positive
from synth.set import SyntheticSet
from synth.training.fit import adam, on_examples
from synth.training.ridge import centred, ntk, strength

ROWS = 1000  # examples of a piece of the normal equations


def start_labels(key, synth, examples):
    """The set with regression values in place of its hard labels: one-hot rows minus 1 / C, C the number of classes, as the targets of real
    images are. `key` and `examples` are not read."""
    return replace(synth, y=Target(centred(synth.y.index, synth.y.classes)))


def flat(vars, x):
    """The numbers of the examples themselves as features, f32[n d]. `vars` are not read."""
    return x.reshape(len(x), -1)


def kip(
    net: Net,
    *,
    kernel: Literal["ntk", "net"] = "ntk",
    labels: Literal["learned", "fixed", "solved"] = "learned",
    lr: Annotated[float, Positive] = 0.04,
    batch: int = 512,
    reg: Annotated[float, Positive] = 1e-6,
) -> Matcher:
    """Learns images and labels whose kernel ridge regression is right about real images.

    L = E_t 1/2 || K_ts (K_ss + lambda I)^-1 Y_s - Y_t ||^2, lambda = reg tr(K_ss) / n, with Adam. With labels that are
    solved, the images stay the real ones that they start from, and Y_s = argmin || K_ts (K_ss + lambda I)^-1 Y - Y_t ||^2 over the whole
    training split, in closed form, in one step on the host. The network of `kernel="net"` is drawn from the run's key and not kept: recipe
    `krr` scores on others.

    Args:
      net: the network that `kernel` may ask for.
      kernel: of an infinitely wide ReLU network of one hidden layer (`ntk`), or <phi(x), phi(x')> of the features of `net` as it is drawn.
      labels: centred one-hot rows, learned with the images or fixed; or solved for.
      lr: step size of Adam (> 0).
      batch: real images a step.
      reg: times the mean of the kernel's diagonal (> 0).
    """
    frozen = PoolSchedule(net, adam(lr), lambda synth: on_examples(net, synth.x.decode(), synth.y), size=1, most=0)
    life = (lambda synth: frozen) if kernel == "net" else None

    recipe = f"{'krr' if life else 'krr-ntk'}:reg={reg!r}"  # a set is scored by the ridge regression that it was made for
    ridge = Ridge(embed(net), one_hot_targets, reg=reg) if life else Ridge(flat, one_hot_targets, gram=ntk, reg=reg)
    if labels == "solved":
        return once(lambda key, synth, examples: solve_labels(key, ridge, net if life else None, synth, examples))._replace(
            prepare=start_labels, recipe=recipe
        )
    learn = ("x", "y") if labels == "learned" else ("x",)
    return descend_ridge(ridge, adam(lr), batch=batch, life=life, learn=learn, prepare=start_labels, recipe=recipe)


def solve_labels(key: jax.Array, ridge: Ridge, net: Net | None, synth: SyntheticSet, examples: Examples) -> SyntheticSet:
    """The set with the labels of least squared error over all examples, its images as they are.

    Features are those of a network that is drawn from the key; without `net` the `features` of `ridge` need no network.

    With alpha = (K_ss + lambda I)^-1 Y, the error is || K_ts alpha - Y_t ||^2: alpha solves the normal equations, summed in float64 over
    pieces of the examples, and Y = (K_ss + lambda I) alpha. Directions that the examples leave open get nothing.
    """
    vars = fresh(key, net) if net else NOTHING
    fake = ridge.features(vars, synth.x.store().decode())  # of the images as they will be read
    of_set = ridge.gram(fake, fake)
    gram = np.asarray(of_set, np.float64) + float(strength(of_set, reg=ridge.reg, rule=ridge.rule)) * np.eye(len(of_set))
    left, right = np.zeros_like(gram), np.zeros((len(gram), synth.y.classes))
    for at in range(0, len(examples.y), ROWS):
        x, y = (jnp.asarray(part[at : at + ROWS]) for part in examples)
        between = np.asarray(ridge.gram(ridge.features(vars, x), fake), np.float64)
        left += between.T @ between
        right += between.T @ np.asarray(centred(y, synth.y.classes), np.float64)
    alpha = np.linalg.pinv(left, rcond=len(left) * float(jnp.finfo(fake.dtype).eps), hermitian=True) @ right
    return replace(synth, y=Target(jnp.asarray(gram @ alpha, fake.dtype)))
