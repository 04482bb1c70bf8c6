"""What images cost under trained networks that do not learn: the loss of a batch, and the vote of several networks on many batches."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.images.views import narrowed, random_flip, random_resized_crop, random_roll
from synth.numerics.backend import map_batched
from synth.numerics.pytree import safe_norm
from synth.training.statistics import statistics_gap


class Jitter(NamedTuple):
    """One random crop, flip and roll that all images of a batch share.

    Args:
      crop: least share of the area in (0, 1]; 1 leaves the crop out.
      roll: largest shift of rows and columns, as a share of the height in [0, 1).
      flip: whether left and right are exchanged at random.
      both_ways: whether rows and columns are shifted up and left as far too, and not down and right alone.
      narrow: steps over which the least crop falls on a cosine from 1, the whole image, to `crop`; 0 for `crop` from the first step on.
    """

    crop: float
    roll: float
    flip: bool
    both_ways: bool = False
    narrow: int = 0

    def __call__(self, key: jax.Array, x: Float[Array, "b h w c"], step: Int[Array, ""] | int = 0) -> Float[Array, "b h w c"]:
        """The batch under one draw, after so many steps of the run; they are read where crops narrow."""
        k_crop, k_flip, k_roll = jax.random.split(key, 3)
        if self.crop < 1:
            x = random_resized_crop(k_crop, x, scale=narrowed((self.crop, 1.0), step, self.narrow), shared=True)
        if self.flip:
            x = random_flip(k_flip, x, shared=True)
        if most := int(x.shape[1] * self.roll + 0.5):
            x = random_roll(k_roll, x, least=-most if self.both_ways else 0, most=most, shared=True)
        return x


class RecoverySettings(NamedTuple):
    """Numbers of a recovery: step size `lr` in model space, weights of the statistics and of their first layer, the jitter, and weights of
    the images' `total_variation` and `mean_norm`."""

    lr: float
    alpha_bn: float
    first: float
    jitter: Jitter
    tv: float = 0.0
    l2: float = 0.0

    def check(self) -> "RecoverySettings":
        """Returns these settings. Raises BadInput if one is out of range."""
        for flag, value in (("--alpha-bn", self.alpha_bn), ("--first", self.first), ("--tv", self.tv), ("--l2", self.l2)):
            if value < 0:
                raise BadInput(f"{flag} {value}: give a weight of at least 0")
        if not 0 < self.jitter.crop <= 1:
            raise BadInput(f"--crop {self.jitter.crop}: give the least share of the area that a crop may have, in (0, 1]; 1 for no crop")
        if not 0 <= self.jitter.roll < 1:
            raise BadInput(f"--roll {self.jitter.roll}: give a share of the image's height in [0, 1); 0 for no roll")
        return self


def total_variation(x: Float[Array, "b h w c"]) -> Float[Array, ""]:
    """TV = || d_right || + || d_down || + || d_both || + || d_across ||: Euclidean norms, not squared, over the whole batch, of the
    differences of a pixel to its neighbours to the right, below, and below to the right and to the left."""
    top, low, left, right = slice(None, -1), slice(1, None), slice(None, -1), slice(1, None)
    pairs = (
        (x[:, :, left], x[:, :, right]),
        (x[:, top], x[:, low]),
        (x[:, top, left], x[:, low, right]),
        (x[:, top, right], x[:, low, left]),
    )
    return sum(safe_norm(jnp.ravel(a - b), axis=0) for a, b in pairs)


def mean_norm(x: Float[Array, "b h w c"]) -> Float[Array, ""]:
    """Mean over the images of their Euclidean norms."""
    return safe_norm(x.reshape(len(x), -1), axis=1).mean()


def batch_loss(
    net: Net, vars: Vars, x: Float[Array, "b h w c"], y: Int[Array, " b"], settings: RecoverySettings, *, kept: dict[str, Any] | None = None
):
    """CE + alpha R + tv TV(x) + l2 mean || x || of one batch through a frozen network in evaluation mode: (loss, (CE, R)), all f32[].

    CE is the mean cross entropy, R the distance of the batch's statistics from the running ones (`statistics_gap`), TV `total_variation`.
    `kept`, by the names of running statistics in the taps, takes the place of these.
    """
    out = net.apply(vars, x)
    entropy = optax.softmax_cross_entropy_with_integer_labels(out.logits, y).mean()
    gap = statistics_gap({**out.taps, **(kept or {})}, first=settings.first)
    loss = entropy + settings.alpha_bn * gap
    for weight, measure in ((settings.tv, total_variation), (settings.l2, mean_norm)):
        if weight:  # what does not count is not computed
            loss += weight * measure(x)
    return loss, (entropy, gap)


def vote(
    key: jax.Array,
    teachers: Sequence[Teacher],
    vars: Sequence[Vars],
    weights: Float[np.ndarray, "g k"],
    x: Float[Array, "g b h w c"],
    y: Int[Array, "g b"],
    settings: RecoverySettings,
    *,
    step: Int[Array, ""] | int = 0,
    active: Bool[Array, " g"] | None = None,
    kept: Sequence[dict[str, Any]] | None = None,
):
    """The loss L_g = sum_k w_gk (CE_gk + alpha R_gk) of every batch g, and its gradient by the images, each term that of `batch_loss` for
    teacher k. All teachers of a batch see the same jitter.

    Weights are numbers of the program, not of its data: a teacher is traced once, over the batches that it has a weight for. `vars` are
    used in place of the teachers' own.

    Args:
      step: steps of the run that are done, which the jitter may read.
      active: which batches count; the others have no loss and no gradient, and a CPU does not compute them. None for all.
      kept: of every teacher, the statistics that each batch is compared with: the `kept` of `batch_loss`, whose arrays lead with g. None
        for the running ones.

    Returns:
      f32[g b h w c], the gradients; {name: f32[]}, means over the batches that count of `loss` and its terms `entropy` and `statistics`,
      weighted alike.
    """
    keys = jax.random.split(key, len(x))
    slopes, totals = jnp.zeros_like(x), jnp.zeros(3, x.dtype)
    for k, teacher in enumerate(teachers):
        (rows,) = np.nonzero(weights[:, k])
        if not len(rows):
            continue

        def one(key, x, y, weight, on, own, net=teacher.net, vars=vars[k]):
            def loss(x):
                return batch_loss(net, vars, settings.jitter(key, x, step), y, settings, kept=own)

            def measured():
                (total, terms), slope = jax.value_and_grad(loss, has_aux=True)(x)
                return weight * jnp.stack([total, *terms]), weight * slope

            return measured() if on is None else jax.lax.cond(on, measured, lambda: (jnp.zeros(3, x.dtype), jnp.zeros_like(x)))

        own = kept and jax.tree.map(lambda leaf, rows=rows: leaf[rows], kept[k])
        on = None if active is None else active[rows]
        each, slope = map_batched(one, keys[rows], x[rows], y[rows], jnp.asarray(weights[rows, k], x.dtype), on, own)
        slopes, totals = slopes.at[rows].add(slope), totals + each.sum(0)
    count = len(x) if active is None else jnp.maximum(1, active.sum()).astype(x.dtype)
    return slopes, {name: total / count for name, total in zip(("loss", "entropy", "statistics"), totals, strict=True)}
