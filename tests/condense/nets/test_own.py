"""Networks that users hand over as values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from condense import nets
from condense.data.load import load_data
from condense.nets import own
from condense.workflows.distill import distill
from condense.workflows.evaluate import evaluate
from synth.base import Net
from synth.errors import BadInput
from synth.graphs.base import Alphabet
from tests.support.toy_data import smooth_net

IMAGE, CLASSES = (8, 8, 1), 10


class Linen(linen.Module):
    """Two layers."""

    def setup(self):
        self.hidden, self.head = linen.Dense(6), linen.Dense(CLASSES)

    def features(self, x):
        return jnp.tanh(self.hidden(x.reshape(len(x), -1)))

    def __call__(self, x):
        return self.head(self.features(x))


class Nnx(nnx.Module):
    """Two layers."""

    def __init__(self, rngs: nnx.Rngs):
        self.hidden, self.head = nnx.Linear(64, 6, rngs=rngs), nnx.Linear(6, CLASSES, rngs=rngs)

    def features(self, x):
        return jnp.tanh(self.hidden(x.reshape(len(x), -1)))


class Normed(Nnx):
    """With running statistics, which would stand still."""

    def __init__(self, rngs: nnx.Rngs):
        super().__init__(rngs)
        self.norm = nnx.BatchNorm(6, rngs=rngs)


@pytest.mark.parametrize("value", [Linen(), Nnx], ids=["linen", "nnx"])
def test_a_flax_module_becomes_the_function_that_it_is(value):
    net = own.as_net(value, IMAGE, CLASSES)
    vars, x = net.init(jax.random.key(1)), jax.random.normal(jax.random.key(2), (3, *IMAGE))
    out = net.apply(vars, x)
    layers = {"/".join(str(getattr(k, "key", k)) for k in path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(vars.params)}
    hidden = jnp.tanh(x.reshape(3, -1) @ layers["hidden/kernel"] + layers["hidden/bias"][None])
    np.testing.assert_allclose(out.embed, hidden, atol=1e-6)
    np.testing.assert_allclose(out.logits, hidden @ layers["head/kernel"] + layers["head/bias"][None], atol=1e-6)
    assert not np.array_equal(jax.tree.leaves(net.init(jax.random.key(3)))[1], jax.tree.leaves(vars)[1])


@pytest.mark.slow
def test_a_network_of_ones_own_distils_and_scores_by_its_name():
    net = smooth_net(IMAGE, CLASSES)
    synth = distill("dm", "digits", ipc=1, net=net, steps=2, batch=4)
    assert synth.info.net == own.register(smooth_net(IMAGE, CLASSES), IMAGE, CLASSES)  # what it computes, not which object it is
    assert isinstance(nets.build(synth.info.net, IMAGE, CLASSES), Net)
    report = evaluate(synth, recipe="quick", epochs=1, seeds=1, rows="distilled").reports[0]
    assert report.net == synth.info.net
    again = evaluate(synth, net=net, recipe="quick", epochs=1, seeds=1, rows="distilled").reports[0]
    assert again.accuracy == report.accuracy and again.net == report.net
    with pytest.raises(BadInput, match="--net own-0123: is a network that was handed over as a value in Python; hand it over again"):
        nets.build("own-0123", IMAGE, CLASSES)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "int is no network; give a specification, a Net, a linen module, or a function"),
        (linen.Dense(CLASSES), "the module Dense has no features; it needs features"),
        (lambda rngs: nnx.Linear(64, CLASSES, rngs=rngs), "the module Linear lacks a part"),
        (Normed, "the module Normed carries norm/"),
        (smooth_net(IMAGE, 3), r"gives scores of shape \[2, 3\] for 2 examples; 10 classes need \[2, 10\]"),
    ],
)
def test_what_is_no_network_is_refused(value, words):
    with pytest.raises(BadInput, match=words):
        own.as_net(value, IMAGE, CLASSES)


@pytest.mark.slow
def test_a_network_of_ones_own_distils_graphs_and_scores_them():
    data = load_data("toy_graphs?edges=false")
    net = nets.build("gin:width=8,depth=2", data.image, len(data.classes))
    synth = distill("doscond", data, ipc=1, net=net, steps=2)
    assert synth.info.net == own.register(net, data.image, len(data.classes)) != nets.canonical("gin:width=8,depth=2")
    report = evaluate(synth, data=data, epochs=1, seeds=1, rows="distilled").reports[0]
    assert report.net == synth.info.net and len(report.accuracy) == 1


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Linen(), "net=: the data are graphs, which a Net takes and a module does not; use gcn, gat"),
        (Nnx, "net=: the data are graphs, which a Net takes and a module does not"),
        (smooth_net(IMAGE, 2), r"net=: the network fails on a GraphBatch \(\w+: .*\); give one that takes them"),
    ],
)
def test_a_network_of_images_is_refused_on_graphs(value, words):
    with pytest.raises(BadInput, match=words) as refused:
        own.register(value, Alphabet(3, 2, True), 2)
    assert "\n" not in str(refused.value)
