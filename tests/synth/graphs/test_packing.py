"""Trees and graphs as text and as bits: there and back, and nothing but them."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synth.graphs.base import Alphabet, Graphs
from synth.graphs.bits import BitReader, BitWriter, width
from synth.graphs.content import PackedGraphs, TreeSummary
from synth.graphs.packing import TreeSets, count_bits, count_bytes, pack_graphs, pack_tree_sets, unpack_graphs, unpack_tree_sets
from synth.graphs.refinement import refine, trees
from synth.graphs.trees import Tree
from tests.support.toy_graphs import some_graphs


def some_tree_sets(seed: int, *, depth: int, exact: bool, edges: int = 2) -> TreeSets:
    graphs = some_graphs(seed, count=5, tags=5, edges=edges)
    colours = refine(graphs, depth, degrees=exact)
    order = sorted(trees(colours, np.arange(len(colours.first[-1]))))
    rng = np.random.default_rng(seed)
    sets = []
    for _ in range(2):
        for frequency in sorted(rng.integers(1, 300, 6).tolist(), reverse=True):
            sets.append((tuple(sorted(rng.integers(0, len(order), rng.integers(1, 4)).tolist())), frequency))
    leaves = {} if exact else {tag: 0.0 for tag in range(5)} | {int(tag): int(rng.integers(0, 80)) / 16 for tag in graphs.tags}
    return TreeSets(order, sets, leaves)


@given(st.lists(st.integers(0, 2**30), min_size=1), st.lists(st.integers(0, 200)))
def test_numbers_come_back(naturals, bytes_):
    out = BitWriter()
    for value in naturals:
        out.natural(value)
    for value in bytes_:
        out.number(value, 8)
    bits = BitReader(out.payload())
    assert [bits.natural() for _ in naturals] == naturals and [bits.number(8) for _ in bytes_] == bytes_
    bits.done()


def test_gamma_codes_are_as_long_as_they_should_be():
    """2 floor(log2 (n + 1)) + 1 bits."""
    for value in (0, 1, 2, 6, 7, 1000):
        out = BitWriter()
        out.natural(value)
        assert len(out.payload()) == -(-(2 * (value + 1).bit_length() - 1) // 8)
    assert [width(kinds) for kinds in (1, 2, 3, 4, 5, 37)] == [0, 1, 2, 2, 3, 6]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 3), st.booleans())
def test_a_forest_comes_back(seed, depth, exact):
    tree_sets = some_tree_sets(seed, depth=depth, exact=exact)
    payload = pack_tree_sets(tree_sets, Alphabet(5, 2), depth=depth, exact=exact)
    back = unpack_tree_sets(payload, Alphabet(5, 2), depth=depth, exact=exact)
    assert back.trees == tree_sets.trees and back.sets == tree_sets.sets
    used = {tag for tree in tree_sets.trees for tag in _tags(tree)}
    assert back.leaves == ({} if exact else {tag: tree_sets.leaves[tag] for tag in used})
    assert np.array_equal(pack_tree_sets(tree_sets, Alphabet(5, 2), depth=depth, exact=exact), payload)


def _tags(tree: Tree):
    return {tree.tag}.union(*(_tags(child) for _, child in tree.children))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3))
def test_graphs_come_back(seed, directed, edges):
    graphs, alphabet = some_graphs(seed, edges=edges, directed=directed), Alphabet(3, edges, directed)
    back = unpack_graphs(pack_graphs(graphs, alphabet), alphabet)
    assert np.array_equal(back.nodes, graphs.nodes) and np.array_equal(back.tags, graphs.tags)
    lines = [sorted(zip(g.senders.tolist(), g.receivers.tolist(), g.labels.tolist(), strict=True)) for g in (graphs, back)]
    assert lines[0] == lines[1]


def read_by_the_docs(payload, tag_kinds: int, edge_kinds: int, *, directed: bool) -> list[tuple[list[int], list[tuple[int, int, int]]]]:
    """Tags and edges (sender, receiver, label) of every graph, from what docs/graphs.md says and nothing else."""
    bits = "".join(f"{byte:08b}" for byte in payload.tolist())

    def take(count):
        nonlocal bits
        taken, bits = bits[:count], bits[count:]
        return int(taken or "0", 2)

    def number(kinds):
        return take(len(f"{kinds - 1:b}") if kinds > 1 else 0)

    def natural():
        zeros = len(bits) - len(bits.lstrip("0"))
        return take(2 * zeros + 1) - 1

    known = [number(tag_kinds) for _ in range(natural() + 1)]
    graphs = []
    for _ in range(natural()):
        tags, edges = [known[number(len(known))] for _ in range(natural())], []
        for node in range(len(tags)):
            end = 0 if directed else node
            for _ in range(natural()):
                end += natural()
                label = number(edge_kinds)
                edges += [(node, end, label)] if directed or node == end else [(node, end, label), (end, node, label)]
        graphs.append((tags, edges))
    assert len(bits) < 8 and "1" not in bits
    return graphs


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3), st.integers(1, 9))
def test_graphs_are_packed_as_the_docs_say(seed, directed, edges, tags):
    """Undirected ones with loops too."""
    graphs, start = some_graphs(seed, edges=edges, tags=tags, directed=directed), 0
    if not directed:
        loops = np.arange(0, len(graphs.tags), 3, dtype=np.int32)
        ends = (np.concatenate([side, loops]) for side in (graphs.senders, graphs.receivers))
        graphs = Graphs(graphs.nodes, graphs.tags, *ends, np.concatenate([graphs.labels, loops * 0]))
    read = read_by_the_docs(pack_graphs(graphs, Alphabet(tags, edges, directed)), tags, edges, directed=directed)
    for (its, lines), n in zip(read, graphs.nodes.tolist(), strict=True):
        here = graphs.graph[graphs.receivers] == graphs.graph[start]
        rows = zip(
            *((side[here] - shift).tolist() for side, shift in ((graphs.senders, start), (graphs.receivers, start), (graphs.labels, 0))),
            strict=True,
        )
        assert its == graphs.tags[start : start + n].tolist() and sorted(lines) == sorted(rows)
        start += n


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.integers(1, 3), st.integers(1, 9))
def test_bytes_of_graphs_are_counted_without_packing_them(seed, directed, edges, tags):
    graphs, alphabet = some_graphs(seed, tags=tags, edges=edges, directed=directed, most=20), Alphabet(tags, edges, directed)
    bits, nodes = count_bits(graphs, alphabet), graphs.nodes
    for chosen in ([0], [5, 2, 2], list(range(6))):
        part = graphs.take(np.array(chosen))
        counted = count_bytes(int(bits[chosen].sum()), int(nodes[chosen].sum()), len(chosen), len(set(part.tags.tolist())), alphabet)
        assert counted == pack_graphs(part, alphabet).nbytes


def test_bytes_are_those_of_the_payload():
    """A tree 1(0,0) of tags 0 and 1 out of 4, once, counted by hand."""
    tree_sets = TreeSets([Tree(1, 2, ((0, Tree(0)), (0, Tree(0))))], [((0,), 5)], {0: 1.0, 1: 2.0})
    payload = pack_tree_sets(tree_sets, Alphabet(4), depth=1, exact=False)
    tags, degrees, count, tree, sets = 3 + 2 * 2, 9 + 11, 3, 1 + 3 + 2 * 1, 3 + 1 + 5 + 1 + 0
    assert len(payload) == -(-(tags + degrees + count + tree + sets) // 8)
    assert TreeSummary(payload, 4, 1, 1, False).nbytes() == len(payload)


@pytest.mark.parametrize("payload", [[0], [0, 0, 0, 0, 0, 0], [255], [255, 255, 255, 255], [128, 64]])
def test_bytes_that_stand_for_nothing_are_refused(payload):
    for content in (TreeSummary(np.array(payload, np.uint8), 4, 1, 2, True), PackedGraphs(np.array(payload, np.uint8), 4, 1, False)):
        with pytest.raises(ValueError, match=r"payload|tags|edge|below|bits|frequency"):
            content.check()


def test_sets_of_one_tree_are_not_read_without_end(monkeypatch):
    """An entry takes no bits where there is one tree: a few bytes may announce as many as are allowed, set after set."""
    monkeypatch.setattr(sys.modules["synth.graphs.packing"], "MOST", 1000)
    for held, sets, wrong in ((1000, 1, None), (400, 2, None), (400, 3, "sets of more than 1000 entries")):
        tree_sets = TreeSets([Tree(0, 0)], [((0,) * held, 7)] * sets, {})
        payload = pack_tree_sets(tree_sets, Alphabet(1), depth=1, exact=True)
        assert len(payload) < 20
        if wrong is None:
            assert unpack_tree_sets(payload, Alphabet(1), depth=1, exact=True).sets == tree_sets.sets
        else:
            with pytest.raises(ValueError, match=wrong):
                unpack_tree_sets(payload, Alphabet(1), depth=1, exact=True)


@settings(max_examples=200, deadline=None)
@given(st.binary(min_size=1, max_size=40), st.integers(1, 9), st.integers(1, 3), st.booleans())
def test_any_bytes_either_stand_for_something_or_are_refused(raw, tags, edges, flag):
    payload = np.frombuffer(raw, np.uint8)
    for content in (TreeSummary(payload, tags, edges, 2, flag), PackedGraphs(payload, tags, edges, flag)):
        try:
            content.check()
        except ValueError:
            continue
        content.decode()
        assert len(content.frequency()) > 0
