"""Oracles of distribution matching: the same numbers by other means."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.modality import MODALITIES
from matchers.base import PerClass
from matchers.distribution.dm import dm
from synth.images.augment import dsa as make_augment
from synth.images.augment import none
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import SyntheticSet
from synth.vectors import Vectors, unaugmented
from tests.support.factories import complete_options
from tests.support.matching import (
    KEY,
    check_certain_soft_labels_are_hard_labels,
    check_classes_do_not_touch_each_other,
    check_classes_together_equal_classes_in_turn,
    check_duplicated_and_permuted_synthetic_images_change_no_loss,
    check_nothing_is_learned_from_a_copy_of_the_real_batch,
    gradient_of,
    make,
    normed_net,
    per_class,
    stepped,
)
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net


def test_dm_loss_and_gradient_equal_numpy(float64):
    net, real, fake = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    grad, loss = gradient_of(dm(net, none, lr=1.0, momentum=0.0), fake, real, lr=1.0)
    k_loss, _ = jax.random.split(KEY)
    params = net.init(jax.random.split(k_loss)[0]).params
    w, b = np.asarray(params["w"]), np.asarray(params["b"])

    def embed(x):
        return np.tanh(np.asarray(x).reshape(len(x), -1) @ w + b)

    def by_hand(pixels):
        images = np.asarray(pixels).reshape(3, -1, 4, 4, 1)
        return sum(((embed(real[c]).mean(0) - embed(images[c]).mean(0)) ** 2).sum() for c in range(3))

    np.testing.assert_allclose(loss, by_hand(fake.x.pixels), rtol=1e-10)
    np.testing.assert_allclose(grad, central_differences(by_hand, fake.x.pixels), rtol=1e-6, atol=1e-9)


def test_dm_draws_a_network_a_step_and_keeps_none():
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = dm(net, none)
    losses = {float(stepped(matcher, fake, real, key=jax.random.key(k))[2]["loss"]) for k in range(4)}
    assert len(losses) == 4
    kept = [leaf.shape for leaf in jax.tree.leaves(matcher.init(KEY, fake))]
    assert kept == [fake.x.pixels.shape]  # the momentum of the images is all that is carried


def test_dm_real_mean_sharpens_with_the_batch():
    """With the synthetic mean exact, the expected loss is the variance of a mean over b samples: it falls like 1 / b."""
    net, examples = smooth_net(), blobs(4000, 1)
    whole, rng = as_set(examples, 1), np.random.default_rng(0)

    def expected(b):
        step = jax.jit(lambda key, batch: matcher.step(key, matcher.init(key, whole), whole, batch)[2]["loss"])
        return np.mean([float(step(jax.random.key(i), jnp.asarray(examples.x[rng.choice(4000, b)])[None])) for i in range(60)])

    matcher = dm(smooth_net(classes=1), none)
    assert net and 2.5 < expected(8) / expected(32) < 6


def test_dm_normalises_the_batches_of_all_classes_together():
    net, real, fake = normed_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    _, _, metrics = stepped(dm(net, none), fake, real)
    w = np.asarray(net.init(jax.random.split(jax.random.split(KEY)[0])[0]).params["w"], np.float64)

    def means(x):
        h = np.asarray(x, np.float64).reshape(-1, 16) @ w
        return np.tanh((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)).reshape(3, -1, w.shape[1]).mean(1)

    np.testing.assert_allclose(float(metrics["loss"]), ((means(real) - means(fake.x.pixels)) ** 2).sum(), rtol=1e-4)


def test_no_gradient_reaches_the_real_images():
    """Of dm; that of dc and dsa is computed inside their loss, by the synthetic images alone."""
    fake = as_set(blobs(2, seed=1))
    matcher = make("dm", smooth_net())
    state = matcher.init(KEY, fake)
    slope = jax.jit(jax.grad(lambda real: matcher.step(KEY, state, fake, real)[2]["loss"]))(per_class(blobs(4)))
    assert not np.asarray(slope).any()


def test_outer_momentum_is_the_scalar_recurrence():
    """v <- m v + g, x <- x - lr v, with the gradients of two steps of dm under fixed networks."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher, plain = dm(net, none, lr=0.3, momentum=0.5), dm(net, none, lr=1.0, momentum=0.0)
    state, x, v, current = matcher.init(KEY, fake), np.asarray(fake.x.pixels), 0.0, fake
    for number in range(2):
        key = jax.random.key(number)
        g, _ = gradient_of(plain, replace(fake, x=Pixels(jnp.asarray(x, jnp.float32))), real, lr=1.0, key=key)
        v = 0.5 * v + g
        x = x - 0.3 * v
        current, state, _ = jax.jit(matcher.step)(key, state, current, real)
    np.testing.assert_allclose(np.asarray(current.x.pixels), x, atol=1e-5)


@pytest.mark.slow
def test_nothing_is_learned_from_a_copy_of_the_real_batch():
    check_nothing_is_learned_from_a_copy_of_the_real_batch("dm")


def test_duplicated_and_permuted_synthetic_images_change_no_loss():
    check_duplicated_and_permuted_synthetic_images_change_no_loss("dm")


def test_classes_do_not_touch_each_other():
    check_classes_do_not_touch_each_other("dm")


@pytest.mark.slow
@pytest.mark.parametrize("together", [20, pytest.param(2, marks=pytest.mark.slow)])
def test_classes_together_equal_classes_in_turn(together, monkeypatch):
    check_classes_together_equal_classes_in_turn("dm", together, monkeypatch)


@pytest.mark.slow
def test_certain_soft_labels_are_hard_labels():
    check_certain_soft_labels_are_hard_labels("dm")


def test_defaults_of_dm_are_the_published_ones_but_for_the_batch():
    made = dm(smooth_net(), make_augment("color_crop"))
    assert (made.start, made.recipe or MODALITIES["images"].recipe, made.feed) == ("random", "dsa", PerClass(64))
    assert complete_options("dm", {}) == {"lr": 1.0, "momentum": 0.5, "batch": 64}


def test_dm_moves_vectors_towards_the_means_of_their_class():
    """Where the network hands its input on, the loss is the squared distance of the class means, and a step goes 2 lr / m of it."""
    real, start = np.random.default_rng(0).normal(size=(2, 7, 3)).astype(np.float32), np.random.default_rng(1).normal(size=(4, 3))
    synth = SyntheticSet(Vectors(jnp.asarray(start, jnp.float32)), Hard(jnp.int32([0, 0, 1, 1]), 2))
    matcher = dm(nets.build("linear", (3,), 2), unaugmented, lr=0.1, momentum=0.0)
    moved, _, metrics = matcher.step(KEY, matcher.init(KEY, synth), synth, jnp.asarray(real))
    gap = real.mean(1) - start.reshape(2, 2, 3).mean(1)
    np.testing.assert_allclose(metrics["loss"], (gap**2).sum(), rtol=1e-5)
    np.testing.assert_allclose(moved.x.decode(), start + 0.1 * np.repeat(gap, 2, 0), rtol=1e-4, atol=1e-5)
