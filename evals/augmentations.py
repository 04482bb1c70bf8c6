"""Augmentations by which sets are compared, by name. Each replaces what a recipe shows mini-batches through, and nothing else of it.

Cui et al., DC-Bench, NeurIPS 2022 (Datasets and Benchmarks), compare sets under augmentations in this way; theirs are `none`, `dsa`,
`autoaugment` (the policy of CIFAR-10 for all data, theirs that of ImageNet for Tiny ImageNet), `randaugment`, `jitter` and `cutout`. Crops
and cutouts work in model space, so that what comes in from outside an image, or is cut out of it, is the mean and not black. To add one,
add its entry to `AUGMENTATIONS`.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from evals.retraining import EvalRecipe
from synth.errors import BadInput, nearest


class Augmentation(NamedTuple):
    """What mini-batches go through.

    Args:
      augment, view: as of an `EvalRecipe`; a flip is left out where a mirrored image means something else.
      about: one line.
    """

    augment: str
    view: str
    about: str


AUGMENTATIONS = {
    "none": Augmentation("", "", "images as they are"),
    "dsa": Augmentation("dsa", "", "one siamese operation a batch, its parameters an image"),
    "one": Augmentation("dc", "", "a shift, zoom or turn of every image"),
    "crop": Augmentation("", "pad=4,flip", "shifts by up to an eighth of the side, and flips"),
    "cutout": Augmentation("cutout", "pad=4,flip", "the same, and a square of half the side cut out"),
    "jitter": Augmentation("jitter", "pad=4,flip", "the same as crop, and one change of brightness, contrast, saturation and hue a batch"),
    "autoaugment": Augmentation("autoaugment", "", "a pair of operations a batch, of the 25 that AutoAugment found on CIFAR-10"),
    "randaugment": Augmentation("randaugment", "", "one of 14 operations a batch, at level 9 of 30"),
    "cutmix": Augmentation("", "pad=4,flip,cutmix=1", "the same as crop, and boxes of other images pasted in"),
}


def check_augmentations(asked: Sequence[str] | str | None) -> tuple[str, ...]:
    """The names that a call asks for, one or several, each once; an empty tuple for None. Raises BadInput for an unknown name, and for an
    empty list."""
    names = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked or ()))
    if asked is not None and not names:
        raise BadInput(f"--augmentations: none given (known: {', '.join(AUGMENTATIONS)})")
    if unknown := [name for name in names if name not in AUGMENTATIONS]:
        near = nearest(unknown[0], AUGMENTATIONS)
        raise BadInput(f"--augmentations: unknown augmentation '{unknown[0]}' (known: {', '.join(AUGMENTATIONS)}){near}")
    return names


def under(recipe: EvalRecipe, name: str) -> EvalRecipe:
    """The recipe, under its own name, with the augmentation `name` (a key of AUGMENTATIONS) in place of its own."""
    return replace(recipe, augment=AUGMENTATIONS[name].augment, view=AUGMENTATIONS[name].view)
