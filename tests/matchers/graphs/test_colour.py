"""The summary of graphs by their colours: it counts the same however the graphs are ordered."""

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.load import load_data
from condense.evaluation.graphs import full_batch, weighted_batch
from matchers.graphs.colour import colour
from synth.base import fresh
from tests.support.toy_graphs import empty, some_examples

KEY, NET = jax.random.key(2), "gin:width=5,depth=1"


def test_a_summary_of_graphs_in_any_order_is_trained_on_as_they_are():
    """The gradient of a full pass over thirty graphs, 20 of one class and 10 of another, which follow no order."""
    examples = some_examples(4, count=30, most=6)
    examples = examples._replace(y=np.random.default_rng(4).permutation(np.repeat([0, 1], [20, 10])).astype(np.int32))
    start = empty(load_data("toy_graphs?edges=false"))
    net = nets.build(NET, examples.alphabet, 2)
    vars = jax.jit(lambda key: fresh(key, net))(KEY)

    @jax.jit
    @jax.grad
    def slope(params, x, y, p):
        logits = net.apply(vars._replace(params=params), x, train=True).logits
        return -jnp.sum(jax.nn.log_softmax(logits)[jnp.arange(len(y)), y] * p)

    expected = slope(vars.params, *full_batch(examples, NET))
    for order in (np.arange(30), np.argsort(examples.y, kind="stable")):
        made, _, _ = colour(None, depth=1).step(KEY, (), start, examples.take(order))
        assert made.y.counts.tolist() == made.y.sizes.tolist() == [20, 10]
        found = slope(vars.params, *weighted_batch(made, NET))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), found, expected)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(expected)) > 0.1
