"""A picture of a synthetic set: a row for every class, its first images side by side, names at the left.

Images are drawn as raw pixels: the normalisation or whitening is undone, then values are clipped to [0, 1]. `stretch` maps every image's
own smallest and largest value to black and white instead: it shows structure that clipping hides, and says nothing about brightness.
"""

import math
from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, ImageDraw

from condense.plots.fonts import write_names
from synth.errors import BadInput
from synth.set import SyntheticSet

CELL = 32  # smaller images are enlarged by a whole factor to at least this
LARGE, FEW = 96, 20  # and to this where a class has one image, of at most so many classes
WIDEST = 2048  # none is enlarged beyond it
GAP = 2
LETTERS = 20
ROWS = 100


def draw_grid(
    synth: SyntheticSet,
    *,
    per_class: int = 10,
    stretch: bool = False,
    below: Callable[[Int[np.ndarray, " n"]], Float[np.ndarray, "n h w c"]] | None = None,
) -> Image.Image:
    """A picture of a set of images, in RGB: a row for every class with its name at the left, its first images side by side. They are raw
    pixels, clipped to [0, 1], and enlarged by a whole factor where they are small.

    Args:
      synth: a set of images with `info`; soft labels go to the row of their largest class; images with representations fill rows
        without names.
      per_class: images a row, at least 1; a class with fewer leaves cells empty. Beyond 100 classes the first 100 are drawn.
      stretch: whether every image uses its own range instead of [0, 1].
      below: indices of examples -> for each an image in model space that stands below it, such as a real one. It is called once, with all
        that are drawn.

    One image a class is drawn larger, where there are few classes.

    Raises ValueError for a set without `info`, BadInput for one that holds no images or for `per_class` < 1.
    """
    if synth.info is None:
        raise ValueError("a set without info cannot be drawn: its preprocessing is unknown")
    if per_class < 1:
        raise BadInput(f"per_class is {per_class}; a row takes 1 image or more")
    decoded = synth.x.decode()
    if getattr(decoded, "ndim", 0) != 4:
        raise BadInput("the set holds no images, so there is no grid to draw")
    classes, of = synth.info.classes[:ROWS], np.asarray(synth.y.probs()).argmax(1)
    if synth.represents:  # representations belong to no class: the images in order, without names
        of = np.arange(len(decoded)) // per_class
        classes = ("",) * min(ROWS, of[-1] + 1)
    shown = [np.flatnonzero(of == c)[:per_class] for c in range(len(classes))]  # no other image is looked at
    chosen, columns = np.concatenate(shown), max(map(len, shown), default=0)
    least = LARGE if columns <= 1 and len(classes) <= FEW else CELL

    def shades(x: np.ndarray) -> list[np.ndarray]:
        return np.split(_shades(synth.info.preprocess.undo(x), stretch, least), np.cumsum([len(index) for index in shown])[:-1])

    rows = shades(np.asarray(decoded, np.float32)[chosen])
    names, font = write_names((name, f"class {number}") for number, name in enumerate(classes))
    if below is not None:
        rows = [row for pair in zip(rows, shades(below(chosen)), strict=True) for row in pair]
        names = [name for known in names for name in (known, "nearest real")]
    names = [name if len(name) <= LETTERS else name[: LETTERS - 1] + "…" for name in names]
    margin = math.ceil(max(font.getlength(name) for name in names)) + 2 * GAP
    height, width = (side + GAP for side in rows[0].shape[1:3])
    picture = Image.new("RGB", (margin + GAP + columns * width, GAP + len(rows) * height), "white")
    pen = ImageDraw.Draw(picture)
    for at, (name, row) in enumerate(zip(names, rows, strict=True)):
        top = GAP + at * height
        pen.text((GAP, top + height / 2), name, fill="black", font=font, anchor="lm")
        for column, image in enumerate(row):
            picture.paste(Image.fromarray(image), (margin + GAP + column * width, top))
    return picture


def _shades(x: Float[np.ndarray, "n h w c"], stretch: bool, least: int = CELL) -> UInt8[np.ndarray, "n H W 3"]:
    """Raw images as enlarged colours."""
    if stretch:
        low, high = x.min((1, 2, 3), keepdims=True), x.max((1, 2, 3), keepdims=True)
        x = (x - low) / np.maximum(high - low, np.float32(1e-12))
    factor = max(1, min(math.ceil(least / min(x.shape[1:3])), WIDEST // max(x.shape[1:3])))
    return bytes_of(x).repeat(factor, 1).repeat(factor, 2)


def bytes_of(x: Float[np.ndarray, "n h w c"]) -> UInt8[np.ndarray, "n h w 3"]:
    """Raw images as colours of 8 bits: values are clipped to [0, 1], multiplied by 255 and rounded. Other than 3 channels are averaged to
    grey, and NaN is black."""
    if x.shape[3] != 3:
        x = np.repeat(x.mean(3, keepdims=True), 3, 3)
    return np.round(np.clip(np.nan_to_num(x), 0, 1) * 255).astype(np.uint8)
