"""Small networks for the tests: variables and images come from NumPy, which needs no compiling."""

import jax
import jax.numpy as jnp
import numpy as np

from condense.nets import build
from synth.base import Vars

SMALL = (8, 8, 2)


def call(net, vars, x, *, train=False):
    return jax.jit(lambda vars, x: net.apply(vars, x, train=train))(vars, x)


def images(image, *, n=4, seed=1):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, *image)), jnp.float32)


def prepared(spec, image=SMALL, *, classes=3, seed=0):
    net, rng = build(spec, image, classes), np.random.default_rng(seed)

    def draw(leaf):
        bound = np.prod(leaf.shape[:-1], initial=1) ** -0.5
        return jnp.asarray(rng.uniform(-bound, bound, leaf.shape), leaf.dtype)

    params, stats = jax.eval_shape(net.init, jax.random.key(0))
    return net, Vars(jax.tree.map(draw, params), jax.tree.map(lambda leaf: 1 + draw(leaf) / 2, stats))


def assert_trees(a, b, **tolerance):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, **tolerance), a, b)
