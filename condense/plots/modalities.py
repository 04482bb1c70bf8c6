"""What draws sets, by modality: the one place of this room that names modalities."""

import io
import os

from condense.plots import graphs, images
from synth.files.atomic import write_bytes
from synth.set import SyntheticSet

DRAWERS = {"images": images.draw_grid, "graphs": graphs.draw_grid}


def save_grid(path: str | os.PathLike, synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> None:
    """A picture of the set as a PNG file, whole or not at all. Raises as its drawer and `synth.files.atomic.replacing` do."""
    data = io.BytesIO()
    DRAWERS[synth.x.modality](synth, per_class=per_class, stretch=stretch).save(data, "PNG")
    write_bytes(path, data.getvalue())
