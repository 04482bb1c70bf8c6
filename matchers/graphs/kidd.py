"""KiDD: graphs on which kernel ridge regression is right about real ones (Xu et al., KDD 2023)."""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from matchers.base import GraphsPerClass, Matcher, descend
from matchers.graphs.learned import check_nodes, draw_edges, started, temperature, two_rates
from synth.errors import BadInput
from synth.graphs.base import GraphBatch
from synth.graphs.dense import LearnedGraphs, dense_batch
from synth.numerics.pytree import safe_norm
from synth.options import AtLeastTwo, NonNegative, Positive
from synth.training.ridge import arc_one, arc_zero, linear, regression

MORE, CLOSEST = 1e-4, 0.9999  # added to every product of two nodes, and the largest correlation of two, as in the released code

Scale = Literal["uniform", "degree"]


class NodeRows(NamedTuple):
    """Nodes of graphs as the kernel sees them.

    Args:
      features: after one propagation.
      share: of each node in the readout of its graph; 0 for padding.
      graph: of each node. graphs: how many there are.
    """

    features: Float[Array, "n t"]
    share: Float[Array, " n"]
    graph: Int[Array, " n"]
    graphs: int


def kidd(
    budget: tuple[str, int] | None,
    *,
    nodes: Annotated[int, AtLeastTwo] | None = None,
    adjacency_lr: Annotated[float, NonNegative] = 0.1,
    features_lr: Annotated[float, NonNegative] = 0.01,
    layers: Annotated[int, NonNegative] = 5,
    scale: Scale = "uniform",
    batch: int = 64,
    together: Annotated[int, AtLeastTwo] = 16,
    reg: Annotated[float, Positive] = 1e-3,
    orthogonal: Annotated[float, NonNegative] = 1e-3,
) -> Matcher:
    """Learns graphs from which kernel ridge regression predicts the classes of real graphs, under a light graph kernel.

    L = CE(K_ts (K_ss + lambda I)^-1 Y_s, y_t) + rho || K_ss / sqrt(d d^T) - I ||_F, d the diagonal of K_ss, lambda = `reg` tr(K_ss) / n, s
    the learned graphs of the step, t real ones. LiteGNTK: k(G, H) is the mean over pairs of nodes of P_G^L T (P_H^L)^T, T_uv the tangent
    kernel of a wide network of one hidden ReLU layer at the rows u of P_G X_G and v of P_H X_H, and P = A + I (`uniform`), or that with
    every row divided by its sum (`degree`). Edges are drawn as in DosCond, features stay in [0, 1]; at the end an edge is there where its
    logit is above 0. This is KiDD-D of the paper; its released code moves every logit into [0, 1] after the first step, which is not done
    here. Whether the paper's A holds loops was not seen.

    Args:
      budget: graphs a class, graphs in all, or bytes.
      nodes: of every learned graph (>= 2); by default the mean of the data.
      adjacency_lr: step size of the edges' logits, by Adam; 0 leaves edges as they start.
      features_lr: step size of the node features, by Adam; 0 leaves them.
      layers: L, propagations over edges after the tangent kernel (>= 0).
      scale: of the propagation.
      batch: real graphs a class and step. Classes count as they do in the data.
      together: learned graphs a step, drawn anew each step (>= 2); all where there are no more.
      reg: lambda's factor (> 0). With the released 1e-6 the gradient of graphs that are alike is mostly rounding in float32.
      orthogonal: rho, weight of the term that keeps learned graphs unlike each other (>= 0).
    """
    check_nodes(nodes)
    if adjacency_lr == features_lr == 0:
        raise BadInput("--adjacency-lr 0 and --features-lr 0: nothing would be learned; give one of them a step size")

    def prepare(key, synth, examples):
        return started(key, synth, examples, method="kidd", budget=budget, nodes=nodes)

    def init(key, synth):
        return jnp.int32(0)

    def loss(key, synth, count, real):
        k_edges, k_members = jax.random.split(key)
        learned, classes = synth.x, len(synth.y.counts)
        labels = jnp.repeat(jnp.arange(classes), learned.n // classes)
        chosen = jax.random.permutation(k_members, learned.n)[: min(together, learned.n)]
        soft = dense_batch(learned.features[chosen], draw_edges(k_edges, learned.logits[chosen], temperature(count)))
        fake = node_rows(soft, soft.tags, scale=scale, layers=layers)
        y = jax.nn.one_hot(labels[chosen], classes, dtype=soft.tags.dtype)
        head = regression(fake, y, gram=lite_gntk, reg=reg)
        entropy, right = [], []
        for label, one in enumerate(real):
            tags = jax.nn.one_hot(one.tags, soft.tags.shape[1], dtype=y.dtype)
            scores = head(node_rows(one, tags, scale=scale, layers=layers))
            weight = one.real / jnp.maximum(one.real.sum(), 1)
            entropy.append(-weight @ jax.nn.log_softmax(scores)[:, label])
            right.append(jnp.sum(jnp.where(scores.argmax(1) == label, weight, 0)))
        share = synth.y.sizes / synth.y.sizes.sum()
        entropy, right = share @ jnp.stack(entropy), share @ jnp.stack(right)
        metrics = {"entropy": entropy, "head_accuracy": right, "jitter": head.jitter}
        return entropy + orthogonal * unlikeness(lite_gntk(fake, fake)), metrics

    def after(key, synth, count):
        return count + 1

    tx = in_unit(two_rates(features_lr, adjacency_lr))
    return descend(loss, tx, init=init, after=after, feed=GraphsPerClass(batch))._replace(recipe="graph", prepare=prepare)


def node_rows(batch: GraphBatch, features: Float[Array, "n t"], *, scale: Scale, layers: int) -> NodeRows:
    """What `lite_gntk` needs of a batch of graphs with these node features: P X, and of every node its share 1^T P^L / v of a graph of v
    nodes, so that the mean over pairs of nodes of P^L T P'^L is a weighted sum over pairs of T alone."""
    (hop,), n = batch.hops, len(features)
    inverse = 1 / (batch.degrees[0] + 1) if scale == "degree" else jnp.ones_like(batch.degrees[0])
    flow = hop.counts * inverse[hop.receivers]  # P of the receiver's row and the sender's column
    size = jax.ops.segment_sum(batch.times, batch.graph, num_segments=len(batch.real))
    graph = jnp.zeros(n, jnp.int32).at[batch.node].add(jnp.where(batch.times > 0, batch.graph, 0))  # padding names node 0
    share = jnp.zeros_like(features[:, 0]).at[batch.node].add(batch.times / jnp.maximum(size, 1)[batch.graph])
    for _ in range(layers):
        share = jax.ops.segment_sum(flow * share[hop.receivers], hop.senders, num_segments=n) + inverse * share
    near = jax.ops.segment_sum(flow[:, None] * features[hop.senders], hop.receivers, num_segments=n)
    return NodeRows(near + inverse[:, None] * features, share, graph, len(batch.real))


def lite_gntk(a: NodeRows, b: NodeRows) -> Float[Array, "m n"]:
    """The kernel of every graph of `a` with every graph of `b`: sum over their nodes u, v of share_u share_v T_uv (`tangent`)."""
    pairs = tangent(a.features, b.features) * a.share[:, None] * b.share[None, :]
    rows = jax.ops.segment_sum(pairs, a.graph, num_segments=a.graphs)
    return jax.ops.segment_sum(rows.T, b.graph, num_segments=b.graphs).T


def tangent(a: Float[Array, "m t"], b: Float[Array, "n t"]) -> Float[Array, "m n"]:
    """The tangent kernel of a wide network of one hidden ReLU layer, T = s k_0(c) + q k_1(c): s = <x, x'> + 1e-4, q = | x | | x' | with
    1e-4 added to both squares, c = s / q cut to +-0.9999, k_0 and k_1 the arc-cosine kernels of orders 0 and 1.

    Without the cut, the derivatives of nearly parallel nodes, of which graphs have many, would be rounding alone in float32.
    """
    s, (length_a, length_b) = linear(a, b) + MORE, (jnp.sqrt(jnp.sum(x * x, 1) + MORE) for x in (a, b))
    q = length_a[:, None] * length_b[None, :]
    cosine = jnp.clip(s / q, -CLOSEST, CLOSEST)
    return s * arc_zero(cosine) + q * arc_one(cosine)


def unlikeness(gram: Float[Array, "n n"]) -> Float[Array, ""]:
    """|| K_ij / sqrt(K_ii K_jj) - I ||_F: 0 where no two graphs are alike to the kernel."""
    root = jnp.sqrt(jnp.diag(gram))
    return safe_norm(jnp.ravel(gram / (root[:, None] * root[None, :]) - jnp.eye(len(gram), dtype=gram.dtype)), axis=0)


def in_unit(tx: optax.GradientTransformation) -> optax.GradientTransformation:
    """`tx` on {"x": LearnedGraphs} with updates that leave node features in [0, 1]."""

    def update(grads, state, params):
        updates, state = tx.update(grads, state, params)
        features, x = params["x"].features, updates["x"]
        return {"x": LearnedGraphs(jnp.clip(features + x.features, 0, 1) - features, x.logits)}, state

    return optax.GradientTransformation(tx.init, update)
