"""The laws that views are drawn from: exact supports, distributions, means, and that no two draws share a key."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synth.images import augment
from synth.images.views import View, mixup, random_flip, random_resized_crop, random_roll, random_shift, shuffle_patches

KEY = jax.random.key(17)
N = 4000


def a_point(n=N, side=9):
    return jnp.zeros((n, side, side, 1)).at[:, side // 2, side // 2].set(1)


def moved(x) -> np.ndarray:
    """By how much rows and columns of the point moved, i32[n 2]; images that lost it apart."""
    flat = np.asarray(x)[..., 0].reshape(len(x), -1)
    side = x.shape[1]
    return np.stack(np.unravel_index(flat.argmax(1), (side, side)), 1) - side // 2


def is_uniform(values, support):
    assert sorted(set(values)) == list(support)
    counts = [np.count_nonzero(values == value) for value in support]
    assert stats.chisquare(counts).pvalue > 1e-4, counts


@pytest.mark.parametrize("most", [1, 2, 4])
def test_shifts_are_uniform_over_all_whole_numbers_of_their_range(most):
    """The largest on both sides too."""
    found = moved(random_shift(KEY, a_point(), most=most, shared=False))
    for axis in (0, 1):
        is_uniform(found[:, axis], range(-most, most + 1))
    assert abs(stats.pearsonr(found[:, 0], found[:, 1]).statistic) < 0.05


@pytest.mark.parametrize(("least", "most"), [(0, 3), (-2, 2)])
def test_rolls_are_uniform_over_all_whole_numbers_of_their_range(least, most):
    found = moved(random_roll(KEY, a_point(), least=least, most=most, shared=False))
    for axis in (0, 1):
        is_uniform(found[:, axis], range(least, most + 1))


def test_half_of_the_images_are_mirrored():
    x = jnp.zeros((N, 3, 3, 1)).at[:, :, 0].set(1)
    on = np.asarray(random_flip(KEY, x, shared=False))[:, 0, 2, 0]
    assert set(on.tolist()) == {0.0, 1.0} and abs(on.mean() - 0.5) < 0.03


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
def test_the_share_of_mixup_is_beta(alpha):
    """Kolmogorov and Smirnov: symmetric, with both parameters alpha."""
    x = jnp.zeros((2, 1, 1, 1))
    lam = jax.jit(jax.vmap(lambda key: mixup(key, x, alpha=alpha)[1].lam))(jax.random.split(KEY, N))
    assert stats.kstest(np.asarray(lam, np.float64), stats.beta(alpha, alpha).cdf).pvalue > 1e-4


@pytest.mark.slow
def test_the_parts_of_a_view_are_drawn_from_keys_of_their_own():
    """Whether an image is mirrored says nothing of how it is shifted or cut, nor of how the batch is mixed."""
    x = jnp.zeros((N, 10, 10, 1)).at[:, 4, 3].set(1)  # no shift puts the point where its mirror image is
    shifted, _ = View(pad=2).sample(KEY, x)
    both, _ = View(pad=2, flip=True).sample(KEY, x)
    on = np.any(np.asarray(shifted) != np.asarray(both), axis=(1, 2, 3))
    down, right = moved(shifted).T
    assert 0.45 < on.mean() < 0.55
    for drawn in (down, right):
        table = [[np.count_nonzero((drawn == value) & (on == side)) for value in sorted(set(drawn))] for side in (False, True)]
        assert stats.chi2_contingency(table).pvalue > 1e-4, table
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 9)[None, None, :, None], (N, 9, 9, 1))
    cut, _ = View(crop=(0.2, 0.6)).sample(KEY, ramp)
    turned, _ = View(crop=(0.2, 0.6), flip=True).sample(KEY, ramp)
    mirrored, place = np.any(np.asarray(cut) != np.asarray(turned), axis=(1, 2, 3)), np.asarray(cut).mean((1, 2, 3))
    assert stats.ks_2samp(place[mirrored], place[~mirrored]).pvalue > 1e-4


def test_zooms_enlarge_by_as_much_as_they_are_drawn(monkeypatch):
    """What stretches the grid is one over U(0.8, 1.2), so that the picture grows by that; stand-ins show it in place of the picture."""
    monkeypatch.setattr(augment, "scale", lambda image, down, right: jnp.full_like(image, down))
    for other in ("translate", "rotate"):
        monkeypatch.setattr(augment, other, lambda image, *drawn: jnp.full_like(image, -1))
    shown = np.asarray(augment.one_each(KEY, jnp.zeros((3 * N, 2, 2, 1)), siamese=False), np.float64)[:, 0, 0, 0]
    zooms = 1 / shown[shown > 0]
    assert abs(len(zooms) / len(shown) - 1 / 3) < 0.03
    assert stats.kstest(zooms, stats.uniform(0.8, 0.4).cdf).pvalue > 1e-4


@pytest.mark.slow
def test_every_part_of_a_view_has_its_own_fifth_of_the_key():
    """Parts that shared one would show it in no statistic, and yet be one draw."""
    x = jax.random.normal(KEY, (6, 8, 8, 2))
    shuffle, crop, pad, flip, mix = jax.random.split(KEY, 5)
    for view, expected in (
        (View(shuffle=2), shuffle_patches(shuffle, x, factor=2, shared=False)),
        (View(crop=(0.2, 0.6)), random_resized_crop(crop, x, scale=(0.2, 0.6), shared=False)),
        (View(pad=2), random_shift(pad, x, most=2, shared=False)),
        (View(flip=True), random_flip(flip, x, shared=False)),
        (View(mix="mixup", alpha=1.0), mixup(mix, x, alpha=1.0)[0]),
    ):
        np.testing.assert_array_equal(view.sample(KEY, x)[0], expected)
