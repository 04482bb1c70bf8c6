"""Data sets that are known by name. A list of them needs no other import."""

import os
from pathlib import Path
from typing import NamedTuple


class Named(NamedTuple):
    """A data set that is known by name.

    Args:
      kind: the reader of it, a key of `condense.data.readers.READERS`.
      about: what it is, in one line.
      flips: whether a mirrored example keeps its label.
      classes: the names of the classes, where its files do not hold them.
    """

    kind: str
    about: str
    flips: bool = True
    classes: tuple[str, ...] | None = None


FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
NAMED = {
    "digits": Named("digits", "1,797 handwritten digits 8x8x1, 10 classes; comes with scikit-learn", flips=False),
    "mnist": Named("idx", "70,000 handwritten digits 28x28x1, 10 classes; four IDX files, from you or by tensorflow_datasets", flips=False),
    "fashion_mnist": Named(
        "idx", "70,000 pieces of clothing 28x28x1, 10 classes; four IDX files, from you or by tensorflow_datasets", classes=FASHION
    ),
    "cifar10": Named("tfds", "60,000 photographs 32x32x3, 10 classes; prepared with tensorflow_datasets"),
    "cifar100": Named("tfds", "60,000 photographs 32x32x3, 100 classes; prepared with tensorflow_datasets"),
    "toy_graphs": Named("toy_graphs", "300 molecule-like graphs of 8 to 16 nodes, 2 classes; embedded", flips=False),
    "svhn_cropped": Named("tfds", "99,289 house-number digits 32x32x3, 10 classes; prepared with tensorflow_datasets", flips=False),
}
# Mean and deviation of every channel as releases write them down, by name of the set. Those of CIFAR are means over images of an image's
# own deviation, smaller than the deviation over all pixels, and CIFAR-100 has the numbers of CIFAR-10: VICO-UoE/DatasetCondensation (DC,
# DSA, DM) and GeorgeCazenavette/mtt-distillation (MTT, and FTD, TESLA and DATM after it), both in utils.py.
CIFAR = ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
PUBLISHED = {
    "mnist": ((0.1307,), (0.3081,)),
    "fashion_mnist": ((0.2861,), (0.3530,)),
    "svhn_cropped": ((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "cifar10": CIFAR,
    "cifar100": CIFAR,
}
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # the same file of MTT takes them for Tiny ImageNet too
STATED = ("published", "imagenet")  # kinds of normalisation whose numbers stand here and are not fitted
OTHER = Named("tfds", "a set that was prepared under a name of its own")  # `condense data NAME` makes such sets


def home() -> Path:
    """The folder of named sets: $CONDENSE_DATA, or ~/.cache/condense/data."""
    return Path(os.environ.get("CONDENSE_DATA") or "~/.cache/condense/data").expanduser()
