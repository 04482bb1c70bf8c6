"""Graphs by index: what statistics, digests and feeds make of rows that lie elsewhere is what they make of one table in memory."""

import hashlib
from dataclasses import dataclass

import jax
import numpy as np
import pytest

from condense.data import graph_rows
from condense.data.graph_rows import GraphRows, GraphsInMemory, digest_of_graphs
from condense.data.graphs import GraphData, alphabet_of, build
from condense.data.readers.base import Spec
from condense.data.readers.graph_source import GraphSource
from condense.data.readers.toy_graphs import toy_graphs
from condense.engine.feeds import make_feed
from matchers.base import GraphsPerClass
from synth.base import take_all
from synth.graphs.base import Alphabet, Graphs
from tests.support.toy_graphs import renamed, some_graphs

NAMES = ("plain", "forked")


@dataclass(frozen=True)
class Elsewhere:
    """Rows that hold no table, and note how many graphs they are asked for."""

    hidden: GraphsInMemory
    asked: list

    @property
    def y(self):
        return self.hidden.y

    def take(self, index):
        self.asked.append(len(index))
        return self.hidden.take(index)


@pytest.fixture
def small_pieces(monkeypatch):
    monkeypatch.setattr(graph_rows, "PIECE", 32)


def built(rows: GraphRows, **options) -> GraphData:
    return build(
        Spec("toy_graphs", "toy_graphs", "toy_graphs", "", options, False),
        GraphSource(rows, NAMES, True, ("0", "1", "2")),
        seed=0,
        validation=0.1,
    )


def test_a_digest_is_that_of_one_table(small_pieces):
    graphs, y = toy_graphs()
    by_hand = hashlib.sha256(b"plain\0forked")
    for array in (*graphs, y):
        by_hand.update(f"{array.dtype.str}{array.shape}".encode() + array.tobytes())
    assert digest_of_graphs(GraphsInMemory(graphs, y), NAMES) == by_hand.hexdigest()
    assert digest_of_graphs(GraphsInMemory(graphs._replace(tags=graphs.tags[::-1].copy()), y), NAMES) != by_hand.hexdigest()


@pytest.mark.parametrize("options", [{}, {"degree": True}, {"edges": False}, {"degree": True, "edges": False}])
def test_data_from_elsewhere_are_those_from_memory_and_never_asked_for_whole(options, small_pieces):
    held, asked = GraphsInMemory(*toy_graphs()), []
    ours, theirs = built(Elsewhere(held, asked), **options), built(held, **options)
    assert max(asked) == 32 and (ours.image, ours.digest, ours.trained_on) == (theirs.image, theirs.digest, theirs.trained_on)
    asked.clear()
    feeds = [make_feed(GraphsPerClass(4), data.train, 2, seed=1) for data in (ours, theirs)]
    for step in (0, 5):
        jax.tree.map(np.testing.assert_array_equal, *(feed(step) for feed in feeds))
    assert max(asked) == 32 and asked[-1] <= 4
    assert isinstance(Elsewhere(held, asked), GraphRows) and isinstance(ours.source.rows, GraphRows)


def test_tags_and_labels_are_those_of_the_whole_table(small_pieces):
    held = GraphsInMemory(*toy_graphs())
    whole, data = take_all(held), built(held, degree=True, edges=False)
    seen = take_all(data.source.rows)
    kinds = int(whole.degrees().max()) + 1
    np.testing.assert_array_equal(seen.tags, whole.tags * kinds + whole.degrees())
    assert not seen.labels.any() and whole.labels.any() and data.image == Alphabet(int(seen.tags.max()) + 1, 1, False)
    part = data.train.take(np.array([5, 0, 5]))
    one = whole.take(data.rows[0][[5, 0, 5]])
    np.testing.assert_array_equal(part.x.tags, one.tags * kinds + one.degrees())
    np.testing.assert_array_equal(part.x.senders, one.senders)
    np.testing.assert_array_equal(part.y, held.y[data.rows[0][[5, 0, 5]]])


@pytest.mark.parametrize("lone", [0, 70])
def test_one_edge_without_a_partner_makes_all_directed(lone, small_pieces):
    graphs = some_graphs(3, count=90)
    y = np.zeros(90, np.int32)
    assert not alphabet_of(GraphsInMemory(graphs, y)).directed
    at = int(np.flatnonzero(graphs.graph[graphs.receivers] >= lone)[0])
    without = Graphs(graphs.nodes, graphs.tags, *(np.delete(array, at) for array in graphs[2:]))
    assert alphabet_of(GraphsInMemory(without, y)).directed


def test_edges_of_graphs_that_are_mixed_in_a_file_are_taken_with_their_graph():
    graphs, _ = renamed(some_graphs(4, count=12, edges=3))
    rows, index = GraphsInMemory(graphs, np.zeros(12, np.int32)), np.array([7, 2, 7, 11])
    for ours, theirs in zip(rows.take(index), graphs.take(index), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (np.diff(take_all(rows).graph[take_all(rows).receivers]) >= 0).all()
