"""Readers of graphs: a place becomes a `GraphSource`. Nothing here trusts a file: what it declares is compared with what is there.

The text format of one file: the number of graphs; each graph begins with `n label`, then comes a line a node, `tag m neighbour ...` with m
neighbours counted from 0 within the graph. The raw format of the TU collection: a folder with DS_A.txt (edges `from, to`, nodes counted
from 1 over all graphs), DS_graph_indicator.txt, DS_graph_labels.txt and maybe DS_node_labels.txt and DS_edge_labels.txt.
"""

import csv
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32

from condense.data.readers.source import regular
from condense.runtime.log import note
from synth.errors import BadInput
from synth.graphs.base import Graphs

FORMAT = "right is the number of graphs, then per graph `n label` and n lines `tag m neighbour ...`"
TU = ("A", "graph_indicator", "graph_labels")
LARGEST = 1 << 30  # bytes of one file


class GraphSource(NamedTuple):
    """Graphs as they are in the files.

    Args:
      graphs: with tags and edge labels numbered from 0, in the order of the values in the file.
      y: class indices, in the order of the labels in the file. classes: those labels as text.
      tagged: whether the nodes have tags of their own.
      tags: what each tag is called.
    """

    graphs: Graphs
    y: Int32[np.ndarray, " g"]
    classes: tuple[str, ...]
    tagged: bool
    tags: tuple[str, ...]


def read_text(path: Path, spec: str) -> GraphSource:
    """One file in the text format. Raises BadInput naming the line that is wrong."""
    lines, at = _lines(path, spec), 0
    try:
        count, at = int(lines[0]), 1
        nodes, labels, tags, ends = [], [], [], []
        for _ in range(count):
            n, label = map(int, lines[at].split())
            if n < 1:
                raise ValueError
            first = len(tags)
            for node in range(n):
                at += 1
                tag, m, *others = map(int, lines[at].split())
                if m != len(others) or any(not 0 <= other < n for other in others):
                    raise ValueError
                tags.append(tag)
                ends += [(first + other, first + node) for other in others]
            at += 1
            nodes.append(n)
            labels.append(label)
        if any(line.strip() for line in lines[at:]):
            raise ValueError
    except (ValueError, IndexError):
        line = max(1, min(at + 1, len(lines)))
        raise BadInput(f"{spec}: {path} is not in the text format of graphs, see line {line}; {FORMAT}") from None
    return _source(spec, nodes, tags, np.array(ends, np.int32).reshape(-1, 2), None, labels)


def read_tu(folder: Path, spec: str) -> GraphSource:
    """A folder in the raw format of the TU collection. Raises BadInput naming the file that is missing or wrong."""
    found = sorted(folder.glob("*_A.txt"))
    if len(found) != 1:
        raise BadInput(f"{spec}: there are {len(found)} files *_A.txt in {folder}; one is right, beside {', '.join(TU[1:])}")
    name = found[0].name.removesuffix("_A.txt")

    def table(part: str, columns: int, rows: int | None = None) -> np.ndarray:
        path = folder / f"{name}_{part}.txt"
        lines = [line for line in _lines(path, spec) if line.strip()]
        try:
            values = np.array([[int(value) for value in line.split(",")] for line in lines], np.int64)
            if values.shape != (rows if rows is not None else len(lines), columns):
                raise ValueError
        except (ValueError, OverflowError):
            wanted = "" if rows is None else f", {rows} lines"
            raise BadInput(f"{spec}: {path} is wrong; right is {columns} whole numbers a line with commas between{wanted}") from None
        return values

    edges, graph, labels = table("A", 2), table("graph_indicator", 1)[:, 0], table("graph_labels", 1)[:, 0]
    nodes = np.bincount(graph.clip(0, len(labels) + 1), minlength=len(labels) + 1)
    if nodes[0] or len(nodes) > len(labels) + 1 or nodes[1:].min() < 1 or (np.diff(graph) < 0).any():
        raise BadInput(
            f"{spec}: {name}_graph_indicator.txt does not count up from 1 to the {len(labels)} graphs of {name}_graph_labels.txt"
        )
    if len(edges) and (edges.min() < 1 or edges.max() > len(graph) or (graph[edges[:, 0] - 1] != graph[edges[:, 1] - 1]).any()):
        raise BadInput(f"{spec}: {name}_A.txt holds an edge that leads out of its graph; nodes are counted from 1 over all graphs")
    tags = table("node_labels", 1, len(graph))[:, 0] if (folder / f"{name}_node_labels.txt").exists() else None
    kinds = table("edge_labels", 1, len(edges))[:, 0] if (folder / f"{name}_edge_labels.txt").exists() else None
    return _source(spec, nodes[1:], tags, edges.astype(np.int32) - 1, kinds, labels)


