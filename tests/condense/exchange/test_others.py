"""Sets of vectors and of graphs leave as tables, edge lists and tensors, and come back; what makes no sense names what does."""

import csv
import json

import networkx
import numpy as np
import pytest
from pyarrow import parquet

from condense.__main__ import run
from condense.exchange import find_format
from condense.exchange.parcel import pack
from condense.workflows.export import export
from condense.workflows.import_set import import_set
from synth.errors import BadInput
from synth.files.format import save_set
from tests.support.exports import CLASSES, INDEX, OTHERS, PATHS, dense, packed, rows_of_a_table, same, trees

WAYS = [(what, name) for what in OTHERS for name in ("folder", "torch", "parquet") if what != "trees" or name == "folder"]


@pytest.mark.parametrize(("what", "name"), WAYS)
def test_a_set_comes_back_bit_for_bit(what, name, tmp_path):
    if name == "torch":
        pytest.importorskip("torch")
    synth = OTHERS[what]()
    made = export(synth, tmp_path / "out", to=name)
    assert made.clipped is None and same(import_set(tmp_path / "out"), synth)
    if name != "torch":
        card = (tmp_path / "out" / "README.md").read_text()
        task = "tabular-classification" if what == "vectors" else "graph-ml"
        assert f"task_categories:\n- {task}" in card and "Nothing: all arrays are there as the set has them." in card


def test_tables_hold_vectors_in_their_own_units(tmp_path):
    synth = rows_of_a_table()
    raw = np.asarray(synth.x.numbers) * synth.info.preprocess.std + synth.info.preprocess.mean
    names = ["length", "label_", "colour=red", "colour=sky, blue"]
    export(synth, tmp_path / "csv")
    with (tmp_path / "csv" / "train.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == [*names, "label"] and [row[-1] for row in rows] == [CLASSES[at] for at in INDEX]
    np.testing.assert_allclose(np.array([row[:-1] for row in rows], float), raw, rtol=1e-6)
    export(synth, tmp_path / "parquet", to="parquet")
    table = parquet.read_table(tmp_path / "parquet" / "data" / "train-00000-of-00001.parquet")
    assert table.column_names == [*names, "label"] and table["label"].to_pylist() == INDEX.tolist()
    np.testing.assert_allclose(np.stack([table[name].to_numpy() for name in names], 1), raw, rtol=1e-6)


def graphs_of(x, edges, batch):
    """Graphs of networkx by what an export holds."""
    whole = networkx.DiGraph()
    whole.add_nodes_from((node, {"x": tuple(row), "graph": int(batch[node])}) for node, row in enumerate(x.tolist()))
    whole.add_edges_from(edges.T.tolist())
    return [whole.subgraph(np.flatnonzero(batch == at).tolist()) for at in range(batch.max() + 1)]


def test_edge_lists_are_the_graphs(tmp_path):
    export(packed(), tmp_path / "out")
    with np.load(tmp_path / "out" / "graphs.npz", allow_pickle=False) as file:
        made = graphs_of(file["x"], file["edge_index"], file["batch"])
        assert file["label"].tolist() == [0, 0, 1]
        np.testing.assert_allclose(file["share"], [0.125, 0.125, 0.75])
        labels = {tuple(edge): label for edge, label in zip(file["edge_index"].T.tolist(), file["edge_attr"].tolist(), strict=True)}
    want = graphs_of(PATHS.tags[:, None], np.stack([PATHS.senders, PATHS.receivers]), PATHS.graph)
    for one, other in zip(made, want, strict=True):
        assert networkx.is_isomorphic(one, other, node_match=lambda a, b: a["x"] == b["x"])
    assert sorted(labels.values()) == sorted(PATHS.labels.tolist()) and all(labels[edge] == labels[edge[::-1]] for edge in labels)
    facts = json.loads((tmp_path / "out" / "graphs.json").read_text())
    assert facts["arrays"]["edge_index"] == {"dtype": "int64", "shape": [2, 12]} and facts["classes"] == ["a", "b"]


def test_a_graph_a_row(tmp_path):
    synth = dense()
    export(synth, tmp_path / "out", to="parquet")
    rows = parquet.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert [row["num_nodes"] for row in rows] == [4, 4, 4] and [row["label"] for row in rows] == [0, 1, 1]
    np.testing.assert_array_equal([row["node_feat"] for row in rows], synth.x.features)
    pairs = [(0, 1), (1, 2), (2, 3)]
    assert {*zip(*rows[0]["edge_index"], strict=True)} == {*pairs, *(pair[::-1] for pair in pairs)}
    assert rows[1]["edge_index"] == [[], []] and len(rows[2]["edge_index"][0]) == 12


def test_what_makes_no_sense_names_what_does(tmp_path, capsys):
    for synth, name, words in (
        (rows_of_a_table(), "webdataset", "--to webdataset: is not for vectors such as these; use --to folder or torch or parquet"),
        (packed(), "tfds", "--to tfds: is not for graphs such as these; use --to folder or torch or parquet"),
        (trees(), "parquet", "--to parquet: is not for graphs such as these; use --to folder"),
    ):
        with pytest.raises(BadInput, match=words):
            export(synth, tmp_path / "out", to=name)
    save_set(tmp_path / "set.npz", trees())
    assert run(["export", str(tmp_path / "set.npz"), "--to", "torch", "--out", str(tmp_path / "out")]) == 2
    assert "use --to folder" in capsys.readouterr().err and not (tmp_path / "out").exists()
    assert run(["export", str(tmp_path / "set.npz"), "--to", "folder", "--out", str(tmp_path / "out")]) == 0
    assert "out: every number is kept" in capsys.readouterr().out
    assert run(["import", str(tmp_path / "out"), "--out", str(tmp_path / "again.npz")]) == 0
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "set.npz").read_bytes()
    assert "3 graphs of" in capsys.readouterr().out
    assert [heading for heading, _ in find_format("folder", parcel=pack(trees())).usage] == ["numpy"]
