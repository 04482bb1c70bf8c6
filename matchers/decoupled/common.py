"""Shared parts of the methods that recover images from trained networks: the loss of a batch, the committee, the optimiser and the bounds.

Images are f32[n h w c] in model space, class-major with equally many of every class. A slot is one image of every class; a batch is the
part of a slot that goes through a network together, f32[b h w c], and has its own statistics. All batches take their steps together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from matchers.base import Given, Matcher, Task
from matchers.decoupled.labelling import Labelling
from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.images.preprocess import Standard
from synth.images.views import random_flip, random_resized_crop, random_roll
from synth.numerics.backend import map_batched
from synth.numerics.pytree import safe_norm
from synth.selection.collage import choose_patches, compose
from synth.set import SyntheticSet
from synth.training.fit import adam, sgd
from synth.training.optim import cosine, scheduled
from synth.training.statistics import norm_layers, statistics_gap

Patches = Literal["none", "easy", "medium", "hard"]
FACTOR, MOST_IMAGES = 2, 300  # cells a side of a collage, real images of a class whose crops are looked at
BETAS, EPSILON = (0.5, 0.9), 1e-8  # of Adam on pixels, in every released code


class Jitter(NamedTuple):
    """One random crop, flip and roll that all images of a batch share.

    Args:
      crop: least share of the area in (0, 1]; 1 leaves the crop out.
      roll: largest shift of rows and columns, as a share of the height in [0, 1).
      flip: whether left and right are exchanged at random.
      both_ways: whether rows and columns are shifted up and left as far too, and not down and right alone.
    """

    crop: float
    roll: float
    flip: bool
    both_ways: bool = False

    def __call__(self, key: jax.Array, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """The batch under one draw."""
        k_crop, k_flip, k_roll = jax.random.split(key, 3)
        if self.crop < 1:
            x = random_resized_crop(k_crop, x, scale=(self.crop, 1.0), shared=True)
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


def check_statistics(teachers: Sequence[Teacher], image: tuple[int, int, int]) -> None:
    """Raises BadInput if a teacher has no batch norm on images of h, w, c."""
    for teacher in teachers:
        taps = jax.eval_shape(lambda x, teacher=teacher: teacher.net.apply(teacher.vars, x).taps, jnp.zeros((1, *image), jnp.float32))
        if not norm_layers(taps):
            raise BadInput(f"--teachers: {teacher.name or 'a network'} has no batch norm, whose statistics are matched; give it norm=batch")


def pick(teachers: Sequence[Teacher], number: int, *, flag: str = "--member") -> Teacher:
    """Returns the teacher with this number, counted from 1. Raises BadInput if there are fewer teachers, and names them."""
    if number > len(teachers):
        names = ", ".join(f"{i + 1} {teacher.name}" for i, teacher in enumerate(teachers))
        raise BadInput(f"{flag} {number}: there is no such teacher (there are {names})")
    return teachers[number - 1]


def patched(teachers: Sequence[Teacher], rank: str) -> Callable | None:
    """Builds (key, synth, examples) -> the set with 2x2 collages of real crops for images: crops that are `easy`, `medium` or `hard`, as
    `rank` says, by the teachers' cross entropy. None where `rank` is `none`."""
    if rank == "none":
        return None

    def prepare(key, synth, examples):
        ipc = len(synth) // synth.y.classes
        images = max(MOST_IMAGES, ipc * FACTOR**2)
        patches = choose_patches(key, teachers, examples, ipc, factor=FACTOR, images=images, rank=rank)
        return replace(synth, x=synth.x.encode(jnp.asarray(compose(patches, FACTOR))))

    return prepare


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


def batch_loss(net: Net, vars: Vars, x: Float[Array, "b h w c"], y: Int[Array, " b"], settings: RecoverySettings):
    """CE + alpha R + tv TV(x) + l2 mean || x || of one batch through a frozen network in evaluation mode: (loss, (CE, R)), all f32[].

    CE is the mean cross entropy, R the distance of the batch's statistics from the running ones (`statistics_gap`), TV `total_variation`.
    """
    out = net.apply(vars, x)
    entropy = optax.softmax_cross_entropy_with_integer_labels(out.logits, y).mean()
    gap = statistics_gap(out.taps, first=settings.first)
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
):
    """The loss L_g = sum_k w_gk (CE_gk + alpha R_gk) of every batch g, and its gradient by the images, each term that of `batch_loss` for
    teacher k. All teachers of a batch see the same jitter.

    Weights are numbers of the program, not of its data: a teacher is traced once, over the batches that it has a weight for. `vars` are
    used in place of the teachers' own.

    Returns:
      f32[g b h w c], the gradients; {name: f32[]}, means over batches of `loss` and its terms `entropy` and `statistics`, weighted alike.
    """
    keys = jax.random.split(key, len(x))
    slopes, totals = jnp.zeros_like(x), jnp.zeros(3, x.dtype)
    for k, teacher in enumerate(teachers):
        (rows,) = np.nonzero(weights[:, k])
        if not len(rows):
            continue

        def one(key, x, y, weight, net=teacher.net, vars=vars[k]):
            def loss(x):
                return batch_loss(net, vars, settings.jitter(key, x), y, settings)

            (total, terms), slope = jax.value_and_grad(loss, has_aux=True)(x)
            return weight * jnp.stack([total, *terms]), weight * slope

        each, slope = map_batched(one, keys[rows], x[rows], y[rows], jnp.asarray(weights[rows, k], x.dtype))
        slopes, totals = slopes.at[rows].add(slope), totals + each.sum(0)
    names = ("loss", "entropy", "statistics")
    return slopes, {name: total / len(x) for name, total in zip(names, totals, strict=True)}


