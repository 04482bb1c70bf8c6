"""DosCond: the relaxed adjacency, the distance of gradients, the start and the end of a run."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.load import load_data
from condense.engine.feeds import graphs_per_class
from matchers.base import conclude
from matchers.graphs.doscond import doscond, gap, gradient
from matchers.graphs.learned import draw_edges, initial_graphs, two_rates
from synth.base import fresh, take_all
from synth.errors import BadInput
from synth.graphs.base import Alphabet, GraphExamples, Graphs, batch_of
from synth.graphs.dense import DenseGraphs, LearnedGraphs, dense_batch
from tests.support.toy_data import central_differences
from tests.support.toy_graphs import doubled, empty, joined, some_examples, some_graphs

NET = "gcn:width=5,depth=1"


@pytest.mark.slow
def test_edges_are_soft_and_harden_as_the_temperature_falls():
    logits = jax.random.normal(jax.random.key(0), (4, 10))
    warm, cold = (draw_edges(jax.random.key(1), logits, jnp.float32(tau)) for tau in (1, 0.01))
    assert ((warm > 0) & (warm < 1)).all() and ((warm > 0.05) & (warm < 0.95)).mean() > 0.5
    assert ((cold < 1e-3) | (cold > 1 - 1e-3)).mean() > 0.9 and ((cold > 0.5) == (warm > 0.5)).all()
    many = draw_edges(jax.random.key(2), jnp.full((20000, 1), 0.7), jnp.float32(0.01))
    assert abs(float((many > 0.5).mean()) - float(jax.nn.sigmoid(0.7))) < 0.01  # an edge is there with probability sigma(theta)


@pytest.mark.slow
def test_a_dense_graph_is_symmetric_without_loops_and_the_graph_it_was():
    """The path 0 - 1 - 2 with soft edges 0.3 and 0.8, and as a hard graph the logits of the same graph as a table."""
    features = jnp.eye(3)[None]
    batch = dense_batch(features, jnp.array([[0.3, 0.0, 0.8]]))
    adjacency = np.zeros((3, 3))
    adjacency[np.asarray(batch.hops[0].receivers), np.asarray(batch.hops[0].senders)] = np.asarray(batch.hops[0].counts)
    np.testing.assert_allclose(adjacency, [[0, 0.3, 0], [0.3, 0, 0.8], [0, 0.8, 0]], atol=1e-7)
    np.testing.assert_allclose(batch.degrees[0], [0.3, 1.1, 0.8], atol=1e-6)
    net = nets.build(NET, Alphabet(3), 2)
    vars, apply = fresh(jax.random.key(0), net), jax.jit(net.apply)
    ends = np.array([[0, 1], [1, 0], [1, 2], [2, 1]], np.int32)
    table = Graphs(np.array([3], np.int32), np.arange(3, dtype=np.int32), ends[:, 0].copy(), ends[:, 1].copy(), np.zeros(4, np.int32))
    hard = apply(vars, dense_batch(features, jnp.array([[1.0, 0.0, 1.0]]))).logits
    np.testing.assert_allclose(hard, apply(vars, batch_of(table)).logits, atol=1e-6)


def test_the_gap_is_zero_for_equal_gradients_and_one_for_none():
    examples = some_examples(1, count=4)
    net = nets.build(NET, Alphabet(3), 2)
    theta = fresh(jax.random.key(0), net)
    slopes = jax.jit(lambda theta, batch: gradient(net, theta, batch, 1))
    slope = slopes(theta, batch_of(examples.x))
    assert gap(slope, slope) == 0 and abs(float(gap(jax.tree.map(jnp.zeros_like, slope), slope)) - 1) < 1e-6
    filled = slopes(theta, batch_of(examples.x, nodes=60, edges=90, count=9))  # padding counts nothing
    for a, b in zip(jax.tree.leaves(slope), jax.tree.leaves(filled), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_the_loss_is_zero_for_the_real_graphs_themselves():
    data = load_data("toy_graphs?edges=false")
    v = int(np.bincount(take_all(data.train).x.nodes).argmax())
    index = np.concatenate([np.flatnonzero((data.train.y == c) & (take_all(data.train).x.nodes == v))[:3] for c in range(2)])
    same, matcher = data.train.take(index), doscond(("ipc", 3), nets.build(NET, data.image, 2), nodes=v)
    synth = matcher.prepare(jax.random.key(0), empty(data), same)
    hard = replace(synth, x=LearnedGraphs(synth.x.features, 1e4 * synth.x.logits))
    edges = max(int((same.x.graph[same.x.receivers] // 3 == c).sum()) for c in range(2))
    rows = [batch_of(same.take(np.arange(3) + 3 * c).x, nodes=3 * v, edges=edges, count=3) for c in range(2)]
    real = tuple(rows)
    step = jax.jit(lambda synth: matcher.step(jax.random.key(1), matcher.init(jax.random.key(0), synth), synth, real)[2]["loss"])
    other = replace(hard, x=LearnedGraphs(jnp.roll(hard.x.features, 1, 2), hard.x.logits))
    assert float(step(hard)) < 1e-9 < 1e-2 < float(step(other))


def test_the_gradient_of_the_gap_is_that_of_finite_differences(float64):
    net = nets.build("gcn:width=3,depth=1", Alphabet(2), 2)
    theta = doubled(net.init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    target = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(size=leaf.shape)), theta.params)
    features, joined = rng.normal(size=(1, 3, 2)), rng.uniform(0.2, 0.8, (1, 3))

    @jax.jit
    def loss(features, joined):
        return gap(gradient(net, theta, dense_batch(features, joined), 0), target)

    slopes = jax.grad(loss, (0, 1))(jnp.asarray(features), jnp.asarray(joined))
    np.testing.assert_allclose(slopes[0], central_differences(lambda x: loss(x, joined), features), rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(slopes[1], central_differences(lambda a: loss(features, a), joined), rtol=1e-5, atol=1e-9)


def test_the_start_is_real_graphs():
    examples = some_examples(2, count=30, most=6)
    features, logits = initial_graphs(jax.random.key(0), examples, 3, 4)
    assert features.shape == (6, 4, 3) and logits.shape == (6, 6) and set(np.abs(np.asarray(logits)).ravel()) == {5.0}
    content = LearnedGraphs(features, logits).decode()
    degrees = [sorted(row) for row in np.asarray(content.degrees[0]).reshape(6, 4)]
    start = np.cumsum(examples.x.nodes) - examples.x.nodes
    for c, row in zip([0, 0, 0, 1, 1, 1], range(6), strict=True):
        same = []
        for g in np.flatnonzero((examples.y == c) & (examples.x.nodes <= 4)):
            own = examples.x.degrees()[start[g] : start[g] + examples.x.nodes[g]]
            same.append(sorted([*own, *[0] * (4 - len(own))]) == degrees[row])
        assert any(same) or examples.x.nodes[examples.y == c].max() > 4


def test_two_rates_and_their_decay():
    tx = two_rates(0.5, 2.0, decay=1)
    params = {"x": LearnedGraphs(jnp.ones((1, 2, 1)), jnp.ones((1, 1)))}
    state, moves = tx.init(params), []
    for _ in range(2):
        updates, state = tx.update(params, state, params)
        moves.append((float(updates["x"].features[0, 0, 0]), float(updates["x"].logits[0, 0])))
    np.testing.assert_allclose(moves, [[-0.5, -2.0], [-0.05, -0.2]], rtol=1e-4)  # 1 - 0.999 in float32


def test_a_run_ends_in_hard_graphs_of_the_budget():
    data = load_data("toy_graphs?edges=false")
    net = nets.build(NET, data.image, 2)
    matcher = doscond(("bytes", 2 * 8 + 2 * 2 * (5 * 3 * 4 + 2)), net, nodes=5)
    synth = matcher.prepare(jax.random.key(0), empty(data), data.train)
    assert synth.x.features.shape == (4, 5, 3)
    done = conclude(jax.random.key(0), matcher, (), synth)
    assert isinstance(done.x, DenseGraphs) and done.x.nbytes() + done.y.nbytes() == 264
    assert synth.x.nbytes() == done.x.nbytes() and synth.x.n == done.x.n == len(synth) == 4
    done.x.check()
    np.testing.assert_array_equal(done.x.edges(), np.asarray(synth.x.logits) > 0)
    for a, b in zip(jax.tree.leaves(done.x.decode()), jax.tree.leaves(synth.x.decode()), strict=True):
        np.testing.assert_array_equal(a, b)
    for budget, options, source, message in (
        (("bytes", 100), {"nodes": 5}, data, "--bytes 100: one graph a class of 5 nodes needs at least 140"),
        (None, {}, data, "give exactly one of --ipc, --size and --bytes"),
        (("ipc", 1), {}, load_data("toy_graphs"), "edges=false drops edge labels"),
    ):
        with pytest.raises(BadInput, match=message):
            doscond(budget, net, **options).prepare(jax.random.key(0), empty(source), source.train)


def test_the_feed_is_of_one_size_and_a_function_of_seed_and_step():
    examples = load_data("toy_graphs").train
    feed = graphs_per_class(16, examples, seed=3)
    one, two = feed(0), feed(1)
    assert [leaf.shape for leaf in jax.tree.leaves(one)] == [leaf.shape for leaf in jax.tree.leaves(two)]
    again, other = (graphs_per_class(16, examples, seed=seed)(0) for seed in (3, 4))
    assert len(one) == 2 and all(batch.real.sum() >= 12 for batch in one)
    for c in range(2):
        assert not np.array_equal(one[c].tags, two[c].tags) and np.array_equal(one[c].tags, again[c].tags)
        assert not np.array_equal(one[c].tags, other[c].tags)


def drawn(*pairs: tuple[int, list[tuple[int, int]]]) -> Graphs:
    """Graphs from their numbers of nodes and their edges."""
    first = np.cumsum([0, *(n for n, _ in pairs)])
    lines = np.array([(at + a, at + b) for at, (_, edges) in zip(first[:-1], pairs, strict=True) for a, b in edges], np.int32)
    ends = np.concatenate([lines, lines[:, ::-1]]).T
    nodes = np.array([n for n, _ in pairs], np.int32)
    return Graphs(nodes, np.zeros(first[-1], np.int32), ends[0].copy(), ends[1].copy(), np.zeros(2 * len(lines), np.int32))


def unlike_classes(kind: str) -> GraphExamples:
    """Small and large graphs in a class each; or long paths and cliques, in a class each (`apart`) or both in both (`mixed`)."""
    if kind == "sizes":
        tables = [some_graphs(1, count=40, most=9), some_graphs(2, count=60, most=25)]
        return GraphExamples(joined(tables), np.repeat([0, 1], [40, 60]).astype(np.int32), 2, Alphabet(3))
    path, clique = (50, [(a, a + 1) for a in range(49)]), (10, [(a, b) for b in range(10) for a in range(b)])
    y = np.repeat([0, 1], 40) if kind == "apart" else np.arange(80) // 2 % 2
    graphs = drawn(*[path, clique] * 40) if kind == "mixed" else drawn(*[path] * 40, *[clique] * 40)
    return GraphExamples(graphs, y.astype(np.int32), 2, Alphabet(1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ("sizes", "apart", "mixed"))
@pytest.mark.parametrize("n", (16, 256))
def test_the_feed_pads_little(n, kind):
    """At least 1 / 1.3 of all nodes, of all edges and of all graphs are real in every class."""
    examples, steps = unlike_classes(kind), 60
    feed = graphs_per_class(n, examples, seed=0)
    for c in range(2):
        computed, real = np.zeros(3), np.zeros(3)
        for step in range(steps):
            batch = feed(step)[c]
            parts = batch.times, batch.hops[0].counts, batch.real
            computed += [part.size for part in parts]
            real += [float(part.sum()) for part in parts]
        assert (computed <= 1.3 * real).all(), (c, computed / real)
        assert real[2] >= 0.8 * steps * n


@pytest.mark.parametrize("kind", ("sizes", "mixed"))
def test_every_graph_is_drawn(kind):
    """Told apart by tags of their own."""
    examples = unlike_classes(kind)
    examples = examples._replace(x=examples.x._replace(tags=examples.x.graph))
    feed, seen = graphs_per_class(16, examples, seed=0), set()
    for step in range(60):
        for batch in feed(step):
            seen |= set(np.asarray(batch.tags)[np.asarray(batch.times) > 0].tolist())
    assert seen == set(range(len(examples.y)))


def test_a_learned_graph_has_the_edges_that_it_joins():
    """Its decoded batch against the dense one that training saw: the same logits from at most 1.3 times the edges that there are."""
    rng = np.random.default_rng(0)
    features, joins = jnp.asarray(rng.normal(size=(5, 9, 3)), jnp.float32), rng.random((5, 36)) < 0.2
    content = DenseGraphs(features, jnp.asarray(np.packbits(joins, axis=1)))
    batch, dense = content.decode(), dense_batch(features, jnp.asarray(joins, jnp.float32))
    hop = batch.hops[0]
    assert 2 * joins.sum() <= len(hop.senders) <= 1.3 * 2 * joins.sum() < len(dense.hops[0].senders)
    assert len(batch.tags) == 45 and len(batch.real) == 5 and float(hop.counts.sum()) == 2 * joins.sum()
    net = nets.build("gcn:width=4", Alphabet(3), 2)
    vars, apply = fresh(jax.random.key(0), net), jax.jit(net.apply)
    np.testing.assert_allclose(apply(vars, batch).logits, apply(vars, dense).logits, atol=1e-6)
    none = DenseGraphs(features, jnp.zeros((5, 5), jnp.uint8)).decode()  # graphs without an edge
    assert not np.asarray(none.degrees[0]).any() and len(none.tags) == 45
