"""PCA: prune, combine, augment. Not principal components.

Xiao, Liu, He and Wang, Unifying Dataset Pruning and Distillation (before: Rethinking Large-scale Dataset Compression), arXiv 2502.06434, ICML
2026.
"""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, Unread, once
from synth.errors import BadInput
from synth.selection.choose import choose_easiest, choose_random
from synth.selection.collage import whole_collages
from synth.selection.ranks import Ranks
from synth.selection.scores import scores


def pca(ranks: Ranks | None, *, by: str = "el2n", prune: bool = True, grid: int = 2, inside: bool = True) -> Matcher:
    """Prunes, combines, augments (no principal components): collages of the easiest real images, of which networks see one at a time.

    P: of all training images, the ipc grid^2 of every class with the lowest score. C: each is downsized whole, without a crop, and they are
    laid out in grids; cell k, row by row, of the i-th collage is the one of rank k ipc + i, an order that the paper leaves open. A: whoever
    trains on the set is shown one cell of a collage in an epoch, resized to the whole, and crops within it.
    Labels are hard; `condense relabel` and `condense evaluate --teachers` give soft ones. Without P, C and A these are random images.

    Args:
      ranks: what proxies said of the training images.
      by: the score, as `condense distill select` names it; the paper takes EL2N.
      prune: P; without it images are drawn at random.
      grid: C: images a side of a collage; 1 leaves them as they are.
      inside: A; without it collages are trained on as images, and a crop may show parts of several cells.
    """
    if prune and ranks is None:
        raise BadInput("--ranks: pca takes the easiest images by what proxies said; give the folder of `condense rank`, or --no-prune")

    def solve(key, synth, examples):
        y, ipc = np.asarray(examples.y), len(synth) // synth.y.classes
        each, there = ipc * grid**2, int(np.bincount(y, minlength=synth.y.classes).min())
        if there < each:
            what = f"pca combines {grid**2} images into one, and {ipc} a class take {each} of each"
            raise BadInput(f"--ipc: {what}; the smallest class has {there}: give fewer, or a smaller --grid")
        index = choose_easiest(scores(ranks, by), y, each) if prune else choose_random(key, y, each)
        images, _ = whole_collages(examples, index, factor=grid)
        return replace(synth, x=synth.x.encode(jnp.asarray(images)), cells=grid if inside else 1)

    return once(solve, feed=Unread())._replace(recipe="rethinking_hard", own_start="")
