"""Normalisation and whitening against closed forms computed another way."""

import jax.numpy as jnp
import numpy as np
import pytest

from synth.errors import BadInput
from synth.images import preprocess as pre

EPSILON = 0.1


def pictures(n, *, seed, channels=1, shift=0.0):
    """Correlated images in [0, 1]: neighbouring pixels share a random walk."""
    noise = np.random.default_rng(seed).normal(size=(n, 5, 4, channels)).cumsum(1).cumsum(2)
    return (1 / (1 + np.exp(-noise)) * (1 - shift) + shift).astype(np.float32)


def flat(x):
    return np.asarray(x, np.float64).reshape(len(x), -1)


def test_whitened_covariance_has_shrunk_eigenvalues():
    x = pictures(200, seed=0, channels=3)
    whiten = pre.fit_zca(x)
    u, s, _ = np.linalg.svd(np.cov(flat(x), rowvar=False))
    np.testing.assert_allclose(np.cov(flat(whiten.apply(x)), rowvar=False), (u * s / (s + EPSILON)) @ u.T, atol=1e-4)
    assert s[0] / (s[0] + EPSILON) > 0.9 and s[-1] / (s[-1] + EPSILON) < 0.2  # the shrinkage is seen at both ends


def test_whitening_is_the_closed_form_symmetric_and_invertible():
    x = pictures(120, seed=1)
    whiten = pre.fit_zca(x)
    u, s, _ = np.linalg.svd(np.cov(flat(x), rowvar=False))
    np.testing.assert_allclose(whiten.matrix, (u / np.sqrt(s + EPSILON)) @ u.T, atol=1e-5)
    np.testing.assert_allclose(whiten.matrix, whiten.matrix.T, atol=1e-6)
    np.testing.assert_allclose(whiten.undo(whiten.apply(x)), x, atol=1e-4)
    assert not np.allclose(whiten.apply(x), x, atol=0.1)
    whiten.check()


def test_whitening_uses_training_statistics_on_other_images():
    train, test = pictures(150, seed=2), pictures(90, seed=3, shift=0.4)
    whiten = pre.fit_zca(train)
    want = (flat(test).mean(0) - flat(train).mean(0)) @ whiten.matrix.astype(np.float64)
    np.testing.assert_allclose(flat(whiten.apply(test)).mean(0), want, atol=1e-5)
    assert np.abs(want).max() > 0.1


