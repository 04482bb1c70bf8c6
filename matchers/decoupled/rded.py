"""Realistic, diverse and efficient distillation (RDED, CVPR 2024): collages of the real crops that a trained network finds easiest."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from matchers.base import Matcher, Task, Unread, once
from matchers.decoupled.common import bounded, pick
from matchers.decoupled.labelling import LabelKind, Labelling
from synth.base import Teacher
from synth.selection.collage import choose_patches, compose


def rded(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    factor: int | None = None,
    images: int = 300,
    crops: int = 5,
    member: int = 1,
    labels: LabelKind = "online",
    recipe: str | None = None,
    label_epochs: int | None = None,
) -> Matcher:
    """Chooses crops of real images and lays them out in collages; nothing is optimised.

    Of each of `images` random real images of a class the crop p, of `crops` random square ones, with the least CE(f(p), y), shown to the
    network f in the middle of an empty image; of these the ipc factor^2 with the least. Cell k, row by row, of the i-th collage is the one
    of rank k ipc + i. At its end the set is labelled by the network.

    Args:
      teachers: trained networks, of which one is used.
      task: the run that it serves.
      factor: cells a side of a collage; by default 2, and 1 (one crop an image) below 100 pixels a side, as published.
      images: real images of a class whose crops are looked at; at least ipc factor^2.
      crops: of each of these.
      member: which of the teachers, from 1.
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      recipe: that the set is labelled for and to be trained with; by default `rded`, and `rded_small` for one crop an image.
      label_epochs: epochs that stored answers cover; by default the recipe's.
    """
    chosen = pick(teachers, member)
    factor = factor or (1 if min(task.image[:2]) < 100 else 2)
    recipe = recipe or ("rded_small" if factor == 1 else "rded")
    labelling = Labelling((chosen,), task, recipe, labels, label_epochs)

    def solve(key, synth, examples):
        synth = bounded(synth)
        labelling.check_room(synth)
        k_patches, k_labels = jax.random.split(key)
        ipc = len(synth) // synth.y.classes
        patches = choose_patches(k_patches, (chosen,), examples, ipc, factor=factor, images=images, crops=crops)
        x = synth.x.encode(jnp.asarray(compose(patches, factor)))
        return labelling.attach(k_labels, replace(synth, x=x.store()))

    return once(solve, feed=Unread())._replace(recipe=recipe, own_start="", counts_bytes=False)
