"""PCA: prune, combine, augment. Not principal components.

Xiao, Liu, He and Wang, Unifying Dataset Pruning and Distillation, ICML 2026, arXiv 2502.06434.
"""

from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, Unread, once
from matchers.selection.common import check_ranked
from synth.errors import BadInput
from synth.selection.collage import whole_collages
from synth.selection.ranks import Ranks
from synth.selection.rules import keep
from synth.selection.scores import name_score, scores


def pca(
    ranks: Ranks,
    *,
    by: str = "el2n",
    rule: Literal["easy", "hard", "middle", "random"] = "easy",
    grid: int = 2,
    inside: bool = True,
) -> Matcher:
    """Prunes, combines, augments (not principal components): collages of the easiest real images, of which networks see one at a time.

    P: of all training images, the ipc grid^2 of every class with the lowest scores. C: each is downsized whole, without a crop, and they
    are laid out in grids; cell k, row by row, of the i-th collage is the one of rank k ipc + i, an order that the paper leaves open. A:
    whoever trains on the set is shown one cell of a collage in an epoch, resized to the whole, and crops within it. Labels are hard;
    `condense relabel` and `condense evaluate --teachers` give soft ones. Without P, C and A these are random images.

    Args:
      ranks: the log of proxies.
      by: the score, as of `condense distill select`.
      rule: which images are kept by it: easy (P), hard, middle; random takes P out.
      grid: images a side of a collage (C); 1 leaves them as they are.
      inside: whether networks see one image of a collage at a time, and crops stay inside (A).
    """
    score = name_score(by, ranks)

    def solve(key, synth, examples):
        y, classes = check_ranked(ranks, examples), synth.y.classes
        ipc, there = len(synth) // classes, int(np.bincount(y, minlength=classes).min())
        if there < (each := ipc * grid**2):
            what = f"pca combines {grid**2} images into one, and {ipc} a class take {each} of each"
            raise BadInput(f"--ipc: {what}; the smallest class has {there}: give fewer, or a smaller --grid")
        kept = keep(key, rule, scores(ranks, by), y, dict.fromkeys(range(classes), each))
        images, _ = whole_collages(examples, kept.index, factor=grid)
        return replace(synth, x=synth.x.encode(jnp.asarray(images)), cells=grid if inside else 1)

    return once(solve, feed=Unread())._replace(recipe="rethinking_hard", own_start="", score="" if rule == "random" else score)
