"""Graph data: both formats of the TU collection, molecules, tags by degree, splits and batches."""

import gzip
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condense.data.load import load_data
from condense.data.named import NAMED
from synth.base import take_all
from synth.errors import BadInput
from synth.graphs.base import Hop, batch_of, batches, common, edge_softmax, ladder, message, padded, pool, sizes_of
from tests.support.toy_graphs import some_graphs

TU = os.environ.get("CONDENSE_TU")
TEXT = "4\n2 5\n7 1 1\n3 1 0\n1 0\n3 0\n2 5\n3 1 1\n3 1 0\n2 0\n7 1 1\n7 1 0\n"


def write(folder: Path, text: str = TEXT, copies: int = 5) -> str:
    """The four graphs, five times over."""
    count, _, body = text.partition("\n")
    (folder / "G.txt").write_text(f"{int(count) * copies}\n{body * copies}")
    return f"tu:{folder / 'G.txt'}"


def test_the_text_format_is_read(tmp_path):
    data = load_data(write(tmp_path))
    graphs = take_all(data.source.rows)
    assert data.classes == ("0", "5") and data.image == (2, 1, False)
    assert graphs.nodes[:4].tolist() == [2, 1, 2, 2] and graphs.tags[:7].tolist() == [1, 0, 0, 0, 0, 1, 1]
    assert sorted(zip(graphs.senders[:6].tolist(), graphs.receivers[:6].tolist(), strict=True)) == [
        (0, 1),
        (1, 0),
        (3, 4),
        (4, 3),
        (5, 6),
        (6, 5),
    ]
    assert data.source.rows.y[:4].tolist() == [1, 0, 1, 0]
    assert [len(part.y) for part in (data.train, data.val, data.test)] == [16, 2, 2]


