"""GCN, GIN, GAT and GraphSAGE in PyTorch by their papers' formulae on dense adjacency matrices: logits and gradients by all parameters."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from synth.base import Vars
from synth.graphs.base import Alphabet, batch_of
from tests.support.toy_graphs import some_graphs

torch = pytest.importorskip("torch")

from tests.support.torch_nets import leaves, tensors  # noqa: E402 (behind importorskip)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("float64")]


def affine(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def gcn(a, h, layer):
    """Kipf and Welling, eq. 2, with self-loops."""
    whole = a + torch.eye(len(a), dtype=a.dtype)
    root = torch.diag(whole.sum(1) ** -0.5)
    return torch.relu(affine(root @ whole @ root @ h, layer["linear"]))


def gin(a, h, layer):
    """Xu et al., eq. 4.1, two linear layers and a ReLU behind both."""
    return torch.relu(affine(torch.relu(affine((1 + layer["eps"]) * h + a @ h, layer["first"])), layer["second"]))


def sage(a, h, layer):
    """Hamilton et al., algorithm 1 with the mean; nobody's mean is 0."""
    return torch.relu(affine(h, layer["own"]) + a / a.sum(1, keepdim=True).clamp(min=1) @ h @ layer["other"])


def gat(a, h, layer):
    """Velickovic et al., eq. 1 to 5: attention over neighbours and the node itself, slope 0.2, heads side by side."""
    z, heads = h @ layer["linear"]["kernel"], layer["sender"].shape[0]
    z = z.reshape(len(h), heads, -1)
    sent, asked = (z * layer["sender"]).sum(2), (z * layer["receiver"]).sum(2)
    scores = torch.nn.functional.leaky_relu(asked[:, None] + sent[None], 0.2)
    kept = (a + torch.eye(len(a), dtype=a.dtype) > 0)[:, :, None]
    weights = scores.masked_fill(~kept, float("-inf")).softmax(1)
    return torch.relu(torch.einsum("ijh,jhd->ihd", weights, z).reshape(len(h), -1) + layer["linear"]["bias"])


CASES = {"gcn": (gcn, "sum"), "gin": (gin, "mean"), "sage": (sage, "sum"), "gat:heads=2": (gat, "mean")}


@pytest.mark.parametrize("name", CASES)
def test_a_graph_network(name):
    """Two layers, some nodes alone, sum or mean readout, one hidden layer and the head, cross entropy over six graphs."""
    layer, readout = CASES[name]
    graphs, y = some_graphs(5, count=6), np.arange(6) % 2
    net = nets.build(f"{name}{',' if ':' in name else ':'}width=6,depth=2,readout={readout}", Alphabet(3, 1, False), 2)
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.normal(0, 0.6, leaf.shape)), jax.eval_shape(net.init, jax.random.key(0)).params)
    batch = jax.tree.map(lambda leaf: leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf, batch_of(graphs))

    def loss(params):
        logits = net.apply(Vars(params), batch).logits[: len(y)]
        return -jax.nn.log_softmax(logits)[jnp.arange(len(y)), jnp.asarray(y)].mean(), logits

    (_, ours), grads = jax.value_and_grad(loss, has_aux=True)(params)

    tree, size = tensors(params, learn=True), len(graphs.tags)
    a = torch.zeros((size, size), dtype=torch.float64)
    a[torch.tensor(graphs.receivers).long(), torch.tensor(graphs.senders).long()] = 1
    assert (a.sum(1) == 0).any()
    nodes = tree["tags"][torch.tensor(graphs.tags).long()]
    for each in tree["layers"]:
        nodes = layer(a, nodes, each)
    held = [nodes[torch.tensor(graphs.graph == g)] for g in range(len(y))]
    pooled = torch.stack([one.sum(0) if readout == "sum" else one.mean(0) for one in held])
    logits = affine(torch.relu(affine(pooled, tree["hidden"])), tree["head"])
    np.testing.assert_allclose(ours, logits.detach().numpy(), rtol=1e-8, atol=1e-8)
    wanted = torch.autograd.grad(torch.nn.functional.cross_entropy(logits, torch.tensor(y)), leaves(tree))
    for have, want in zip(jax.tree.leaves(grads), wanted, strict=True):
        np.testing.assert_allclose(have, want.numpy(), rtol=1e-8, atol=1e-8)
