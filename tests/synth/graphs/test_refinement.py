"""Colour refinement against unrolled trees and networkx; networks on trees and colour graphs against networks on graphs."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from condense import nets
from synth.base import Vars
from synth.graphs.base import Alphabet, Graphs, batch_of
from synth.graphs.content import colour_graph
from synth.graphs.packing import TreeSets
from synth.graphs.refinement import colour_batch, evaluations, looks, refine, share, trees
from synth.graphs.tree_batch import tree_batch, truncate
from synth.graphs.trees import Tree
from tests.support.toy_graphs import as_networkx, doubled, joined, renamed, some_graphs, to_text, unrolled

NETS = ("gin", "gcn", pytest.param("gat:heads=2", marks=pytest.mark.slow), pytest.param("sage", marks=pytest.mark.slow))


def spec(name: str, **options) -> str:
    """A small network."""
    name, colon, given = name.partition(":")
    return f"{name}:width=6" + (f",{given}" if colon else "") + "".join(f",{key}={value}" for key, value in options.items())


def tree_of(graphs: Graphs, node: int, depth: int, *, exact: bool = False) -> Tree:
    """The tree of a node by recursion, as it is defined."""
    lines = np.flatnonzero(graphs.receivers == node)
    if not depth:
        return Tree(int(graphs.tags[node]), len(lines) if exact else -1)
    below = sorted((int(graphs.labels[e]), tree_of(graphs, int(graphs.senders[e]), depth - 1, exact=exact)) for e in lines)
    return Tree(int(graphs.tags[node]), len(below), tuple(below))


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3), st.booleans(), st.booleans())
def test_nodes_share_a_colour_exactly_when_their_trees_are_equal(seed, depth, exact, directed):
    graphs = some_graphs(seed, count=3, edges=2, directed=directed, most=6)
    colours = refine(graphs, depth, degrees=exact)
    made = [tree_of(graphs, node, depth, exact=exact) for node in range(len(graphs.tags))]
    for node, colour in enumerate(colours.rounds[-1]):
        assert [made[node] == other for other in made] == (colours.rounds[-1] == colour).tolist()
    chosen = np.unique(colours.rounds[-1])
    assert trees(colours, chosen) == [made[int(colours.first[-1][colour])] for colour in chosen]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(0, 3))
def test_graphs_look_alike_exactly_when_they_hold_the_same_trees(seed, depth):
    """Small graphs, of which some are alike, and the same ones with their nodes in another order."""
    graphs = some_graphs(seed, count=8, tags=2, most=4)
    whole = joined([graphs, renamed(graphs, seed)[0]])
    found = looks(refine(whole, depth))
    assert found[:8].tolist() == found[8:].tolist() and found[0] == 0
    held = [sorted(map(repr, (tree_of(graphs, node, depth) for node in np.flatnonzero(graphs.graph == g)))) for g in range(8)]
    for g in range(8):
        assert [held[g] == other for other in held] == (found[:8] == found[g]).tolist()


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_colours_are_those_of_networkx(depth):
    graphs = some_graphs(3, count=12, tags=2, edges=2, most=7)
    with_edges = {"node_attr": "tag", "edge_attr": "label", "iterations": depth, "include_initial_labels": True}
    hashes = nx.weisfeiler_lehman_subgraph_hashes(as_networkx(graphs), **with_edges)
    theirs = [hashes[node][depth] for node in range(len(graphs.tags))]
    ours = refine(graphs, depth).rounds[-1].tolist()
    assert len(set(ours)) > 10
    assert len(set(zip(ours, theirs, strict=True))) == len(set(ours)) == len(set(theirs))


def test_colours_do_not_depend_on_the_names_of_nodes():
    graphs = some_graphs(4, count=8, edges=2)
    other, new = renamed(graphs)
    before, after = refine(graphs, 2), refine(other, 2)
    pairs = set(zip(before.rounds[-1].tolist(), after.rounds[-1][new].tolist(), strict=True))
    assert len(pairs) == len(before.first[-1]) == len(after.first[-1])
    there, here = ({to_text(tree, 2) for tree in trees(c, np.unique(c.rounds[-1]))} for c in (before, after))
    assert there == here


def star(*tags: int) -> Graphs:
    """A node of the first tag joined to nodes of the others."""
    ends = [(0, leaf) for leaf in range(1, len(tags))] + [(leaf, 0) for leaf in range(1, len(tags))]
    senders, receivers = np.array(ends, np.int32).T
    return Graphs(
        np.array([len(tags)], np.int32), np.array(tags, np.int32), senders.copy(), receivers.copy(), np.zeros(len(ends), np.int32)
    )


def test_a_root_0_with_a_leaf_10_is_not_a_root_19_with_a_leaf_0():
    """Keys written as decimals one after another once took these for each other; trees and colours do not."""
    both = [trees(c, c.rounds[-1][:1])[0] for c in (refine(star(0, 10), 1), refine(star(19, 0), 1))]
    assert both[0] != both[1]
    rows = [(0, 1), (1, 0), (2, 3), (3, 2)]
    senders, receivers = np.array(rows, np.int32).T
    pair = Graphs(np.array([2, 2], np.int32), np.array([0, 10, 19, 0], np.int32), senders.copy(), receivers.copy(), np.zeros(4, np.int32))
    assert len(set(refine(pair, 1).rounds[-1].tolist())) == 4


def test_a_hub_costs_no_more_than_its_edges():
    """A star of 3,000 leaves among 600,000 lonely nodes: to go through all nodes for every leaf takes forty times as long as no star."""
    lonely, hub = np.zeros(600_000, np.int32), star(*[0] * 3001)
    spans = []
    for edges in (slice(0, 0), slice(None)):
        ends = [np.ascontiguousarray(side[edges]) for side in (hub.senders, hub.receivers, hub.labels)]
        graphs = Graphs(np.array([len(lonely)], np.int32), lonely, *ends)
        began = time.process_time()
        refine(graphs, 3)
        spans.append(time.process_time() - began)
    assert spans[1] < 15 * spans[0]


def test_direction_loops_labels_and_isolated_nodes_count():
    """Two nodes with an edge from the first to the second, one node with a loop, one alone, all with tag 0."""
    ends = np.array([[0, 1], [2, 2]], np.int32)
    graphs = Graphs(np.array([2, 1, 1], np.int32), np.zeros(4, np.int32), ends[:, 0].copy(), ends[:, 1].copy(), np.zeros(2, np.int32))
    one, two = refine(graphs, 1), refine(graphs, 2)
    assert one.rounds[-1][0] == one.rounds[-1][3] and one.rounds[-1][1] == one.rounds[-1][2]
    assert len(set(two.rounds[-1].tolist())) == 3
    assert [to_text(tree, 2) for tree in trees(two, two.rounds[-1])] == ["0()", "0(0())", "0(0(0))", "0()"]
    twice = graphs._replace(senders=ends[[0, 0, 1], 0].copy(), receivers=ends[[0, 0, 1], 1].copy(), labels=np.array([0, 1, 0], np.int32))
    assert to_text(trees(refine(twice, 1), refine(twice, 1).rounds[-1])[1], 1) == "0(0,1~0)"


def test_shares_and_evaluations_are_counted():
    colours = refine(star(1, 0, 0, 0), 1)
    assert share(colours, top=1) == 3 / 4
    assert evaluations(colours) == (8, 4)


CASES = {  # layers, rounds, readout, direction: every kind of each with some network
    "gin": (2, 2, "sum", False),
    "gcn": (2, 3, "mean", True),
    "gat:heads=2": (2, 2, "max", True),
    "sage": (1, 2, "sum", False),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_colour_graph_gives_every_graph_its_logits_and_loss_its_gradient(name, float64):
    depth, rounds, readout, directed = CASES[name]
    graphs, y = some_graphs(5, count=7, edges=2, directed=directed), np.arange(7) % 2
    net = nets.build(spec(name, depth=depth, readout=readout), Alphabet(3, 2, directed), 2)
    params = doubled(net.init(jax.random.key(0)).params)

    @jax.jit
    @partial(jax.value_and_grad, has_aux=True)
    def loss(params, batch):
        logits = net.apply(Vars(params), batch).logits
        return -jnp.mean(jax.nn.log_softmax(logits)[np.arange(7), y]), logits

    plain, merged = (doubled(batch) for batch in (batch_of(graphs), colour_batch(refine(graphs, rounds, degrees=True))))
    ((one, logits), slope), ((two, same), other) = loss(params, plain), loss(params, merged)
    np.testing.assert_allclose(same, logits, rtol=0, atol=1e-12)
    assert abs(float(one - two)) < 1e-12
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(other), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


def embedded(net, vars, batch) -> np.ndarray:
    """Vectors of the nodes after the last layer."""
    return np.asarray(jax.jit(lambda vars, batch: net.apply(vars, batch).taps["nodes"])(vars, batch))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_the_root_of_a_tree_is_embedded_as_its_node(name, float64):
    """On the tree as a graph of its own, in which every child sends to its parent; GCN needs the degrees of the graph for that.

    The controls: trees one level too shallow, and GCN with the degrees of the tree, give something else.
    """
    graphs = some_graphs(6, count=1, edges=2, most=9)
    nodes = range(len(graphs.tags))
    assert graphs.degrees().max() > 2
    net = nets.build(spec(name), Alphabet(3, 2), 2)
    vars = doubled(net.init(jax.random.key(1)))
    there = embedded(net, vars, doubled(batch_of(graphs)))[: len(nodes)]
    deep, flat = ([unrolled(graphs, node, depth) for node in nodes] for depth in (2, 1))
    roots = np.cumsum([0, *(len(tree.tags) for tree in deep)])[:-1]
    trees_ = doubled(batch_of(joined(deep)))
    degrees = np.concatenate([graphs.degrees()[order(graphs, node)] for node in nodes]).astype(np.float64)
    known = trees_._replace(degrees=(jnp.asarray(np.pad(degrees, (0, len(trees_.tags) - len(degrees)))),))
    np.testing.assert_allclose(embedded(net, vars, known)[roots], there, rtol=0, atol=1e-12)
    if name == "gcn":
        assert np.abs(embedded(net, vars, trees_)[roots] - there).max() > 1e-3
    shallow = embedded(net, vars, doubled(batch_of(joined(flat))))[np.cumsum([0, *(len(tree.tags) for tree in flat)])[:-1]]
    assert np.abs(shallow - there).max() > 1e-3


def order(graphs: Graphs, node: int) -> list[int]:
    """The nodes of the graph that those of `unrolled(graphs, node, 2)` stand for."""
    first = graphs.senders[graphs.receivers == node].tolist()
    return [node, *first, *(int(end) for middle in first for end in graphs.senders[graphs.receivers == middle])]


@pytest.mark.slow
def test_mean_degrees_of_leaves_are_near_but_not_exact(float64):
    graphs = some_graphs(6, count=4, most=9)
    net = nets.build(spec("gcn"), Alphabet(3), 2)
    vars, apply = doubled(net.init(jax.random.key(1))), jax.jit(net.apply)
    whole, mean = (apply(vars, doubled(batch)).logits for batch in (batch_of(graphs), colour_batch(refine(graphs, 2))))
    assert 1e-6 < np.abs(mean - whole).max() < 1e-2


@pytest.mark.parametrize("readout", [pytest.param("sum", marks=pytest.mark.slow), "mean"])
def test_all_trees_of_a_graph_are_the_graph(readout, float64):
    """The multiset of its trees as one set of trees. GCN too reads it as the graph, where leaves have their degree or lie deeper than
    the network looks; where they have neither it does not."""
    graphs = some_graphs(8, count=1, edges=2, most=9)
    net = nets.build(spec("gcn", readout=readout), Alphabet(3, 2), 2)
    vars, apply = doubled(net.init(jax.random.key(2))), jax.jit(net.apply)
    there = apply(vars, doubled(batch_of(graphs))).logits
    for rounds, exact, right in ((2, True, True), (3, False, True), (2, False, False)):
        colours = refine(graphs, rounds, degrees=exact)
        kinds = trees(colours, np.arange(len(colours.first[-1])))
        ordered = sorted(kinds)
        items = tuple(sorted(ordered.index(kinds[colour]) for colour in colours.rounds[-1]))
        batch = doubled(tree_batch(TreeSets(ordered, [(items, 1)], {}), depth=2))
        assert (np.abs(apply(vars, batch).logits - there).max() < 1e-12) == right


def test_a_tree_cut_short_is_the_tree_of_fewer_rounds_and_knows_its_degrees():
    graphs = some_graphs(9, count=4, edges=2)
    for exact in (False, True):
        for node in range(len(graphs.tags)):
            assert truncate(tree_of(graphs, node, 3, exact=exact), 2) == tree_of(graphs, node, 2, exact=True)


def test_a_colour_graph_as_content_is_the_batch_it_was_made_of():
    batch = colour_batch(refine(some_graphs(10, edges=2), 3))
    content = colour_graph(batch, Alphabet(3, 2), exact=False)
    content.check()
    for a, b in zip(jax.tree.leaves(batch), jax.tree.leaves(content.decode()), strict=True):
        np.testing.assert_array_equal(a, b)
    assert content.nbytes() == sum(np.asarray(leaf).nbytes for leaf in content[:12])