def test_relative_regularisation_is_another_transform():
    x = pictures(150, seed=4)
    standard = pre.fit_standard(x)
    covariance = np.cov(flat(standard.apply(x)), rowvar=False)
    values, vectors = np.linalg.eigh(covariance + EPSILON * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    relative = (vectors / np.sqrt(values)) @ vectors.T
    whiten = pre.fit_zca(x)
    assert np.abs(whiten.matrix - relative).max() > 0.1
    with pytest.raises(ValueError, match="inverse does not undo matrix"):
        whiten._replace(inverse=np.linalg.inv(relative).astype(np.float32)).check()


def test_the_moments_of_bytes_are_those_of_their_numbers(monkeypatch):
    monkeypatch.setattr(pre, "CHUNK", 7)
    x = np.round(255 * pictures(50, seed=6, channels=3)).astype(np.uint8)
    mean, std = pre.moments(x)
    np.testing.assert_allclose(mean, (x / 255).mean((0, 1, 2)), rtol=1e-7)  # a byte over 255 is rounded to f32
    np.testing.assert_allclose(std, (x / 255).std((0, 1, 2)), rtol=1e-7)


@pytest.mark.parametrize("kind", ["standard", "zca"])
def test_chunks_do_not_change_the_fit(kind, monkeypatch):
    x = pictures(61, seed=5, channels=2)
    whole = pre.fit(kind, x)
    monkeypatch.setattr(pre, "CHUNK", 7)
    done = []
    for one, other in zip(whole, pre.fit(kind, x, done=lambda: done.append(1)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert len(done) == (9 if kind == "zca" else 0)


def test_standard_has_the_moments_of_every_channel():
    x = pictures(50, seed=6, channels=3) * np.float32([1, 0.5, 0.1])
    standard = pre.fit_standard(x)
    np.testing.assert_allclose(standard.mean, x.astype(np.float64).mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(standard.std, x.astype(np.float64).std((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(standard.apply(x).std((0, 1, 2)), 1, rtol=1e-5)
    np.testing.assert_allclose(standard.undo(standard.apply(x)), x, atol=1e-6)


@pytest.mark.parametrize("kind", ["standard", "zca"])
def test_bytes_are_fitted_as_their_fractions_of_255(kind):
    raw = np.random.default_rng(7).integers(0, 256, (40, 4, 4, 2), np.uint8)
    for one, other in zip(pre.fit(kind, raw), pre.fit(kind, (raw / 255).astype(np.float32)), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    assert pre.unit(raw).max() <= 1 and pre.unit(raw).dtype == np.float32
    np.testing.assert_array_equal(np.round(pre.unit(raw) * 255), raw)


def test_constant_channel_and_constant_pixel_stay_finite():
    x = pictures(30, seed=8, channels=2)
    x[..., 1] = 0.25
    standard, whiten = pre.fit_standard(x), pre.fit_zca(x)
    assert standard.std[1] == 1
    np.testing.assert_allclose(standard.apply(x)[..., 1], 0, atol=1e-7)
    np.testing.assert_allclose(whiten.apply(x)[..., 1], 0, atol=1e-4)


@pytest.mark.parametrize("kind", ["standard", "zca"])
def test_jax_arrays_give_what_numpy_gives(kind):
    x = pictures(30, seed=9, channels=3)
    fitted = pre.fit(kind, x)
    np.testing.assert_allclose(np.asarray(fitted.apply(jnp.asarray(x))), fitted.apply(x), atol=1e-4)
    np.testing.assert_allclose(np.asarray(fitted.undo(jnp.asarray(x))), fitted.undo(x), atol=1e-4)


def test_fits_says_which_images_belong():
    x = pictures(30, seed=10, channels=3)
    assert pre.fit_standard(x).fits((9, 9, 3)) and not pre.fit_standard(x).fits((5, 4, 1))
    assert pre.fit_zca(x).fits((5, 4, 3)) and not pre.fit_zca(x).fits((9, 9, 3))


def test_refusals_name_what_would_be_right():
    with pytest.raises(BadInput, match=r"unknown normalisation 'whiten' \(known: standard, zca, zca_relative\)"):
        pre.fit("whiten", pictures(3, seed=0))
    with pytest.raises(BadInput, match="at most 12288 numbers, got 2 of 12675; use normalise=standard"):
        pre.fit_zca(np.zeros((2, 65, 65, 3), np.uint8))
    with pytest.raises(ValueError, match=r"std is 0\.0 in a channel; every one must be positive"):
        pre.Standard(np.zeros(2, np.float32), np.float32([1, 0])).check()


def test_relative_whitening_standardises_first_and_adds_a_tenth_of_the_mean_eigenvalue():
    """By the formula of yongchaoz/FRePo, lib/dataset/ops.py, on images whose channels differ in deviation."""
    x = pictures(150, seed=4, channels=3) * np.float32([1, 0.5, 0.2])
    z = (x.astype(np.float64) - x.mean((0, 1, 2), dtype=np.float64)) / x.std((0, 1, 2), dtype=np.float64)
    centred = flat(z) - flat(z).mean(0)
    covariance = centred.T @ centred / len(z)
    u, s, _ = np.linalg.svd(covariance + EPSILON * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))
    whiten = pre.fit_zca(x, relative=True)
    np.testing.assert_allclose(flat(whiten.apply(x)), centred @ ((u / np.sqrt(s)) @ u.T), atol=2e-4)
    np.testing.assert_allclose(whiten.undo(whiten.apply(x)), x, atol=1e-4)
    whiten.check()
