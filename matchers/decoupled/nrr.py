"""Non-critical region refinement (NRR-DD, CVPR 2025): collages that change only where a trained network does not see their class."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from matchers.base import Given, Matcher, Task
from matchers.decoupled.common import (
    MOST_IMAGES,
    batch_size,
    batches_of,
    bounded,
    check_statistics,
    images_of,
    on_pixels,
    pick,
)
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings, vote
from synth.base import Net, Teacher, Vars
from synth.options import BelowOne, NonNegative, Positive, Share
from synth.selection.cam import attention, averages, check_map
from synth.selection.collage import compose, critical_patches


class Refining(NamedTuple):
    """State: steps done, the optimiser's state, and how far every pixel may move."""

    count: Int[Array, ""]
    opt: optax.OptState
    mask: Float[Array, "n h w"]


def chosen_map(teachers: Sequence[Teacher], image: tuple[int, int, int], number: int | None) -> Teacher:
    """The teacher with this number, from 1, or for None the first one that has class activation maps on images of h, w, c, because it
    averages its last feature map. Raises BadInput if it has none, or there is no such number."""
    if number is None:
        number = next((i + 1 for i, teacher in enumerate(teachers) if averages(teacher.net, teacher.vars, image)), 1)
    check_map(chosen := pick(teachers, number), image)
    return chosen


def freedom(net: Net, vars: Vars, x: Float[Array, "n h w c"], y: Int[Array, " n"], epsilon: float) -> Float[Array, "n h w"]:
    """M = max(0, epsilon - C) of every pixel, where C is the class activation map in [0, 1] of the image's class y. M is 0 in the critical
    region, and the larger the less a pixel matters for its class."""
    return jnp.maximum(0, epsilon - attention(net, vars, x, y))


def nrr(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    epsilon: float = 0.5,
    lr: Annotated[float, Positive] = 0.1,
    optimizer: Literal["adam", "sgd"] = "adam",
    alpha_bn: Annotated[float, NonNegative] = 0.01,
    first: Annotated[float, NonNegative] = 10.0,
    crop: Annotated[float, Share] = 1.0,
    roll: Annotated[float, BelowOne] = 0.0,
    batch: int = 100,
    renew: int | None = None,
    factor: int = 2,
    crops: int = 5,
    keep: int = 3,
    member: int | None = None,
    labels: LabelKind = "distances",
    alpha_dbr: Annotated[float, NonNegative] = 1.0,
    norm_dbr: Literal["l1", "l2", "huber"] = "l1",
    sce_dbr: Literal["mixed", "smoothed", "soft"] = "mixed",
    label_temperature: Annotated[float, Positive] | None = None,
    recipe: str = "nrr",
    label_epochs: int | None = None,
) -> Matcher:
    """Stitches critical crops of real images together and refines what lies around the critical regions.

    s <- s - M * eta grad_s L with M = max(0, epsilon - C), C in [0, 1] the class activation map of the collage s and L = CE + alpha R that
    of `sre2l`: pixels with C >= epsilon keep every bit. Crops are those with the highest mean of the class's map over them, one of each
    real image; of the `keep` times as many as are needed with the highest, the ones that the network is least sure of are stitched. At its
    end the set gets distance-based labels (`synth.labels.distances.Distances`). The paper's code is not public: what its text leaves open
    (optimiser, step sizes, epsilon, whether the map is renewed, numbers of crops, norm, weight and temperature of the labels' loss and its
    cross entropy) is an option here.

    Args:
      teachers: trained networks, of which one is used; it must average its last feature map.
      task: the run that it serves; the step size falls over its steps.
      epsilon: from where on a pixel is critical; 0 or less freezes all, above 1 moves all.
      lr: eta, step size of the pixels in model space (> 0).
      optimizer: what makes a step of the gradient: `sgd` takes it as it is.
      alpha_bn: weight of the statistics (>= 0).
      first: weight of the first layer's statistics (>= 0).
      crop: least share of the area that a random crop takes before the network sees a batch, in (0, 1]; 1 for no crop.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      batch: classes whose images go through the network together and share their statistics.
      renew: steps after which the map is taken anew; by default that of the first step stays.
      factor: cells a side of a collage.
      crops: random square crops of every real image that are looked at.
      keep: how many times more crops of high activation than needed the network's confidence chooses from.
      member: which of the teachers, from 1; by default the first that averages its last feature map.
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      alpha_dbr, norm_dbr: weight and norm of the loss of `distances`.
      sce_dbr: its cross entropy: to mixed one-hot rows, to `smoothed` ones, or to what the distances say of the teachers (`soft`).
      label_temperature: T of the labels, > 0; by default the recipe's, and 1 for `distances`.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
    """
    settings = RecoverySettings(lr, alpha_bn, first, Jitter(crop, roll, task.flips)).check()
    chosen = chosen_map(teachers, task.image, member)
    more = {"temperature": label_temperature, "options": {"alpha": alpha_dbr, "norm": norm_dbr, "sce": sce_dbr}}
    labelling = Labelling((chosen,), task, recipe, labels, label_epochs, **more).checked()
    tx = on_pixels(settings, task, rule=optimizer)

    def prepare(key, synth, examples):
        synth = bounded(synth)
        labelling.check_room(synth)
        check_statistics((chosen,), task.image)
        batch_size(synth.y.classes, batch)
        ipc = len(synth) // synth.y.classes
        images = max(MOST_IMAGES, ipc * factor**2)
        patches = critical_patches(key, chosen, examples, ipc, factor=factor, images=images, crops=crops, keep=keep)
        return replace(synth, x=synth.x.encode(jnp.asarray(compose(patches, factor))))

    def init(key, synth):
        images = synth.x.decode()
        return Refining(jnp.int32(0), tx.init(images), jnp.zeros_like(images[..., 0]))

    def step(key, state, synth, vars):
        classes, images = synth.y.classes, synth.x.decode()
        due = (state.count % renew if renew else state.count) == 0
        mask = jax.lax.cond(due, lambda: freedom(chosen.net, vars[0], images, synth.y.index, epsilon), lambda: state.mask)
        x, y = (batches_of(leaf, classes, batch) for leaf in (images, synth.y.index))
        slopes, metrics = vote(key, (chosen,), vars, np.ones((len(x), 1)), x, y, settings)
        updates, opt = tx.update(images_of(slopes, classes), state.opt, images)
        moved = synth.x.clip(images + mask[..., None] * updates)
        # The mask is of pixels, and so is the step: the content then stands for the moved images as well as it can.
        x = synth.x.encode(jnp.where(mask[..., None] > 0, moved, images))
        return replace(synth, x=x), Refining(state.count + 1, opt, mask), metrics

    attach = lambda key, state, synth: labelling.attach(key, synth)  # noqa: E731
    return Matcher(init, step, Given((chosen.vars,)), recipe=recipe, prepare=prepare, finish=attach, own_start="", counts_bytes=False)
