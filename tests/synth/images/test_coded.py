import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.images.bases import Bases, shared
from synth.images.coded import Half, Packed, Tiles, coded
from synth.images.tiles import enlarge, shrink, tile_shape


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape).astype(np.float32))


def torch_bilinear(x, large):
    """PyTorch's formula along one axis, `align_corners=False`: the source of row i is at (i + 1/2) a / h - 1/2, at least 0."""
    small = x.shape[0]
    rows = []
    for i in range(large):
        at = max(0.0, (i + 0.5) * small / large - 0.5)
        first = int(at)
        second = min(first + 1, small - 1)
        rows.append((1 - (at - first)) * x[first] + (at - first) * x[second])
    return np.stack(rows)


@pytest.mark.parametrize(("h", "w", "factor"), [(8, 6, 2), (10, 9, 3)])
def test_tiles_are_enlarged_by_the_formula_of_pytorch(h, w, factor):
    a, b, c = tile_shape((h, w, 2), factor)
    tiles = np.asarray(images(3, a, b, c))
    rows = torch_bilinear(tiles.transpose(1, 2, 3, 0), h)  # h b c n
    expected = torch_bilinear(rows.transpose(1, 0, 2, 3), w).transpose(3, 1, 0, 2)
    np.testing.assert_allclose(enlarge(jnp.asarray(tiles), h, w), expected, atol=1e-6)
    np.testing.assert_allclose(shrink(enlarge(jnp.asarray(tiles), h, w), factor), tiles, atol=1e-5)


def test_shrunk_images_are_the_least_squares_solution():
    x = np.asarray(images(2, 6, 6, 1))
    columns = np.stack([np.asarray(enlarge(unit.reshape(1, 3, 3, 1), 6, 6)).ravel() for unit in jnp.eye(9)], 1)
    solved = [np.linalg.lstsq(columns.astype(float), one.ravel(), rcond=None)[0].reshape(3, 3, 1) for one in x]
    np.testing.assert_allclose(shrink(jnp.asarray(x), 2), solved, atol=1e-5)


@pytest.mark.parametrize(("code", "kind", "bits"), [("f32", Tiles, 32), ("f16", Half, 16), ("u3", Packed, 3)])
def test_tiles_and_storage_go_together_and_bytes_are_exact(code, kind, bits):
    x = coded(code, 3).encode(images(5, 10, 9, 2))
    last = x.store()
    assert isinstance(last, kind) and last.n == x.n == 5 and x.per_image == 9
    payload = -(-5 * 3 * 3 * 2 * bits // 8)
    assert x.nbytes() == last.nbytes() == payload + (16 if code == "u3" else 0)
    np.testing.assert_array_equal(last.decode(), x.decode())
    np.testing.assert_allclose(jax.jit(lambda x: x.decode())(last), last.decode(), atol=1e-6)  # sizes are no arrays
    assert jax.tree.structure(last.like().encode(last.decode()).store()) == jax.tree.structure(last)


def test_the_gradient_of_tiles_is_the_transpose_of_the_enlargement():
    x, weigh = coded("u2", 2).encode(images(2, 8, 8, 1)), images(2, 8, 8, 1, seed=1)
    slope = jax.grad(lambda x: (weigh * x.decode()).sum())(x).learned()
    expected = jax.grad(lambda tiles: (weigh * enlarge(tiles, 8, 8)).sum())(x.pixels)
    np.testing.assert_allclose(slope, expected, rtol=1e-6)


def test_bounds_hold_for_tiles():
    x = coded("u8", 2).encode(images(2, 8, 8, 1)).bounded(jnp.full(1, 0.5), jnp.full(1, 0.25))
    decoded = np.asarray(x.moved(9 * x.learned()).store().decode())
    assert decoded.min() == -2 and decoded.max() == 2


def test_bases_are_summed_as_einsum_sums_them_and_start_at_the_nearest():
    x = np.asarray(images(6, 4, 5, 2))
    made = shared(3).encode(jnp.asarray(x))
    expected = np.einsum("nk,khwc->nhwc", *(np.asarray(part, float) for part in (made.coefficients, made.bases))) / np.sqrt(6 * 40)
    np.testing.assert_allclose(made.decode(), expected, atol=1e-6)
    u, s, v = np.linalg.svd(x.reshape(6, 40).astype(float), full_matrices=False)
    np.testing.assert_allclose(expected.reshape(6, 40), (u[:, :3] * s[:3]) @ v[:3], atol=1e-5)
    assert made.nbytes() == 4 * (3 * 40 + 6 * 3) == made.bytes_for(6, (4, 5, 2))


def test_a_step_on_coefficients_moves_images_by_the_projected_gradient():
    made, weigh = shared(3).encode(images(6, 4, 5, 2)), images(6, 4, 5, 2, seed=1)
    slope = jax.grad(lambda x: (weigh * x.decode()).sum())(made)
    moved = Bases(made.bases, made.coefficients - 0.1 * slope.coefficients).decode() - made.decode()
    v = np.linalg.svd(np.asarray(made.bases).reshape(3, 40), full_matrices=False)[2]
    np.testing.assert_allclose(moved.reshape(6, 40), -0.1 * np.asarray(weigh).reshape(6, 40) @ v.T @ v, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 9}, "9 bits a number; 2 to 8 is possible"),
        ({"count": 4}, "the payload has 23 bytes; 4 images of this shape take 18"),
        ({"factor": 11}, "images of 10x9 have no tiles of factor 11"),
        ({"high": jnp.full(2, -99.0)}, "high is below low in a channel"),
    ],
)
def test_impossible_packed_images_are_refused(change, message):
    last = coded("u2", 3).encode(images(5, 10, 9, 2)).store()
    last.check()
    with pytest.raises(ValueError, match=message):
        last._replace(**change).check()
    with pytest.raises(ValueError, match="tiles of 3x3; of images of 10x9 and factor 2 they are 5x4"):
        coded("f32", 3).encode(images(5, 10, 9, 2)).store()._replace(factor=2).check()
