"""The contract of an export format, and what every format is given and gives back.

A format is a file in this folder with a `FORMAT`, and a line in `condense.exchange.FORMATS`. `write` puts a `Parcel` into a new folder;
`read` takes from that folder what `condense.exchange.parcel.unpack` makes the same set of again. The folder appears under its final
name when all of it is written, with a card, `README.md`, beside what `write` made.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8

REST = "rest.npz"  # where a format of rows keeps the arrays that have no row an example


class Clipping(NamedTuple):
    """What pictures lose of raw images, whose values may leave [0, 1].

    Args:
      numbers: how many there are; of these `outside` are below 0 or above 1, the lowest `below` 0 and the highest `above` 1 by so much.
      rounding: the largest difference that 8 bits make within [0, 1].
    """

    numbers: int
    outside: int
    below: float
    above: float
    rounding: float

    def __str__(self) -> str:
        if not self.outside and not self.rounding:
            return "pictures hold the images exactly"
        share = f"{self.outside:,} of {self.numbers:,} numbers ({100 * self.outside / self.numbers:.2f} %) lie outside [0, 1]"
        cut = f"{share}, by up to {self.below:.3f} below and {self.above:.3f} above, and are cut off"
        return f"{cut if self.outside else 'no number lies outside [0, 1]'}; 8 bits round the others by up to {self.rounding:.4f}"


class Parcel(NamedTuple):
    """A set as formats store it.

    Args:
      images: raw images as pictures show them; None where the set holds none.
      label: the class of every example, an index of `classes`.
      rows: arrays that have a row an example, by plain names (a-z, 0-9, _). `raw` are raw images that may leave [0, 1], where pictures do
        not hold them exactly, or vectors in their own units; `probabilities` what the labels say of each class, where it is more than the
        class.
      whole: the other arrays: a step size `lr`, the preprocessing, answers to views, the nodes and edges of graphs.
      header: the header of the set's file, JSON.
      clipped: what `images` lose of `raw`; None where there are none.
      modality: of the set.
    """

    images: UInt8[np.ndarray, "n h w c"] | None
    label: Int32[np.ndarray, " n"]
    rows: dict[str, np.ndarray]
    whole: dict[str, np.ndarray]
    header: str
    classes: tuple[str, ...]
    clipped: Clipping | None
    modality: str = "images"

    def numbers(self) -> dict[str, np.ndarray]:
        """The arrays that have one row an example, by name: `label`, the class indices as int64, and those in `rows`. The pictures are not
        among them."""
        return {"label": self.label.astype(np.int64), **self.rows}


class Contents(NamedTuple):
    """What `read` finds in an export: the pictures, arrays by the names of a `Parcel`, and the header."""

    images: UInt8[np.ndarray, "n h w c"] | None
    arrays: Mapping[str, np.ndarray]
    header: str


class Format(NamedTuple):
    """One way out.

    Args:
      about: one line.
      write: (parcel, new folder, card) -> None.
      read: folder or file -> contents. Raises BadInput where these are damaged.
      finds: whether a folder or file looks like such an export.
      usage: how the export is loaded, in the order of the card: a heading, and Python that is run in the export's folder.
      files: what the card's header says of the data files: a glob pattern, or nothing where `datasets` cannot read them.
      file: the one file that holds everything, the card too. A path that ends in its suffix gives that file without a folder.
      pictures: whether it writes PNG files, which have 1, 3 or 4 channels.
    """

    about: str
    write: Callable[[Parcel, Path, str], None]
    read: Callable[[Path], Contents]
    finds: Callable[[Path], bool]
    usage: tuple[tuple[str, str], ...]
    files: str = ""
    file: str = ""
    pictures: bool = True
