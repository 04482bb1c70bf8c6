"""The reader of graphs in the formats of the TU collection. It compares every count that a file declares with the contents.

The text format of one file: the number of graphs; each graph begins with `n label`, then comes a line a node, `tag m neighbour ...` with m
neighbours counted from 0 within the graph. The raw format: a folder with DS_A.txt (edges `from, to`, nodes counted from 1 over all graphs),
DS_graph_indicator.txt, DS_graph_labels.txt and maybe DS_node_labels.txt and DS_edge_labels.txt.
"""

from array import array
from pathlib import Path

import numpy as np

from condense.data.readers.base import Number, Reader, Spec
from condense.data.readers.graph_source import OPTIONS, GraphSource, lines_of, numbered_graphs
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

FORMAT = "right is the number of graphs, then per graph `n label` and n lines `tag m neighbour ...`"
SMALLER = "give fewer graphs"
TU = ("A", "graph_indicator", "graph_labels")


def read_text(path: Path, spec: str) -> GraphSource:
    """The graphs in one text file: the number of graphs; then of each graph `n label` and n lines `tag m neighbour ...`, its m neighbours
    counted from 0 within the graph. Raises BadInput naming the line that is wrong. `spec` begins messages."""
    lines = enumerate(lines_of(path, spec, MemoryBudget(spec, remedy=SMALLER)), 1)
    at, nodes, labels, tags, ends = 0, [], [], array("q"), array("q")
    try:
        at, line = next(lines)
        for _ in range(int(line)):
            at, line = next(lines)
            n, label = map(int, line.split())
            if n < 1:
                raise ValueError
            first = len(tags)
            for node in range(n):
                at, line = next(lines)
                tag, m, *others = map(int, line.split())
                if m != len(others) or any(not 0 <= other < n for other in others):
                    raise ValueError
                tags.append(tag)
                for other in others:
                    ends.extend((first + other, first + node))
            nodes.append(n)
            labels.append(label)
        for at, line in lines:  # noqa: B007 (the line that is wrong is told below)
            if line.strip():
                raise ValueError
    except StopIteration:
        raise BadInput(f"{spec}: {path} is not in the text format of graphs, see line {max(1, at)}, its last; {FORMAT}") from None
    except (ValueError, OverflowError) as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{spec}: {path} is not in the text format of graphs, see line {at}; {FORMAT}") from None
    return numbered_graphs(spec, nodes, np.frombuffer(tags, np.int64), np.frombuffer(ends, np.int64).reshape(-1, 2), None, labels)


def read_tu(folder: Path, spec: str) -> GraphSource:
    """The graphs in a folder in the raw format of the TU collection, DS_A.txt and the files beside it, or in the first folder inside that
    holds some. Raises BadInput naming the file that is missing or wrong. `spec` begins messages."""
    folder = folder if next(folder.glob("*_A.txt"), None) else next((inner.parent for inner in sorted(folder.glob("*/*_A.txt"))), folder)
    found = sorted(folder.glob("*_A.txt"))
    if len(found) != 1:
        raise BadInput(f"{spec}: there are {len(found)} files *_A.txt in {folder}; one is right, beside {', '.join(TU[1:])}")
    name, memory = found[0].name.removesuffix("_A.txt"), MemoryBudget(spec, remedy=SMALLER)

    def table(part: str, columns: int | None, rows: int | None = None) -> np.ndarray:
        path, values, count, right = folder / f"{name}_{part}.txt", array("q"), 0, True
        for line in filter(str.strip, lines_of(path, spec, memory)):
            count += 1
            try:
                numbers = tuple(map(int, line.split(",")))
                values.extend(numbers)
                columns = columns or len(numbers)
                right = len(numbers) == columns and (rows is None or count <= rows)
            except (ValueError, OverflowError):
                right = False
            if not right:
                break
        if not right or count != (rows or count) or not count:
            wanted, at = "" if rows is None else f", {rows} lines", f"line {count}" if not right else f"its {count} lines"
            raise BadInput(f"{spec}: {path} is wrong, see {at}; right is {columns} whole numbers a line with commas between{wanted}")
        return np.frombuffer(values, np.int64).reshape(-1, columns)

    edges, graph, labels = table("A", 2), table("graph_indicator", 1)[:, 0], table("graph_labels", 1)[:, 0]
    nodes = np.bincount(graph.clip(0, len(labels) + 1), minlength=len(labels) + 1)
    if nodes[0] or len(nodes) > len(labels) + 1 or nodes[1:].min() < 1 or (np.diff(graph) < 0).any():
        raise BadInput(
            f"{spec}: {name}_graph_indicator.txt does not count up from 1 to the {len(labels)} graphs of {name}_graph_labels.txt"
        )
    if len(edges) and (edges.min() < 1 or edges.max() > len(graph) or (graph[edges[:, 0] - 1] != graph[edges[:, 1] - 1]).any()):
        raise BadInput(f"{spec}: {name}_A.txt holds an edge that leads out of its graph; nodes are counted from 1 over all graphs")
    say_what_is_dropped(folder, name, spec)
    tags = table("node_labels", None, len(graph)) if (folder / f"{name}_node_labels.txt").exists() else None
    if tags is not None and tags.shape[1] > 1:
        note(f"{spec}: nodes have labels of {tags.shape[1]} columns; every combination that is there is one tag")
        tags = np.unique(tags, axis=0, return_inverse=True)[1].reshape(-1, 1)
    tags = None if tags is None else tags[:, 0]
    kinds = table("edge_labels", 1, len(edges))[:, 0] if (folder / f"{name}_edge_labels.txt").exists() else None
    return numbered_graphs(spec, nodes[1:], tags, edges.astype(np.int32) - 1, kinds, labels)


