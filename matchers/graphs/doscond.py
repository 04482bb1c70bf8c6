"""DosCond: one-step gradient matching with learned graphs (Jin et al., KDD 2022)."""

from collections.abc import Mapping
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from matchers.base import GraphsPerClass, Matcher, descend
from matchers.graphs.learned import check_nodes, draw_edges, started, temperature, two_rates
from synth.base import Net, Vars, fresh
from synth.errors import BadInput
from synth.graphs.base import GraphBatch
from synth.graphs.dense import dense_batch
from synth.options import AtLeastTwo, NonNegative, Positive


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

    The release's network is three GCN layers, the mean over nodes and a linear head. The networks here first turn tags into vectors, and
    have one hidden layer in front of the head.

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
        return started(key, synth, examples, method="doscond", budget=budget, nodes=nodes)

    def init(key, synth):
        return DosCondState(jnp.int32(0), jnp.mean((synth.x.logits > 0).astype(jnp.float32)))

    def loss(key, synth, course, real):
        k_net, k_edges = jax.random.split(key)
        theta, classes = fresh(k_net, net), len(synth.y.counts)
        joined = draw_edges(k_edges, synth.x.logits, temperature(course.step))
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
    check_nodes(nodes)
    tx = two_rates(features_lr, adjacency_lr, decay=decay)
    matcher = descend(loss, tx, init=init, after=after, feed=GraphsPerClass(batch))
    return matcher._replace(recipe="graph", prepare=prepare)


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
