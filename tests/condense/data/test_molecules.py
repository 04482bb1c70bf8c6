"""Molecules from a table as graphs, through rdkit itself, and graphs that look alike."""

from pathlib import Path

import numpy as np
import pytest

import condense
from condense.data.load import load_data
from synth.base import take_all
from synth.errors import BadInput

# SMILES, atomic numbers, bonds by atoms: written down from the structures.
ETHANOL = ("CCO", [6, 6, 8], {(0, 1), (1, 2)})
SALT = ("[Na+].[Cl-]", [11, 17], set())
ACETIC_ACID = ("CC(=O)O", [6, 6, 8, 8], {(0, 1), (1, 2), (1, 3)})
PYRIDINE = ("c1ccncc1", [6, 6, 6, 7, 6, 6], {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (0, 5)})
KNOWN = (ETHANOL, SALT, ACETIC_ACID, PYRIDINE)


def table(folder: Path, rows: list[tuple[str, str]]) -> str:
    """A specification of such a table: SMILES and labels in columns with odd names, one of which has a plus sign and a slash."""
    (folder / "m.tsv").write_text("NO.\tSMILES\tBBB+/BBB-\n" + "".join(f"{n}\t{text}\t{label}\n" for n, (text, label) in enumerate(rows)))
    return f"smiles:{folder / 'm.tsv'}?smiles=SMILES&label=BBB+/BBB-"


def test_atoms_are_nodes_and_bonds_are_edges(tmp_path):
    """Three heavy atoms and two bonds of ethanol, two atoms of a salt without a bond, a ring of aromatic bonds."""
    pytest.importorskip("rdkit")
    data = load_data(table(tmp_path, [(text, label) for text, _, _ in KNOWN for label in ("BBB+", "BBB-")] * 5))
    graphs, kinds = take_all(data.source.rows), {}
    assert data.classes == ("BBB+", "BBB-") and data.source.tags == ("6", "7", "8", "11", "17") and not data.image.directed
    starts = np.cumsum(graphs.nodes) - graphs.nodes
    for at, (text, atoms, bonds) in enumerate(KNOWN):
        first, mine = starts[2 * at], graphs.graph[graphs.senders] == 2 * at
        assert [int(data.source.tags[tag]) for tag in graphs.tags[first : first + graphs.nodes[2 * at]]] == atoms, text
        ends = list(zip(graphs.senders[mine] - first, graphs.receivers[mine] - first, strict=True))
        assert len(ends) == 2 * len(bonds) and set(ends) == bonds | {(b, a) for a, b in bonds}, text
        kinds |= {(text, min(pair), max(pair)): int(label) for pair, label in zip(ends, graphs.labels[mine], strict=True)}
    single, double, ring = kinds["CCO", 0, 1], kinds["CC(=O)O", 1, 2], kinds["c1ccncc1", 0, 1]
    assert len({single, double, ring}) == data.image.edges == 3 and kinds["CC(=O)O", 1, 3] == single
    assert {label for (text, *_), label in kinds.items() if text == "c1ccncc1"} == {ring}


def test_a_molecule_that_is_refused_is_counted_and_the_first_is_shown(tmp_path, capsys):
    pytest.importorskip("rdkit")
    good = [("CCO", "BBB+"), ("CN", "BBB-")] * 10
    spec = table(tmp_path, [*good, ("C1CC", "BBB+"), ("C(C)(C)(C)(C)C", "BBB-"), ("x\x1b[2J", "BBB-"), ("CC", "NA")])
    assert len(load_data(spec).source.rows.y) == 20
    said = capsys.readouterr().err
    assert "4 of 24 rows are left out: 1 without a label, 3 without a molecule of at most 2000 letters (first line 22, 'C1CC')" in said
    with pytest.raises(BadInput, match="holds no molecule with a label") as caught:
        load_data(table(tmp_path, [("x\x1b[2J", "BBB-")]))
    assert "\n" not in str(caught.value) and "\x1b" not in said


def test_molecules_that_differ_in_shape_alone_look_alike(tmp_path, capsys):
    """Both hands of an amino acid, and ethanol written from either end, with labels that agree and that do not."""
    pytest.importorskip("rdkit")
    chains = [("C" * n + "O", "BBB+") for n in range(3, 13)] + [("C" * n + "N", "BBB-") for n in range(1, 11)]
    spec = table(tmp_path, [*chains, ("C[C@H](N)C(=O)O", "BBB+"), ("C[C@@H](N)C(=O)O", "BBB-"), ("CCO", "BBB+"), ("OCC", "BBB+")])
    rows = dict(condense.describe(spec).rows)
    assert rows["duplicates"].startswith("2 graphs look like an earlier one, 1 of them with another label; ")
    said = capsys.readouterr().err
    assert "2 of 24 molecules have the atoms and bonds of an earlier one, 1 with another label; add &unique=true to leave them out" in said
    load_data(f"{spec}&unique=false")
    assert "earlier one" not in capsys.readouterr().err
    data = load_data(f"{spec}&unique=true")
    assert "2 of 24 graphs look like an earlier one and are left out, 1 of them with another label" in capsys.readouterr().err
    assert sorted(np.concatenate(data.rows).tolist()) == [*range(21), 22], "the first of each stays"
    assert dict(condense.describe(f"{spec}&unique=true").rows)["graphs"].endswith(", 2 left out")


def tu(folder: Path, *, copies: int) -> str:
    """Rings of 3 to 12 nodes of two classes, told apart by a tag; every one so many times."""
    rings = [(count, label) for count in range(3, 13) for label in (0, 1)] * copies
    text = (f"{n} {label}\n" + "".join(f"{label} 2 {(at - 1) % n} {(at + 1) % n}\n" for at in range(n)) for n, label in rings)
    (folder / "G.txt").write_text(f"{len(rings)}\n" + "".join(text))
    return f"tu:{folder / 'G.txt'}"


def test_graphs_that_look_like_an_earlier_one_are_left_out_on_request(tmp_path, capsys):
    spec = tu(tmp_path, copies=5)
    data = load_data(spec)
    shared = f"80 graphs look like an earlier one; {len(data.test.y)} test graphs look like one of training or validation"
    assert dict(condense.describe(spec).rows)["duplicates"] == shared and "look like" not in capsys.readouterr().err
    alone = load_data(f"{spec}?unique=true")
    assert "80 of 100 graphs look like an earlier one and are left out, 0 of them" in capsys.readouterr().err
    assert sorted(np.concatenate(alone.rows).tolist()) == list(range(20)) and len(alone.test.y) == 2
    assert alone.digest == data.digest and alone.trained_on != data.trained_on


def test_a_published_fold_keeps_its_graphs_but_for_repeated_ones(tmp_path, capsys):
    """A graph whose first is for training is in no test."""
    spec = tu(tmp_path, copies=2)
    (tmp_path / "G_folds").mkdir()
    (tmp_path / "G_folds" / "test-1.txt").write_text("3\n4\n25\n26\n")
    assert load_data(f"{spec}?fold=1").rows[2].tolist() == [3, 4, 25, 26] and "look like" not in capsys.readouterr().err
    alone = load_data(f"{spec}?fold=1&unique=true")
    assert alone.rows[2].tolist() == [3, 4] and sorted(np.concatenate(alone.rows).tolist()) == list(range(20))
