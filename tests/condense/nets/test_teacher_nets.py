"""Depthwise convolutions against XLA's grouped ones, networks for small images against counts and graphs worked out by hand, and published
ones against torchvision (a file written by fixtures/make_published.py)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from condense.nets import NETS as KNOWN
from condense.nets import adapter, build, count, parse
from condense.nets.depthwise import depthwise
from condense.nets.layers import Draw, max_pool3, strides_for
from condense.nets.shufflenet import shuffle
from synth.base import Vars
from synth.numerics import backend
from tests.support.net_cases import call, images, prepared
from tests.support.places import FIXTURES
from tests.support.toy_data import central_differences

NETS = ("shufflenet:width=2,depth=1", *(pytest.param(spec, marks=pytest.mark.slow) for spec in ("mobilenet:width=4", "densenet:growth=2")))


def grouped(x, kernel, stride):
    form = {"dimension_numbers": ("NHWC", "HWIO", "NHWC"), "feature_group_count": x.shape[-1]}
    return jax.lax.conv_general_dilated(x, kernel[:, :, None], (stride, stride), [(len(kernel) // 2,) * 2] * 2, **form)


@pytest.mark.parametrize(
    ("size", "stride", "side"), [((1, 3), 1, 3), ((5, 6), 2, 3), ((6, 5), 2, 5), pytest.param((4, 4), 2, 3, marks=pytest.mark.slow)]
)
def test_depthwise_is_a_grouped_convolution_in_value_and_derivatives(size, stride, side):
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, *size, 3), (side, side, 3)))
    np.testing.assert_allclose(depthwise(x, kernel, stride=stride), grouped(x, kernel, stride), atol=1e-5)

    def curved(convolve):
        return lambda x, kernel: jnp.sum(jnp.tanh(convolve(x, kernel)) ** 3)

    ours, theirs = (curved(f) for f in (lambda x, k: depthwise(x, k, stride=stride), lambda x, k: grouped(x, k, stride)))
    for a, b in zip(jax.grad(ours, (0, 1))(x, kernel), jax.grad(theirs, (0, 1))(x, kernel), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)

    def second(f):
        return jax.grad(lambda k: jnp.sum(jax.grad(f)(x, k) ** 2))(kernel)

    np.testing.assert_allclose(second(ours), second(theirs), atol=1e-3)


def test_depthwise_runs_batched_over_kernels_and_images():
    x, kernel = images((4, 4, 2), n=6).reshape(3, 2, 4, 4, 2), jnp.asarray(np.random.default_rng(0).normal(size=(3, 3, 3, 2)), jnp.float32)
    np.testing.assert_allclose(
        jax.vmap(depthwise)(x, kernel), jnp.stack([grouped(a, k, 1) for a, k in zip(x, kernel, strict=True)]), atol=1e-5
    )
    np.testing.assert_allclose(jax.vmap(lambda a: depthwise(a, kernel[0]))(x)[2], grouped(x[2], kernel[0], 1), atol=1e-5)


def norm(channels):
    return 2 * channels


def inverted(inputs, width, expand=4):
    inner = expand * inputs
    return inputs * inner + norm(inner) + 9 * inner + norm(inner) + inner * width + norm(width)


def branch(inputs, width):
    return inputs * width + norm(width) + 9 * width + norm(width) + width * width + norm(width)


def shrink(inputs, width):
    return 9 * inputs + norm(inputs) + inputs * width // 2 + norm(width // 2) + branch(inputs, width // 2)


def dense(inputs, growth):
    return norm(inputs) + inputs * 4 * growth + norm(4 * growth) + 9 * 4 * growth * growth


def test_parameter_counts_are_those_of_the_layers():
    """Every layer's weights added by hand, at three channels and ten classes."""
    mobile = 27 * 16 + norm(16) + inverted(16, 16) + inverted(16, 32) + inverted(32, 64) + 64 * 128 + norm(128) + 128 * 10 + 10
    assert count(build("mobilenet", (32, 32, 3), 10)) == mobile
    shuffled = 27 * 24 + norm(24) + shrink(24, 48) + 2 * branch(24, 24) + shrink(48, 96) + 2 * branch(48, 48)
    shuffled += 96 * 192 + norm(192) + 192 * 10 + 10
    assert count(build("shufflenet", (32, 32, 3), 10)) == shuffled
    total, width = 27 * 16, 16
    for stage in range(3):
        total += sum(dense(width + 8 * i, 8) for i in range(3))
        width += 24
        if stage < 2:
            total += norm(width) + width * (width // 2)
            width //= 2
    assert count(build("densenet", (32, 32, 3), 10)) == total + norm(width) + width * 10 + 10


@pytest.mark.slow
@pytest.mark.parametrize("spec", NETS)
def test_features_are_the_average_of_the_last_map_and_feed_the_head(spec):
    net, vars = prepared(spec)
    x = images((8, 8, 2), n=3)
    out = call(net, vars, x)
    np.testing.assert_allclose(out.embed, out.taps["conv"].mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(out.logits, out.embed @ vars.params["head"]["kernel"] + vars.params["head"]["bias"][None], atol=1e-5)
    alone = call(net, vars, x[1:2])
    np.testing.assert_allclose(alone.logits[0], out.logits[1], atol=1e-5)  # running statistics: no image sees another
    assert np.abs(np.asarray(call(net, vars, x, train=True).logits - out.logits)).max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("spec", NETS)
def test_gradients_are_those_of_finite_differences(spec, float64):
    """By the images, through batch statistics."""
    net, vars = prepared(spec, (4, 4, 1))
    vars = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), vars)
    x, rng = np.random.default_rng(2).normal(size=(2, 4, 4, 1)), np.random.default_rng(3)
    pull = jnp.asarray(rng.normal(size=(2, 3)))
    value = jax.jit(lambda x: jnp.sum(net.apply(vars, x, train=True).logits * pull))
    np.testing.assert_allclose(jax.grad(value)(jnp.asarray(x)), central_differences(value, x, step=1e-6), atol=1e-5)


