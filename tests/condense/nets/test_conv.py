"""The CPU form of a convolution against XLA's own, in float64: values, derivatives, and every transformation around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.nets import conv
from synth.training import microbatch as pieces_module
from tests.support.convolutions import CASES


def native(x, kernel, *, stride, padding):
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), [(padding, padding)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC"))


def normal(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def setting(name):
    """The two convolutions as functions of (x, kernel), and arguments."""
    h, w, c, d, k, stride, padding = CASES[name]
    ours = lambda x, kernel: conv.conv2d(x, kernel, stride=stride, padding=padding)  # noqa: E731
    oracle = lambda x, kernel: native(x, kernel, stride=stride, padding=padding)  # noqa: E731
    return ours, oracle, (normal(0, 2, h, w, c), normal(1, k, k, c, d))


def same(a, b):
    jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=0, atol=1e-12 * max(1.0, float(jnp.abs(q).max(initial=0)))), a, b)


def energy(convolve):
    """A scalar whose first and second derivatives both see every part of the convolution."""
    return lambda x, kernel: jnp.sum(jnp.sin(convolve(x, kernel)))


def penalty(convolve):
    """Squared gradient by the kernel, as gradient matching differentiates it by the images."""
    return lambda x, kernel: jnp.sum(jax.grad(energy(convolve), 1)(x, kernel) ** 2) + jnp.sum(jax.grad(energy(convolve))(x, kernel) ** 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(float64, name):
    ours, oracle, args = setting(name)
    same(ours(*args), oracle(*args))
    both = lambda f: jax.grad(f, (0, 1))(*args)  # noqa: E731
    same(both(energy(ours)), both(energy(oracle)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["odd", "valid", "thin in", "thin out", "strided", "deep"])
def test_second_order(float64, name):
    ours, oracle, args = setting(name)
    both = lambda f: jax.grad(f, (0, 1))(*args)  # noqa: E731
    same(both(penalty(ours)), both(penalty(oracle)))


@pytest.mark.parametrize("name", [pytest.param("odd", marks=pytest.mark.slow), "thin in", "strided"])
def test_forward_over_reverse(float64, name):
    ours, oracle, args = setting(name)
    tangents = tuple(normal(5 + i, *a.shape) for i, a in enumerate(args))
    curvature = lambda f: jax.jvp(jax.grad(energy(f), (0, 1)), args, tangents)  # noqa: E731
    same(curvature(ours), curvature(oracle))


@pytest.mark.parametrize("name", ["odd", "thin in", "deep"])
def test_second_derivative_by_finite_differences(float64, name):
    ours, _, (x, kernel) = setting(name)
    f = penalty(ours)
    gx, gk = jax.grad(f, (0, 1))(x, kernel)
    u, v, eps = normal(2, *x.shape), normal(3, *kernel.shape), 1e-5
    slope = (f(x + eps * u, kernel + eps * v) - f(x - eps * u, kernel - eps * v)) / (2 * eps)
    np.testing.assert_allclose(jnp.vdot(gx, u) + jnp.vdot(gk, v), slope, rtol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("name, axes", [("odd", (2, 3)), ("thin in", (0, 0)), ("thin in", (0, None)), ("thin in", (None, 0))])
def test_vmap_equals_a_loop(float64, name, axes):
    """Over images, over the kernels of several networks, over both; the derivative is mapped too."""
    ours, _, (x, kernel) = setting(name)
    x = x if axes[0] is None else jnp.stack([x, 2 * x, x - 1], axes[0])
    kernel = kernel if axes[1] is None else jnp.stack([kernel, -kernel, kernel + 1], axes[1])
    at = lambda a, axis, i: a if axis is None else jnp.take(a, i, axis)  # noqa: E731
    f = jax.value_and_grad(energy(ours), (0, 1))
    loop = [f(at(x, axes[0], i), at(kernel, axes[1], i)) for i in range(3)]
    same(jax.vmap(f, axes)(x, kernel), jax.tree.map(lambda *leaves: jnp.stack(leaves), *loop))
    mapped = lambda x, kernel: jnp.sum(jax.vmap(energy(ours), axes)(x, kernel))  # noqa: E731
    summed = sum(jax.grad(energy(ours), 1)(at(x, axes[0], i), at(kernel, axes[1], i)) for i in range(3))
    gradient = jax.grad(mapped, 1)(x, kernel)
    same(gradient if axes[1] is None else jnp.sum(gradient, axes[1]), summed)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["odd", "thin in"])
def test_gradient_through_training_inside_scan(float64, name):
    """Three gradient steps on the kernel, differentiated by the images, with and without recomputation."""

    def trained(convolve, wrap, x, kernel):
        step = lambda k, _: (k - 0.01 * jax.grad(energy(convolve), 1)(x, k), None)  # noqa: E731
        return jnp.sum(jax.lax.scan(wrap(step), kernel, None, length=3)[0] ** 2)

    ours, oracle, args = setting(name)
    expected = jax.jit(jax.grad(lambda *a: trained(oracle, lambda step: step, *a)))(*args)
    for wrap in (lambda step: step, jax.checkpoint):
        same(jax.jit(jax.grad(lambda *a, wrap=wrap: trained(ours, wrap, *a)))(*args), expected)


def test_float32_errs_as_little_as_the_native_form():
    x, kernel = normal(0, 2, 9, 9, 64).astype(jnp.float32), normal(1, 3, 3, 64, 33).astype(jnp.float32)
    assert conv.Window(x.shape[1:], kernel.shape, 1, 1).deep, "else XLA would be compared with itself"
    ours, oracle = conv.conv2d(x, kernel, padding=1), native(x, kernel, stride=1, padding=1)
    assert ours.dtype == jnp.float32
    assert float(jnp.abs(ours - oracle).max()) < 5e-6 * float(jnp.abs(oracle).max()), "F(4x4, 3x3) should lose no more than a digit"


@pytest.mark.slow
def test_a_batch_laid_over_devices_gives_the_same():
    x, kernel = normal(0, 4, 6, 6, 5).astype(jnp.float32), normal(1, 3, 3, 5, 6).astype(jnp.float32)
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    laid = jax.device_put(x, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("d")))
    f = jax.jit(jax.grad(lambda x, k: jnp.sum(conv.conv2d(x, k, padding=1) ** 2), (0, 1)))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=2e-6 * float(jnp.abs(b).max())), f(laid, kernel), f(x, kernel))


@pytest.mark.slow
def test_inside_shard_map_as_runs_spread_over_devices():
    x, kernel = normal(0, 4, 2, 5, 5, 6).astype(jnp.float32), normal(1, 4, 3, 3, 6, 5).astype(jnp.float32)
    mesh = jax.make_mesh((4,), ("d",), axis_types=(jax.sharding.AxisType.Auto,))
    one = lambda x, k: jax.grad(lambda k: jnp.sum(conv.conv2d(x, k, padding=1) ** 2))(k)  # noqa: E731
    spec = jax.sharding.PartitionSpec("d")
    shared = jax.jit(jax.shard_map(lambda x, k: one(x[0], k[0])[None], mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))
    np.testing.assert_allclose(shared(x, kernel), jnp.stack([one(x[i], kernel[i]) for i in range(4)]), rtol=1e-4, atol=1e-3)


def test_wrong_shapes_are_named():
    x, kernel = normal(0, 1, 4, 4, 3).astype(jnp.float32), normal(1, 3, 3, 2, 5).astype(jnp.float32)
    with pytest.raises(ValueError, match="3 channels, the kernel expects 2"):
        conv.conv2d(x, kernel)
    with pytest.raises(ValueError, match="smaller than"):
        conv.conv2d(x[:, :2, :2, :2], kernel)


def test_instance_norm_equals_the_definition(float64):
    x, scale, bias = normal(0, 2, 5, 4, 3) + 3, normal(1, 3), normal(2, 3)

    def definition(x, scale, bias):
        mean, var = jnp.mean(x, (1, 2), keepdims=True), jnp.var(x, (1, 2), keepdims=True)
        return (x - mean) / jnp.sqrt(var + 1e-5) * scale[None, None, None] + bias[None, None, None]

    f = lambda norm: lambda *a: jnp.sum(jnp.sin(norm(*a)))  # noqa: E731
    g = lambda norm: lambda *a: jnp.sum(jax.grad(f(norm))(*a) ** 2)  # noqa: E731
    same(conv.instance_norm(x, scale, bias), definition(x, scale, bias))
    for level in (f, g):
        ours, theirs = (jax.jit(jax.grad(level(n), (0, 1, 2)))(x, scale, bias) for n in (conv.instance_norm, definition))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-9), ours, theirs)


def test_instance_norm_of_a_constant_image_is_finite():
    x = jnp.full((1, 4, 4, 2), 0.1, jnp.float32)
    value, gradient = jax.value_and_grad(lambda x: jnp.sum(conv.instance_norm(x, jnp.ones(2), jnp.zeros(2)) ** 2))(x)
    assert np.isfinite(value) and np.isfinite(gradient).all()


@pytest.mark.slow
@pytest.mark.parametrize("b", [1, 5, 8])
def test_pieces_equal_the_whole(float64, b, monkeypatch):
    """Batches that the pieces divide and that they do not, values and two orders of derivatives by an argument closed over."""
    monkeypatch.setattr(pieces_module, "PIXELS", 3 * 64)
    x, kernel = normal(0, b, 4, 4, 1), normal(1, 3, 3, 1, 5)

    def features(kernel, x):
        y = conv.avg_pool(conv.instance_norm(conv.conv2d(x, kernel, padding=1), jnp.ones(5), jnp.zeros(5)))
        return y, jnp.sum(y, (1, 2))

    whole, pieces = (lambda k, x: features(k, x)), (lambda k, x: conv.in_pieces(lambda x: features(k, x), x))
    same(pieces(kernel, x), whole(kernel, x))
    energy = lambda f: lambda k, x: sum(jnp.sum(jnp.sin(leaf)) for leaf in f(k, x))  # noqa: E731
    penalty = lambda f: lambda k, x: jnp.sum(jax.grad(energy(f))(k, x) ** 2)  # noqa: E731
    for level in (energy, penalty) if b == 5 else (energy,):
        ours, theirs = (jax.jit(jax.grad(level(f), (0, 1)))(kernel, x) for f in (pieces, whole))
        jax.tree.map(lambda p, q: np.testing.assert_allclose(p, q, rtol=1e-9, atol=1e-9), ours, theirs)
    assert (str(jax.make_jaxpr(pieces)(kernel, x)).count("remat") > 0) == (b > 3), "only batches beyond one piece should be cut"


@pytest.mark.parametrize("h, w", [(4, 6), (5, 7), (1, 4)])
def test_avg_pool_drops_the_odd_border(float64, h, w):
    x = normal(0, 2, h, w, 3)
    expected = jax.lax.reduce_window(x, 0.0, jax.lax.add, (1, 2, 2, 1), (1, 2, 2, 1), "VALID") / 4
    same(conv.avg_pool(x), expected)
