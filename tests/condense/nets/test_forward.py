"""What networks compute. Oracles: PyTorch (files written by fixtures/make_nets.py), lax convolutions, NumPy moments, differences."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense.nets import build
from synth.base import Vars
from synth.numerics import backend
from tests.support.net_cases import SMALL, assert_trees, call, images, prepared
from tests.support.places import FIXTURES


@pytest.fixture(autouse=True)
def native(monkeypatch):
    """XLA's own convolutions, which compile in a fraction of the time; parity with PyTorch is tested on those for the CPU."""
    monkeypatch.setattr(backend, "is_cpu", lambda: False)


# Parity with PyTorch.


def translate(template: Vars, arrays, prefix, last_map):
    """PyTorch's arrays in the shape of `template`: OIHW kernels to HWIO, (out, in) to (in, out), flattened (c, h, w) to (h, w, c)."""
    names = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}

    def pick(path, leaf):
        *where, last = (str(getattr(part, "key", getattr(part, "idx", None))) for part in path)
        value = arrays[f"{prefix}.{'.'.join([*where, names[last]])}"]
        if value.ndim == 4:
            value = value.transpose(2, 3, 1, 0)
        elif value.ndim == 2 and value.shape[1] == np.prod(last_map):
            h, w, c = last_map
            value = value.reshape(-1, c, h, w).transpose(2, 3, 1, 0).reshape(h * w * c, -1)
        elif value.ndim == 2:
            value = value.T
        assert value.shape == leaf.shape
        return jnp.asarray(value)

    return Vars(*(jax.tree_util.tree_map_with_path(pick, tree) for tree in template))


@pytest.mark.parametrize(
    ("case", "spec", "last_map"),
    [
        ("instance", "convnet:width=6", (4, 4, 6)),
        ("group", "convnet:width=8,depth=2,norm=group,act=swish,pool=max", (3, 2, 8)),
        ("batch", "convnet:width=5,depth=2,norm=batch,act=leaky_relu", (2, 2, 5)),
        ("lenet", "lenet", (2, 1, 16)),
        ("resnet", "resnet:width=4", (1, 1, 16)),
    ],
)
def test_forward_pass_equals_pytorch(case, spec, last_map, monkeypatch):
    monkeypatch.setattr(backend, "is_cpu", lambda: True)
    with np.load(FIXTURES / f"nets_{case}.npz") as file:
        arrays = dict(file)
    x = jnp.asarray(arrays["x"].transpose(0, 2, 3, 1))
    net, template = prepared(spec, x.shape[1:])
    before = translate(template, arrays, "before", last_map)
    assert sum(name.startswith("before") and "tracked" not in name for name in arrays) == len(jax.tree.leaves(before))
    out = call(net, before, x, train=True)
    np.testing.assert_allclose(out.logits, arrays["logits"], atol=1e-5)
    if before.stats:
        after = translate(Vars((), before.stats), arrays, "after", last_map).stats
        assert_trees(out.stats, after, atol=1e-5)
    np.testing.assert_allclose(call(net, Vars(before.params, out.stats), x).logits, arrays["evaluated"], atol=1e-5)


