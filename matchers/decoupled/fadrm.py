"""Data residual matching (FADRM, NeurIPS 2025): images recovered in stages, between which the real images they began as are mixed in."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int

from matchers.base import Given, Matcher, Task
from matchers.decoupled.common import Patches, batches_of, images_of, joined, narrowing, on_pixels, patched, ready_with
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings, vote
from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.options import BelowOne, NonNegative, Positive, Share, ZeroToOne

LARGE, STAGES = 100, (200 / 224, 1.0, 200 / 224, 1.0)  # pixels a side from which stages differ in size, and their sizes, as released
REMEDY = "give --sizes 1 1 1 1, or teachers that average their features over the image, such as resnet"


class Staged(NamedTuple):
    """State: the optimiser's, the number of the stage that the last step belonged to, the images of that stage, and the original ones.

    All have the full size h x w, so that their shapes stay. The images of a stage of p x q pixels lie in the first p rows and q columns.
    """

    opt: optax.OptState
    stage: Int[Array, ""]
    images: Float[Array, "n h w c"]
    original: Float[Array, "n h w c"]


def net_at(teacher: Teacher, image: tuple[int, int, int], size: tuple[int, int]) -> Net:
    """The network of a teacher, which was trained on images of the shape `image`, (h, w, c), for images of `size` (p, q) pixels and as many
    channels. Raises BadInput where it takes no others than those it was trained on, or none so small."""
    if size == tuple(image[:2]):
        return teacher.net
    wanted = f"--sizes: {teacher.name or 'a network'} does not take images of {size[0]}x{size[1]}"
    if teacher.resized is None:
        raise BadInput(f"{wanted}; {REMEDY}")
    try:
        net = teacher.resized((*size, image[2]))
    except BadInput as error:
        raise BadInput(f"{wanted} ({error}); {REMEDY}") from error
    shapes = (jax.tree.map(jnp.shape, vars) for vars in (jax.eval_shape(net.init, jax.random.key(0)), teacher.vars))
    if next(shapes) != next(shapes):
        raise BadInput(f"{wanted}: it has weights for every pixel of its last feature map; {REMEDY}")
    return net


def stage_sizes(shares: Sequence[float], image: tuple[int, int, int]) -> tuple[tuple[int, int], ...]:
    """Height and width of every stage's images: a share of those of `image`, (h, w, c), rounded, and at least one pixel. Raises BadInput
    where a share is not in (0, 1], or the last is not 1."""
    if not all(0 < share <= 1 for share in shares) or not shares or shares[-1] != 1:
        given = " ".join(f"{share:g}" for share in shares)
        raise BadInput(f"--sizes {given}: give every stage's share of the images' side, in (0, 1]; the last must be 1")
    return tuple((max(1, round(image[0] * share)), max(1, round(image[1] * share))) for share in shares)


def usual_sizes(teachers: Sequence[Teacher], image: tuple[int, int, int]) -> tuple[tuple[int, int], ...]:
    """The sizes of four stages as released: all full for images below 100 pixels a side, else 200/224 and full in turn; all full too where
    a teacher takes full images alone."""
    full = stage_sizes((1.0,) * len(STAGES), image)
    if min(image[:2]) < LARGE:
        return full
    sizes = stage_sizes(STAGES, image)
    try:
        for teacher in teachers:
            net_at(teacher, image, sizes[0])
    except BadInput:
        return full
    return sizes


def resize(x: Float[Array, "n h w c"], old: Int[Array, " two"], new: Int[Array, " two"]) -> Float[Array, "n h w c"]:
    """Images of `old` (p, q) pixels, which lie in the first p rows and q columns of x, resized to `new` pixels, in the first rows and
    columns of the result; all else is 0. Bilinear, pixel centres at 1/2, borders repeated, without smoothing."""

    def weights(n: int, before, after) -> Float[Array, "n n"]:
        before, after = before.astype(x.dtype), after.astype(x.dtype)
        place = jnp.arange(n, dtype=x.dtype)
        at = jnp.clip((place + 0.5) * (before / after) - 0.5, 0, before - 1)
        tent = jnp.maximum(0, 1 - jnp.abs(at[:, None] - place[None, :]))
        return jnp.where(place[:, None] < after, tent, 0)

    down, across = (weights(x.shape[axis + 1], old[axis], new[axis]) for axis in (0, 1))
    return jnp.einsum("ih,nhwc,jw->nijc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def slope_of(
    key: jax.Array,
    teacher: Teacher,
    vars: Vars,
    images: Float[Array, "n h w c"],
    y: Int[Array, "g b"],
    settings: RecoverySettings,
    *,
    step: Int[Array, ""],
    active: Bool[Array, " slots"] | None,
    size: tuple[int, int],
    classes: int,
):
    """What `vote` gives for one network and all batches of the images that lie in the first p rows and q columns, `size` (p, q): the
    gradient f32[n h w c], which is 0 outside these, and the metrics. `y` are the classes of the batches' images, `active` says which slots
    count (None: all), and `step` how many steps are done."""
    (_, h, w, _), (p, q) = images.shape, size
    x = batches_of(images[:, :p, :q], classes, y.shape[1])
    on = None if active is None else jnp.repeat(active, len(x) // len(active), total_repeat_length=len(x))
    slopes, metrics = vote(key, (teacher,), (vars,), np.ones((len(x), 1)), x, y, settings, step=step, active=on)
    return jnp.pad(images_of(slopes, classes), ((0, 0), (0, h - p), (0, w - q), (0, 0))), metrics


def fadrm(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    lr: Annotated[float, Positive] = 0.25,
    alpha_bn: Annotated[float, NonNegative] = 0.01,
    first: Annotated[float, NonNegative] = 10.0,
    alpha: Annotated[float, ZeroToOne] = 0.5,
    sizes: tuple[float, ...] | None = None,
    crop: Annotated[float, Share] = 0.08,
    roll: Annotated[float, BelowOne] = 0.125,
    batch: int = 100,
    patches: Patches = "medium",
    labels: LabelKind = "committee",
    recipe: str = "cvdd",
    label_epochs: int | None = None,
    parts: int = 2,
    narrow: Annotated[float, Share] | None = None,
    rounds: int | None = None,
) -> Matcher:
    """Recovers images in stages of different sizes, and mixes real images in after each; trained networks serve in turn.

    Step t descends L = CE_k + alpha_bn R_k, the terms of `sre2l`, for one network alone: number k = t mod K of K. The steps are shared out
    evenly among stages. The first begins with the original images o, collages of real crops, each later one with
    s <- alpha Z(s) + (1 - alpha) Z(o), where Z resizes to the new stage's size (bilinear). So what a stage has lost of the real images
    comes back. Adam is made anew for every stage; its step size falls over all steps on one cosine. Labels are the mean of all networks'
    logits, batch norms normalising by the statistics of each half of a batch.

    Args:
      teachers: trained networks; with one it is what the paper calls FADRM, with several FADRM+.
      task: the run that it serves; the stages share its steps.
      lr: step size of the pixels in model space (> 0).
      alpha_bn: weight of the statistics (>= 0).
      first: weight of the first layer's statistics (>= 0).
      alpha: share of the recovered images in the mixture after a stage, in [0, 1]; the rest is the original ones'.
      sizes: of every stage, the side of its images as a share of the full one, in (0, 1]; the last is 1. By default 1 1 1 1 for images
        below 100 pixels a side, and where a teacher takes full images alone; else 0.893 1 0.893 1, which is 200 and 224 pixels as released.
      crop: least share of the area that a random crop takes, in (0, 1]; 1 for no crop.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      batch: classes whose images go through a network together and share their statistics.
      patches: `easy`, `medium` or `hard` starts from 2x2 collages of real crops of that rank of difficulty to the networks, whatever
        --start says; `none` leaves the start as it is.
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
      parts: equal parts of a batch that each have their own statistics when labelled; 2 as released, 1 for the whole batch.
      narrow: share of the steps, in (0, 1], over which the least crop falls on a cosine from the whole image to `crop`, as in CDA; by
        default crops are that small from the first step on.
      rounds: in which slots join the run, evenly one after another, as in DELT (CVPR 2025), which has 8; by default
        all move from the first step on.
    """
    settings = RecoverySettings(lr, alpha_bn, first, Jitter(crop, roll, task.flips, narrow=narrowing(narrow, task))).check()
    stages = stage_sizes(sizes, task.image) if sizes else usual_sizes(teachers, task.image)
    known = list(dict.fromkeys(stages))
    seen = [(size, k, teacher._replace(net=net_at(teacher, task.image, size))) for size in known for k, teacher in enumerate(teachers)]
    labelling = Labelling(teachers, task, recipe, labels, label_epochs, statistics="batch" if parts == 1 else f"batch/{parts}")
    tx, table, places = on_pixels(settings, task), np.array(stages, np.int32), np.array([known.index(size) for size in stages], np.int32)
    last, ready = len(stages) - 1, ready_with(teachers, labelling, batch=batch, prepare=patched(teachers, patches))

    def begin(state, stage):
        old, new, full = (jnp.asarray(table)[number] for number in (state.stage, stage, last))
        images = alpha * resize(state.images, old, new) + (1 - alpha) * resize(state.original, full, new)
        count, _ = state.opt
        return Staged((count, tx.init(images)[1]), stage, images, state.original)

    def init(key, synth):
        images = synth.x.decode()  # as at the end of a last stage: what the first step begins with is then the original
        return Staged(tx.init(images), jnp.int32(last), images, images)

    def step(key, state, synth, vars):
        (count, _), classes = state.opt, synth.y.classes
        stage = last - (task.steps - 1 - count) * len(stages) // task.steps  # the last step is of the last stage, however few there are
        state = jax.lax.cond(stage == state.stage, lambda: state, lambda: begin(state, stage))
        y = batches_of(synth.y.index, classes, batch)
        on = joined(len(synth) // classes, rounds, count, task)
        same = {"y": y, "settings": settings, "step": count, "active": on, "classes": classes}
        ways = [partial(slope_of, key, teacher, vars[k], size=size, **same) for size, k, teacher in seen]
        which = jnp.asarray(places)[stage] * len(teachers) + count % len(teachers)
        slopes, metrics = jax.lax.switch(which, ways, state.images)
        updates, opt = tx.update(slopes, state.opt, state.images)
        images = synth.x.clip(state.images + updates)
        shown = resize(images, jnp.asarray(table)[stage], jnp.asarray(table)[last])
        return replace(synth, x=synth.x.encode(shown)), Staged(opt, stage, images, state.original), metrics

    attach = lambda key, state, synth: labelling.attach(key, synth)  # noqa: E731
    made = Matcher(init, step, Given(tuple(teacher.vars for teacher in teachers)), recipe=recipe, prepare=ready, finish=attach)
    return made._replace(start="collage", own_start=None if patches == "none" else "--patches none", counts_bytes=False)
