"""Frames of a run: small pictures of its set under work, which show how it came about.

A frame of images is a sheet of raw pixels, a row for every class, without gaps or names: whoever shows it enlarges it. A frame of vectors
is their picture. Sets of graphs are made at the end of a run and have no frames.
"""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from condense.plots.images import bytes_of
from condense.plots.modalities import draw_set, write_picture
from synth.set import SyntheticSet

FOLDER = "history"
PIXELS = 100_000  # of a sheet, so that twenty of them stay small
LEAST, ROWS, COLUMNS = 4, 100, 10  # images of a sheet at least, and classes and images of a class at most


class Frame(NamedTuple):
    """A frame on disk, and the step after which it was drawn."""

    step: int
    path: Path


def frame_writer(folder: Path) -> Callable[[int, SyntheticSet], None]:
    """Returns a function of (step, set with `info`) that draws a frame into a PNG file in the folder of a run; for a set of graphs it does
    nothing."""

    def write(step: int, synth: SyntheticSet) -> None:
        if (picture := draw_frame(synth)) is not None:
            (folder / FOLDER).mkdir(exist_ok=True)
            write_picture(folder / FOLDER / f"step_{step:09d}.png", picture)

    return write


def draw_frame(synth: SyntheticSet) -> Image.Image | None:
    """The frame of a set: raw pixels of images, the picture of vectors; None for graphs."""
    if synth.x.modality == "images":
        return sheet(synth)
    return draw_set(synth) if synth.x.modality == "vectors" else None


def sheet(synth: SyntheticSet) -> Image.Image:
    """The first images of every class as raw pixels side by side, without gaps, a row a class, as many as PIXELS holds, but at least LEAST:
    at most the first ROWS classes and COLUMNS images of each. Places without an image are white. Where labels are representations, rows
    of COLUMNS images in order."""
    images = np.asarray(synth.x.decode(), np.float32)
    height, width = images.shape[1:3]
    room = max(LEAST, PIXELS // (height * width))
    if synth.represents:
        shown = [np.arange(start, min(start + COLUMNS, len(images))) for start in range(0, min(len(images), room), COLUMNS)]
    else:
        of, classes = np.asarray(synth.y.probs()).argmax(1), min(len(synth.info.classes), room, ROWS)
        shown = [np.flatnonzero(of == c)[: min(COLUMNS, max(1, room // classes))] for c in range(classes)]
    columns = max(1, *map(len, shown))
    canvas = np.full((len(shown) * height, columns * width, 3), 255, np.uint8)
    raw = bytes_of(synth.info.preprocess.undo(images[np.concatenate(shown)]))
    places = [(row, column) for row, index in enumerate(shown) for column in range(len(index))]
    for (row, column), image in zip(places, raw, strict=True):
        canvas[row * height : (row + 1) * height, column * width : (column + 1) * width] = image
    return Image.fromarray(canvas)


def with_gaps(picture: Image.Image, image: tuple[int, int], *, columns: int) -> Image.Image:
    """A sheet with a white line of one pixel between its images.

    Args:
      picture: the sheet. image: height and width of an image in it.
      columns: how many images of a row are kept; the rest are cut off.
    """
    (height, width), pixels = image, np.asarray(picture.convert("RGB"))
    rows, across = pixels.shape[0] // height, min(pixels.shape[1] // width, columns)
    tiles = pixels[: rows * height, : across * width].reshape(rows, height, across, width, 3)
    apart = np.pad(tiles, ((0, 0), (0, 1), (0, 0), (0, 1), (0, 0)), constant_values=255)
    return Image.fromarray(apart.reshape(rows * (height + 1), across * (width + 1), 3)[:-1, :-1])


def find_frames(folder: Path) -> list[Frame]:
    """The frames in the folder of a run, in the order of their steps; empty where there are none."""
    found = sorted((folder / FOLDER).glob("step_*.png"))
    return [Frame(int(path.stem.partition("_")[2]), path) for path in found if path.stem.partition("_")[2].isdigit()]
