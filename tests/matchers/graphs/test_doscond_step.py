"""One step of DosCond as it is wired, by hand, and which real graphs it starts from."""

from dataclasses import replace
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.load import load_data
from matchers.graphs.doscond import DosCondState, doscond
from matchers.graphs.learned import initial_graphs
from synth.base import Vars, fresh, take_all
from synth.graphs.base import Alphabet, GraphBatch, GraphExamples, Graphs, batch_of
from synth.graphs.dense import LearnedGraphs, dense_batch
from tests.support.toy_graphs import empty

KEY, V, IPC = jax.random.key(6), 4, 2


@cache
def ready():
    """(method, set, real graphs of every class, network): every logit is off its start, so that edges are likely and unlikely."""
    data = load_data("toy_graphs?edges=false")
    net = nets.build("gcn:width=3,depth=1", data.image, 2)
    matcher = doscond(("ipc", IPC), net, nodes=V, sparsity=0.7)
    synth = matcher.prepare(KEY, empty(data), data.train)
    rng = np.random.default_rng(0)
    learned = LearnedGraphs(*(jnp.asarray(rng.normal(size=part.shape), jnp.float32) for part in (synth.x.features, synth.x.logits)))
    rows = [data.train.take(np.flatnonzero(data.train.y == c)[:3]).x for c in range(2)]
    room = {"nodes": max(len(x.tags) for x in rows), "edges": max(len(x.senders) for x in rows), "count": 3}
    real = tuple(batch_of(x, **room) for x in rows)
    return matcher, replace(synth, x=learned), real, net


@cache
def step():
    """(key, number of the step, set, graphs) -> what a step gives, where three tenths of the pairs were joined at the start."""
    matcher = ready()[0]

    def at_step(key, at, synth, real):
        state = matcher.init(key, synth)
        return matcher.step(key, state._replace(aux=DosCondState(at, jnp.float32(0.3))), synth, real)

    return jax.jit(at_step)


@partial(jax.jit, static_argnums=0)
def slope(net, theta: Vars, x: GraphBatch, label):
    def entropy(params):
        logits = net.apply(theta._replace(params=params), x, train=True).logits
        return jnp.sum((jax.scipy.special.logsumexp(logits, 1) - logits[:, label]) * x.real) / jnp.sum(x.real)

    return jax.grad(entropy)(theta.params)


def flat(tree) -> np.ndarray:
    return np.concatenate([np.asarray(leaf, np.float64).ravel() for leaf in jax.tree.leaves(tree)])


def by_hand(key, tau: float) -> float:
    """sum_c || g(s_c) - g(x_c) ||^2 / || g(x_c) ||^2 + 0.7 max(0, mean sigma(Theta) - 0.3) at the edges and the network of a step's key."""
    _, synth, real, net = ready()
    k_net, k_edges = jax.random.split(jax.random.split(key)[0])
    theta, logits = jax.jit(lambda key: fresh(key, net))(k_net), np.asarray(synth.x.logits, np.float64)
    u = np.asarray(jax.random.logistic(k_edges, logits.shape), np.float64)
    joined = jnp.asarray(1 / (1 + np.exp(-(logits + u) / tau)), jnp.float32)
    total = 0.7 * max(0, (1 / (1 + np.exp(-logits))).mean() - 0.3)
    for c in range(2):
        own = slice(IPC * c, IPC * (c + 1))
        fake = dense_batch(synth.x.features[own], joined[own])
        g, h = (flat(slope(net, theta, x, jnp.int32(c))) for x in (fake, real[c]))
        total += ((g - h) ** 2).sum() / (h**2).sum()
    return total


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("at", "tau"), [pytest.param(0, 1.0, marks=SLOW), pytest.param(100, 0.1, marks=SLOW), (200, 0.01), pytest.param(500, 0.01, marks=SLOW)]
)
def test_the_loss_of_a_step_by_hand(at, tau):
    """Under two keys: half way the temperature has fallen to a tenth, and from step 200 on it stays at a hundredth."""
    _, synth, real, _ = ready()
    found = [float(step()(key, jnp.int32(at), synth, real)[2]["loss"]) for key in (KEY, jax.random.key(7))]
    np.testing.assert_allclose(found, [by_hand(key, tau) for key in (KEY, jax.random.key(7))], rtol=2e-4)
    assert abs(found[0] - found[1]) > 1e-3 * found[0]


def test_a_step_counts_itself_and_remembers_how_dense_the_start_was():
    matcher, synth, real, _ = ready()
    state = step()(KEY, jnp.int32(100), synth, real)[1].aux
    assert int(state.step) == 101 and float(state.dense) == np.float32(0.3)
    np.testing.assert_allclose(matcher.init(KEY, synth).aux.dense, (np.asarray(synth.x.logits) > 0).mean(), rtol=1e-6)


def paths(sizes: list[int], y: list[int]) -> GraphExamples:
    """A path of every size whose nodes all have the number of the graph as their tag."""
    nodes, first = np.array(sizes, np.int32), np.cumsum([0, *sizes])
    low = np.concatenate([at + np.arange(n - 1) for at, n in zip(first[:-1], sizes, strict=True)]).astype(np.int32)
    ends = np.concatenate([low, low + 1]), np.concatenate([low + 1, low])
    tags = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    return GraphExamples(Graphs(nodes, tags, *ends, np.zeros(2 * len(low), np.int32)), np.array(y, np.int32), 2, Alphabet(len(sizes)))


def test_the_start_is_drawn_from_the_quarter_of_a_class_that_is_nearest_in_size():
    """Sixteen paths a class of 2 to 17 nodes, shuffled, and graphs of 9 nodes wanted: those of 8, 9, 10 and either 7 or 11."""
    order = np.random.default_rng(1).permutation(32)
    sizes, y = np.tile(np.arange(2, 18), 2)[order].tolist(), np.repeat([0, 1], 16)[order].tolist()
    examples, seen, draws = paths(sizes, y), [set(), set()], set()
    for key in jax.random.split(KEY, 20):
        features, _ = initial_graphs(key, examples, 2, 9)
        chosen = np.asarray(features).sum(1).argmax(1)
        assert [y[g] for g in chosen] == [0, 0, 1, 1] and len(set(chosen.tolist())) == 4
        draws.add(tuple(chosen.tolist()))
        for c in range(2):
            seen[c] |= {sizes[g] for g in chosen if y[g] == c}
    assert all({8, 9, 10} <= found and len(found) == 4 and found <= {7, 8, 9, 10, 11} for found in seen)
    assert len(draws) > 10 and any(sizes[a] != sizes[b] for a, _, b, _ in draws)
    many, _ = initial_graphs(KEY, examples, 7, 9)  # more than a quarter
    assert {sizes[g] for g in np.asarray(many).sum(1).argmax(1)} <= set(range(5, 14))


def test_graphs_are_as_large_as_those_of_the_data_on_average():
    data, (_, _, _, net) = load_data("toy_graphs?edges=false"), ready()
    synth = doscond(("ipc", 1), net).prepare(KEY, empty(data), data.train)
    assert synth.x.features.shape[1] == round(float(take_all(data.train).x.nodes.mean()))
