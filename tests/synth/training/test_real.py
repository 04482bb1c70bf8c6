"""Training on real examples by hand: momentum, weight decay, and which networks and orders are drawn."""

import jax
import jax.numpy as jnp
import numpy as np

from synth.base import fresh
from synth.training.fit import train_on
from tests.support.linear import linear_gradient, linear_net
from tests.support.toy_data import blobs

KEY = jax.random.key(8)


def test_networks_that_embed_are_trained_with_momentum_and_decay():
    """Four epochs of one batch each, where order is irrelevant: d = g + 0.0005 p, b = 0.9 b + d, p - lr b, on weights that decay shows on.
    A pixel that is 0 everywhere has no gradient, so its weights move by decay alone."""
    net, examples = linear_net(), blobs(5)
    examples.x[:, 0, 0] = 0
    drawn = jax.tree.map(np.asarray, fresh(jax.random.split(KEY)[0], net).params)
    w, b = (np.asarray(drawn[name], np.float64) for name in "wb")
    velocity, done, targets = [0.0, 0.0], [], np.eye(3)[examples.y]
    found = train_on(KEY, net, examples.x, examples.y, 3, epochs=4, batch=99, lr=1.0, done=lambda: done.append(1)).params
    for _ in range(4):
        slopes = linear_gradient(w, b, np.asarray(examples.x, np.float64).reshape(15, 16), targets, np.ones(15))
        velocity = [0.9 * v + g + 5e-4 * p for v, g, p in zip(velocity, slopes, (w, b), strict=True)]
        w, b = w - velocity[0], b - velocity[1]
    np.testing.assert_allclose(found["w"], w, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["b"], b, rtol=1e-4, atol=1e-6)
    assert (np.abs(w[0]) < np.abs(drawn["w"][0])).all() and np.abs(w[0] / drawn["w"][0] - 1).max() > 3e-3
    assert len(done) == 4


def test_usual_training_is_that_which_is_said():
    """Five epochs at a step size of 0.01 in batches of 256, where nothing else is asked for."""
    examples = blobs(90)
    usual, said = (
        train_on(KEY, linear_net(), examples.x, examples.y, 3, **more).params["w"] for more in ({}, {"epochs": 5, "lr": 0.01, "batch": 256})
    )
    np.testing.assert_array_equal(usual, said)
    assert jnp.isfinite(usual).all()
