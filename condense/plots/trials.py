"""A picture of a search: a panel for every option that varied, its value across and the accuracy on validation upwards."""

import math
from collections.abc import Sequence
from typing import Any

from PIL import Image, ImageDraw, ImageFont

WIDE, HIGH, EDGE, DOT = 360, 260, 48, 3
COLOURS = ("#b0c4de", "#4682b4", "#d2691e", "#8b0000")  # of rungs, the longest runs last


def draw_trials(rows: Sequence[dict[str, Any]], names: Sequence[str], *, logs: Sequence[bool]) -> Image.Image:
    """A picture of a search, in RGB: side by side a panel for every option, a point for every run, its value across and the accuracy in per
    cent upwards; the colour says how many steps the run had.

    Args:
      rows: one a run, each with `options` by name, `steps` and `mean`, a fraction; those whose mean is None are left out.
      names: of the options, a panel each. logs: for each of them, whether a value stands at its logarithm.
    """
    scored = [row for row in rows if row["mean"] is not None]
    lengths = sorted({row["steps"] for row in scored})
    picture = Image.new("RGB", (WIDE * max(1, len(names)), HIGH), "white")
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default()
    low, high = bounds([100 * row["mean"] for row in scored])
    for at, (name, log) in enumerate(zip(names, logs, strict=True)):
        shown = [row for row in scored if name in row["options"]]
        across = [math.log10(row["options"][name]) if log else row["options"][name] for row in shown]
        left, right = bounds(across)
        x0, y0, x1, y1 = at * WIDE + EDGE, 16, (at + 1) * WIDE - 16, HIGH - EDGE
        pen.rectangle((x0, y0, x1, y1), outline="black")
        for x, value in ((x0, left), (x1, right)):
            pen.text((x, y1 + 4), f"{10**value if log else value:.2g}", fill="black", font=font, anchor="ma")
        pen.text(((x0 + x1) / 2, y1 + 20), name, fill="black", font=font, anchor="ma")
        for y, value in ((y1, low), (y0, high)):
            pen.text((x0 - 4, y), f"{value:.0f} %", fill="black", font=font, anchor="rm")
        for row, value in zip(shown, across, strict=True):
            x = x0 + (value - left) / (right - left) * (x1 - x0)
            y = y1 - (100 * row["mean"] - low) / (high - low) * (y1 - y0)
            colour = COLOURS[max(0, len(COLOURS) - len(lengths) + lengths.index(row["steps"]))]
            pen.ellipse((x - DOT, y - DOT, x + DOT, y + DOT), fill=colour)
    for number, steps in enumerate(lengths):
        colour = COLOURS[max(0, len(COLOURS) - len(lengths) + number)]
        pen.text((EDGE + 90 * number, HIGH - 14), f"{steps:,} steps", fill=colour, font=font)
    return picture


def bounds(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis on which all values lie, with a little room on both sides; never the same. Without values, about 0 to 1."""
    low, high = min(values, default=0.0), max(values, default=1.0)
    room = max(0.05 * (high - low), 1e-3 * max(abs(low), abs(high), 1.0))
    return low - room, high + room