def test_the_raw_format_says_the_same(tmp_path):
    """Written from the table that the text gives; edge labels and direction come along."""
    graphs = take_all(load_data(write(tmp_path)).source.rows)
    y, raw = np.tile([5, 0, 5, 0], 5), tmp_path / "raw"
    raw.mkdir()
    rows = {
        "A": [f"{a + 1}, {b + 1}" for a, b in zip(graphs.senders, graphs.receivers, strict=True)],
        "graph_indicator": graphs.graph + 1,
        "graph_labels": y,
        "node_labels": graphs.tags * 4 + 3,
    }
    for name, lines in rows.items():
        (raw / f"DS_{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    data = load_data(f"tu:{raw}")
    for name in graphs._fields:
        assert np.array_equal(getattr(take_all(data.source.rows), name), getattr(graphs, name)), name
    assert data.classes == ("0", "5") and data.source.tags == ("3", "7")
    assert load_data(f"tu:{tmp_path}").digest == data.digest, "raw/ lies one folder down"
    plain = (raw / "DS_node_labels.txt").read_text()
    (raw / "DS_node_labels.txt").write_text("".join(f"{line}, {at % 2}\n" for at, line in enumerate(plain.splitlines())))
    assert load_data(f"tu:{raw}").source.tags == ("0", "1", "2", "3"), "a combination of two columns is a tag"
    (raw / "DS_node_labels.txt").write_text(plain.replace("\n", ", 1\n", 1))
    with pytest.raises(BadInput, match=r"DS_node_labels\.txt is wrong, see line 2; right is 2 whole numbers a line"):
        load_data(f"tu:{raw}")
    (raw / "DS_node_labels.txt").write_text(plain)
    (raw / "DS_edge_labels.txt").write_text(
        "".join(f"{9 if a < b else 4}\n" for a, b in zip(graphs.senders, graphs.receivers, strict=True))
    )
    labelled = load_data(f"tu:{raw}")
    assert labelled.image == (2, 2, True) and load_data(f"tu:{raw}?edges=false").image == (2, 1, False)
    (raw / "DS_A.txt").write_text(f"1, {2**70}\n")
    with pytest.raises(BadInput, match=r"DS_A\.txt is wrong, see line \d+; right is 2 whole numbers a line"):
        load_data(f"tu:{raw}")
    (raw / "DS_A.txt").write_text("1, 3\n")
    with pytest.raises(BadInput, match="edge that leads out of its graph"):
        load_data(f"tu:{raw}")


def test_degrees_are_tags_on_request_and_where_there_are_none(tmp_path):
    spec = write(tmp_path)
    asked = take_all(load_data(f"{spec}?degree=true").source.rows)
    plain = take_all(load_data(spec).source.rows)
    assert asked.tags.tolist() == (plain.tags * 2 + plain.degrees()).tolist()
    untagged = write(tmp_path, TEXT.replace("7 ", "3 "))
    alone = take_all(load_data(untagged).source.rows)
    assert alone.tags.tolist() == alone.degrees().tolist() and not take_all(load_data(f"{untagged}?degree=false").source.rows).tags.any()


def test_folds_are_the_published_ones_and_other_splits_are_seeded(tmp_path):
    spec = write(tmp_path)
    (tmp_path / "G_folds").mkdir()
    (tmp_path / "G_folds" / "test-3.txt").write_text("4\n1\n7\n6\n")
    fold = load_data(f"{spec}?fold=3")
    assert fold.rows[2].tolist() == [1, 4, 6, 7]
    one, two, again = (load_data(spec, seed=seed).rows for seed in (0, 1, 0))
    assert np.array_equal(one[2], two[2]) and not np.array_equal(one[1], two[1]) and np.array_equal(one[1], again[1])
    assert sorted(np.concatenate(one).tolist()) == list(range(20))
    assert not np.array_equal(load_data(f"{spec}?split=2").rows[2], one[2])
    assert np.array_equal(load_data(f"{spec}?split=0").rows[2], one[2])
    for query, wrong in (
        ("fold=2", "fold=2 needs .*test-2.txt"),
        ("fold=3&split=1", "not both"),
        ("split=-1", "from 0 to"),
        ("degree=maybe", "degree=maybe"),
    ):
        with pytest.raises(BadInput, match=wrong):
            load_data(f"{spec}?{query}")
    (tmp_path / "G_folds" / "test-3.txt").write_text("40\n")
    with pytest.raises(BadInput, match="must name some, but not all, of the 20 graphs"):
        load_data(f"{spec}?fold=3")


def test_edges_in_one_direction_are_said(tmp_path, capsys):
    spec = write(tmp_path)
    assert not load_data(spec).image.directed and "direction" not in capsys.readouterr().err
    one_sided = load_data(write(tmp_path, TEXT.replace("3 1 0\n2 0\n", "3 0\n2 0\n")))
    assert one_sided.image.directed and "some edges stand there in one direction only" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "see line 1"),
        ("2\n1 0\n3 0\n", "see line"),
        ("1\n2 0\n3 1 5\n3 0\n", "see line 3"),
        ("1\n1 0\n3 2 0\n", "see line 3"),
        ("1\n0 0\n", "see line 2"),
        (TEXT + "9 9\n", "see line"),
        ("2\n1 0\n3 0\n1 0\n3 0\n", "2 graphs with 1 classes; there must be two or more"),
    ],
)
def test_damaged_text_is_refused_in_one_line(tmp_path, text, wrong):
    (tmp_path / "G.txt").write_text(text)
    with pytest.raises(BadInput, match=wrong) as caught:
        load_data(f"tu:{tmp_path / 'G.txt'}")
    assert "\n" not in str(caught.value)


