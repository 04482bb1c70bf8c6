"""Networks by name: sizes, variables and specs. Oracles: published parameter counts, PyTorch's documented default initialisation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense.nets import NETS, build, canonical, count, parse
from synth.errors import BadInput
from tests.support.net_cases import SMALL, assert_trees, images, prepared

# Parameter counts.


@pytest.mark.parametrize(
    ("spec", "image", "classes", "expected"),
    [
        ("convnet", (28, 28, 1), 10, 317_706),
        ("convnet", (32, 32, 3), 10, 320_010),
        ("convnet", (32, 32, 3), 100, 504_420),
        ("convnet:depth=4", (64, 64, 3), 200, 857_160),
        ("convnet:depth=5", (128, 128, 3), 10, 615_690),
        ("convnet_doubling", (32, 32, 3), 10, 1_562_634),
        ("convnet_frepo", (32, 32, 3), 10, 1_561_610),
        ("lenet", (28, 28, 1), 10, 61_706),
        ("lenet", (32, 32, 3), 10, 62_006),
        ("alexnet", (32, 32, 3), 10, 1_872_202),
        ("vgg:norm=batch", (32, 32, 3), 10, 9_231_114),
        ("resnet:depth=20", (32, 32, 3), 10, 272_474),
        ("resnet18:norm=batch", (32, 32, 3), 10, 11_173_962),
    ],
)
def test_parameter_counts_are_the_published_ones(spec, image, classes, expected):
    assert count(build(spec, image, classes)) == expected, "the architecture changed: results no longer compare with the papers'"


@pytest.mark.parametrize("image", [(28, 28, 1), (32, 32, 3)])
def test_convnet_has_2048_features(image):
    net = build("convnet", image, 10)
    out = jax.eval_shape(net.apply, jax.eval_shape(net.init, jax.random.key(0)), jnp.zeros((2, *image)))
    assert out.embed.shape == (2, 2048)


# Variables.


def test_flat_vector_round_trips_in_a_fixed_order():
    net, vars = prepared("convnet:width=2,depth=11,pool=none,norm=batch")
    flat, unravel = ravel_pytree(vars.params)
    assert flat.shape == (count(net),) and flat.dtype == jnp.float32
    assert_trees(unravel(flat), vars.params, rtol=0)
    leaves = jax.tree_util.tree_leaves_with_path(vars)
    paths = ["/".join(str(getattr(part, "key", getattr(part, "idx", None))) for part in path[1:]) for path, _ in leaves]
    expected = [f"convs/{i}/{name}" for i in range(11) for name in ("bias", "kernel")] + ["head/bias", "head/kernel"]
    expected += [f"norms/{i}/{name}" for i in range(11) for name in ("bias", "scale")]
    expected += [f"norms/{i}/{name}" for i in range(11) for name in ("mean", "var")]
    assert paths == expected, "the order of the flat vector changed: stored trajectories and their distances would be read wrongly"


def test_initial_weights_are_pytorch_defaults():
    vars = jax.jit(build("convnet:width=64,depth=2", (32, 32, 3), 50).init)(jax.random.key(0))
    for layer in (*vars.params["convs"], vars.params["head"]):
        bound = np.prod(layer["kernel"].shape[:-1]) ** -0.5
        for name, slack in (("kernel", 0.06), ("bias", 0.5)):
            w = np.asarray(layer[name], np.float64)
            assert 0.9 * bound < np.abs(w).max() <= bound * (1 + 1e-6)
            assert abs(w.var() / (bound**2 / 3) - 1) < slack and abs(w.mean()) < 4 * bound / np.sqrt(3 * w.size)
    for layer in vars.params["norms"]:
        assert (layer["scale"] == 1).all() and (layer["bias"] == 0).all()


def test_a_key_decides_the_weights():
    net = build("convnet:width=4,depth=2,norm=batch", SMALL, 3)
    init = jax.jit(net.init)
    a, b = init(jax.random.key(0)), init(jax.random.key(1))
    assert_trees(a, init(jax.random.key(0)), rtol=0)
    assert_trees(a, net.init(jax.random.key(0)), rtol=1e-6)
    for name in ("convs", "head"):
        pairs = zip(jax.tree.leaves(a.params[name]), jax.tree.leaves(b.params[name]), strict=True)
        assert all(np.abs(p - q).max() > 1e-3 for p, q in pairs)
    assert (a.stats["norms"][0]["mean"] == 0).all() and (a.stats["norms"][0]["var"] == 1).all()


DEEP = ("resnet50", "mobilenet_v2", "shufflenet_v2", "densenet121", "efficientnet_b0")  # seconds to trace


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in DEEP else ())
        for name in NETS
        if "images" in NETS[name].takes and name != "linear"
    ],
)
def test_every_network_takes_any_channels_and_classes(name):
    for norm in ("instance", "group", "batch", "none"):
        if (name, norm) == ("mlp", "instance"):
            continue
        net = build(f"{name}:norm={norm}", (32, 32, 2), 7)
        vars = jax.eval_shape(net.init, jax.random.key(0))
        out = jax.eval_shape(lambda vars, x, net=net: net.apply(vars, x, train=True), vars, jnp.zeros((3, 32, 32, 2)))
        assert out.logits.shape == (3, 7) and out.embed.shape == (3, vars.params["head"]["kernel"].shape[0])
        assert jax.tree.structure(out.stats) == jax.tree.structure(vars.stats)
        assert bool(vars.stats) == ("norm0" in out.taps) == (norm == "batch")
        assert all(leaf.dtype == jnp.float32 and not leaf.weak_type for leaf in jax.tree.leaves((vars, out)))


# Specs.


def test_canonical_spells_all_options_and_stays_as_it_is():
    assert canonical("convnet") == "convnet:width=128,depth=3,norm=instance,act=relu,pool=avg"
    assert canonical("convnet:pool=max,width=32") == "convnet:width=32,depth=3,norm=instance,act=relu,pool=max"
    assert parse("resnet:depth=14") == ("resnet", {"depth": 14, "width": 16, "norm": "batch"})
    for name in NETS:
        assert canonical(canonical(name)) == canonical(name)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("conv", "unknown network 'conv' (known: convnet, convnet_doubling, convnet_frepo, mlp"),
        ("convnet:widht=3", "unknown option 'widht' of convnet (known: width, depth, norm, act, pool)"),
        ("convnet:width=wide", "width must be a whole number of at least 1, got 'wide'"),
        ("convnet:width=0", "at least 1"),
        ("convnet:width=1.5", "whole number"),
        ("convnet:width", "got ''"),
        ("convnet:width=3,width=4", "given twice"),
        ("convnet:norm=layer", "norm must be one of instance, group, batch, none, got 'layer'"),
        ("resnet:depth=9", "8, 14, 20"),
        ("mlp:norm=instance", "erases every hidden unit"),
        ("mlp:norm=group,width=4", "erases every hidden unit"),
        ("convnet:depth=4", "a depth of at most 3, pool=none, or images of at least 16x16"),
        ("lenet", "at least 16x16"),
        ("vgg", "at least 32x32"),
        ("resnet18", "at least 9x9"),
    ],
)
def test_wrong_specs_fail_in_one_line_that_says_what_is_right(spec, says):
    with pytest.raises(BadInput) as error:
        build(spec, SMALL, 3)
    assert says in str(error.value) and str(error.value).startswith("--net ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("spec", "image"),
    [
        ("convnet:depth=3", SMALL),
        ("convnet:depth=4,pool=none", SMALL),
        ("convnet:depth=5", (28, 28, 1)),
        ("lenet", (16, 16, 1)),
        ("alexnet", SMALL),
        ("vgg", (28, 28, 1)),
        ("resnet18", (9, 9, 2)),
        ("resnet18:norm=batch", SMALL),
        ("mlp:norm=group,width=6", SMALL),
    ],
)
def test_the_sizes_that_messages_name_do_work(spec, image):
    net = build(spec, image, 3)
    out = jax.eval_shape(net.apply, jax.eval_shape(net.init, jax.random.key(0)), jnp.zeros((2, *image)))
    assert out.logits.shape == (2, 3) and out.embed.size > 0


def test_wrong_images_and_single_values_are_refused():
    net, vars = prepared("convnet:width=2,depth=3,norm=batch")
    with pytest.raises(BadInput, match="built for images of 8x8x2, got 8x9x2"):
        net.apply(vars, images((8, 9, 2)))
    with pytest.raises(BadInput, match="more than one value"):
        build("mlp:norm=batch,width=2", SMALL, 3).apply(prepared("mlp:norm=batch,width=2")[1], images(SMALL, n=1), train=True)


@pytest.mark.parametrize("shape", [(5,), (4, 3, 2)])
def test_linear_is_one_matrix_on_vectors_and_on_images(shape):
    net, x = build("linear", shape, 3), np.random.default_rng(0).normal(size=(6, *shape)).astype(np.float32)
    vars = net.init(jax.random.key(0))
    out, head = net.apply(vars, jnp.asarray(x)), vars.params["head"]
    assert list(vars.params) == ["head"] and not jax.tree.leaves(vars.stats)
    np.testing.assert_array_equal(out.embed, x.reshape(6, -1))
    np.testing.assert_allclose(out.logits, x.reshape(6, -1) @ np.asarray(head["kernel"]) + np.asarray(head["bias"]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("spec", ["convnet", "resnet18", "lenet", "gin"])
def test_what_takes_no_vectors_is_refused_by_name(spec):
    with pytest.raises(BadInput, match=f"the data are vectors, and {spec} does not take them; use one of linear, mlp$"):
        build(spec, (5,), 3)
    net = build("mlp:width=4", (5,), 3)
    assert net.apply(net.init(jax.random.key(0)), jnp.zeros((2, 5))).logits.shape == (2, 3)
