"""Oracles of characteristic function matching: loops over frequencies with complex exponentials, differences, and a closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from matchers.base import PerClass
from matchers.distribution.ncfm import gap, ncfm, unit
from synth.images.augment import none
from tests.support.factories import complete_options
from tests.support.matching import KEY, check_duplicated_and_permuted_synthetic_images_change_no_loss, per_class, stepped
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net


def by_loops(x, s, ts, alpha: float) -> float:
    """The mean over frequencies, one after another, with the angles of complex numbers in place of their products."""
    found = []
    for t in np.asarray(ts):
        a, b = (np.mean([np.exp(1j * np.dot(t, row)) for row in np.asarray(side)]) for side in (x, s))
        phases = 2 * abs(a) * abs(b) * (1 - np.cos(np.angle(a) - np.angle(b)))
        found.append(np.sqrt(alpha * (abs(a) - abs(b)) ** 2 + (1 - alpha) * phases))
    return float(np.mean(found))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_the_distance_and_its_gradient_are_those_of_loops(alpha, float64):
    rng = np.random.default_rng(3)
    x, s, t = rng.normal(size=(5, 4)), rng.normal(size=(2, 4)), rng.normal(size=(6, 4))
    value, slope = jax.value_and_grad(lambda s: gap(jnp.asarray(x), s, jnp.asarray(t), alpha))(jnp.asarray(s))
    np.testing.assert_allclose(value, by_loops(x, s, t, alpha), rtol=1e-10)
    np.testing.assert_allclose(slope, central_differences(lambda s: by_loops(x, s, t, alpha), s), rtol=1e-6, atol=1e-9)
    assert np.abs(slope).max() > 1e-3


def test_amplitudes_and_phases_at_equal_weight_are_the_distance_of_complex_numbers(float64):
    rng = np.random.default_rng(4)
    x, s, t = (jnp.asarray(rng.normal(size=shape)) for shape in ((5, 4), (3, 4), (7, 4)))
    phi, fake = (np.exp(1j * np.asarray(side) @ np.asarray(t).T).mean(0) for side in (x, s))
    np.testing.assert_allclose(gap(x, s, t, 0.5), np.abs(phi - fake).mean() / np.sqrt(2), rtol=1e-10)


def test_a_step_descends_the_loss_that_loops_compute(float64):
    """Over classes, in features of unit length, by the first step of Adam: the step size times the sign of every slope."""
    net, real, fake = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    after, _, metrics = stepped(ncfm(net, none, lr=0.01, frequencies=5, amplitude=0.3), fake, real)
    k_t, k_net, _ = jax.random.split(jax.random.split(KEY)[0], 3)
    params = net.init(k_net).params
    t = jax.random.normal(k_t, (5, 5), jnp.float64)

    def embed(x):
        features = np.tanh(np.asarray(x).reshape(len(x), -1) @ np.asarray(params["w"]) + np.asarray(params["b"]))
        return features / np.linalg.norm(features, axis=1, keepdims=True)

    def by_hand(pixels):
        images = np.asarray(pixels).reshape(3, -1, 4, 4, 1)
        return sum(by_loops(embed(real[c]), embed(images[c]), t, 0.3) for c in range(3))

    np.testing.assert_allclose(metrics["loss"], by_hand(fake.x.pixels), rtol=1e-10)
    slope = central_differences(by_hand, fake.x.pixels)
    clear = np.abs(slope) > 1e-5
    np.testing.assert_allclose((after.x.pixels - fake.x.pixels)[clear], -0.01 * np.sign(slope)[clear], rtol=2e-3)
    assert clear.mean() > 0.9


def test_frequencies_are_standard_normal_and_drawn_anew():
    """One feature, which has length one: +1 for a real example, -1 for its negative, so L = sqrt(2) E |sin t| for each of three classes."""
    net, examples = smooth_net(hidden=1), blobs(1)
    matcher = ncfm(net, none, frequencies=4096)
    real, fake = per_class(examples), as_set(examples._replace(x=-examples.x))
    step = jax.jit(lambda key: matcher.step(key, matcher.init(key, fake), fake, real)[2]["loss"])
    losses = [float(step(jax.random.key(seed))) for seed in range(3)]
    expected = 3 * np.sqrt(2) * quad(lambda t: abs(np.sin(t)) * norm.pdf(t), -np.inf, np.inf)[0]
    np.testing.assert_allclose(losses, expected, rtol=0.04)  # five deviations of the mean of |sin t|
    assert len(set(losses)) == 3


@pytest.mark.slow
def test_a_copy_of_the_real_examples_has_no_loss_and_a_slope_that_is_finite():
    net, examples = smooth_net(), blobs(4)
    after, _, metrics = stepped(ncfm(net, none, frequencies=8), as_set(examples), per_class(examples))
    other = stepped(ncfm(net, none, frequencies=8), as_set(blobs(4, seed=5)), per_class(examples))[2]
    assert np.isfinite(after.x.pixels).all() and metrics["loss"] < 1e-2 * other["loss"]


def test_features_without_length_stay_and_give_no_slope_that_is_no_number():
    features = jnp.asarray([[3.0, 4.0], [0.0, 0.0]])
    np.testing.assert_allclose(unit(features), [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert np.isfinite(jax.grad(lambda x: unit(x).sum())(features)).all()


@pytest.mark.slow
def test_duplicated_and_permuted_synthetic_images_change_no_loss():
    check_duplicated_and_permuted_synthetic_images_change_no_loss("ncfm")


def test_it_asks_for_real_examples_of_every_class():
    assert ncfm(smooth_net(), none, batch=9).feed == PerClass(9)
    assert complete_options("ncfm", {}) == {"lr": 0.02, "batch": 256, "frequencies": 1024, "amplitude": 0.5}
