"""The reader of molecules in a table."""

import csv
import math
import re
from array import array
from itertools import chain
from pathlib import Path

import numpy as np

from condense.data.alike import looks_of, repeats
from condense.data.readers.base import Reader, Spec, Word
from condense.data.readers.graph_source import OPTIONS, GraphSource, lines_of, numbered_graphs
from condense.data.readers.table import separator_of
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

LONGEST = 2000  # letters of a SMILES: rdkit's time grows with their square, and molecules in use have a few hundred
SHOWN = 60  # letters of a refused SMILES that a note shows
MISSING = {"", "nan", "na", "n/a", "null", "?"}  # in place of a label


def read_smiles(path: Path, spec: str, *, smiles: str, label: str) -> GraphSource:
    """A table (commas, semicolons or tabs; plain or .gz) with a column of SMILES and one of labels, whose names are given, through rdkit:
    tags are atomic numbers, edge labels kinds of bond.

    Rows without a label (an empty one, `nan`, `NA`, `null`, `?`), and molecules that rdkit refuses or that are longer than 2,000 letters,
    are left out and counted in a note, which shows the first such molecule. Where all labels are numbers, two ways to write one number are
    one class. Raises BadInput without rdkit, such columns, or any molecule.
    """
    try:
        from rdkit import Chem, RDLogger
    except ImportError:
        raise BadInput(f"{spec}: SMILES need rdkit; install it with pip install 'condense-workbench[molecules]'") from None
    RDLogger.DisableLog("rdApp.*")
    memory = MemoryBudget(spec, remedy="give fewer molecules")
    lines = lines_of(path, spec, memory)
    first = next(lines, "")
    table = csv.DictReader(chain([first], lines), delimiter=separator_of(first))
    nodes, tags, ends, kinds, labels, bare, refused = [], array("q"), array("q"), array("q"), [], 0, 0
    shown = ""
    try:
        for column in (smiles, label):
            if column not in (known := table.fieldnames or ()):
                raise BadInput(f"{spec}: {path} has no column '{column}' (there: {', '.join(known)}); use smiles=COL&label=COL")
        for row in table:
            text, value = (row[smiles] or "").strip(), (row[label] or "").strip()
            if value.lower() in MISSING:
                bare += 1
                continue
            molecule = Chem.MolFromSmiles(text) if len(text) <= LONGEST else None
            if molecule is None or not molecule.GetNumAtoms():
                refused += 1
                shown = shown or f" (first line {table.line_num}, '{re.sub(r'[^ -~]', '?', text[:SHOWN])}')"
                continue
            first = len(tags)
            nodes.append(molecule.GetNumAtoms())
            tags.extend(atom.GetAtomicNum() for atom in molecule.GetAtoms())
            for bond in molecule.GetBonds():
                a, b = first + bond.GetBeginAtomIdx(), first + bond.GetEndAtomIdx()
                ends.extend((a, b, b, a))
                kinds.extend((int(bond.GetBondType()),) * 2)
            labels.append(value)
    except csv.Error as error:
        raise BadInput(
            f"{spec}: {path} is no table ({error}); right is a line a molecule, with one separator between the columns"
        ) from None
    if not nodes:
        raise BadInput(f"{spec}: {path} holds no molecule with a label; use smiles=COL&label=COL for the right columns")
    if bare or refused:
        left = f"{bare} without a label, {refused} without a molecule of at most {LONGEST} letters{shown}"
        note(f"{spec}: {bare + refused} of {bare + refused + len(labels)} rows are left out: {left}")
    ends = np.frombuffer(ends, np.int64).reshape(-1, 2)
    return numbered_graphs(spec, nodes, np.frombuffer(tags, np.int64), ends, np.frombuffer(kinds, np.int64), one_spelling(labels))


def one_spelling(labels: list[str]) -> list[str]:
    """Labels such that a number has one name: where all are finite numbers, and one is written in several ways, all are written alike."""
    names = {}
    for text in set(labels):
        try:
            value = float(text)
        except ValueError:
            return labels
        if not math.isfinite(value):
            return labels
        names.setdefault(value, []).append(text)
    if all(len(spellings) == 1 for spellings in names.values()):
        return labels
    return [str(int(value)) if (value := float(text)).is_integer() else repr(value) for text in labels]


def read(spec: Spec) -> GraphSource:
    """The molecules in the table that the spec names, as graphs. The options `smiles` and `label` name the columns; they are called so by
    default. Where the option `unique` is not given, a note counts molecules that look like an earlier one, as where they differ in shape
    alone. Raises BadInput without rdkit, such columns, or any molecule."""
    columns = {key: spec.options.get(key, key) for key in ("smiles", "label")}
    source = read_smiles(spec.place(), spec.text, **columns)
    repeated, contradicted = (0, 0) if "unique" in spec.options else repeats(looks_of(source.rows), source.rows.y)
    if repeated:
        again = f"{repeated:,} of {len(source.rows.y):,} molecules have the atoms and bonds of an earlier one"
        right = f"add {spec.how('unique', 'true')} to leave them out, so that no test knows them, or unique=false to keep them"
        note(f"{spec.text}: {again}, {contradicted:,} with another label; {right}")
    return source


ABOUT = "graphs: a CSV file with a column of SMILES and one of labels"
READER = Reader("smiles", ABOUT, read, OPTIONS | {"smiles": Word(), "label": Word()})
