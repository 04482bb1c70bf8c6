"""A picture of a set of graphs: a row for every class, its most frequent sets of trees, or its first graphs, side by side.

A node is a circle in the colour of its tag, with the tag in it; an edge with a label other than 0 has as many strokes more. Trees hang from
their root, as many nodes as a cell has room for, and below a set of them stands its frequency. Graphs are laid out by springs, the same
way every time. Of a colour graph its most frequent trees are drawn, with the number of nodes that each stands for.
"""

import colorsys
import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw

from condense.plots.fonts import write_names
from synth.errors import BadInput
from synth.graphs.base import GraphBatch
from synth.graphs.content import ColourGraph, TreeSummary
from synth.graphs.dense import DenseGraphs
from synth.graphs.trees import Tree
from synth.set import SyntheticSet

CELL, GAP, RADIUS = 150, 8, 7
ROWS, LETTERS, PLACED = 20, 20, 60  # classes drawn, letters of a name, nodes of a graph that are laid out
MOST = 150  # nodes of trees drawn in a cell: more would be a blot
GOLDEN = 0.6180339887


class Drawing(NamedTuple):
    """The drawing of one graph or set of trees: places of its v nodes in the unit square, their tags, edges (node at one end, node at the
    other, label), and a line of text below."""

    places: Float[np.ndarray, "v 2"]
    tags: list[int]
    edges: list[tuple[int, int, int]]
    caption: str


def draw_grid(synth: SyntheticSet, *, per_class: int = 10, stretch: bool = False) -> Image.Image:
    """A picture of a set of graphs, in RGB: a row for each of the first 20 classes with its name at the left, and in it the class's first
    drawings, each of one graph or one set of trees. Of a colour graph, one row with the trees that stand for most nodes.

    Args:
      synth: a set of trees or graphs with `info`; soft labels go to the row of their largest class.
      per_class: drawings a row at most, at least 1.
      stretch: is for images.

    Raises BadInput for a set that holds neither, for `per_class` < 1, and for `stretch`.
    """
    if stretch:
        raise BadInput("--stretch: is for images, and the set holds graphs; leave it out")
    if per_class < 1:
        raise BadInput(f"per_class is {per_class}; a row takes 1 drawing or more")
    if synth.x.modality != "graphs":
        raise BadInput("the set holds no graphs, so there are none to draw")
    if isinstance(synth.x, ColourGraph):
        rows, names = [_commonest(synth.x, per_class)], ["all classes"]
    else:
        drawings, of = _drawings(synth, per_class), np.asarray(synth.y.probs()).argmax(1)
        names = list(synth.info.classes[:ROWS])
        rows = [[drawings(int(at)) for at in np.flatnonzero(of == c)[:per_class]] for c in range(len(names))]
    names = [name if len(name) <= LETTERS else name[: LETTERS - 1] + "…" for name in names]
    names, font = write_names((name, f"class {number}") for number, name in enumerate(names))
    margin = math.ceil(max(font.getlength(name) for name in names)) + 2 * GAP
    picture = Image.new("RGB", (margin + max(1, *map(len, rows)) * CELL, len(rows) * CELL + GAP), "white")
    pen = ImageDraw.Draw(picture)
    for at, (name, row) in enumerate(zip(names, rows, strict=True)):
        pen.text((GAP, at * CELL + CELL / 2), name, fill="black", font=font, anchor="lm")
        for column, drawing in enumerate(row):
            _draw(pen, drawing, margin + column * CELL, at * CELL, font)
    return picture


def _draw(pen: ImageDraw.ImageDraw, drawing: Drawing, left: int, top: int, font) -> None:
    inside = CELL - 2 * GAP - 2 * RADIUS
    spot = drawing.places * np.array([[inside, inside - 12]]) + np.array([[left + GAP + RADIUS, top + GAP + RADIUS]])
    for a, b, label in drawing.edges:
        across = spot[b] - spot[a]
        across = np.array([-across[1], across[0]]) / max(float(np.hypot(*across)), 1)
        for stroke in range(min(label, 3) + 1):
            shift = (stroke - min(label, 3) / 2) * 3 * across
            pen.line([tuple(spot[a] + shift), tuple(spot[b] + shift)], fill="grey")
    for (x, y), tag in zip(spot, drawing.tags, strict=True):
        pen.ellipse([x - RADIUS, y - RADIUS, x + RADIUS, y + RADIUS], fill=_colour(tag), outline="black")
        pen.text((x, y), str(tag), fill="black", font=font, anchor="mm")
    pen.text((left + CELL / 2, top + CELL - GAP), drawing.caption, fill="black", font=font, anchor="mm")


def _colour(tag: int) -> tuple[int, int, int]:
    return tuple(round(255 * part) for part in colorsys.hsv_to_rgb(tag * GOLDEN % 1, 0.35, 1.0))


