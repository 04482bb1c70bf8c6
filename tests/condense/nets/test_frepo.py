"""FRePo's network beside the same layers in flax's own library, whose defaults its release takes."""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from condense.nets import build
from synth.base import Vars

IMAGE, WIDTHS = (8, 8, 3), (3, 6)


class Released(nn.Module):
    """Norm (not in front of the first), convolution with a bias, ReLU, average pool; running statistics with `momentum=0.1`."""

    batch: bool

    @nn.compact
    def __call__(self, x, train):
        for i, width in enumerate(WIDTHS):
            if i and self.batch:
                x = nn.BatchNorm(use_running_average=not train, epsilon=1e-5, momentum=0.1)(x)
            x = nn.avg_pool(nn.relu(nn.Conv(width, (3, 3), padding=((1, 1), (1, 1)))(x)), (2, 2), strides=(2, 2))
        return nn.Dense(4)(x.reshape(len(x), -1))


def renamed(vars: Vars) -> dict:
    """Our variables under flax's names."""
    params = {f"Conv_{i}": conv for i, conv in enumerate(vars.params["convs"])} | {"Dense_0": vars.params["head"]}
    if not vars.stats:
        return {"params": params}
    return {
        "params": params | {"BatchNorm_0": vars.params["norms"][1]},
        "batch_stats": {"BatchNorm_0": vars.stats["norms"][1]},
    }


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_the_network_is_the_released_one(norm):
    """In evaluation and in training, with the running statistics that a step leaves."""
    net, rng = build(f"convnet_frepo:width=3,depth=2,norm={norm}", IMAGE, 4), np.random.default_rng(0)
    vars = jax.tree.map(lambda leaf: jnp.asarray(rng.uniform(0.1, 1, leaf.shape), jnp.float32), jax.eval_shape(net.init, jax.random.key(0)))
    x, released = jnp.asarray(rng.normal(size=(5, *IMAGE)), jnp.float32), Released(norm == "batch")
    with jax.numpy_dtype_promotion("standard"):  # flax divides sums of float32 by integers
        quiet = released.apply(renamed(vars), x, False)
        theirs, after = released.apply(renamed(vars), x, True, mutable=["batch_stats"])
    np.testing.assert_allclose(net.apply(vars, x).logits, quiet, rtol=2e-5)
    ours = net.apply(vars, x, train=True)
    np.testing.assert_allclose(ours.logits, theirs, rtol=2e-5)
    if norm == "batch":
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), ours.stats["norms"][1], dict(after["batch_stats"]["BatchNorm_0"]))
        assert (np.abs(ours.stats["norms"][1]["mean"] - vars.stats["norms"][1]["mean"]) > 0.05).any()


def test_it_starts_as_flax_starts():
    """Weights of every layer by flax's `lecun_normal`: a normal cut at two standard deviations, variance 1 / fan-in. Biases are 0."""
    params = build("convnet_frepo:width=32,depth=2,norm=none", (16, 16, 32), 40).init(jax.random.key(3)).params
    for layer in (*params["convs"], params["head"]):
        w, b = np.asarray(layer["kernel"]), np.asarray(layer["bias"])
        fan_in = np.prod(w.shape[:-1])
        assert not b.any() and abs(w.var() * fan_in - 1) < 0.05
        drawn = nn.initializers.lecun_normal()(jax.random.key(4), w.shape)
        assert stats.ks_2samp(w.ravel(), np.ravel(drawn)).pvalue > 1e-3
        assert np.abs(w).max() <= 2 / 0.87962 / np.sqrt(fan_in) and stats.kstest(w.ravel(), "norm", (0, w.std())).pvalue < 1e-3
