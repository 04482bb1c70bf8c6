"""Progress in a notebook: one line of words, and curves of what is logged that grow while the work goes on."""

import math
import time
from collections.abc import Callable
from html import escape
from typing import Any, SupportsFloat

EVERY = 1.0  # seconds between two drawings
MOST, WIDE, HIGH = 400, 420, 110  # points of a curve, and the size of its drawing
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")


class Curves:
    """Curves by name, each thinned to every second point whenever it has more than 400."""

    def __init__(self) -> None:
        self.points: dict[str, list[tuple[float, float]]] = {}

    def add(self, at: float, metrics: dict[str, SupportsFloat]) -> None:
        """Adds a point to each curve that has a finite value in `metrics`; `at` is its place on the horizontal axis."""
        for name, value in metrics.items():
            if math.isfinite(value):
                points = self.points.setdefault(name, [])
                points.append((at, float(value)))
                if len(points) > MOST:
                    del points[1::2]

    def html(self) -> str:
        """The curves as HTML, drawings beside each other; an empty text where there is none."""
        drawn = [self._one(name, points, COLOURS[at % len(COLOURS)]) for at, (name, points) in enumerate(self.points.items())]
        return f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(drawn)}</div>' if drawn else ""

    def _one(self, name: str, points: list[tuple[float, float]], colour: str) -> str:
        (left, right), (low, high) = ((min(values), max(values)) for values in zip(*points, strict=True))
        across, up = (right - left) or 1.0, (high - low) or 1.0
        places = " ".join(f"{(x - left) / across * WIDE:.1f},{HIGH - (y - low) / up * HIGH:.1f}" for x, y in points)
        box = f'<svg viewBox="-4 -4 {WIDE + 8} {HIGH + 8}" width="{WIDE}" role="img" aria-label="{escape(name)}">'
        line = f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2"/>'
        words = f"{escape(name)} {points[-1][1]:.4g} ({low:.4g} to {high:.4g})"
        return f"<figure style='margin:0'><figcaption>{words}</figcaption>{box}{line}</svg></figure>"


class Live:
    """A display in a notebook that is drawn anew at most every second.

    Args:
      words: () -> the line of words.
      show: (HTML, first) -> None, shows it, or replaces what was shown.
    """

    def __init__(self, words: Callable[[], str], show: Callable[[str, bool], None]) -> None:
        self.words, self.show, self.curves = words, show, Curves()
        self.drawn = -math.inf
        self.draw(first=True)

    def update(self, at: float, metrics: dict[str, SupportsFloat]) -> None:
        """Takes the values of `metrics` at the place `at` of the horizontal axis, and draws all if a second has gone since the last
        time."""
        self.curves.add(at, metrics)
        if time.monotonic() - self.drawn >= EVERY:
            self.draw()

    def draw(self, *, first: bool = False) -> None:
        """Draws the words and all curves so far, in place of what was drawn before, or anew where it is the `first` time."""
        self.drawn = time.monotonic()
        self.show(f"<div><code>{escape(self.words())}</code></div>{self.curves.html()}", first)


def in_jupyter() -> Callable[[str, bool], None]:
    """Returns a function (HTML, first) that shows HTML in the output of the running cell of a notebook where `first`, and else replaces
    what it showed."""
    from IPython.display import HTML, display

    handles: list[Any] = []

    def show(html: str, first: bool) -> None:
        if first:
            handles.append(display(HTML(html), display_id=True))
        elif handles[-1] is not None:
            handles[-1].update(HTML(html))

    return show