def _drawings(synth: SyntheticSet, per_class: int):
    """Number of an example -> its drawing."""
    if isinstance(synth.x, TreeSummary):
        tree_sets = synth.x.tree_sets()
        return lambda at: _trees([tree_sets.trees[item] for item in tree_sets.sets[at][0]], f"{tree_sets.sets[at][1]:,} graphs")
    tags = np.asarray(synth.x.features).argmax(2).ravel() if isinstance(synth.x, DenseGraphs) else None
    batch = synth.x.decode()
    return lambda at: _graph(batch, at, tags)


def _trees(trees: list[Tree], caption: str) -> Drawing:
    """Trees side by side, every leaf a column. Of more than MOST nodes the caption says so, and the first are drawn."""
    places, tags, edges = [], [], []
    column, room = 0.0, MOST

    def hang(tree: Tree, level: int) -> int:
        nonlocal column, room
        below = []
        for label, child in tree.children:
            room -= 1
            if room < 0:
                break
            below.append((label, hang(child, level + 1)))
        x = sum(places[node][0] for _, node in below) / len(below) if below else column
        column += not below
        places.append((x, float(level)))
        tags.append(tree.tag)
        edges.extend((len(tags) - 1, node, label) for label, node in below)
        return len(tags) - 1

    for tree in trees:
        room -= 1
        if room < 0:
            break
        hang(tree, 0)
        column += 0.7
    return Drawing(_unit(np.array(places)), tags, edges, caption if room >= 0 else f"{caption}, in part")


def _commonest(content: ColourGraph, count: int) -> list[Drawing]:
    """The trees that stand for most nodes."""
    batch = content.decode()
    totals = np.bincount(np.asarray(batch.node), np.asarray(batch.times))
    chosen = np.argsort(-totals, kind="stable")[:count]
    return [_trees([_unroll(batch, int(colour))], f"{int(totals[colour]):,} nodes") for colour in chosen]


def _unroll(batch: GraphBatch, colour: int) -> Tree:
    """The tree of a colour of the last round. A tree of more nodes than are drawn is cut off beyond MOST + 1 of them."""
    room = MOST

    def grow(level: int, colour: int) -> Tree:
        nonlocal room
        below, root = [], colour
        for upper in range(level, 0, -1):
            root = int(batch.hops[upper - 1].same[root])
        if level:
            hop = batch.hops[level - 1]
            for line in np.flatnonzero(np.asarray(hop.receivers) == colour):
                for _ in range(int(hop.counts[line])):
                    if room <= 0:
                        break
                    room -= 1
                    below.append((int(hop.labels[line]), grow(level - 1, int(hop.senders[line]))))
        return Tree(int(batch.tags[root]), -1, tuple(sorted(below)))

    return grow(len(batch.hops), colour)


def _graph(batch: GraphBatch, at: int, tags: np.ndarray | None) -> Drawing:
    nodes = np.flatnonzero((np.asarray(batch.graph) == at) & (np.asarray(batch.times) > 0))
    place = {int(node): number for number, node in enumerate(nodes)}
    hop, real = batch.hops[0], np.asarray(batch.hops[0].counts) > 0
    lines = zip(
        np.asarray(hop.senders)[real].tolist(), np.asarray(hop.receivers)[real].tolist(), np.asarray(hop.labels)[real].tolist(), strict=True
    )
    edges = sorted({(min(place[a], place[b]), max(place[a], place[b]), label) for a, b, label in lines if a in place})
    known = (np.asarray(batch.tags) if tags is None else tags)[nodes].tolist()
    return Drawing(_springs(len(nodes), [(a, b) for a, b, _ in edges]), known, edges, f"{len(nodes)} nodes")


def _springs(count: int, edges: list[tuple[int, int]]) -> Float[np.ndarray, "v 2"]:
    """Fruchterman and Reingold's forces from a circle, 80 steps; larger graphs stay on the circle."""
    angle = 2 * np.pi * np.arange(count) / max(count, 1)
    places = np.stack([np.cos(angle), np.sin(angle)], 1)
    adjacency = np.zeros((count, count))
    for a, b in edges:
        adjacency[a, b] = adjacency[b, a] = 1
    ideal = 2 / math.sqrt(max(count, 1))
    for step in range(80 if count <= PLACED else 0):
        apart = places[:, None] - places[None]
        distance = np.maximum(np.hypot(*np.moveaxis(apart, 2, 0)), 1e-3)
        force = ((ideal**2 / distance - adjacency * distance**2 / ideal) / distance)[..., None] * apart
        push = force.sum(1)
        size = np.maximum(np.hypot(*push.T), 1e-9)[:, None]
        places = places + push / size * np.minimum(size, 0.15 * (1 - step / 80))
    return _unit(places)


def _unit(places: np.ndarray) -> Float[np.ndarray, "v 2"]:
    low, high = places.min(0, keepdims=True), places.max(0, keepdims=True)
    return np.where(high > low, (places - low) / np.maximum(high - low, 1e-9), 0.5)
