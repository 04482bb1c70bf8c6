"""Graph layers and readouts against their papers' formulas in NumPy, on dense adjacency matrices: a second writing of every network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from synth.base import Vars
from synth.graphs.base import Alphabet, Graphs, batch_of
from tests.support.toy_graphs import some_graphs

LABELS = 2


def relu(x):
    return np.maximum(x, 0)


def affine(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def adjacency(graphs: Graphs) -> np.ndarray:
    """A[l, i, j] = how many edges of label l lead from node j to node i."""
    dense = np.zeros((LABELS, len(graphs.tags), len(graphs.tags)))
    np.add.at(dense, (graphs.labels, graphs.receivers, graphs.senders), 1)
    return dense


def heard(a, z, layer):
    """Row i: sum over the edges j -> i of z_j plus the vector of the edge's label."""
    return sum(a[label] @ (z + layer["edges"]["table"][label]) for label in range(LABELS))


def gin(a, h, layer):
    """MLP((1 + eps) h_i + sum_j h_j)."""
    return relu(affine(relu(affine((1 + layer["eps"]) * h + heard(a, h, layer), layer["first"])), layer["second"]))


def gcn(a, h, layer):
    """D^-1/2 (A + I) D^-1/2 H W + b, D of A + I."""
    z, root = h @ layer["linear"]["kernel"], 1 / np.sqrt(a.sum((0, 2)) + 1)
    return relu(heard(a * np.outer(root, root), z, layer) + np.diag(root**2) @ z + layer["linear"]["bias"])


def sage(a, h, layer):
    """W h_i + V mean_j h_j."""
    number = np.maximum(a.sum((0, 2)), 1)
    return relu(affine(h, layer["own"]) + (heard(a, h, layer) / number[:, None]) @ layer["other"])


def gat(a, h, layer):
    """A softmax over the edges into i and i itself, head after head and node after node."""
    z, heads = h @ layer["linear"]["kernel"], len(layer["sender"])
    out = np.zeros((len(h), heads, z.shape[1] // heads))
    for head, (u, v) in enumerate(zip(layer["sender"], layer["receiver"], strict=True)):
        for i in range(len(h)):
            sent = [(z[i], 1.0)]  # what arrives, and how often
            sent += [(z[j] + layer["edges"]["table"][label], a[label, i, j]) for label, j in zip(*np.nonzero(a[:, i]), strict=True)]
            mine = z[i].reshape(heads, -1)[head] @ v
            scores = [row.reshape(heads, -1)[head] @ u + mine for row, _ in sent]
            weights = np.array([times * np.exp(max(s, 0.2 * s)) for s, (_, times) in zip(scores, sent, strict=True)])
            out[i, head] = sum(w * row.reshape(heads, -1)[head] for w, (row, _) in zip(weights / weights.sum(), sent, strict=True))
    return relu(out.reshape(len(h), -1) + layer["linear"]["bias"])


CASES = [("gin", gin, "sum"), ("gcn", gcn, "mean"), ("sage", sage, "max"), ("gat:heads=2", gat, "mean")]


@pytest.mark.parametrize(("name", "layer", "readout"), CASES, ids=[name for name, _, _ in CASES])
def test_a_network_is_its_formula(name, layer, readout, float64):
    """Two layers on graphs with direction, loops, repeated edges, edge labels and lonely nodes; all parameters are random, eps too."""
    graphs = some_graphs(5, count=6, edges=LABELS, directed=True)
    joined = "," if ":" in name else ":"
    net = nets.build(f"{name}{joined}width=6,depth=2,readout={readout}", Alphabet(3, LABELS, True), 2)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.6, leaf.shape), jax.eval_shape(net.init, jax.random.key(0)).params)
    batch = jax.tree.map(lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf, batch_of(graphs))
    out = jax.jit(net.apply)(Vars(jax.tree.map(jnp.asarray, params)), batch)

    a, nodes = adjacency(graphs), params["tags"][graphs.tags]
    for each in params["layers"]:
        nodes = layer(a, nodes, each)
    assert (a.sum((0, 2)) == 0).any() and a.max() > 1 and (nodes > 0).mean() > 0.2
    np.testing.assert_allclose(out.taps["nodes"][: len(nodes)], nodes, rtol=0, atol=1e-10)
    pool = {"sum": np.sum, "mean": np.mean, "max": np.max}[readout]
    pooled = np.stack([pool(nodes[graphs.graph == g], 0) for g in range(len(graphs.nodes))])
    wanted = affine(relu(affine(pooled, params["hidden"])), params["head"])
    np.testing.assert_allclose(out.logits[: len(wanted)], wanted, rtol=0, atol=1e-10)
