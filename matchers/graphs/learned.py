"""Shared parts of the methods that learn graphs of one size, node features and edges: their start, their edges, their step sizes."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from synth.base import take_all
from synth.errors import BadInput
from synth.graphs.base import GraphExamples
from synth.graphs.dense import LearnedGraphs
from synth.labels.plain import Runs
from synth.selection.graphs import per_class
from synth.set import SyntheticSet
from synth.training.fit import adam

START = 5.0  # logit of an edge of the real graphs that the set starts from; of a missing one its negative
HOT, COLD, COOLING = 1.0, 0.01, 200  # temperature at first and at last, and the steps between


def started(
    key: jax.Array, synth: SyntheticSet, examples: Any, *, method: str, budget: tuple[str, int] | None, nodes: int | None
) -> SyntheticSet:
    """The set with real graphs, cut or padded to one size, as learned graphs with class indices.

    Args:
      examples: the training graphs, as `Matcher.prepare` gets them.
      method: its name, for messages.
      budget: graphs a class, graphs in all, or bytes.
      nodes: of every graph; by default the mean of the data.

    Raises BadInput for graphs whose edges have labels or a direction, and for a budget that has no graph of every class.
    """
    if examples.alphabet.edges > 1 or examples.alphabet.directed:
        raise BadInput(f"{method} learns graphs whose edges are all alike and have no direction; --data SPEC?edges=false drops edge labels")
    examples = take_all(examples)
    v = nodes or max(2, round(float(examples.x.nodes.mean())))
    count = _count(budget, examples, v)
    features, joined = initial_graphs(key, examples, count, v)
    counts = np.full(examples.classes, count, np.int32)
    return replace(synth, x=LearnedGraphs(features, joined), y=Runs(jnp.asarray(counts), jnp.asarray(examples.sizes())))


def check_nodes(nodes: int | None) -> None:
    """Raises BadInput for fewer than two nodes."""
    if nodes is not None and nodes < 2:
        raise BadInput(f"--nodes {nodes}: give a whole number of at least 2")


def temperature(step: Int[Array, ""]) -> Float[Array, ""]:
    """tau after so many steps: from 1 down to 0.01 within 200 steps, by a constant factor a step."""
    return HOT * (COLD / HOT) ** jnp.minimum(step.astype(jnp.float32) / COOLING, 1)


def draw_edges(key: jax.Array, logits: Float[Array, "n p"], tau: Float[Array, ""]) -> Float[Array, "n p"]:
    """Draws a soft edge in (0, 1) for every pair of nodes, nearly 0 or 1 as tau falls, from the edges' logits: the binary concrete
    distribution (Maddison, Mnih and Teh, ICLR 2017)."""
    noise = jax.random.logistic(key, logits.shape, logits.dtype)
    return jax.nn.sigmoid((logits + noise) / tau.astype(logits.dtype))


def two_rates(features_lr: float, adjacency_lr: float, *, decay: int | None = None) -> optax.GradientTransformation:
    """Adam on {"x": LearnedGraphs} with a step size for the features and one for the logits of the edges, a tenth of them from step `decay`
    on, counted from 0, where there is one."""
    unit = adam(1.0)

    def update(grads, state, params):
        updates, state = unit.update(grads, state, params)
        factor, x = jnp.where(decay is not None and state.count > decay, jnp.float32(0.1), jnp.float32(1)), updates["x"]
        return {"x": LearnedGraphs(x.features * features_lr * factor, x.logits * adjacency_lr * factor)}, state

    return optax.GradientTransformation(unit.init, update)


def initial_graphs(key: jax.Array, examples: GraphExamples, count: int, v: int) -> tuple[Float[Array, "n v t"], Float[Array, "n p"]]:
    """Starts from `count` real graphs of every class, drawn from the quarter of it (at least `count`) that is closest to v nodes in size.
    They are cut to v nodes or padded with nodes without edges. Where a class has too few, graphs are drawn more than once.

    Returns:
      features f32[n v t] of the n graphs, class-major, one-hot over the t tags and 0 for padding; the logits of an edge between each of the
      p = v (v - 1) / 2 pairs of nodes (0, 1), (0, 2), ...: 5 for an edge, -5 for none.
    """
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    chosen, gaps = [], np.abs(examples.x.nodes - v)
    for c in range(examples.classes):
        members = np.flatnonzero(examples.y == c)
        near = members[np.argsort(gaps[members], kind="stable")][: max(count, len(members) // 4)]
        chosen.append(rng.choice(near, count, replace=len(near) < count))
    graphs = examples.x.take(np.concatenate(chosen))
    place = np.arange(len(graphs.tags)) - np.repeat(np.cumsum(graphs.nodes) - graphs.nodes, graphs.nodes)
    features = np.zeros((len(graphs.nodes), v, examples.alphabet.tags), np.float32)
    kept = place < v
    features[graphs.graph[kept], place[kept], graphs.tags[kept]] = 1
    adjacency = np.zeros((len(graphs.nodes), v, v), bool)
    inside = kept[graphs.senders] & kept[graphs.receivers]
    sender, receiver = graphs.senders[inside], graphs.receivers[inside]
    adjacency[graphs.graph[sender], place[sender], place[receiver]] = True
    low, high = np.triu_indices(v, 1)
    joined = adjacency[:, low, high] | adjacency[:, high, low]
    return jnp.asarray(features), jnp.asarray(np.where(joined, START, -START).astype(np.float32))


def _count(budget: tuple[str, int] | None, examples: GraphExamples, v: int) -> int:
    """Graphs of every class."""
    if budget is None:
        raise BadInput("give exactly one of --ipc, --size and --bytes (given: none)")
    count = per_class(budget, examples.classes)
    if count is None:
        graph = v * examples.alphabet.tags * 4 + (v * (v - 1) // 2 + 7) // 8
        count = (budget[1] - 8 * examples.classes) // (graph * examples.classes)
        if count < 1:
            least = (graph + 8) * examples.classes
            raise BadInput(f"--bytes {budget[1]}: one graph a class of {v} nodes needs at least {least}; give that, or fewer --nodes")
    return count
