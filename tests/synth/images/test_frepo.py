"""FRePo's augmentation: against SciPy's interpolation at the coordinates of its release, and its ranges."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from synth.images import frepo as views
from synth.images.augment import contrast, saturation
from synth.images.frepo import OPERATIONS, frepo

KEY = jax.random.key(1)
X = np.random.default_rng(0).normal(size=(6, 9, 2)).astype(np.float32)
ROW, COLUMN = (grid.astype(np.float64) for grid in np.mgrid[0:6, 0:9])
CENTRE = 2.5, 4.0


def sampled(rows, columns):
    """The image at these coordinates, linearly, outside the nearest pixel: jax.scipy's `map_coordinates(order=1, mode="nearest")`."""
    return np.stack([map_coordinates(X[..., c].astype(np.float64), [rows, columns], order=1, mode="nearest") for c in range(2)], -1)


def f32(*values):
    return [jnp.float32(v) for v in values]


@pytest.mark.slow
@pytest.mark.parametrize(("by", "dy", "dx"), [(1.2, 0.4, -0.7), (0.8, -0.5, 0.9), (1.0, 0.0, 0.0)])
def test_zoom(by, dy, dx):
    """Released: the matrix [1 0 dy; 0 1 dx] / zoom on coordinates from the centre."""
    rows, columns = (ROW - CENTRE[0] + dy) / by + CENTRE[0], (COLUMN - CENTRE[1] + dx) / by + CENTRE[1]
    np.testing.assert_allclose(views.zoom(jnp.asarray(X), *f32(by, dy, dx)), sampled(rows, columns), atol=1e-5)


@pytest.mark.slow
def test_translate_by_parts_of_a_pixel():
    np.testing.assert_allclose(views.translate(jnp.asarray(X), *f32(0.6, -0.9)), sampled(ROW - 0.6, COLUMN + 0.9), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("angle", [0.0, 0.26, -0.2])
def test_rotate(angle):
    """Released: [cos sin; -sin cos] on (row, column) from the centre."""
    y, x = ROW - CENTRE[0], COLUMN - CENTRE[1]
    rows, columns = np.cos(angle) * y + np.sin(angle) * x, np.cos(angle) * x - np.sin(angle) * y
    have = views.rotate(jnp.asarray(X), jnp.float32(angle))
    np.testing.assert_allclose(have, sampled(rows + CENTRE[0], columns + CENTRE[1]), atol=1e-5)


def test_cutout_has_a_quarter_of_the_side():
    want = np.ones((28, 28))
    want[3:10, 21:28] = 0
    np.testing.assert_array_equal(views.cutout(jnp.ones((28, 28, 1)), jnp.int32(3), jnp.int32(21))[..., 0], want)


def test_color_is_brightness_contrast_saturation():
    want = saturation(contrast(jnp.asarray(X) + 0.2, jnp.float32(0.8)), jnp.float32(1.25))
    np.testing.assert_array_equal(views.color(jnp.asarray(X), *f32(0.2, 0.8, 1.25)), want)


U = jax.random.uniform(KEY, (3, 4000))
E = float(np.exp(0.25))
RANGES = {  # least and most of each parameter at 28 x 20 pixels
    "color": [(-0.25, 0.25), (1 / E, E), (1 / E, E)],
    "crop": [(0.8, 1.25), (-3.5, 3.5), (-2.5, 2.5)],
    "rotate": [(-np.pi / 12, np.pi / 12)],
    "translate": [(-3.5, 3.5), (-2.5, 2.5)],
    "cutout": [(0, 21), (0, 15)],
}


@pytest.mark.parametrize("name", RANGES)
def test_ranges(name):
    drawn = OPERATIONS[name].draw(U, (28, 20))
    assert len(drawn) == len(RANGES[name])
    for values, (low, high) in zip(map(np.asarray, drawn), RANGES[name], strict=True):
        slack = {"cutout": 0, "crop": 0.05}.get(name, 0.02) * (high - low)  # shifts of a crop are large under large zooms alone
        assert low - 1e-5 <= values.min() <= low + slack and high - slack <= values.max() <= high + 1e-5


def test_a_zoom_shows_the_frame_alone():
    """A larger picture covers the frame; a smaller one lies in it."""
    by, dy, dx = OPERATIONS["crop"].draw(U, (28, 20))
    assert (np.abs(dy) <= np.abs(28 * by - 28) / 2 + 1e-5).all() and (np.abs(dx) <= np.abs(20 * by - 20) / 2 + 1e-5).all()
    np.testing.assert_allclose(np.median(np.log(by)), 0, atol=0.02)


@pytest.mark.slow
def test_one_operation_a_batch_with_parameters_an_image():
    """And grey images are never mirrored, nor are those whose mirror image means something else."""
    x = jnp.broadcast_to(jnp.asarray(X), (3, *X.shape))
    mirrored = np.asarray(x[:, :, ::-1])
    seen = {"mirrored": 0, "apart": 0}
    for flips, images in ((True, x), (False, x), (True, x[..., :1])):
        augment = jax.jit(lambda key, images, flips=flips: frepo(flips)(key, images, siamese=False))
        for seed in range(40):
            out = np.asarray(augment(jax.random.key(seed), images))
            assert out.shape == images.shape and np.isfinite(out).all()
            apart = len({one.tobytes() for one in out}) == 3
            seen["apart"] += apart
            flipped = any((one == mirrored[0, ..., : images.shape[-1]]).all() for one in out)
            assert not flipped or (flips and images.shape[-1] > 1)
            seen["mirrored"] += flipped
    assert seen["mirrored"] > 2 and seen["apart"] > 60