def test_molecules_are_read_through_rdkit(tmp_path):
    pytest.importorskip("rdkit")
    rows = "".join(
        f"{smiles},{label}\n" for _ in range(6) for smiles, label in (("CC=O", 1), ("c1ccccc1O", 0), ("no molecule", 1), ("CN", ""))
    )
    (tmp_path / "m.csv").write_text("structure,toxic\n" + rows)
    data = load_data(f"smiles:{tmp_path / 'm.csv'}?smiles=structure&label=toxic")
    assert take_all(data.source.rows).nodes[:2].tolist() == [3, 7] and data.classes == ("0", "1") and data.source.tags == ("6", "8")
    assert data.image == (2, 3, False)  # carbon and oxygen; single, double and aromatic bonds
    with pytest.raises(BadInput, match=r"no column 'smiles' \(there: structure, toxic\)"):
        load_data(f"smiles:{tmp_path / 'm.csv'}")


def test_a_table_of_molecules_may_be_odd(tmp_path, monkeypatch):
    """A byte order mark is no part of a column's name, and a first row longer than the header does not hide that a column is missing.
    A stand-in takes the place of rdkit: every letter is an atom."""

    def molecule(text):
        atoms = [SimpleNamespace(GetAtomicNum=lambda letter=letter: ord(letter)) for letter in text]
        return SimpleNamespace(GetNumAtoms=lambda: len(atoms), GetAtoms=lambda: atoms, GetBonds=lambda: [])

    chem = SimpleNamespace(MolFromSmiles=molecule)
    monkeypatch.setitem(sys.modules, "rdkit", SimpleNamespace(Chem=chem, RDLogger=SimpleNamespace(DisableLog=lambda name: None)))
    path = tmp_path / "m.csv"
    path.write_bytes(b"\xef\xbb\xbfsmiles,label\n" + b"CC,1,x,y\nN,0\n" * 10)
    assert load_data(f"smiles:{path}").source.tags == (str(ord("C")), str(ord("N")))
    digest = load_data(f"smiles:{path}").digest
    for text, place in (("smiles;label\nCC;1\nN;0\n", path), ("smiles\tlabel\nCC\t1\nN\t0\n", tmp_path / "m.tsv.gz")):
        head, _, body = text.partition("\n")
        held = f"{head}\n{body * 10}".encode()
        place.write_bytes(gzip.compress(held) if place.suffix == ".gz" else held)
        assert load_data(f"smiles:{place}").digest == digest
    place.write_bytes(place.read_bytes()[:-9])
    with pytest.raises(BadInput, match=r"m\.tsv\.gz is damaged \(.*\); fetch the file again"):
        load_data(f"smiles:{place}")
    path.write_bytes(b"\xef\xbb\xbfsmiles,label\n" + b"CC,1,x,y\nN,0\n" * 10)
    with pytest.raises(BadInput, match=r"no column 'toxic' \(there: smiles, label\); use smiles=COL&label=COL"):
        load_data(f"smiles:{path}?label=toxic")
    path.write_text("smiles,label\n" + "C" * 200_000 + ",1\n")
    with pytest.raises(BadInput, match=r"m\.csv is no table .*; right is a line a molecule"):
        load_data(f"smiles:{path}")


def test_the_list_tells_the_sizes_of_the_toy_graphs():
    nodes = take_all(load_data("toy_graphs").source.rows).nodes
    assert f"of {nodes.min()} to {nodes.max()} nodes" in NAMED["toy_graphs"].about


def test_without_rdkit_the_remedy_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "rdkit", None)
    (tmp_path / "m.csv").write_text("smiles,label\nC,1\n")
    with pytest.raises(BadInput, match="SMILES need rdkit; install it with pip install"):
        load_data(f"smiles:{tmp_path / 'm.csv'}")


def test_the_toy_graphs_stay_as_they_are():
    """Another digest means that every score on them quoted anywhere is of other graphs."""
    assert load_data("toy_graphs").digest.startswith("e6f42d79")


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_taking_graphs_takes_their_nodes_and_edges(seed, directed):
    graphs = some_graphs(seed, edges=2, directed=directed)
    index = np.random.default_rng(seed).integers(0, len(graphs.nodes), 5)
    taken, start = graphs.take(index), np.cumsum(graphs.nodes) - graphs.nodes
    assert np.array_equal(taken.nodes, graphs.nodes[index])
    for at, g in enumerate(index):
        mine, its = taken.graph == at, graphs.graph == g
        assert np.array_equal(taken.tags[mine], graphs.tags[its])
        one, two = mine[taken.receivers], its[graphs.receivers]
        first = int(np.flatnonzero(mine)[0])
        for side in ("senders", "receivers", "labels"):
            shift = (0, 0) if side == "labels" else (first, int(start[g]))
            assert np.array_equal(getattr(taken, side)[one] - shift[0], getattr(graphs, side)[two] - shift[1])


