"""Shared parts of the methods that recover images from trained networks: slots and batches, the optimiser, the bounds, and the recovery.

Images are f32[n h w c] in model space, class-major with equally many of every class. A slot is one image of every class; a batch is the
part of a slot that goes through a network together, f32[b h w c], and has its own statistics. All batches take their steps together.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from matchers.base import Computed, Given, Matcher, Task
from matchers.decoupled.labelling import Labelling
from matchers.decoupled.loss import RecoverySettings, vote
from synth.base import Split, Teacher
from synth.errors import BadInput
from synth.images.preprocess import Standard
from synth.selection.collage import choose_patches, compose
from synth.set import SyntheticSet
from synth.training.fit import adam, sgd
from synth.training.optim import cosine, scheduled
from synth.training.statistics import class_statistics, norm_layers

Patches = Literal["none", "easy", "medium", "hard"]
FACTOR, MOST_IMAGES = 2, 300  # cells a side of a collage, real images of a class whose crops are looked at
BETAS, EPSILON = (0.5, 0.9), 1e-8  # of Adam on pixels, in every released code


def check_statistics(teachers: Sequence[Teacher], image: tuple[int, int, int]) -> None:
    """Raises BadInput if a teacher has no batch norm on images of h, w, c."""
    for teacher in teachers:
        one = jax.ShapeDtypeStruct((1, *image), jnp.float32)
        taps = jax.eval_shape(lambda vars, x, net=teacher.net: net.apply(vars, x).taps, teacher.vars, one)
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


def largest_divisor(n: int, most: int) -> int:
    """The largest number up to `most` that divides n; both are at least 1."""
    return max(b for b in range(1, min(n, most) + 1) if n % b == 0)


def batch_size(classes: int, size: int) -> int:
    """The largest number up to `size` that divides the number of classes. Raises BadInput if it is less than half of the smaller of these
    two numbers."""
    b = largest_divisor(classes, size)
    if 2 * b < min(classes, size):
        raise BadInput(f"--batch {size}: {classes} classes do not make equal batches of about that size; give a divisor of {classes}")
    return b


def narrowing(share: float | None, task: Task) -> int:
    """The steps of a run over which crops narrow (`Jitter.narrow`), for the share of the run that a user names, in (0, 1]; 0 for None."""
    return 0 if share is None else max(1, round(share * task.steps))


def joined(slots: int, rounds: int | None, count: Int[Array, ""], task: Task) -> Bool[Array, " slots"] | None:
    """Which slots move in the step after `count` ones, where they join the run in rounds of equal length; None where all move always.

    In every round as many slots join as in every other, the first rounds taking one more where that does not come out even (DELT, CVPR
    2025, where the images of a class join so).
    """
    if rounds is None:
        return None
    sizes = [slots // rounds + (number < slots % rounds) for number in range(rounds)]
    return jnp.asarray(np.repeat(np.arange(rounds), sizes), jnp.int32) <= count * rounds // task.steps


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
    rounds: int | None = None,
    by_class: bool = False,
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
      rounds: of equal length, in which slots join one after another (`joined`); None where all move from the first step on.
      by_class: whether the images of a class go through a network together, and not those of a slot, and their statistics are compared
        with those of the class's real images, not with running ones. Teachers then count alike in all slots, and no slot joins late.
    """
    tx = on_pixels(settings.check(), task)

    def init(key, synth):
        return tx.init(synth.x.learned())

    def step(key, state, synth, given):
        (count, _), classes, learned = state, synth.y.classes, synth.x.learned()
        vars, kept = given if by_class else (given, None)
        images, pull = jax.vjp(lambda content: content.decode(), synth.x)
        slots = len(synth) // classes
        if by_class:
            x, y = (leaf.reshape(classes, slots, *leaf.shape[1:]) for leaf in (images, synth.y.index))
            table, on = np.repeat(weights(slots)[:1], classes, 0), None
        else:
            x, y = (batches_of(leaf, classes, batch) for leaf in (images, synth.y.index))
            table, on = np.repeat(weights(slots), len(x) // slots, 0), joined(slots, rounds, count, task)
            on = None if on is None else jnp.repeat(on, len(x) // slots, total_repeat_length=len(x))
        slopes, metrics = vote(key, teachers, vars, table, x, y, settings, step=count, active=on, kept=kept)
        (slope,) = pull(slopes.reshape(images.shape) if by_class else images_of(slopes, classes))
        updates, after = tx.update(slope.learned(), state, learned)
        return replace(synth, x=synth.x.moved(optax.apply_updates(learned, updates))), after, metrics

    def finish(key, state, synth):
        return labelling.attach(key, synth)

    known = tuple(teacher.vars for teacher in teachers)

    def measure(examples: Split) -> tuple[Any, Any]:
        return known, tuple(class_statistics(teacher, examples) for teacher in teachers)

    ready = ready_with(teachers, labelling, batch=batch, prepare=prepare)
    feed = Computed(measure) if by_class else Given(known)
    return Matcher(init, step, feed, recipe=labelling.recipe, prepare=ready, finish=finish, counts_bytes=False)
