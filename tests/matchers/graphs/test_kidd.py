"""KiDD: its kernel against propagation written out, the loss and its gradient in float64, and a run."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

from condense.data.load import load_data
from matchers.base import conclude
from matchers.graphs.kidd import CLOSEST, MORE, in_unit, kidd, lite_gntk, node_rows, unlikeness
from matchers.graphs.learned import draw_edges, two_rates
from synth.errors import BadInput
from synth.graphs.base import batch_of
from synth.graphs.dense import DenseGraphs, LearnedGraphs, dense_batch
from tests.support.toy_data import central_differences
from tests.support.toy_graphs import doubled, empty, some_graphs

TAGS = 3


def dense(graphs):
    """The adjacency with loops and the one-hot tags of every graph."""
    start = np.cumsum([0, *graphs.nodes])
    for a, b in pairwise(start):
        inside = (graphs.senders >= a) & (graphs.senders < b)
        matrix = np.eye(b - a)
        np.add.at(matrix, (graphs.receivers[inside] - a, graphs.senders[inside] - a), 1)
        yield matrix, np.eye(TAGS)[graphs.tags[a:b]]


def relu_moments(cos):
    """E[relu(u) relu(v)] and E[1(u > 0) 1(v > 0)] of normal u and v with this correlation, by an integral over the angle of a point of the
    plane in which both are directions."""
    apart = np.arccos(np.clip(cos, -1, 1))
    if apart >= np.pi - 1e-12:
        return 0.0, 0.0
    first = quad(lambda angle: np.cos(angle) * np.cos(angle - apart), apart - np.pi / 2, np.pi / 2)[0] / np.pi
    return first, (np.pi - apart) / (2 * np.pi)


def tangent(a, b):
    """The tangent kernel of f = sqrt(2 / m) w2 relu(w1 x) as m grows, for a pair of rows, with what is added and cut."""
    dot, na, nb = (x @ y + MORE for x, y in ((a, b), (a, a), (b, b)))
    length = np.sqrt(na * nb)
    first, zero = relu_moments(np.clip(dot / length, -CLOSEST, CLOSEST))
    return dot * 2 * zero + length * 2 * first


def written_out(one, other, scale, layers):
    """The kernel of two graphs, the matrices of node pairs propagated one layer at a time."""
    (p, x), (q, y) = one, other
    if scale == "degree":
        p, q = p / p.sum(1, keepdims=True), q / q.sum(1, keepdims=True)
    matrix = np.array([[tangent(u, v) for v in q @ y] for u in p @ x])
    for _ in range(layers):
        matrix = p @ matrix @ q.T
    return matrix.mean()


@pytest.mark.parametrize(("scale", "layers"), [("uniform", 0), ("uniform", 2), ("degree", 3)])
def test_the_kernel_is_that_of_node_pairs_propagated_layer_by_layer(float64, scale, layers):
    graphs, others = some_graphs(1, count=4, most=5), some_graphs(2, count=3, most=6)
    wanted = [[written_out(a, b, scale, layers) for b in dense(others)] for a in dense(graphs)]

    def rows(graphs, **room):
        batch = doubled(batch_of(graphs, **room))
        return node_rows(batch, jax.nn.one_hot(batch.tags, TAGS, dtype=jnp.float64), scale=scale, layers=layers)

    found = lite_gntk(rows(graphs), rows(others, nodes=40, edges=60, count=5))
    np.testing.assert_allclose(found[:, :3], wanted, rtol=1e-7)
    assert (np.asarray(found)[:, 3:] == 0).all(), "padding counts nothing"


def test_graphs_are_unlike_where_their_kernel_is_a_diagonal():
    assert unlikeness(jnp.diag(jnp.float32([3, 5]))) == 0
    np.testing.assert_allclose(unlikeness(jnp.float32([[4, 3], [3, 9]])), np.sqrt(2) * 0.5, rtol=1e-6)


def prepared(budget=("ipc", 2), **options):
    data = load_data("toy_graphs?edges=false")
    matcher = kidd(budget, **({"nodes": 4, "batch": 3} | options))
    rows = [data.train.take(np.flatnonzero(data.train.y == c)[:3]).x for c in range(2)]
    room = {"nodes": max(len(x.tags) for x in rows), "edges": max(len(x.senders) for x in rows), "count": 3}
    return data, matcher, matcher.prepare(jax.random.key(6), empty(data), data.train), tuple(batch_of(x, **room) for x in rows)


def test_a_step_is_ridge_regression_on_the_kernel_by_hand():
    """The edges and members that the step draws are drawn again here; regression, cross entropy and the share of classes by numpy."""
    _, matcher, synth, real = prepared(layers=1, reg=1e-3, orthogonal=0.5, together=3)
    key = jax.random.key(9)
    made = jax.jit(matcher.step)(key, matcher.init(key, synth), synth, real)[2]
    k_edges, k_members = jax.random.split(jax.random.split(key)[0])
    chosen = np.asarray(jax.random.permutation(k_members, 4)[:3])
    soft = dense_batch(synth.x.features[chosen], draw_edges(k_edges, synth.x.logits[chosen], jnp.float32(1)))
    fake = node_rows(soft, soft.tags, scale="uniform", layers=1)
    within = np.asarray(lite_gntk(fake, fake), np.float64)
    y = np.eye(2)[np.repeat([0, 1], 2)[chosen]]
    alpha = np.linalg.solve(within + 1e-3 * np.trace(within) / 3 * np.eye(3), y)
    sizes, entropy, right = np.asarray(synth.y.sizes), 0.0, 0.0
    for label, batch in enumerate(real):
        tags = jax.nn.one_hot(batch.tags, soft.tags.shape[1], dtype=jnp.float32)
        scores = np.asarray(lite_gntk(node_rows(batch, tags, scale="uniform", layers=1), fake), np.float64) @ alpha
        share = sizes[label] / sizes.sum()
        entropy += share * np.mean(np.log(np.exp(scores).sum(1)) - scores[:, label])
        right += share * np.mean(scores.argmax(1) == label)
    root = np.sqrt(np.diag(within))
    loss = entropy + 0.5 * np.linalg.norm(within / np.outer(root, root) - np.eye(3))
    np.testing.assert_allclose([made["entropy"], made["head_accuracy"], made["loss"]], [entropy, right, loss], rtol=2e-4)


def test_the_gradient_is_that_of_finite_differences(float64):
    graphs = doubled(batch_of(some_graphs(3, count=3, most=4)))
    real = node_rows(graphs, jax.nn.one_hot(graphs.tags, TAGS, dtype=jnp.float64), scale="degree", layers=2)
    rng = np.random.default_rng(0)
    features, joined = rng.uniform(0.1, 0.9, (2, 3, TAGS)), rng.uniform(0.2, 0.8, (2, 3))

    @jax.jit
    def value(features, joined):
        batch = dense_batch(features, joined)
        fake = node_rows(batch, batch.tags, scale="degree", layers=2)
        return jnp.sum(jnp.sin(lite_gntk(real, fake))) + unlikeness(lite_gntk(fake, fake))

    slopes = jax.grad(value, (0, 1))(jnp.asarray(features), jnp.asarray(joined))
    np.testing.assert_allclose(slopes[0], central_differences(lambda x: value(x, joined), features), rtol=1e-5, atol=1e-8)
    np.testing.assert_allclose(slopes[1], central_differences(lambda a: value(features, a), joined), rtol=1e-5, atol=1e-8)


def test_features_stay_in_the_unit_interval():
    tx, params = in_unit(two_rates(0.3, 2.0)), {"x": LearnedGraphs(jnp.float32([[[0.9, 0.1]]]), jnp.ones((1, 1)))}
    state = tx.init(params)
    updates, _ = tx.update({"x": LearnedGraphs(jnp.float32([[[-1, 1]]]), jnp.ones((1, 1)))}, state, params)
    np.testing.assert_allclose(params["x"].features + updates["x"].features, [[[1, 0]]], atol=1e-6)
    np.testing.assert_allclose(updates["x"].logits, -2, rtol=1e-5)


@pytest.mark.slow
def test_steps_lower_the_loss_and_a_run_ends_in_hard_graphs():
    _, matcher, synth, real = prepared(features_lr=0.05, adjacency_lr=0.5, layers=2)
    step, state, losses = jax.jit(matcher.step), matcher.init(jax.random.key(0), synth), []
    for at in range(60):
        synth, state, metrics = step(jax.random.fold_in(jax.random.key(1), at), state, synth, real)
        losses.append(float(metrics["loss"]))
    assert np.mean(losses[-10:]) < np.mean(losses[:10]) - 0.1
    done = conclude(jax.random.key(0), matcher, (), synth)
    assert isinstance(done.x, DenseGraphs) and done.x.features.min() >= 0 and done.x.features.max() <= 1
    done.x.check()
    _, matcher, synth, real = prepared(features_lr=0.0)
    moved = jax.jit(matcher.step)(jax.random.key(0), matcher.init(jax.random.key(0), synth), synth, real)[0]
    np.testing.assert_array_equal(moved.x.features, synth.x.features)
    assert (moved.x.logits != synth.x.logits).any()


def test_what_cannot_be_learned_is_refused():
    with pytest.raises(BadInput, match="nothing would be learned"):
        kidd(("ipc", 1), adjacency_lr=0.0, features_lr=0.0)
    with pytest.raises(BadInput, match="--nodes 1"):
        kidd(("ipc", 1), nodes=1)
    labelled = load_data("toy_graphs")
    with pytest.raises(BadInput, match="kidd learns graphs whose edges are all alike"):
        kidd(("ipc", 1)).prepare(jax.random.key(0), empty(labelled), labelled.train)