CHAINS = {  # channels with kernel size, M = 2x2 max pooling
    "alexnet": (8, [(128, 5), "M", (192, 5), "M", (256, 3), (192, 3), (192, 3), "M"]),
    "vgg": (32, [(64, 3), "M", (128, 3), "M", (256, 3), (256, 3), "M", (512, 3), (512, 3), "M", (512, 3), (512, 3), "M"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAINS)
def test_chain_of_convolutions_equals_lax(name):
    side, chain = CHAINS[name]
    net, vars = prepared(f"{name}:norm=none", (side, side, 1))
    x, kernels = images((side, side, 1), n=1), iter(vars.params["convs"])
    y = x
    for layer in chain:
        if layer == "M":
            y = jax.lax.reduce_window(y, -jnp.inf, jax.lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
        else:
            weights = next(kernels)
            assert weights["kernel"].shape[::3] == (layer[1], layer[0])
            y = jax.lax.conv_general_dilated(y, weights["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            y = jnp.maximum(y + weights["bias"].reshape(1, 1, 1, -1), 0)
    assert next(kernels, None) is None
    np.testing.assert_allclose(call(net, vars, x).embed, y.reshape(1, -1), atol=1e-5)


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_mlp_equals_numpy(norm):
    net, vars = prepared(f"mlp:width=6,norm={norm}")
    params, stats = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), vars)
    x = images(SMALL)
    h = np.asarray(x, np.float64).reshape(4, 8 * 8 * 2)
    for layer in range(2):
        h = h @ params["hidden"][layer]["kernel"] + params["hidden"][layer]["bias"]
        if norm == "batch":
            scale, seen = params["norms"][layer], stats["norms"][layer]
            h = (h - seen["mean"]) / np.sqrt(seen["var"] + 1e-5) * scale["scale"] + scale["bias"]
        h = np.maximum(h, 0)
    out = call(net, vars, x)
    np.testing.assert_allclose(out.embed, h, atol=1e-5)
    np.testing.assert_allclose(out.logits, h @ params["head"]["kernel"] + params["head"]["bias"], atol=1e-5)
    assert len(params["hidden"]) == 2 and np.abs(h).max() > 0.1


def test_padding_28_to_32_equals_padding_by_hand():
    small, vars = prepared("convnet:width=4,depth=2", (28, 28, 1))
    large = build("convnet:width=4,depth=2", (32, 32, 1), 3)
    x = images((28, 28, 1), n=2)
    by_hand = jnp.zeros((2, 32, 32, 1)).at[:, 2:30, 2:30].set(x)
    np.testing.assert_array_equal(call(small, vars, x).logits, call(large, vars, by_hand).logits)
    assert build("mlp:width=5", (27, 28, 1), 3).init(jax.random.key(0)).params["hidden"][0]["kernel"].shape == (27 * 28, 5)


# Norms.


@pytest.mark.parametrize("norm", ["instance", "group", "none", "batch"])
def test_norms_of_one_example_ignore_the_rest_of_the_batch(norm):
    net, vars = prepared(f"convnet:width=8,depth=1,norm={norm}")
    x = images(SMALL)

    @jax.jit
    def modes(vars, x):
        return net.apply(vars, x, train=True), net.apply(vars, x[:1], train=True), net.apply(vars, x)

    together, alone, evaluated = (out.logits[:1] for out in modes(vars, x))
    if norm == "batch":
        assert np.abs(together - alone).max() > 1e-2 and np.abs(together - evaluated).max() > 1e-2
    else:
        np.testing.assert_allclose(together, alone, atol=1e-6)
        np.testing.assert_allclose(together, evaluated, atol=1e-6)
        assert vars.stats == ()


@pytest.mark.parametrize("train", [True, False])
def test_batch_norm_taps_hold_the_moments_of_its_input(train):
    net, vars = prepared("convnet:width=4,depth=1,norm=batch,pool=none")
    x, (first,) = images(SMALL), vars.params["convs"]
    y = jax.lax.conv_general_dilated(x, first["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    y = np.asarray(y, np.float64) + np.asarray(first["bias"])
    n, mean, var = y[..., 0].size, y.mean((0, 1, 2)), y.var((0, 1, 2))
    held = ({"mean": jnp.full(4, 0.5), "var": jnp.full(4, 2.0)},)
    out = call(net, Vars(vars.params, {"norms": held}), x, train=train)
    assert_trees(out.taps["norm0"], (mean, var), rtol=1e-5)
    assert_trees(out.taps["running0"], (held[0]["mean"], held[0]["var"]), rtol=0)
    if train:
        moved = {"mean": 0.9 * 0.5 + 0.1 * mean, "var": 0.9 * 2.0 + 0.1 * var * n / (n - 1)}
        assert_trees(out.stats["norms"][0], moved, rtol=1e-5)
    else:
        assert_trees(out.stats["norms"], held, rtol=0)


def test_taps_come_in_call_order():
    # A layer's running mean moves by a tenth of its own input's mean, which tells whose tap it is.
    net, vars = prepared("resnet:width=2,depth=8")
    out = call(net, vars, images(SMALL), train=True)
    layers = [out.stats["norm"]]
    for block in out.stats["blocks"]:
        layers += [block[name] for name in ("norm1", "norm2", "norm3") if name in block]
    assert len(layers) == 9 and set(out.taps) == {"conv"} | {
        f"{kind}{i}" for kind in ("norm", "running", "norm_input", "conv_input") for i in range(9)
    }
    for i, layer in enumerate(layers):
        np.testing.assert_allclose(layer["mean"], 0.9 * out.taps[f"running{i}"][0] + 0.1 * out.taps[f"norm{i}"][0], rtol=1e-5)
    means = [np.asarray(layer["mean"]) for layer in layers]
    assert all(a.shape != b.shape or np.abs(a - b).max() > 1e-5 for a, b in pairwise(means))


def test_training_moves_a_copy_under_jit_grad_and_scan():
    net, vars = prepared("convnet:width=4,depth=2,norm=batch")
    kept, xs = jax.tree.map(np.array, vars), images((4, *SMALL), n=3)

    def loss(params, stats, x):
        out = net.apply(Vars(params, stats), x, train=True)
        return jnp.sum(out.logits**2), out.stats

    def step(vars, x):
        (value, stats), grads = jax.value_and_grad(loss, has_aux=True)(*vars, x)
        return Vars(jax.tree.map(lambda p, g: p - 0.01 * g, vars.params, grads), stats), value

    scanned, values = jax.jit(lambda vars: jax.lax.scan(step, vars, xs))(vars)
    looped, once = vars, jax.jit(step)
    for x in xs:
        looped, _ = once(looped, x)
    assert_trees(scanned, looped, atol=1e-5)
    assert_trees(vars, kept, rtol=0)
    moved = jax.tree.map(lambda a, b: np.abs(a - b).min(), scanned.stats, vars.stats)
    assert min(jax.tree.leaves(moved)) > 1e-4 and np.isfinite(values).all()


def test_networks_stack_under_vmap():
    net = build("convnet:width=4,depth=2,norm=batch", SMALL, 3)
    keys, x = jax.random.split(jax.random.key(3), 3), images(SMALL)

    def one(key):
        return net.apply(net.init(key), x, train=True)

    stacked, alone = jax.jit(jax.vmap(one))(keys), jax.jit(one)
    for i, key in enumerate(keys):
        assert_trees(jax.tree.map(lambda leaf, i=i: leaf[i], stacked), alone(key), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("norm", ["instance", "group", "batch"])
def test_second_derivative_equals_finite_differences(float64, norm):
    net, vars = prepared(f"convnet:width=6,depth=1,norm={norm},act=swish", (4, 4, 2))
    vars, x = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), (vars, images((4, 4, 2))))
    flat, unravel = ravel_pytree(vars.params)
    gradient = jax.jit(jax.grad(lambda p: jnp.sum(jnp.sin(net.apply(Vars(unravel(p), vars.stats), x, train=True).logits))))
    direction = jnp.asarray(np.random.default_rng(4).normal(size=flat.shape))
    product = jax.jit(jax.grad(lambda p: gradient(p) @ direction))(flat)  # reverse over reverse
    difference = (gradient(flat + 1e-5 * direction) - gradient(flat - 1e-5 * direction)) / 2e-5
    np.testing.assert_allclose(product, difference, atol=1e-6 * np.abs(difference).max())
    assert np.abs(product).max() > 1e-2


def test_eleven_layers_keep_their_places():
    net, vars = prepared("convnet:width=2,depth=11,pool=none,norm=batch", (2, 2, 2))
    marked = {"norms": tuple({"mean": jnp.full(2, 1e3 * i), "var": jnp.ones(2)} for i in range(11))}
    out = call(net, Vars(vars.params, marked), images((2, 2, 2)), train=True)
    for i in range(11):
        np.testing.assert_array_equal(out.taps[f"running{i}"][0], 1e3 * i)
        np.testing.assert_allclose(out.stats["norms"][i]["mean"], 900 * i, atol=10)


@pytest.mark.parametrize("spec", ["convnet:width=4,depth=2", "resnet:width=4"])
def test_last_feature_map_times_head_gives_the_logits(spec):
    net, vars = prepared(spec)
    out, head = call(net, vars, images(SMALL)), vars.params["head"]
    maps, kernel = np.asarray(out.taps["conv"]), np.asarray(head["kernel"])
    assert maps.shape[1:3] == (2, 2)
    # A head on averages sees every pixel with a quarter of its weights.
    kernel = kernel.reshape(2, 2, 4, 3) if spec.startswith("convnet") else np.broadcast_to(kernel / 4, (2, 2, 16, 3))
    activation = np.einsum("bhwc,hwck->bhwk", maps, kernel)
    np.testing.assert_allclose(activation.sum((1, 2)) + np.asarray(head["bias"]), out.logits, atol=1e-5)