def test_padding_stays_below_a_third_and_shapes_are_few():
    for size in range(1, 5000):
        assert size <= ladder(size) <= max(1.3 * size, 1)
    graphs, shapes = some_graphs(0, count=200, most=30), set()
    rng = np.random.default_rng(0)
    for _ in range(2):
        for index, batch in batches(graphs, rng.permutation(200), size=32):
            part = graphs.take(index)
            assert len(batch.tags) <= 1.3 * len(part.tags) and len(batch.hops[0].senders) <= 1.3 * len(part.senders)
            assert len(batch.real) <= min(32, 1.3 * len(index))
            shapes.add(sizes_of(batch))
    assert len(shapes) <= 8


def test_padding_changes_nothing():
    batch = batch_of(some_graphs(1, edges=2), nodes=80, edges=90, count=9)
    small = batch_of(some_graphs(1, edges=2))
    large = padded(small, common([sizes_of(batch)]))
    rng = np.random.default_rng(0)
    for other in (batch, large):
        n, m = len(small.tags), len(other.tags)
        values = jnp.asarray(rng.normal(size=(m, 2)), jnp.float32)
        for how in ("sum", "mean", "max"):
            ours, theirs = pool(small, values[:n], how=how, layers=0), pool(other, values, how=how, layers=0)
            np.testing.assert_allclose(ours, theirs[: len(ours)], atol=1e-5)
            assert not np.asarray(theirs[len(ours) :]).any()
        sent = [np.asarray(message(b.hops[0], v[b.hops[0].senders])) for b, v in ((small, values[:n]), (other, values))]
        np.testing.assert_allclose(sent[0], sent[1][:n], atol=1e-5)


def test_attention_is_a_softmax_with_multiplicities():
    """Two edges of which one counts three times, and a third that is padding."""
    one = np.array([0, 1, 2], np.int32)
    hop = Hop(one, np.zeros(3, np.int32), one * 0, np.array([1, 3, 0], np.float32), np.zeros(1, np.int32))
    scores, own = np.array([[0.3], [-1.0], [50.0]], np.float32), np.array([[0.5]], np.float32)
    edge, self_ = edge_softmax(hop, jnp.asarray(scores), jnp.asarray(own))
    whole = np.exp(0.3) + 3 * np.exp(-1) + np.exp(0.5)
    np.testing.assert_allclose(np.ravel(edge)[:2], np.exp([0.3, -1]) / whole, rtol=1e-6)
    np.testing.assert_allclose(np.ravel(self_), np.exp(0.5) / whole, rtol=1e-6)
    assert np.isfinite(np.asarray(edge)).all()


@pytest.mark.skipif(not TU, reason="CONDENSE_TU names no folder with graphs of the TU collection")
@pytest.mark.parametrize(
    ("name", "graphs", "tags", "nodes", "edges"),
    [("MUTAG", 188, 7, 17.93, 19.79), ("NCI1", 4110, 37, 29.87, 32.30), ("IMDBBINARY", 1000, 136, 19.77, 96.53)],
)
def test_the_tu_sets_have_their_published_statistics(name, graphs, tags, nodes, edges):
    data = load_data(f"tu:{Path(TU) / name}.txt?fold=1")
    whole = take_all(data.source.rows)
    assert (len(whole.nodes), data.image.tags, len(data.classes)) == (graphs, tags, 2)
    assert round(float(whole.nodes.mean()), 2) == nodes and round(len(whole.senders) / 2 / graphs, 2) == edges