def say_what_is_dropped(folder: Path, name: str, spec: str) -> None:
    """Notes a warning for every file of attributes that is there: graphs have tags and edge labels, which are whole numbers, and no
    attributes. `name` is what the names of the files begin with."""
    instead = {"node": "tags are", "edge": "edge labels are", "graph": "classes are"}
    for part, word in instead.items():
        if not (folder / f"{name}_{part}_attributes.txt").exists():
            continue
        there = part == "graph" or (folder / f"{name}_{part}_labels.txt").exists()
        source = f"those of {name}_{part}_labels.txt" if there else "degrees" if part == "node" else "all alike"
        note(f"warning: {spec}: {name}_{part}_attributes.txt is left out, because networks and methods here read none; {word} {source}")


def read_folds(place: Path, spec: str, fold: int, count: int) -> np.ndarray:
    """The numbers, from 0 and ascending, of the test graphs of the published fold `fold` among `count` graphs. They stand in
    `NAME_folds/test-K.txt` beside a file `place`, or in `10fold_idx/test_idx-K.txt` in a folder.

    Raises BadInput where that file is not there, holds something else, or names no graph, all, or one that is not there.
    """
    known = place.with_name(f"{place.stem}_folds") / f"test-{fold}.txt", place / "10fold_idx" / f"test_idx-{fold}.txt"
    path = known[place.is_dir()]
    if not path.exists():
        raise BadInput(f"{spec}: fold={fold} needs {path}, which is not there; leave fold out for a seeded split")
    try:
        lines = lines_of(path, spec, MemoryBudget(spec, remedy=SMALLER))
        index = np.unique([int(line) for line in lines if line.strip()])
    except ValueError as error:
        if isinstance(error, BadInput):
            raise
        raise BadInput(f"{spec}: {path} must hold one whole number a line") from None
    if not len(index) or index[0] < 0 or index[-1] >= count or len(index) == count:
        raise BadInput(f"{spec}: {path} must name some, but not all, of the {count} graphs, counted from 0")
    return index


def read(spec: Spec) -> GraphSource:
    """The graphs in the file or folder that the spec names, and its published test fold where it asks for one.

    Raises BadInput for files that are missing or wrong, and for a fold beside a drawn split.
    """
    place, fold = spec.place(), spec.options.get("fold")
    source = read_tu(place, spec.text) if place.is_dir() else read_text(place, spec.text)
    if fold is None:
        return source
    if "split" in spec.options:
        raise BadInput(f"{spec.text}: give fold=K or split=N, not both")
    return source._replace(test=read_folds(place, spec.text, fold, len(source.rows.y)))


READER = Reader("tu", "graphs: a file or folder in a format of the TU collection", read, OPTIONS | {"fold": Number(most=1000)})
