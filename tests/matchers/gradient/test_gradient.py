"""Oracles of the gradient matching methods: the same numbers by other means."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.base import PerClass
from matchers.gradient.dc import DISTANCES, LOOPS, GradientState, channelwise_cosine, cos, dc, loops, mse
from matchers.gradient.dsa import dsa
from synth.images.augment import dsa as make_augment
from synth.images.augment import none
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
)
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net

DSA_SLOW = ["dc", pytest.param("dsa", marks=pytest.mark.slow)]  # dc behind an augmentation that compiles for long


def test_distance_counts_rows_as_published():
    rng = np.random.default_rng(0)
    g = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32), "bias": jnp.asarray(rng.normal(size=4), jnp.float32)}
    flat = np.asarray(g["kernel"], np.float64).reshape(-1, 4)
    short = {"kernel": g["kernel"] * jnp.float32(1e-3), "bias": g["bias"]}  # rows of about the length that is added
    square = (flat**2).sum(0) * 1e-6
    np.testing.assert_allclose(float(channelwise_cosine(short, short)), (1e-6 / (square + 1e-6)).sum(), rtol=1e-4)
    np.testing.assert_allclose(
        float(channelwise_cosine(g, jax.tree.map(jnp.negative, g))), 8, atol=1e-5
    )  # two for each of four opposite rows
    scaled = {"kernel": g["kernel"] * jnp.asarray([0.1, 1, 7, 100], jnp.float32)[None, None, None, :], "bias": -5 * g["bias"]}
    np.testing.assert_allclose(float(channelwise_cosine(g, scaled)), 0, atol=1e-4)  # neither a row's length nor a vector counts
    h = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32), "bias": g["bias"]}
    other = np.asarray(h["kernel"], np.float64).reshape(-1, 4)
    expected = sum(1 - flat[:, o] @ other[:, o] / (np.linalg.norm(flat[:, o]) * np.linalg.norm(other[:, o]) + 1e-6) for o in range(4))
    np.testing.assert_allclose(float(channelwise_cosine(g, h)), expected, rtol=1e-5)


@pytest.mark.slow
def test_a_dead_row_counts_one_and_has_a_finite_derivative():
    g = {"kernel": jnp.ones((5, 2))}
    dead = {"kernel": jnp.ones((5, 2)).at[:, 1].set(0)}
    np.testing.assert_allclose(float(channelwise_cosine(g, dead)), 1, atol=1e-5)
    slope = jax.grad(lambda h: channelwise_cosine(g, {"kernel": h}))(dead["kernel"])
    assert np.isfinite(np.asarray(slope)).all()


def test_other_distances_against_numpy():
    rng = np.random.default_rng(1)
    a, b = ({"k": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32), "b": jnp.asarray(rng.normal(size=3), jnp.float32)} for _ in range(2))
    flat = [np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(t)]) for t in (a, b)]
    np.testing.assert_allclose(float(mse(a, b)), ((flat[0] - flat[1]) ** 2).sum(), rtol=1e-5)
    lengths = np.linalg.norm(flat[0]) * np.linalg.norm(flat[1])
    np.testing.assert_allclose(float(cos(a, b)), 1 - flat[0] @ flat[1] / (lengths + 1e-6), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("distance", sorted(DISTANCES))
def test_dc_gradient_equals_finite_differences(float64, distance):
    net, real, fake = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    matcher = dc(net, lr=1.0, momentum=0.0, distance=distance, outer=1)
    grad, loss = gradient_of(matcher, fake, real, lr=1.0)

    p = matcher.init(KEY, fake).aux.vars.params

    @jax.jit
    def by_hand(pixels):

        def entropy(p, x, label):
            logits = jnp.tanh(x.reshape(len(x), -1) @ p["w"] + p["b"][None, :]) @ p["v"]
            return -jax.nn.log_softmax(logits)[:, label].mean()

        def gradient(x, label):
            return jax.grad(entropy)(p, x, label)

        images = jnp.asarray(pixels).reshape(3, -1, 4, 4, 1)
        return sum(DISTANCES[distance](gradient(real[c], c), gradient(images[c], c)) for c in range(3))

    np.testing.assert_allclose(loss, float(by_hand(fake.x.pixels)), rtol=1e-10)
    np.testing.assert_allclose(grad, central_differences(by_hand, fake.x.pixels), rtol=1e-6, atol=1e-8)


def test_loop_table_is_the_published_one():
    published = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
    assert {ipc: loops(ipc) for ipc in published} == published
    assert loops(5) == LOOPS[1] and loops(100) == LOOPS[50]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_the_network_trains_between_steps_and_is_renewed_after_the_last(name):
    """A step size of NaN betrays training: it must show after the first of two matching steps and be gone after the second."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net, net_lr=float("nan"), outer=2, inner=1)
    state = matcher.init(KEY, fake)
    step = jax.jit(matcher.step)
    _, first, _ = step(KEY, state, fake, real)
    assert np.isnan(np.asarray(first.aux.vars.params["w"])).all()
    _, second, _ = step(jax.random.key(9), first, fake, real)
    assert np.isfinite(np.asarray(second.aux.vars.params["w"])).all() and int(second.aux.seen) == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_at_one_image_a_class_the_network_never_trains(name):
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(1, seed=1))
    matcher = make(name, net, net_lr=float("nan"))
    state, step = matcher.init(KEY, fake), jax.jit(matcher.step)
    for number in range(3):
        fake, state, metrics = step(jax.random.key(number), state, fake, real)
        assert np.isfinite(np.asarray(state.aux.vars.params["w"])).all() and np.isfinite(float(metrics["loss"]))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_inner_training_is_plain_descent_on_the_updated_set(name):
    """The augmentation of dsa turns images negative wherever it is not siamese, which must be in the training alone."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    options = {"outer": 2, "inner": 3, "net_lr": 0.5}
    matcher = dc(net, **options) if name == "dc" else dsa(net, lambda key, x, *, siamese: x if siamese else -x, **options)
    state = matcher.init(KEY, fake)
    after, trained, metrics = jax.jit(matcher.step)(KEY, state, fake, real)
    images, params = after.x.pixels if name == "dc" else -after.x.pixels, state.aux.vars.params

    def entropy(p):
        logits = net.apply(state.aux.vars._replace(params=p), images).logits
        return -jax.nn.log_softmax(logits)[jnp.arange(6), after.y.index].mean()

    for _ in range(3):  # the whole set is one batch, so order does not matter
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(entropy)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5), trained.aux.vars.params, params)
    plain = jax.jit(dc(net, **options).step)(KEY, state, fake, real)[2]
    np.testing.assert_allclose(float(metrics["loss"]), float(plain["loss"]), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_batch_statistics_come_from_sixteen_real_images_a_class_and_stand_still(name):
    net, real, fake = normed_net(), per_class(blobs(20)).at[:, 16:].multiply(5), as_set(blobs(2, seed=1))
    matcher = dc(net, outer=1) if name == "dc" else dsa(net, none, outer=1)
    state = matcher.init(KEY, fake)
    params = state.aux.vars.params

    @jax.jit
    def by_hand(seen):
        h = seen.reshape(-1, 16) @ params["w"]
        mean, var = 0.1 * h.mean(0), 0.9 + 0.1 * h.var(0)

        def gradient(x, label):
            def entropy(p):
                h = (x.reshape(len(x), -1) @ p["w"] - mean[None]) / jnp.sqrt(var[None] + jnp.float32(1e-5))
                return -jax.nn.log_softmax(jnp.tanh(h) @ p["v"])[:, label].mean()

            return jax.grad(entropy)(params)

        images = fake.x.pixels.reshape(3, -1, 4, 4, 1)
        return sum(channelwise_cosine(gradient(real[c], c), gradient(images[c], c)) for c in range(3))

    loss = float(jax.jit(matcher.step)(KEY, state, fake, real)[2]["loss"])
    np.testing.assert_allclose(loss, float(by_hand(real[:, :16])), rtol=1e-4)
    assert abs(loss - float(by_hand(real))) > 1e-3 * loss  # all twenty would give another


def test_student_is_what_dsa_carries():
    net, fake = smooth_net(), as_set(blobs(2))
    assert isinstance(dsa(net, none).init(KEY, fake).aux, GradientState)


@pytest.mark.slow
@pytest.mark.parametrize("name", DSA_SLOW)
def test_nothing_is_learned_from_a_copy_of_the_real_batch(name):
    check_nothing_is_learned_from_a_copy_of_the_real_batch(name)


@pytest.mark.slow
def test_duplicated_and_permuted_synthetic_images_change_no_loss():
    check_duplicated_and_permuted_synthetic_images_change_no_loss("dc")


@pytest.mark.parametrize("name", DSA_SLOW)
def test_classes_do_not_touch_each_other(name):
    check_classes_do_not_touch_each_other(name)


@pytest.mark.slow
@pytest.mark.parametrize("together", [20, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DSA_SLOW)
def test_classes_together_equal_classes_in_turn(name, together, monkeypatch):
    check_classes_together_equal_classes_in_turn(name, together, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("name", DSA_SLOW)
def test_certain_soft_labels_are_hard_labels(name):
    check_certain_soft_labels_are_hard_labels(name)


def test_defaults_are_the_published_ones_but_for_the_batch():
    net, augment = smooth_net(), make_augment("color_crop")
    made = {"dc": dc(net), "dsa": dsa(net, augment)}
    assert {name: (m.start, m.recipe, m.feed) for name, m in made.items()} == {
        "dc": ("noise", "dc", PerClass(64)),
        "dsa": ("random", "dsa", PerClass(64)),
    }
    gradient = {"lr": 0.1, "momentum": 0.5, "net_lr": 0.01, "batch": 64, "distance": "rows", "outer": None, "inner": None}
    assert {name: complete_options(name, {}) for name in made} == {"dc": gradient, "dsa": gradient}