def test_a_shuffle_interleaves_halves():
    np.testing.assert_array_equal(shuffle(jnp.arange(6.0)[None, None, None])[0, 0, 0], [0, 3, 1, 4, 2, 5])


# Published networks.

PUBLISHED = {  # parameters at 1,000 classes, as torchvision's documentation has them
    "resnet18:norm=batch": 11_689_512,
    "resnet50": 25_557_032,
    "mobilenet_v2": 3_504_872,
    "shufflenet_v2": 2_278_604,
    "shufflenet_v2:width=48": 1_366_792,
    "densenet121": 7_978_856,
    "efficientnet_b0": 5_288_548,
}


@pytest.mark.parametrize("spec", PUBLISHED)
def test_published_networks_have_the_published_parameters(spec):
    assert count(build(spec, (224, 224, 3), 1000)) == PUBLISHED[spec]


class Provider(Draw):
    """Hands out the numbers of fixtures/make_published.py, in PyTorch's order of axes turned into ours."""

    def __init__(self):
        super().__init__()
        self.rng = np.random.default_rng(0)

    def parameter(self, shape, fan_in):
        last = len(shape) - 1
        if last == 0:
            return nnx.Param(jnp.asarray(self.rng.normal(size=shape)))
        theirs = (shape[last], *((shape[2],) if last == 3 else ()), *shape[:2]) if last > 1 else shape[::-1]
        numbers = self.rng.normal(size=theirs) / np.sqrt(np.prod(theirs[1:]))
        return nnx.Param(jnp.asarray(numbers.transpose({1: (1, 0), 2: (1, 2, 0), 3: (2, 3, 1, 0)}[last])))


@pytest.mark.parametrize("size", [(7, 8), (8, 7), (1, 2)])
def test_the_pool_of_large_stems_is_that_of_xla(size):
    x = jax.nn.relu(jax.random.normal(jax.random.key(0), (2, *size, 3)))
    expected = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0)))
    np.testing.assert_array_equal(max_pool3(x), expected)


def test_small_images_leave_out_the_first_halvings():
    published = (2, 1, 2, 2, 2, 1, 2)
    assert strides_for((160, 160, 3), published) == published
    assert strides_for((32, 32, 3), published) == (1, 1, 1, 2, 2, 1, 2)


CASES = [(spec, side) for spec in PUBLISHED for side in (32, 160)]


@pytest.mark.slow
@pytest.mark.parametrize(("spec", "side"), CASES)
def test_published_networks_compute_what_torchvision_does(spec, side, float64, monkeypatch):
    """In double precision, through batch statistics; small images without the first two halvings."""
    monkeypatch.setattr(backend, "is_cpu", lambda: False)  # XLA's own convolutions compile faster
    with np.load(FIXTURES / "published.npz") as file:
        expected = file[f"{spec}_{side}"]
    name, options = parse(spec)
    _, params, stats = nnx.split(KNOWN[name].load()(**options)((side, side, 3), 7, Provider()), nnx.Param, nnx.BatchStat)
    vars = Vars(*(jax.tree.map(jnp.float64, adapter.plain(nnx.to_pure_dict(part))) for part in (params, stats)))
    x = jnp.asarray(np.random.default_rng(1).normal(size=(2, side, side, 3)))
    np.testing.assert_allclose(call(build(spec, (side, side, 3), 7), vars, x, train=True).logits, expected, rtol=1e-6, atol=1e-8)
