"""Squeeze, recover and relabel (SRe2L, NeurIPS 2023): images recovered from one trained network."""

from typing import Annotated, Literal

import numpy as np

from matchers.base import Matcher, Task
from matchers.decoupled.common import Patches, narrowing, patched, pick, recover
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings
from synth.base import Teacher
from synth.errors import BadInput
from synth.options import BelowOne, NonNegative, Positive, Share


def sre2l(
    teachers: tuple[Teacher, ...],
    task: Task,
    *,
    lr: Annotated[float, Positive] = 0.25,
    alpha_bn: Annotated[float, NonNegative] = 0.01,
    first: Annotated[float, NonNegative] = 10.0,
    crop: Annotated[float, Share] = 0.08,
    roll: Annotated[float, BelowOne] = 0.125,
    both_ways: bool = False,
    flip: bool = True,
    tv: Annotated[float, NonNegative] = 0.0,
    l2: Annotated[float, NonNegative] = 0.0,
    batch: int = 100,
    patches: Patches = "none",
    member: int = 1,
    labels: LabelKind = "committee",
    recipe: str = "sre2l",
    label_epochs: int | None = None,
    narrow: Annotated[float, Share] | None = None,
    rounds: int | None = None,
    statistics: Literal["class"] | None = None,
) -> Matcher:
    """Recovers images that a trained network recognises and whose statistics in it are those of real data.

    L = CE(f(A(s)), y) + alpha sum_l m_l (|| mean_l - running mean_l || + || var_l - running var_l ||) over a batch of one image s of every
    class, A a random crop, flip and roll that the batch shares, statistics those of the inputs of the batch-normalisation layers l of the
    frozen network f, m_1 = `first` and 1 elsewhere (in the form of the released code). `tv` TV(A(s)) and `l2` mean || A(s) || may be added,
    TV the norms of differences between neighbours (`matchers.decoupled.loss.total_variation`); all released settings leave them out. Adam
    on pixels, its step size on a cosine. At its end the set gets the network's answers to the views that training will draw.

    Args:
      teachers: trained networks, of which one is used.
      task: the run that it serves; the step size falls over its steps.
      lr: step size of the pixels in model space (> 0).
      alpha_bn: weight of the statistics (>= 0).
      first: weight of the first layer's statistics (>= 0).
      crop: least share of the area that a random crop takes, in (0, 1]; 1 for no crop.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      both_ways: whether shifts go up and left as far too, as released for Tiny ImageNet, and not down and right alone.
      flip: whether batches are mirrored at random, where labels allow it; not in what is released for CIFAR.
      tv: weight of the total variation (>= 0).
      l2: weight of the mean Euclidean norm of the images (>= 0).
      batch: classes whose images go through the network together and share their statistics.
      patches: `easy`, `medium` or `hard` starts from 2x2 collages of real crops of that rank of difficulty to the network, whatever
        --start says; `none` leaves the start as it is.
      member: which of the teachers, from 1.
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
      narrow: share of the steps, in (0, 1], over which the least crop falls on a cosine from the whole image to `crop`, as in CDA; by
        default crops are that small from the first step on.
      rounds: in which the images of a class join the run, evenly one after another, as in DELT (CVPR 2025), which has 8; by default
        all move from the first step on.
      statistics: by default the network's running ones are matched by each slot's. With `class` those of every class's real images are, by
        all images of the class together, as in WMDD (ICCV 2025), whose weights of images and feature targets are not here.
    """
    chosen = pick(teachers, member)
    if statistics and rounds:
        raise BadInput(
            f"--rounds {rounds}: no image joins late under --statistics class, which are of all images of a class; leave one out"
        )
    jitter = Jitter(crop, roll, flip and task.flips, both_ways, narrowing(narrow, task))
    settings = RecoverySettings(lr, alpha_bn, first, jitter, tv, l2)
    labelling = Labelling((chosen,), task, recipe, labels, label_epochs)
    more = {"prepare": patched((chosen,), patches), "rounds": rounds, "by_class": statistics == "class"}
    made = recover((chosen,), task, lambda slots: np.ones((slots, 1)), settings, labelling, batch=batch, **more)
    return made._replace(start="noise", own_start=None if patches == "none" else "--patches none")
