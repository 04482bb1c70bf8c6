"""DosCond: one-step gradient matching with learned graphs (Jin et al., KDD 2022)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from matchers.base import GraphsPerClass, Matcher, descend
from synth.base import Net, Vars, fresh, take_all
from synth.errors import BadInput
from synth.graphs.base import GraphBatch, GraphExamples
from synth.graphs.dense import LearnedGraphs, dense_batch
from synth.labels.plain import Runs
from synth.options import AtLeastTwo, NonNegative, Positive
from synth.selection.graphs import per_class
from synth.training.fit import adam

START = 5.0  # logit of an edge of the real graphs that the set starts from; of a missing one its negative
HOT, COLD, COOLING = 1.0, 0.01, 200  # temperature at first and at last, and the steps between


class DosCondState(NamedTuple):
    """Steps done, and the share of node pairs that were joined at the start."""

    step: Int[Array, ""]
    dense: Float[Array, ""]


FALL = 0.4  # of the steps, after which both step sizes are a tenth: 400 of the usual 1,000


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """The option `decay` for a run of so many steps: 0.4 of them, rounded, so that the step sizes fall at the same share of every run.
    The rest is not read."""
    return {"decay": max(1, round(FALL * steps))}


def doscond(
    budget: tuple[str, int] | None,
    net: Net,
    *,
    nodes: Annotated[int, AtLeastTwo] | None = None,
    adjacency_lr: Annotated[float, Positive] = 1.0,
    features_lr: Annotated[float, Positive] = 0.01,
    batch: int = 256,
    sparsity: Annotated[float, NonNegative] = 0.1,
    decay: int = 400,
) -> Matcher:
    """Matches the gradients that real and learned graphs of every class give a fresh network, once a network.

    L = sum_c || g(s_c) - g(x_c) ||^2 / || g(x_c) ||^2 + beta relu(mean sigma(Theta) - rho), g the gradient of the mean cross entropy at
    a random initialisation, edges drawn as sigma((Theta + log u - log(1 - u)) / tau), u uniform, tau falling from 1 to 0.01 within 200
    steps (paper, sections 3.2 and 3.3, with the distance of the released code). At the end an edge is there where Theta > 0.

    Args:
      budget: graphs a class, graphs in all, or bytes.
      net: the family of networks, drawn anew each step.
      nodes: of every learned graph (>= 2); by default the mean of the data.
      adjacency_lr: step size of Theta (> 0), by Adam.
      features_lr: step size of the node features (> 0), by Adam.
      batch: real graphs a class and step.
      sparsity: beta, weight of the term that keeps graphs as sparse as they were (>= 0).
      decay: step from which both step sizes are a tenth; where none is given, 0.4 of a run's steps.
    """

    def prepare(key, synth, examples):
        if examples.alphabet.edges > 1 or examples.alphabet.directed:
            raise BadInput(
                "doscond learns graphs whose edges are all alike and have no direction; --data SPEC?edges=false drops edge labels"
            )
        examples = take_all(examples)
        v = nodes or max(2, round(float(examples.x.nodes.mean())))
        count = _count(budget, examples, v)
        features, joined = initial_graphs(key, examples, count, v)
        counts = np.full(examples.classes, count, np.int32)
        return replace(synth, x=LearnedGraphs(features, joined), y=Runs(jnp.asarray(counts), jnp.asarray(examples.sizes())))

    def init(key, synth):
        return DosCondState(jnp.int32(0), jnp.mean((synth.x.logits > 0).astype(jnp.float32)))

    def loss(key, synth, course, real):
        k_net, k_edges = jax.random.split(key)
        theta, classes = fresh(k_net, net), len(synth.y.counts)
        tau = HOT * (COLD / HOT) ** jnp.minimum(course.step.astype(jnp.float32) / COOLING, 1)
        joined = draw_edges(k_edges, synth.x.logits, tau)
        fake = [jnp.reshape(leaf, (classes, -1, *leaf.shape[1:])) for leaf in (synth.x.features, joined)]

        def one(real, features, joined, label):
            target = jax.lax.stop_gradient(gradient(net, theta, real, label))
            return gap(gradient(net, theta, dense_batch(features, joined), label), target)

        gaps = map(one, real, *fake, range(classes))  # a batch a class, each of a shape of its own
        excess = jax.nn.relu(jnp.mean(jax.nn.sigmoid(synth.x.logits)) - course.dense)
        return sum(gaps) + sparsity * excess, {"edges": jnp.mean((synth.x.logits > 0).astype(jnp.float32))}

    def after(key, synth, course):
        return course._replace(step=course.step + 1)

    if sparsity < 0:
        raise BadInput(f"--sparsity {sparsity}: give a number of at least 0")
    if nodes is not None and nodes < 2:
        raise BadInput(f"--nodes {nodes}: give a whole number of at least 2")
    tx = two_rates(features_lr, adjacency_lr, decay)
    matcher = descend(loss, tx, init=init, after=after, feed=GraphsPerClass(batch))
    return matcher._replace(recipe="graph", prepare=prepare)


def draw_edges(key: jax.Array, logits: Float[Array, "n p"], tau: Float[Array, ""]) -> Float[Array, "n p"]:
    """Draws a soft edge in (0, 1) for every pair of nodes, nearly 0 or 1 as tau falls, from the edges' logits: the binary concrete
    distribution (Maddison, Mnih and Teh, ICLR 2017)."""
    noise = jax.random.logistic(key, logits.shape, logits.dtype)
    return jax.nn.sigmoid((logits + noise) / tau.astype(logits.dtype))


def gradient(net: Net, theta: Vars, x: GraphBatch, label: Int[Array, ""] | int) -> Any:
    """The gradient by `theta.params` of the mean cross entropy of graphs that all belong to class `label`; padding does not count."""

    def entropy(params):
        logits = net.apply(Vars(params, theta.stats), x, train=True).logits
        losses = -jax.nn.log_softmax(logits)[:, label]
        return jnp.sum(losses * x.real) / jnp.maximum(jnp.sum(x.real), 1)

    return jax.grad(entropy)(theta.params)


def gap(a: Any, b: Any) -> Float[Array, ""]:
    """|| a - b ||^2 / || b ||^2 over all parameters together."""
    pairs = list(zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))
    square = sum(jnp.sum(h * h) for _, h in pairs)
    return sum(jnp.sum((g - h) ** 2) for g, h in pairs) / jnp.maximum(square, jnp.finfo(square.dtype).tiny)


def two_rates(features_lr: float, adjacency_lr: float, decay: int) -> optax.GradientTransformation:
    """Adam on {"x": LearnedGraphs} with a step size for the features and one for the logits of the edges, a tenth of them from step `decay`
    on, counted from 0."""
    unit = adam(1.0)

    def update(grads, state, params):
        updates, state = unit.update(grads, state, params)
        factor, x = jnp.where(state.count > decay, jnp.float32(0.1), jnp.float32(1)), updates["x"]
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
