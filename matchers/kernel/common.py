"""The meta-step that kernel ridge methods share: a head in closed form on the synthetic set, judged on real examples.

What a method chooses is plugged in: features and kernel, targets of the real examples, the rule of lambda, the networks, the optimiser.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from matchers.base import Matcher, Shuffled, descend
from matchers.kernel import pool as pools
from matchers.kernel.pool import PoolSchedule
from synth.base import Examples, Net, Vars
from synth.set import SyntheticSet
from synth.training.fit import in_batches
from synth.training.ridge import Rule, centred, linear, regression, with_bias

PIECE = 64  # real images that go through a network together
NOTHING = Vars(())  # the variables of a kernel that has none


class Ridge(NamedTuple):
    """The parts of a ridge regression that a method chooses.

    Args:
      features: (vars, x) -> f32[n d], differentiated by x for synthetic images.
      gram: (f32[m d], f32[n d]) -> f32[m n].
      targets: (key, examples, c) -> (x, f32[n c]), the real images as they are embedded and what is to be predicted of them.
      reg, rule: lambda is `reg` times the mean of the gram matrix's diagonal (`mean`) or its sum (`trace`).
      detached: whether no derivative passes through lambda.
      flip: whether the mirror image of every synthetic image joins the set, with the same label.
      mean: whether the error of an example is the mean over its numbers of their squares, instead of half the sum.
      penalty: labels f32[n c] -> f32[], added to the loss.
    """

    features: Callable
    targets: Callable
    gram: Callable = linear
    reg: float = 1e-6
    rule: Rule = "mean"
    detached: bool = False
    flip: bool = False
    mean: bool = False
    penalty: Callable | None = None


def embed(net: Net, *, bias: bool = False) -> Callable:
    """Builds the feature function of a network: the input of its last layer in evaluation mode, with a column of ones if the head has a
    bias."""

    def features(vars: Vars, x):
        values = net.apply(vars, x).embed
        return with_bias(values) if bias else values

    return features


def predict(ridge: Ridge, vars, synth: SyntheticSet, x: Float[Array, "b ..."]) -> tuple[Float[Array, "b classes"], Float[Array, ""]]:
    """Predictions for real images x by the head that the synthetic set determines, and its jitter: what rounding made the diagonal grow by
    beyond lambda, as a share of lambda. No derivative passes through the features of real images."""
    fake, y = synth.x.decode(), synth.y.values
    if ridge.flip:
        fake, y = jnp.concatenate([fake, fake[:, :, ::-1]]), jnp.concatenate([y, y])
    real = jax.lax.stop_gradient(in_batches(ridge.features, vars, x, batch=PIECE))
    rule = {"reg": ridge.reg, "rule": ridge.rule, "detached": ridge.detached}
    head = regression(ridge.features(vars, fake), y, gram=ridge.gram, **rule)
    return head(real), head.jitter


def descend_ridge(
    ridge: Ridge,
    tx: optax.GradientTransformation,
    *,
    batch: int,
    life: Callable[[SyntheticSet], PoolSchedule] | None = None,
    learn: tuple[str, ...] = ("x", "y"),
    **more,
) -> Matcher:
    """Builds a method that minimises E 1/2 || K_ts (K_ss + lambda I)^-1 Y_s - Y_t ||^2 + penalty(Y_s) over images and labels, or over the
    fields in `learn`.

    Args:
      ridge: what is predicted from what.
      tx: the optimiser.
      batch: real images a step.
      learn: names of the fields of the set.
      life: set -> the life of the pool whose networks give the features; without one `features` gets NOTHING.
      more: fields of the `Matcher`.
    """

    def loss(key, synth, pool, examples: Examples):
        x, y = jax.lax.stop_gradient(ridge.targets(key, examples, synth.y.classes))
        predicted, jitter = predict(ridge, pools.current(pool) if life else NOTHING, synth, x)
        error = predicted - y
        value = jnp.mean(error**2) if ridge.mean else jnp.mean(jnp.sum(error**2, 1)) / 2
        metrics = {"error": value, "jitter": jitter}
        if ridge.penalty:
            value += ridge.penalty(synth.y.values)
        if ridge.targets is one_hot_targets:
            metrics["head_accuracy"] = jnp.mean((error + y).argmax(1) == y.argmax(1))
        return value, metrics

    def init(key, synth):
        return pools.init_pool(key, life(synth), synth)

    def after(key, synth, pool):
        return pools.advance(key, life(synth), pool, synth)

    carried = {"init": init, "after": after} if life else {}
    return descend(loss, tx, learn=learn, feed=Shuffled(batch), **carried)._replace(**more)


def one_hot_targets(key, examples: Examples, classes: int):
    """Returns (images unchanged, one-hot rows of their classes minus 1 / classes), as `Ridge.targets` does. `key` is not used."""
    return examples.x, centred(examples.y, classes, dtype=examples.x.dtype)
