"""Oracles of distribution matching along expert trajectories: the same numbers in numpy, and what is left where parts are switched off."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from matchers.base import PerClass, Snapshots, Stages
from matchers.distribution.dm import dm
from matchers.distribution.tgdd import tgdd
from synth.base import Vars
from synth.errors import BadInput
from synth.images.augment import none
from synth.labels.plain import Soft
from tests.support.factories import complete_options
from tests.support.linear import softmax
from tests.support.matching import KEY, gradient_of, normed_net, per_class, stepped
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net

CLASSES = 3


def brighter(key, x, *, siamese):
    """An augmentation that a glance can compute: all examples times one number of the key."""
    assert siamese is True, "both sides share one draw"
    return x * (1 + jax.random.uniform(key, dtype=x.dtype))


def snapshots(dtype=jnp.float32) -> Snapshots:
    """Two networks that have nothing in common."""
    return Snapshots(*(ravel_pytree(smooth_net(dtype=dtype).init(jax.random.key(seed)).params)[0] for seed in (1, 2)))


@cache
def built(**options):
    return tgdd(smooth_net(), none, None, **options)


@pytest.mark.parametrize("soft", [False, True])
def test_loss_and_gradient_equal_numpy(soft, float64):
    """Means under the earlier snapshot, cross entropy under the later one, both of views that every class shares with its real examples."""
    net, real = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64))
    fake, stages = as_set(blobs(2, seed=1, dtype=np.float64)), snapshots(jnp.float64)
    y = np.random.default_rng(0).normal(size=(6, CLASSES)) if soft else None
    fake = replace(fake, y=Soft(jnp.asarray(y))) if soft else fake
    targets = softmax(y) if soft else np.eye(CLASSES)[np.repeat(np.arange(CLASSES), 2)]
    matcher = tgdd(net, brighter, None, lr=1.0, momentum=0.0, weight=0.7)
    grad, loss = gradient_of(matcher, fake, (real, stages), lr=1.0)
    keys = jax.random.split(jax.random.split(KEY)[0], CLASSES)
    factor = np.stack([1 + np.asarray(jax.random.uniform(key, dtype=jnp.float64)) for key in keys])
    at, end = ([np.asarray(leaf) for leaf in (p["w"], p["b"], p["v"])] for p in (unravelled(net, theta) for theta in stages))

    def embed(x, params):
        return np.tanh(np.asarray(x).reshape(len(x), -1) @ params[0] + params[1])

    def by_hand(pixels):
        images = np.asarray(pixels).reshape(CLASSES, -1, 4, 4, 1)
        views, truth = (side * factor.reshape(-1, 1, 1, 1, 1) for side in (images, np.asarray(real)))
        matching = sum(((embed(truth[c], at).mean(0) - embed(views[c], at).mean(0)) ** 2).sum() for c in range(CLASSES))
        logits = embed(views.reshape(6, 4, 4, 1), end) @ end[2]
        entropy = -(targets * np.log(softmax(logits))).sum(1).reshape(CLASSES, 2)
        return matching + 0.7 * entropy.mean(1).sum()

    np.testing.assert_allclose(loss, by_hand(fake.x.pixels), rtol=1e-10)
    np.testing.assert_allclose(grad, central_differences(by_hand, fake.x.pixels), rtol=1e-6, atol=1e-9)


def unravelled(net, theta):
    return ravel_pytree(net.init(KEY).params)[1](theta)


def test_without_the_cross_entropy_it_is_distribution_matching_under_the_earlier_snapshot():
    real, fake, stages = per_class(blobs(4)), as_set(blobs(2, seed=1)), snapshots()
    params = unravelled(smooth_net(), stages.earlier)
    fixed = dm(smooth_net()._replace(init=lambda key: Vars(params)), none, lr=0.3)
    expected, _, seen = stepped(fixed, fake, real)
    found, _, metrics = stepped(built(lr=0.3, weight=0.0), fake, (real, stages))
    np.testing.assert_allclose(found.x.pixels, expected.x.pixels, atol=1e-6)
    np.testing.assert_allclose(metrics["loss"], seen["loss"], rtol=1e-6)
    assert float(metrics["cross_entropy"]) > 0.1 and np.abs(found.x.pixels - fake.x.pixels).max() > 1e-3


@pytest.mark.slow
def test_no_gradient_reaches_the_real_examples_and_the_snapshots_stay():
    fake, matcher = as_set(blobs(2, seed=1)), built()
    state = matcher.init(KEY, fake)
    slope = jax.grad(lambda real: matcher.step(KEY, state, fake, (real, snapshots()))[2]["loss"])(per_class(blobs(4)))
    assert not np.asarray(slope).any()
    assert [leaf.shape for leaf in jax.tree.leaves(state)] == [fake.x.pixels.shape]  # the momentum of the images is all that is carried


def test_it_asks_for_real_examples_and_two_stages_of_an_expert():
    assert built(batch=9, window=2).feed == (PerClass(9), Stages(2)) and built().start == "random"
    assert complete_options("tgdd", {}) == {"lr": 1.0, "momentum": 0.5, "batch": 64, "window": 5, "weight": 0.1}


def test_networks_with_batch_statistics_are_refused():
    with pytest.raises(BadInput, match="no batch statistics; use norm=instance"):
        tgdd(normed_net(), none, None)
