"""A widget for Jupyter that shows how the set of a run came about: its frame at each step under a slider, and the metrics there."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from PIL import Image

from condense.plots.frames import COLUMNS, Frame, with_gaps
from condense.runtime.extras import needed

SIDE = 480  # pixels of a frame's longer side


def explorer(frames: Sequence[Frame], curves: Mapping[str, Sequence[tuple[float, float]]], *, image: tuple[int, int] | None) -> Any:
    """The widget: a slider over the steps of the frames, the frame enlarged, and the last value of each curve up to there. It begins at the
    last frame.

    Args:
      frames: at least one, in the order of their steps.
      curves: (step, value) of each curve by its name, in the order of the steps.
      image: height and width of the images in a frame, between which lines are drawn; None for frames without images.

    Raises BadInput where the extra `notebook` is not installed.
    """
    widgets = needed("ipywidgets", "an explorer", extra="notebook")
    slider = widgets.SelectionSlider(
        options=[(str(frame.step), at) for at, frame in enumerate(frames)], value=len(frames) - 1, description="step"
    )
    picture, words = widgets.Image(format="png"), widgets.Label()

    def look(change: Any) -> None:
        frame = frames[slider.value]
        picture.value = enlarged(frame, image)
        words.value = ", ".join(f"{name} {value:.4g}" for name, value in values_at(frame.step, curves).items())

    slider.observe(look, names="value")
    look(None)
    return widgets.VBox([slider, words, picture])


def values_at(step: float, curves: Mapping[str, Sequence[tuple[float, float]]]) -> dict[str, float]:
    """The last value of each curve up to a step, itself included, by name; curves that begin later are left out. `curves` are (step, value)
    in the order of the steps."""
    return {name: known[-1] for name, points in curves.items() if (known := [value for at, value in points if at <= step])}


def enlarged(frame: Frame, image: tuple[int, int] | None) -> bytes:
    """The bytes of a frame as PNG, with lines between its images where their size `image` is given. It is enlarged by a whole factor, so
    that its pixels stay what they are: its longer side takes at most SIDE pixels, unless it has more already."""
    with Image.open(frame.path) as sheet:
        picture = with_gaps(sheet, image, columns=COLUMNS) if image else sheet
        factor = max(1, SIDE // max(picture.size))
        held = io.BytesIO()
        picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST).save(held, "PNG")
    return held.getvalue()
