"""The functions that draw sets, by modality. This is the only file of the room that names modalities."""

import io
import os

from PIL import Image

from condense.plots import graphs, images, vectors
from synth.files.atomic import write_bytes
from synth.set import SyntheticSet

DRAWERS = {"images": images.draw_grid, "graphs": graphs.draw_grid, "vectors": vectors.draw_grid}
TABLES = {"vectors": vectors.table}  # where a set can be read as well: (set, rows a class) -> what `condense show` prints


def draw_set(synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> Image.Image:
    """A picture of the set, in RGB: for images and graphs a row for every class, for vectors points in a plane.

    Args:
      synth: with `info`.
      per_class: images or graphs of a class at most, at least 1; of vectors all are drawn.
      stretch: of images, whether each uses its own range of values from black to white instead of [0, 1].

    Raises BadInput for `per_class` < 1, and for `stretch` where the set holds no images.
    """
    return DRAWERS[synth.x.modality](synth, per_class=per_class, stretch=stretch)


def save_grid(path: str | os.PathLike, synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> None:
    """Writes a picture of the set to a PNG file, whole or not at all; `per_class` and `stretch` as for `draw_set`, whose errors are raised
    too. Raises BadInput for a path that cannot be written, RunFailed where the disk is full or fails."""
    write_picture(path, draw_set(synth, per_class=per_class, stretch=stretch))


def write_picture(path: str | os.PathLike, picture: Image.Image) -> None:
    """Writes a picture to a PNG file, whatever its name ends in, whole or not at all. Raises BadInput for a path that cannot be written,
    RunFailed where the disk is full or fails."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_bytes(path, data.getvalue())