def on_pixels(settings: RecoverySettings, task: Task, *, rule: Literal["adam", "sgd"] = "adam") -> optax.GradientTransformation:
    """The optimiser of pixels: Adam or plain descent. Its step size after t of the run's T steps is (1 + cos(pi t / T)) / 2 times
    `settings.lr`."""
    tx = adam(settings.lr, b1=BETAS[0], b2=BETAS[1], epsilon=EPSILON) if rule == "adam" else sgd(settings.lr)
    return scheduled(tx, cosine(task.steps))


def batches_of(images: Array, classes: int, size: int) -> Array:
    """[classes * ipc, ...] class-major to [g, b, ...]: slot by slot, each in batches of the most classes up to `size` that divide them."""
    b = batch_size(classes, size)
    slots = images.reshape(classes, -1, *images.shape[1:]).swapaxes(0, 1)
    return slots.reshape(-1, b, *images.shape[1:])


def images_of(batches: Array, classes: int) -> Array:
    """The inverse of `batches_of`: [g, b, ...] slot by slot to [classes * ipc, ...] class-major."""
    slots = batches.reshape(-1, classes, *batches.shape[2:])
    return slots.swapaxes(0, 1).reshape(-1, *batches.shape[2:])


def batch_size(classes: int, size: int) -> int:
    """The largest number up to `size` that divides the number of classes. Raises BadInput if it is less than half of the smaller of these
    two numbers."""
    b = max(b for b in range(1, min(classes, size) + 1) if classes % b == 0)
    if 2 * b < min(classes, size):
        raise BadInput(f"--batch {size}: {classes} classes do not make equal batches of about that size; give a divisor of {classes}")
    return b


def bounds(synth: SyntheticSet) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """Mean and standard deviation of every channel of the data, by which the set's images are normalised. They say which values in model
    space a raw image in [0, 1] can have: from -mean / std to (1 - mean) / std.

    Raises BadInput where the data is whitened: a pixel has no bounds of its own there.
    """
    preprocess = synth.info.preprocess
    if not isinstance(preprocess, Standard):
        raise BadInput(
            f"--data: teacher methods keep pixels within bounds, which normalise={preprocess.kind} has not; use normalise=standard"
        )
    return jnp.asarray(preprocess.mean), jnp.asarray(preprocess.std)


def bounded(synth: SyntheticSet) -> SyntheticSet:
    """Changes the content of a set to one that keeps images, whenever they are moved, within the bounds of its normalisation (`bounds`), if
    the content has such a form; the images stay as they are. Raises BadInput where the data is whitened."""
    return replace(synth, x=synth.x.bounded(*bounds(synth)))


def ready_with(teachers: Sequence[Teacher], labelling: Labelling, *, batch: int, prepare: Callable | None) -> Callable:
    """Builds what a recovery does before its first step: (key, synth, examples) -> the set within its bounds, its images chosen by
    `prepare` where there is one. Raises BadInput for labels that no file holds, teachers without batch norm, unequal batches and whitened
    data."""

    def ready(key, synth, examples):
        synth = bounded(synth)
        labelling.check_room(synth)
        check_statistics(teachers, synth.x.decode().shape[1:])
        batch_size(synth.y.classes, batch)
        return prepare(key, synth, examples) if prepare else synth

    return ready


def recover(
    teachers: Sequence[Teacher],
    task: Task,
    weights: Callable[[int], Float[np.ndarray, "slots k"]],
    settings: RecoverySettings,
    labelling: Labelling,
    *,
    batch: int,
    prepare: Callable | None = None,
) -> Matcher:
    """Adam on all images at once, its step size on a cosine over `steps`, kept within the bounds of raw images after every step.

    What moves is what the set's content learns. Its gradient is that of the images, pulled back through `decode`.

    Args:
      teachers: frozen networks.
      task: the run; the step size falls over its steps.
      weights: slots -> how much each teacher's loss counts in every slot.
      settings: step size, weights of the loss's terms, and jitter.
      labelling: what the set is labelled with at its end.
      batch: classes that go through a network together.
      prepare: (key, synth, examples) -> synth, which chooses the first images; the content has its bounds by then.
    """
    tx = on_pixels(settings.check(), task)
    ready = ready_with(teachers, labelling, batch=batch, prepare=prepare)

    def init(key, synth):
        return tx.init(synth.x.learned())

    def step(key, state, synth, vars):
        classes, learned = synth.y.classes, synth.x.learned()
        images, pull = jax.vjp(lambda content: content.decode(), synth.x)
        table = weights(len(synth) // classes)
        x, y = (batches_of(leaf, classes, batch) for leaf in (images, synth.y.index))
        slopes, metrics = vote(key, teachers, vars, np.repeat(table, len(x) // len(table), 0), x, y, settings)
        (slope,) = pull(images_of(slopes, classes))
        updates, after = tx.update(slope.learned(), state, learned)
        return replace(synth, x=synth.x.moved(optax.apply_updates(learned, updates))), after, metrics

    def finish(key, state, synth):
        return labelling.attach(key, synth)

    feed = Given(tuple(teacher.vars for teacher in teachers))
    return Matcher(init, step, feed, recipe=labelling.recipe, prepare=ready, finish=finish, counts_bytes=False)