def read_smiles(path: Path, spec: str, *, smiles: str, label: str) -> GraphSource:
    """A CSV file with a column of SMILES and one of labels, through rdkit: tags are atomic numbers, edge labels kinds of bond.

    Rows without a label, and molecules that rdkit refuses, are left out and counted in a note. Raises BadInput without rdkit, such columns,
    or any molecule.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError:
        raise BadInput(f"{spec}: SMILES need rdkit; install it with pip install 'condense-workbench[molecules]'") from None
    RDLogger.DisableLog("rdApp.*")
    table = csv.DictReader(_lines(path, spec))
    try:
        rows, known = list(table), table.fieldnames or ()
    except csv.Error as error:
        raise BadInput(f"{spec}: {path} is no table ({error}); right is a line a molecule with commas between the columns") from None
    for column in (smiles, label):
        if column not in known:
            raise BadInput(f"{spec}: {path} has no column '{column}' (there: {', '.join(known)}); use smiles=COL&label=COL")
    nodes, tags, ends, kinds, labels = [], [], [], [], []
    for row in rows:
        molecule = Chem.MolFromSmiles(row[smiles] or "")
        if molecule is None or not molecule.GetNumAtoms() or not (row[label] or "").strip():
            continue
        first = len(tags)
        nodes.append(molecule.GetNumAtoms())
        tags += [atom.GetAtomicNum() for atom in molecule.GetAtoms()]
        for bond in molecule.GetBonds():
            a, b = first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()
            ends += [(a, b), (b, a)]
            kinds += [int(bond.GetBondType())] * 2
        labels.append(row[label].strip())
    if not nodes:
        raise BadInput(f"{spec}: {path} holds no molecule with a label; use smiles=COL&label=COL for the right columns")
    if len(nodes) < len(rows):
        note(f"{spec}: {len(rows) - len(nodes)} of {len(rows)} rows hold no molecule or no label and are left out")
    return _source(spec, nodes, tags, np.array(ends, np.int32).reshape(-1, 2), kinds, labels)


def read_folds(place: Path, spec: str, fold: int, count: int) -> np.ndarray:
    """Test graphs of a published fold: `NAME_folds/test-K.txt` beside a file, `10fold_idx/test_idx-K.txt` in a folder, counted from 0."""
    known = place.with_name(f"{place.stem}_folds") / f"test-{fold}.txt", place / "10fold_idx" / f"test_idx-{fold}.txt"
    path = known[place.is_dir()]
    if not path.exists():
        raise BadInput(f"{spec}: fold={fold} needs {path}, which is not there; leave fold out for a seeded split")
    try:
        index = np.unique([int(line) for line in _lines(path, spec) if line.strip()])
    except ValueError:
        raise BadInput(f"{spec}: {path} must hold one whole number a line") from None
    if not len(index) or index[0] < 0 or index[-1] >= count or len(index) == count:
        raise BadInput(f"{spec}: {path} must name some, but not all, of the {count} graphs, counted from 0")
    return index


def _lines(path: Path, spec: str) -> list[str]:
    regular(path, spec, remedy="name a file that is there")
    if path.stat().st_size > LARGEST:
        raise BadInput(f"{spec}: {path} is larger than {LARGEST} bytes; such a file is not read")
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()  # some programs begin a text with a byte order mark
    except UnicodeDecodeError:
        raise BadInput(f"{spec}: {path} is no text; name a text file") from None


def _source(spec, nodes, tags, ends, kinds, labels) -> GraphSource:
    """Everything renumbered from 0 in ascending order."""
    count = int(np.sum(nodes))
    if not count or len(set(np.asarray(labels).tolist())) < 2:
        raise BadInput(
            f"{spec}: there are {len(labels)} graphs with {len(set(np.asarray(labels).tolist()))} classes; there must be two or more"
        )
    names, y = np.unique(labels, return_inverse=True)
    tag_names, tag = (np.array([0]), np.zeros(count)) if tags is None else np.unique(tags, return_inverse=True)
    kind = np.zeros(len(ends)) if kinds is None else np.unique(kinds, return_inverse=True)[1]
    ends = np.asarray(ends, np.int32)
    graphs = Graphs(np.asarray(nodes, np.int32), tag.astype(np.int32), ends[:, 0].copy(), ends[:, 1].copy(), kind.astype(np.int32))
    tagged = tags is not None and len(tag_names) > 1
    printable = tuple(re.sub(r"[^ -~]", "?", str(name)) for name in names.tolist())
    return GraphSource(graphs, y.astype(np.int32), printable, tagged, tuple(map(str, tag_names.tolist())))
