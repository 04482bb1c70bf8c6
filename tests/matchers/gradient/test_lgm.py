"""Oracles of linear gradient matching: autodiff by the classifier, sums over examples one by one, and finite differences by the pixels."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from matchers.base import Given, PerClass
from matchers.gradient.lgm import head_gradient, lgm
from synth.base import Examples, Teacher
from synth.images.augment import none
from synth.labels.plain import Soft
from synth.set import SyntheticSet
from tests.support.factories import complete_options
from tests.support.linear import softmax
from tests.support.matching import KEY, normed_net, per_class, stepped
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net

COPIES, BATCH, CLASSES = 3, 2, 3


def darkened(key, x, *, siamese):
    """An augmentation whose only number is drawn from the key alone, as siamese ones are."""
    assert siamese
    return x * jax.random.uniform(key, (), x.dtype, 0.5, 1.5)


def drawn(net) -> Teacher:
    return Teacher(net, net.init(jax.random.key(8)))


def features_of(teacher: Teacher, x) -> np.ndarray:
    """What `smooth_net` makes of images, in numpy."""
    return np.tanh(np.asarray(x).reshape(len(x), -1) @ np.asarray(teacher.vars.params["w"]) + np.asarray(teacher.vars.params["b"]))


def by_sums(head, phi, y) -> np.ndarray:
    """The gradient of the mean cross entropy by `head`, an example after another: the outer product of its features and p - y."""
    return np.mean([np.outer(row, softmax((row @ head)[None])[0] - label) for row, label in zip(phi, y, strict=True)], 0)


def slope_of(state) -> np.ndarray:
    """The gradient by the pixels that the first step of Adam saw: its running mean is a tenth of it."""
    return np.asarray(jax.tree.leaves(state.opt.mean)[0]) / 0.1


@pytest.mark.parametrize("soft", [False, True])
def test_the_gradient_by_the_classifier_is_that_of_autodiff(soft, float64):
    rng = np.random.default_rng(5)
    head, phi = jnp.asarray(rng.normal(size=(6, 4))), jnp.asarray(rng.normal(size=(7, 6)))
    y = jnp.asarray(rng.dirichlet(np.ones(4), 7) if soft else np.eye(4)[rng.integers(0, 4, 7)])
    found, expected = head_gradient(head, phi, y), jax.grad(lambda head: optax.softmax_cross_entropy(phi @ head, y).mean())(head)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(found, by_sums(*map(np.asarray, (head, phi, y))), rtol=1e-12, atol=1e-14)
    assert np.abs(expected).max() > 0.1


@pytest.mark.parametrize("soft", [False, True])
def test_a_step_descends_the_cosine_distance_that_sums_and_differences_give(soft, float64):
    """Three copies, each with a factor that both sides share, of two real images a class that no other copy has: every third one."""
    teacher = drawn(smooth_net(dtype=jnp.float64))
    real, fake = per_class(blobs(COPIES * BATCH, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    if soft:
        fake = SyntheticSet(fake.x, Soft(jnp.asarray(np.random.default_rng(2).normal(size=(6, CLASSES)))))
    matcher = lgm(teacher, darkened, lr=0.01, batch=BATCH, copies=COPIES)
    after, state, metrics = stepped(matcher, fake, (real, teacher.vars))
    k_head, k_copies = jax.random.split(jax.random.split(KEY)[0])
    head = np.asarray(jax.random.normal(k_head, (5, CLASSES), jnp.float64))
    factors = [float(jax.random.uniform(key, (), jnp.float64, 0.5, 1.5)) for key in jax.random.split(k_copies, COPIES)]
    views = [factor * np.asarray(real)[:, k::COPIES].reshape(-1, 4, 4, 1) for k, factor in enumerate(factors)]
    classes = np.tile(np.repeat(np.eye(CLASSES), BATCH, 0), (COPIES, 1))
    target = by_sums(head, np.concatenate([features_of(teacher, x) for x in views]), classes)
    labels = np.tile(np.asarray(fake.y.probs()), (COPIES, 1))

    def by_hand(pixels):
        found = by_sums(head, np.concatenate([features_of(teacher, factor * pixels) for factor in factors]), labels)
        return 1 - (found * target).sum() / (np.linalg.norm(found) * np.linalg.norm(target) + 1e-6)

    assert len(set(factors)) == COPIES and 0.01 < metrics["loss"] < 2
    np.testing.assert_allclose(metrics["loss"], by_hand(np.asarray(fake.x.pixels)), rtol=1e-10)
    slope = central_differences(by_hand, fake.x.pixels)
    np.testing.assert_allclose(slope_of(state), slope, rtol=1e-6, atol=1e-10)
    clear = np.abs(slope) > 1e-6
    np.testing.assert_allclose((after.x.pixels - fake.x.pixels)[clear], -0.01 * np.sign(slope)[clear], rtol=0.02)
    assert clear.mean() > 0.9


def test_heads_are_drawn_anew_and_the_loss_falls():
    teacher, real = drawn(smooth_net()), per_class(blobs(8))
    matcher = lgm(teacher, none, lr=0.02, batch=4, copies=2)
    step, synth = jax.jit(matcher.step), as_set(blobs(1, seed=1))
    state, losses = matcher.init(KEY, synth), []
    for number in range(150):
        synth, state, metrics = step(jax.random.fold_in(KEY, number), state, synth, (real, teacher.vars))
        losses.append(float(metrics["loss"]))
    again = [float(step(jax.random.key(seed), state, synth, (real, teacher.vars))[2]["loss"]) for seed in range(3)]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:20])
    assert len(set(again)) == 3, "another key is another head"


def test_a_copy_of_the_real_examples_has_no_loss():
    teacher, examples = drawn(smooth_net()), blobs(4)
    real = jnp.repeat(per_class(examples), 2, axis=1)
    matcher = lgm(teacher, darkened, batch=4, copies=2)
    _, state, metrics = stepped(matcher, as_set(examples), (real, teacher.vars))
    _, other, further = stepped(matcher, as_set(blobs(4, seed=5)), (real, teacher.vars))
    assert metrics["loss"] < 1e-4 < further["loss"]
    assert np.abs(slope_of(state)).max() < 1e-2 * np.abs(slope_of(other)).max()


def test_copies_that_outnumber_the_images_of_a_class_see_them_again():
    teacher, fake = drawn(smooth_net()), as_set(blobs(2, seed=1))
    real = per_class(blobs(2))
    matcher = lgm(teacher, darkened, batch=1, copies=COPIES)
    losses = [stepped(matcher, fake, (seen, teacher.vars))[2]["loss"] for seen in (real, real[:, [0, 1, 0]])]
    assert losses[0] == losses[1] > 0


def test_batch_norms_of_the_teacher_use_their_running_statistics():
    """Mean 0 and variance 1 before any training, whatever the batch."""
    teacher, examples = drawn(normed_net()), blobs(2)
    vars, matcher = teacher.vars, lgm(teacher, none, batch=2, copies=1)
    fake = as_set(Examples(examples.x[::2], examples.y[::2]))
    metrics = stepped(matcher, fake, (per_class(examples), vars))[2]
    phi = np.tanh(examples.x.reshape(6, -1) @ np.asarray(vars.params["w"]) / np.sqrt(1 + np.float32(1e-5)))
    head = np.asarray(jax.random.normal(jax.random.split(jax.random.split(KEY)[0])[0], (5, CLASSES)))
    target, found = by_sums(head, phi, np.eye(3)[examples.y]), by_sums(head, phi[::2], np.eye(3))
    expected = 1 - (target * found).sum() / (np.linalg.norm(target) * np.linalg.norm(found) + 1e-6)
    np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-4)


def test_it_asks_for_real_images_of_every_copy_and_for_the_teacher_as_data():
    teacher = drawn(smooth_net())
    matcher = lgm(teacher, none, batch=4, copies=3)
    (images, given) = matcher.feed
    assert images == PerClass(12) and isinstance(given, Given) and given.value is teacher.vars and matcher.start == "random"
    assert complete_options("lgm", {}) == {"lr": 0.02, "batch": 10, "copies": 10}
