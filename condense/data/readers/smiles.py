"""The reader of molecules in a table."""

import csv
from pathlib import Path

import numpy as np

from condense.data.readers.base import Reader, Spec, Word
from condense.data.readers.graph_source import OPTIONS, GraphSource, lines_of, numbered_graphs
from condense.runtime.log import note
from synth.errors import BadInput


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
    table = csv.DictReader(lines_of(path, spec))
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
    return numbered_graphs(spec, nodes, tags, np.array(ends, np.int32).reshape(-1, 2), kinds, labels)


def read(spec: Spec) -> GraphSource:
    """The molecules in the table that the spec names. Raises BadInput as `read_smiles` does."""
    columns = {key: spec.options.get(key, key) for key in ("smiles", "label")}
    return read_smiles(spec.place(), spec.text, **columns)


ABOUT = "graphs: a CSV file with a column of SMILES and one of labels"
READER = Reader("smiles", ABOUT, read, OPTIONS | {"smiles": Word(), "label": Word()})