class Rdkit:
    """Stands in for rdkit: every letter is an atom."""

    def __init__(self):
        self.read = []

    def MolFromSmiles(self, text):
        self.read.append(text)
        atoms = [SimpleNamespace(GetAtomicNum=lambda letter=letter: ord(letter)) for letter in text]
        return SimpleNamespace(GetNumAtoms=lambda: len(atoms), GetAtoms=lambda: atoms, GetBonds=lambda: [])


@pytest.fixture
def rdkit(monkeypatch):
    made = Rdkit()
    monkeypatch.setitem(sys.modules, "rdkit", SimpleNamespace(Chem=made, RDLogger=SimpleNamespace(DisableLog=lambda name: None)))
    return made


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "NA", "n/a", "null", "?"])
def test_rows_without_a_label_are_left_out_and_counted(tmp_path, rdkit, capsys, missing):
    (tmp_path / "m.csv").write_text("smiles,label\n" + "CC,1\nN,0\n" * 10 + f"O,{missing}\n" * 3)
    data = load_data(f"smiles:{tmp_path / 'm.csv'}")
    assert data.classes == ("0", "1") and len(data.source.rows.y) == 20 and "O" not in rdkit.read
    assert "3 of 23 rows are left out: 3 without a label, 0 without a molecule" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("0", "0.0", "1", "1.0", "1e0"), ("0", "1")),
        (("0.0", "1.0"), ("0.0", "1.0")),  # as sets made before have them
        (("0.5", ".5", "1"), ("0.5", "1")),
        (("low", "high", "0", "0.0"), ("0", "0.0", "high", "low")),
        (("none", "mild"), ("mild", "none")),
    ],
)
def test_a_number_written_in_several_ways_is_one_class(tmp_path, rdkit, labels, classes):
    (tmp_path / "m.csv").write_text("smiles,label\n" + "".join(f"CC,{label}\n" for label in labels) * 10)
    assert load_data(f"smiles:{tmp_path / 'm.csv'}").classes == classes


def test_a_molecule_of_very_many_letters_is_left_out_unread(tmp_path, rdkit, capsys):
    (tmp_path / "m.csv").write_text("smiles,label\n" + "CC,1\nN,0\n" * 10 + "*" * 2001 + ",1\n" + "C" * 2000 + ",0\n")
    assert len(load_data(f"smiles:{tmp_path / 'm.csv'}").source.rows.y) == 21 and max(map(len, rdkit.read)) == 2000
    assert "1 of 22 rows are left out: 0 without a label, 1 without a molecule of at most 2000 letters" in capsys.readouterr().err


@pytest.mark.parametrize(("labelled", "stands"), [(False, "tags are degrees"), (True, "tags are those of DS_node_labels.txt")])
def test_attributes_that_are_not_read_are_said(tmp_path, capsys, labelled, stands):
    graphs, y = take_all(load_data(write(tmp_path)).source.rows), np.tile([5, 0, 5, 0], 5)
    raw = tmp_path / "raw"
    raw.mkdir()
    rows = {
        "A": [f"{a + 1}, {b + 1}" for a, b in zip(graphs.senders, graphs.receivers, strict=True)],
        "graph_indicator": graphs.graph + 1,
        "graph_labels": y,
        "node_attributes": [f"0.{at}, 1.5" for at in range(len(graphs.tags))],
        "edge_attributes": ["0.5"] * len(graphs.senders),
    } | ({"node_labels": graphs.tags} if labelled else {})
    for name, lines in rows.items():
        (raw / f"DS_{name}.txt").write_text("".join(f"{line}\n" for line in lines))
    load_data(f"tu:{raw}")
    said = capsys.readouterr().err
    assert f"DS_node_attributes.txt is left out, because networks and methods here read none; {stands}" in said
    assert "DS_edge_attributes.txt is left out, because networks and methods here read none; edge labels are all alike" in said
