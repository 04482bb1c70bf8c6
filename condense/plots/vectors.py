"""Draws sets of vectors: as points in the plane of their two principal components, and as a table in raw units."""

import colorsys
import math

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw
from rich.text import Text

from condense.plots.fonts import write_names
from condense.plots.tables import WholeTable
from synth.errors import BadInput
from synth.files.format import printable
from synth.set import SyntheticSet
from synth.vectors import read_columns, width_of

SIDE, GAP, RADIUS = 400, 24, 5
NAMED, LETTERS = 20, 20  # classes with a name beside the picture, letters of a name
COLUMNS = 6  # of a table, which fit a terminal
GOLDEN = 0.6180339887


def draw_grid(synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> Image.Image:
    """All vectors of a set as points, coloured by class, as an RGB picture: right and up are their two principal components in model space,
    and the axes say how much of their variance these are.

    Args:
      synth: a set of vectors with `info`; soft labels count as their largest class. The first 20 classes have a name beside the picture.
      per_class: must be at least 1 and changes nothing here, as all vectors are drawn.
      stretch: must be False; it is for images.

    Raises BadInput for `stretch` and for `per_class` < 1.
    """
    _check(synth, per_class)
    if stretch:
        raise BadInput("--stretch: is for images, and the set holds vectors; leave it out")
    places, shares = principal(np.asarray(synth.x.decode(), np.float64))
    of, classes = np.asarray(synth.y.probs()).argmax(1), synth.info.classes
    names, font = write_names((_short(name), f"class {number}") for number, name in enumerate(classes[:NAMED]))
    legend = math.ceil(max(map(font.getlength, names))) + 4 * RADIUS + GAP
    picture = Image.new("RGB", (SIDE + 2 * GAP + legend, SIDE + 2 * GAP), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle([GAP, GAP, GAP + SIDE, GAP + SIDE], outline="grey")
    inside = SIDE - 4 * RADIUS
    for (x, y), c in zip(places, of, strict=True):
        _dot(pen, GAP + 2 * RADIUS + x * inside, GAP + 2 * RADIUS + (1 - y) * inside, _colour(int(c)))
    for at, name in enumerate(names):
        _dot(pen, SIDE + 2 * GAP, GAP + (at + 0.5) * SIDE / NAMED, _colour(at))
        pen.text((SIDE + 2 * GAP + 2 * RADIUS, GAP + (at + 0.5) * SIDE / NAMED), name, fill="black", font=font, anchor="lm")
    below, above = (f"{100 * share:.0f} % of the variance" for share in shares)
    pen.text((GAP + SIDE / 2, GAP + SIDE + GAP / 2), f"right: {below}; up: {above}", fill="black", font=font, anchor="mm")
    return picture


def principal(x: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " 2"]]:
    """Projects vectors on their two principal components and scales both alike into the unit square, centred in it. Also gives the shares
    of the variance of both, in [0, 1]. The coordinate of a component that is largest in size is positive, so that the same vectors give
    the same picture."""
    centred = x - x.mean(0, keepdims=True)
    _, values, components = np.linalg.svd(centred, full_matrices=False)
    components = np.concatenate([components, np.zeros((2, x.shape[1]))])[:2]
    signs = np.sign(components[np.arange(2), np.abs(components).argmax(1)])
    places = centred @ (components * signs[:, None]).T
    variance = np.concatenate([values**2, np.zeros(2)])
    span = max(float(np.ptp(places, axis=0).max()), 1e-12)
    middle = (places.max(0, keepdims=True) + places.min(0, keepdims=True)) / 2
    return (places - middle) / span + 0.5, variance[:2] / max(variance.sum(), 1e-300)


def table(synth: SyntheticSet, *, per_class: int = 10) -> WholeTable:
    """The first `per_class` vectors of every class in raw units as a table for a terminal, a line a vector; nothing is printed. Only the
    first columns of the vectors are shown. Raises BadInput for `per_class` < 1."""
    title, heads, rows = table_rows(synth, per_class=per_class)
    shown = WholeTable(title=title)
    for heading in heads:
        shown.add_column(Text(heading))
    for row in rows:
        shown.add_row(*map(Text, row))
    return shown


def table_rows(synth: SyntheticSet, *, per_class: int = 10) -> tuple[str, list[str], list[list[str]]]:
    """The first `per_class` vectors of every class in raw units, as a title, the heads of columns and rows of texts, class by class: first
    the class's name, then the first COLUMNS columns. The normalisation is undone, and of a column's categories the one with the largest
    number is shown. Long names are cut. Raises BadInput for `per_class` < 1."""
    _check(synth, per_class)
    raw = synth.info.preprocess.undo(np.asarray(synth.x.decode(), np.float32))
    names = synth.x.columns
    columns = read_columns(names) if names else [[str(at)] for at in range(raw.shape[1])]
    of, starts = np.asarray(synth.y.probs()).argmax(1), np.cumsum([0, *map(width_of, columns)])
    part = f", the first {COLUMNS} of them" if len(columns) > COLUMNS else ""
    rows = []
    for c, name in enumerate(synth.info.classes):
        for row in raw[of == c][:per_class]:
            cells = [_cell(row[start : start + width_of(column)], column) for start, column in zip(starts, columns[:COLUMNS], strict=False)]
            rows.append([_short(name), *cells])
    heads = ["class", *(printable(column[0]) for column in columns[:COLUMNS])]
    return f"{len(raw)} vectors of {len(columns)} columns{part}", heads, rows


def _check(synth: SyntheticSet, per_class: int) -> None:
    if synth.info is None:
        raise ValueError("a set without info cannot be drawn: its preprocessing is unknown")
    if per_class < 1:
        raise BadInput(f"per_class is {per_class}; a class takes 1 vector or more")


def _cell(numbers: np.ndarray, column: list[str]) -> str:
    return f"{numbers[0]:.4g}" if len(column) == 1 else _short(printable(column[1:][int(numbers.argmax())]))


def _short(name: str) -> str:
    return name if len(name) <= LETTERS else name[: LETTERS - 1] + "…"


def _dot(pen: ImageDraw.ImageDraw, x: float, y: float, colour: tuple[int, int, int]) -> None:
    pen.ellipse([x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS], fill=colour, outline="black")


def _colour(c: int) -> tuple[int, int, int]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(c * GOLDEN % 1, 0.6, 0.95))
