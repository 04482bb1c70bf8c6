"""Inter-class feature compensation (INFER, ICLR 2025): images added to one real image of every class each."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from matchers.base import Given, Matcher, Task
from matchers.decoupled.common import bounds, check_statistics, on_pixels
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings, batch_loss
from synth.base import Teacher, Vars
from synth.errors import BadInput
from synth.images.content import Summed
from synth.labels.plain import Hard
from synth.numerics.backend import map_batched
from synth.options import BelowOne, NonNegative, Positive, Share
from synth.set import SyntheticSet

MOST = 4  # compensators of a natural set, as published for small images


def natural_sets(ipc: int, classes: int, compensators: int) -> int:
    """floor(ipc / (1 + M / C)): how many natural sets fit into ipc images a class. A natural set has C real images and M compensators.

    Raises BadInput where none fits.
    """
    sets = ipc * classes // (classes + compensators)
    if not sets:
        least = -(-(classes + compensators) // classes)
        why = f"{compensators} compensators and {classes} real images are more than {ipc * classes} images"
        raise BadInput(f"--ipc {ipc}: {why}, so infer is not defined there; give at least {least}, or fewer --compensators")
    return sets


def compensate(synth: SyntheticSet, compensators: int) -> SyntheticSet:
    """The set as it starts: of every class the first s images, with s what `natural_sets` says for as many images a class as there are; for
    each of the s natural sets `compensators` additions, all zero; and hard labels of all examples, s (compensators + 1) of every class.

    Raises BadInput where s would be 0, or the data is whitened.
    """
    images, classes = synth.x.decode(), synth.y.classes
    mean, std = bounds(synth)
    image = images.shape[1:]
    s = natural_sets(len(synth) // classes, classes, compensators)
    base = images.reshape(classes, -1, *image)[:, :s].reshape(-1, *image)
    x = Summed(base, jnp.zeros((s, compensators, *image), base.dtype), mean, std)
    return replace(synth, x=x, y=Hard(jnp.repeat(jnp.arange(classes, dtype=jnp.int32), s * (compensators + 1)), classes))


def slopes_of(
    key: jax.Array,
    teachers: Sequence[Teacher],
    vars: Sequence[Vars],
    natural: Float[Array, "s classes h w c"],
    delta: Float[Array, "s k h w c"],
    y: Int[Array, " classes"],
    settings: RecoverySettings,
):
    """For each natural set i and network k: the loss L_ik of the set plus its k-th addition, and the gradient of L_ik by that addition.

    The same addition delta[i, k] is added to every image of natural[i]. The sums go through one random jitter together and then through
    network k, which does not learn. L_ik = CE + alpha R is the `batch_loss` of that: CE is the mean cross entropy, R the distance of the
    batch's statistics from the running ones in the batch norms of network k, and alpha is `settings.alpha_bn`.

    Args:
      key: the random key; each i and k gets a jitter of its own.
      teachers, vars: k networks, and the variables that are used in place of their own.
      natural: s natural sets in model space, of one image of every class each.
      delta: k additions for each set, in model space.
      y: the class indices of a set's images, in their order.
      settings: the jitter, and the weights of a loss; those of further terms (`tv`, `l2`) count in L_ik too, where they are not 0.

    Returns:
      f32[s k h w c], the gradients of L_ik by delta[i, k]; {name: f32[]}, means over all i and k: `loss` of L_ik, `entropy` of CE and
      `statistics` of R, without its weight.

    Raises ValueError for a network without batch norms.
    """
    keys = jax.random.split(key, delta.shape[:2])
    slopes, totals = [], jnp.zeros(3, delta.dtype)
    for k, teacher in enumerate(teachers):

        def one(key, x, u, net=teacher.net, vars=vars[k]):
            def loss(u):
                return batch_loss(net, vars, settings.jitter(key, x + u[None]), y, settings)

            (total, terms), slope = jax.value_and_grad(loss, has_aux=True)(u)
            return jnp.stack([total, *terms]), slope

        each, slope = map_batched(one, keys[:, k], natural, delta[:, k])
        slopes, totals = [*slopes, slope], totals + each.sum(0)
    names = ("loss", "entropy", "statistics")
    return jnp.stack(slopes, 1), {name: total / delta[:, :, 0, 0, 0].size for name, total in zip(names, totals, strict=True)}


def infer(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    lr: Annotated[float, Positive] = 0.25,
    alpha_bn: Annotated[float, NonNegative] = 1.0,
    first: Annotated[float, NonNegative] = 10.0,
    crop: Annotated[float, Share] = 1.0,
    roll: Annotated[float, BelowOne] = 0.125,
    flip: bool = True,
    compensators: int | None = None,
    labels: LabelKind = "interpolated",
    recipe: str = "infer",
    label_epochs: int | None = None,
) -> Matcher:
    """Learns images that serve all classes at once: each is added to one real image of every class.

    L = mean_c CE(f_m(A(x_ic + u_im)), c) + alpha R_m(A(x_i + u_im)), minimised by the compensator u_im of every natural set i (one real
    image x_ic of every class c) and every network m, from zero; R and A those of `sre2l`. The set holds all x_ic and, clipped, all
    x_ic + u_im: of ipc images a class, ipc_init = floor(ipc / (1 + M / C)) natural sets and as many times M compensators are stored, which
    give ipc_init (M + 1) examples a class.

    Args:
      teachers: trained networks.
      task: the run that it serves; the step size falls over its steps.
      lr: step size of the compensators in model space (> 0).
      alpha_bn: weight of the statistics (>= 0); 1 as released for CIFAR, 0.01 for ImageNet.
      first: weight of the first layer's statistics (>= 0).
      crop: least share of the area that a random crop takes, in (0, 1]; 1 for no crop, as released for CIFAR.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      flip: whether batches are mirrored at random, where labels allow it; not in what is released for CIFAR.
      compensators: M, the first so many teachers take part; by default all, but at most 4.
      labels: kind of the labels, of those that `condense relabel --help` lists; by default the networks' mean answer to every example,
        once, mixed as images are mixed.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
    """
    count = min(MOST, len(teachers)) if compensators is None else compensators
    if count > len(teachers):
        raise BadInput(f"--compensators {count}: there are {len(teachers)} teachers; give at most that many, or more --teachers")
    members = tuple(teachers[:count])
    settings = RecoverySettings(lr, alpha_bn, first, Jitter(crop, roll, flip and task.flips)).check()
    labelling, tx = Labelling(members, task, recipe, labels, label_epochs), on_pixels(settings, task)

    def prepare(key, synth, examples):
        check_statistics(members, synth.x.decode().shape[1:])
        made = compensate(synth, count)
        labelling.check_room(made)
        return made

    def step(key, state, synth, vars):
        x, y = synth.x, jnp.arange(synth.y.classes)
        natural = x.base.reshape(len(y), len(x.delta), *x.base.shape[1:]).swapaxes(0, 1)
        slopes, metrics = slopes_of(key, members, vars, natural, x.delta, y, settings)
        updates, after = tx.update(slopes, state, x.delta)
        return replace(synth, x=x.moved(x.delta + updates)), after, metrics

    def finish(key, state, synth):
        return labelling.attach(key, synth)

    feed = Given(tuple(teacher.vars for teacher in members))
    init = lambda key, synth: tx.init(synth.x.learned())  # noqa: E731
    return Matcher(init, step, feed, recipe=recipe, prepare=prepare, finish=finish, counts_bytes=False, own_content=True)
