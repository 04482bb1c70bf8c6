"""Augmentation: against numpy written from the definitions, and the promises of the siamese draw."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from synth.errors import BadInput
from synth.images import augment
from synth.images.augment import OPERATIONS, Operation, dsa, dsa_strategy, none, one_each

KEY = jax.random.key(0)
ALL = dsa_strategy(True)
X = np.random.default_rng(0).normal(size=(5, 8, 8, 3)).astype(np.float32)
RNG = np.random.default_rng(1)


def f32(*values):
    return [jnp.float32(v) for v in values]


def uniform(n):
    return jax.random.uniform(KEY, (3, n))


def sample_affine(x, matrix):
    """Bilinear samples of x[h w c] at matrix @ (column, row) in coordinates that run from -1 to 1 between corner pixels, 0 outside."""
    h, w, c = x.shape
    out = np.zeros((h, w, c))
    for i, v in enumerate(np.linspace(-1, 1, h)):
        for j, u in enumerate(np.linspace(-1, 1, w)):
            su, sv = matrix @ (u, v)
            q, p = (su + 1) / 2 * (w - 1), (sv + 1) / 2 * (h - 1)
            for a in (int(np.floor(p)), int(np.floor(p)) + 1):
                for b in (int(np.floor(q)), int(np.floor(q)) + 1):
                    if 0 <= a < h and 0 <= b < w:
                        out[i, j] += (1 - abs(p - a)) * (1 - abs(q - b)) * x[a, b]
    return out


@pytest.mark.parametrize("shape", [(7, 7, 2), (8, 8, 1), (6, 9, 3)])
def test_scale_is_bilinear_sampling(shape):
    x = RNG.normal(size=shape).astype(np.float32)
    apply = jax.jit(augment.scale)
    for sy, sx in RNG.uniform(1 / 1.2, 1.2, (12, 2)):
        np.testing.assert_allclose(apply(x, *f32(sy, sx)), sample_affine(x, np.diag([sx, sy])), atol=2e-5)


@pytest.mark.parametrize("shape", [(7, 7, 2), (8, 8, 1)])
def test_rotate_is_bilinear_sampling(shape):
    x = RNG.normal(size=shape).astype(np.float32)
    apply = jax.jit(augment.rotate)
    for t in RNG.uniform(-1, 1, 12) * np.pi / 12:
        matrix = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        np.testing.assert_allclose(apply(x, *f32(t)), sample_affine(x, matrix), atol=2e-5)


def test_a_quarter_turn_moves_pixels_whole():
    turned = np.asarray(jax.jit(augment.rotate)(X[0], jnp.float32(np.pi / 2)))
    np.testing.assert_allclose(turned, np.rot90(X[0], 1, (0, 1)), atol=1e-5)


@pytest.mark.parametrize("dy,dx", [(1, -1), (-1, 0), (0, 1), (0, 0)])
def test_translate_shifts_and_fills_with_zero(dy, dx):
    padded = np.pad(X[0], ((1, 1), (1, 1), (0, 0)))
    expected = padded[1 + dy : 9 + dy, 1 + dx : 9 + dx]
    np.testing.assert_array_equal(augment.translate(jnp.asarray(X[0]), jnp.int32(dy), jnp.int32(dx)), expected)


@pytest.mark.parametrize("n,side", [(28, 14), (32, 16), (9, 5)])
def test_cutout_clears_a_clipped_square(n, side):
    ones, apply = jnp.ones((n, n, 1)), jax.jit(augment.cutout)
    for y, u in [(0, 0), (n // 2, 3), (n - 1, n - 1), (side, side + 1)]:
        expected = np.ones((n, n))
        expected[max(0, y - side // 2) : y - side // 2 + side, max(0, u - side // 2) : u - side // 2 + side] = 0
        np.testing.assert_array_equal(apply(ones, jnp.int32(y), jnp.int32(u))[..., 0], expected)


def test_color_is_brightness_then_saturation_then_contrast():
    x = X[0].astype(np.float64)
    y = x + 0.3
    y = y.mean(-1, keepdims=True) + 1.7 * (y - y.mean(-1, keepdims=True))
    y = y.mean() + 0.6 * (y - y.mean())
    np.testing.assert_allclose(augment.color(jnp.asarray(X[0]), *f32(0.3, 1.7, 0.6)), y, atol=1e-5)


def test_saturation_does_nothing_to_one_channel():
    x = jnp.asarray(X[0][..., :1])
    np.testing.assert_allclose(augment.saturation(x, jnp.float32(1.9)), x, atol=1e-6)


NEUTRAL = {"color": (0.0, 1.0, 1.0), "scale": (1.0, 1.0), "rotate": (0.0,), "crop": (0, 0), "flip": (False,)}


@pytest.mark.parametrize("name", NEUTRAL)
def test_neutral_parameters_are_the_identity(name):
    kinds = {float: jnp.float32, int: jnp.int32, bool: jnp.bool_}
    out = OPERATIONS[name].apply(jnp.asarray(X[0]), *[kinds[type(p)](p) for p in NEUTRAL[name]])
    np.testing.assert_allclose(out, X[0], atol=1e-6)


def test_flip_mirrors_columns_and_twice_is_the_identity():
    once = augment.flip(jnp.asarray(X[0]), jnp.bool_(True))
    np.testing.assert_array_equal(once, np.flip(X[0], 1))
    np.testing.assert_array_equal(augment.flip(once, jnp.bool_(True)), X[0])


RANGES = [(-0.5, 0.5), (0, 2), (0.5, 1.5), (1 / 1.2, 1.2), (1 / 1.2, 1.2), (-np.pi / 12, np.pi / 12)]


def test_continuous_parameters_are_uniform_and_independent():
    drawn = [p for name in ("color", "scale", "rotate") for p in OPERATIONS[name].draw(uniform(4000), (28, 28))]
    for values, (low, high) in zip(drawn, RANGES, strict=True):
        assert stats.kstest(np.asarray(values, np.float64), "uniform", (low, high - low)).pvalue > 1e-3
    for a, b in [(0, 1), (1, 2), (3, 4)]:
        assert abs(np.corrcoef(drawn[a], drawn[b])[0, 1]) < 0.07


@pytest.mark.parametrize(
    "name,n,values",
    [("crop", 28, range(-4, 5)), ("crop", 32, range(-4, 5)), ("crop", 8, range(-1, 2)), ("cutout", 28, range(29)), ("cutout", 9, range(9))],
)
def test_integer_parameters_are_uniform_and_independent(name, n, values):
    one, two = (np.asarray(p) for p in OPERATIONS[name].draw(uniform(6000), (n, n)))
    for drawn in (one, two):
        assert set(drawn.tolist()) == set(values)
        assert stats.chisquare([(drawn == v).sum() for v in values]).pvalue > 1e-3
    assert abs(np.corrcoef(one, two)[0, 1]) < 0.06


def test_flip_is_a_fair_coin():
    (on,) = OPERATIONS["flip"].draw(uniform(4000), (8, 8))
    assert stats.binomtest(int(on.sum()), 4000).pvalue > 1e-3


@pytest.mark.parametrize("name", ["crop", "cutout"])
def test_the_largest_draw_stays_in_range(name):
    top = OPERATIONS[name].draw(jnp.full((3,), np.nextafter(np.float32(1), np.float32(0))), (28, 28))
    assert [int(p) for p in top] == {"crop": [4, 4], "cutout": [28, 28]}[name]


@pytest.mark.parametrize("siamese", [True, False])
def test_exactly_one_operation_a_call_uniformly(monkeypatch, siamese):
    # a marked operation adds its own power of ten: the digits of the result tell what was applied, and how often
    for place, name in enumerate(ALL.split("_")):
        monkeypatch.setitem(OPERATIONS, name, Operation(lambda u, size: (), lambda x, place=place: x + 10.0**place))
    act = dsa(ALL)
    out = np.asarray(jax.vmap(lambda key: act(key, jnp.zeros((2, 1, 1, 1)), siamese=siamese))(jax.random.split(KEY, 6000)))
    counts = [(out == 10.0**place).all((1, 2, 3, 4)).sum() for place in range(6)]
    assert sum(counts) == 6000, "some call applied no operation, several, or different ones to the images of a batch"
    assert stats.chisquare(counts).pvalue > 1e-3


def test_siamese_does_not_see_the_batch():
    def both(key):
        act = dsa(ALL)
        return act(key, X, siamese=True), jnp.concatenate([act(key, X[:2], siamese=True), act(key, X[2:], siamese=True)])

    together, apart = jax.lax.map(both, jax.random.split(KEY, 60))
    assert len({np.abs(out).tobytes() for out in np.asarray(together)}) > 30, "the keys draw too little to tell"
    np.testing.assert_allclose(together, apart, atol=1e-5)


@pytest.mark.parametrize("name", OPERATIONS)
def test_siamese_shares_parameters_and_the_other_mode_does_not(name):
    act = jax.jit(dsa(name), static_argnames="siamese")
    same = jnp.broadcast_to(X[:1], (16, 8, 8, 3))
    shared, apart = np.asarray(act(KEY, same, siamese=True)), np.asarray(act(KEY, same, siamese=False))
    np.testing.assert_allclose(shared, np.broadcast_to(shared[:1], shared.shape), atol=1e-6)
    assert np.abs(apart - apart[:1]).max() > 0.1


def test_pure_function_of_the_key():
    act, before = jax.jit(lambda key: dsa(ALL)(key, X, siamese=False)), np.random.get_state()[1].copy()  # noqa: NPY002
    results = [np.asarray(act(key)) for key in jax.random.split(KEY, 10)]
    for key, result in zip(jax.random.split(KEY, 10), results, strict=True):
        np.testing.assert_array_equal(act(key), result)
    assert len({result.tobytes() for result in results}) == 10
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002


def rightward(flips):
    """Of 200 keys on a picture that brightens to the right, which still do (by the majority of neighbouring pixels), in either mode."""
    ramp, act = jnp.broadcast_to(jnp.arange(1, 13, dtype=jnp.float32)[:, None], (4, 12, 12, 1)), dsa(dsa_strategy(flips))
    keys = jax.random.split(KEY, 200)
    both = jax.lax.map(lambda key: jnp.stack([act(key, ramp, siamese=mode) for mode in (True, False)]), keys)
    return (np.sign(np.diff(np.asarray(both)[..., 0], axis=-1)).sum((-1, -2)) > 0).all((0, 2))


def test_digits_are_never_mirrored():
    assert rightward(False).all()
    assert not rightward(True).any(), "the probe cannot see a mirrored image"


def test_strategies():
    assert ALL == "color_crop_cutout_flip_scale_rotate"
    assert dsa_strategy(False) == "color_crop_cutout_scale_rotate"
    np.testing.assert_array_equal(none(KEY, jnp.asarray(X), siamese=True), X)


@pytest.mark.parametrize("strategy", ["color_blur", "blur", "", "color__crop"])
def test_unknown_operations_name_the_known(strategy):
    with pytest.raises(BadInput, match="known: color, crop, cutout, flip, scale, rotate"):
        dsa(strategy)


def test_gradient_is_zero_exactly_where_pixels_are_gone():
    def pull(operation, *params):
        return np.asarray(jax.jit(jax.grad(lambda x: operation(x, *params).sum()))(X[0]))

    kept = np.ones((8, 8, 3))
    kept[2:6, 3:7] = 0
    np.testing.assert_array_equal(pull(augment.cutout, jnp.int32(4), jnp.int32(5)), kept)
    kept = np.ones((8, 8, 3))
    kept[0], kept[:, -1] = 0, 0
    np.testing.assert_array_equal(pull(augment.translate, jnp.int32(1), jnp.int32(-1)), kept)
    assert (pull(augment.rotate, jnp.float32(0.2))[2:6, 2:6] > 0.5).all()
    outer = pull(augment.scale, *f32(1 / 1.2, 1 / 1.2))  # enlarges: the outermost pixels lose weight, the inner ones count more than once
    assert (outer[0, 0] < 1).all() and (outer[3:5, 3:5] > 1).all()


@pytest.mark.parametrize("name", OPERATIONS)
def test_derivatives_equal_finite_differences(float64, name):
    act = dsa(name)
    x, direction = (jnp.asarray(np.random.default_rng(s).normal(size=(2, 8, 8, 2))) for s in (3, 4))

    def value(x):
        return (jnp.sin(act(KEY, x, siamese=True)) + jnp.cos(act(KEY, x, siamese=False))).sum()

    @jax.jit
    def derivatives(x):
        return value(x), jax.grad(value)(x), jax.grad(lambda x: (jax.grad(value)(x) * direction).sum())(x)

    step = 1e-5
    _, grad, second = derivatives(x)
    ahead, behind = derivatives(x + step * direction), derivatives(x - step * direction)
    np.testing.assert_allclose((grad * direction).sum(), (ahead[0] - behind[0]) / (2 * step), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(second, (ahead[1] - behind[1]) / (2 * step), rtol=1e-5, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("siamese", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_same_under_jit_scan_map_and_vmap(siamese):
    def act(key):
        return dsa(ALL)(key, X, siamese=siamese)

    keys, one = jax.random.split(KEY, 12), jax.jit(act)
    loop = np.stack([one(key) for key in keys])
    np.testing.assert_allclose(jax.lax.map(act, keys), loop, atol=1e-5)  # a scan
    np.testing.assert_allclose(jax.jit(jax.vmap(act))(keys), loop, atol=1e-5)


@pytest.mark.slow
def test_one_each_moves_every_image_by_one_operation_of_its_own():
    """A dot away from the centre: every draw is a whole shift, a zoom along its ray, or a turn at its radius, and all three occur."""
    x = jnp.zeros((300, 21, 21, 1)).at[:, 10, 15].set(1.0)
    views = np.asarray(jax.jit(partial(one_each, siamese=False))(jax.random.key(3), x))[..., 0]
    mean = float(x.mean())
    kinds, shifts = set(), set()
    for view in views - mean:
        mass = np.maximum(view, 0)
        row, column = (float((mass.sum(1 - axis) * np.arange(21)).sum() / mass.sum()) for axis in (0, 1))
        if abs(view.max() - (1 - mean)) < 1e-5 and abs(row - round(row)) < 1e-4 and (round(row), round(column)) != (10, 15):
            kinds.add("shift")
            shifts.add((round(row) - 10, round(column) - 15))
        elif abs(row - 10) < 0.35 and abs(column - 15) > 0.05:
            kinds.add("zoom")
            assert 0.75 <= (column - 10) / 5 <= 1.3
        elif abs(np.hypot(row - 10, column - 10) - 5) < 0.3:
            kinds.add("turn")
    assert kinds == {"shift", "zoom", "turn"}
    assert {down for down, _ in shifts} == {right for _, right in shifts} == set(range(-2, 4))
    np.testing.assert_allclose(one_each(jax.random.key(0), jnp.full((4, 8, 8, 2), 0.7), siamese=False), 0.7, atol=1e-5)  # a mean of 256 f32
