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
    """A picture of the set, a row for every class, drawn as its modality is. Raises as its drawer does."""
    return DRAWERS[synth.x.modality](synth, per_class=per_class, stretch=stretch)


def save_grid(path: str | os.PathLike, synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> None:
    """A picture of the set as a PNG file, whole or not at all. Raises as its drawer and `synth.files.atomic.replacing` do."""
    write_picture(path, draw_set(synth, per_class=per_class, stretch=stretch))


def write_picture(path: str | os.PathLike, picture: Image.Image) -> None:
    """A picture as a PNG file, whole or not at all. Raises as `synth.files.atomic.replacing` does."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    write_bytes(path, data.getvalue())
