"""What the recipes compute, by other means, and their published defaults."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from condense import nets
from condense.data.load import load_data
from condense.experts import EXPERTS, RECIPES, complete_recipe
from condense.experts.flat import ascent, dot, gsam, surrogate
from condense.experts.smooth import gradient_penalty, loss_weight
from synth.base import Net, Out, Vars, take_all
from synth.errors import BadInput
from synth.images import augment
from synth.labels.plain import Hard
from synth.training.fit import Item, epoch_items, on_examples, slope
from tests.support.toy_data import blobs, central_differences, smooth_net
from tests.support.toy_experts import KEY, LR, NET, made


def toy_objective(dtype=jnp.float32):
    """Cross entropy of a smooth network on noisy views of blobs, and one item of it."""
    net, data = smooth_net(dtype=dtype), blobs(dtype=np.dtype(dtype))

    def noisy(key, x, *, siamese):
        return x + jax.random.normal(key, x.shape, x.dtype)

    objective = on_examples(net, jnp.asarray(data.x), Hard(jnp.asarray(data.y), 3), augment=noisy)
    item = jax.tree.map(lambda leaf: leaf[1], epoch_items(KEY, 0, len(data.y), batch=10))
    params = net.init(jax.random.key(5)).params
    return objective, jax.tree.map(lambda p: p.astype(dtype) + jnp.asarray(0.01, dtype), params), item


@pytest.mark.slow
def test_flat_experts_are_trained_as_a_plain_loop_of_gsam_does(spec, tmp_path):
    """Two epochs: w - lr (g_p - alpha g_perp), both gradients on one augmented batch, the second at w + rho w^2 g / || |w| g ||."""
    found = made(spec, tmp_path, count=1, epochs=2, recipe="flat", rho=0.5, alpha=0.4).read(0, range(3))
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 0)
    view, unravel = augment.dsa(augment.dsa_strategy(data.flips)), ravel_pytree(net.init(KEY).params)[1]
    labels = jax.nn.one_hot(jnp.asarray(data.train.y), 3)

    @jax.jit
    @jax.grad
    def gradient(w, item):
        x = view(jax.random.split(item.key)[0], jnp.asarray(take_all(data.train).x)[item.index], siamese=False)
        entropy = -jnp.sum(labels[item.index] * jax.nn.log_softmax(net.apply(Vars(unravel(w)), x).logits), 1)
        return jnp.sum(entropy * item.counts) / jnp.sum(item.counts)

    w, gsam_moved = found[0].astype(np.float64), 0.0
    for epoch in range(2):
        items = epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=32)
        for place in range(len(items.index)):
            item = jax.tree.map(lambda leaf, at=place: leaf[at], items)
            g = np.asarray(gradient(jnp.asarray(w, jnp.float32), item), np.float64)
            e = 0.5 * w**2 * g / np.linalg.norm(np.abs(w) * g)
            g_p = np.asarray(gradient(jnp.asarray(w + e, jnp.float32), item), np.float64)
            step = g_p - 0.4 * (g - (g @ g_p) / (g_p @ g_p) * g_p)
            w, gsam_moved = w - LR * step, gsam_moved + np.linalg.norm(step - g)
        np.testing.assert_allclose(found[epoch + 1], w, rtol=0, atol=1e-5)
    assert LR * gsam_moved > 1e-2, "plain gradients would do as well"


@pytest.mark.slow
def test_gsam_without_radius_and_alpha_is_the_gradient():
    objective, params, item = toy_objective()
    (loss, _), plain = jax.jit(slope(objective))(params, (), item)
    (value, _), direction = jax.jit(gsam(objective, rho=0.0, alpha=0.0, adaptive=True))(params, (), item)
    assert value == loss
    jax.tree.map(np.testing.assert_array_equal, direction, plain)
    _, tiny = jax.jit(gsam(objective, rho=1e-7, alpha=0.3, adaptive=True))(params, (), item)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), tiny, plain)


@pytest.mark.slow
@pytest.mark.parametrize("adaptive", [True, False])
def test_gsam_is_what_the_formulae_say(float64, adaptive):
    """Against numpy, over flat vectors, with gradients by central differences of the loss."""
    objective, params, item = toy_objective(jnp.float64)
    w, unravel = ravel_pytree(params)
    loss = jax.jit(lambda w: objective(unravel(w), (), item)[0])
    rho, alpha = 0.3, 0.4
    g = central_differences(loss, w)
    e = rho * np.asarray(w) ** 2 * g / np.linalg.norm(np.abs(w) * g) if adaptive else rho * g / np.linalg.norm(g)
    g_p = central_differences(loss, np.asarray(w) + e)
    g_perp = g - (g @ g_p) / (np.linalg.norm(g) * np.linalg.norm(g_p)) * np.linalg.norm(g) * g_p / np.linalg.norm(g_p)
    assert np.linalg.norm(g_p - g) > 1e-2 * np.linalg.norm(g), "the radius is too small for the test to tell anything"

    def run(alpha):
        return ravel_pytree(jax.jit(gsam(objective, rho=rho, alpha=alpha, adaptive=adaptive))(params, (), item)[1])[0]

    np.testing.assert_allclose(run(0.0), g_p, rtol=0, atol=1e-8)
    np.testing.assert_allclose(run(alpha), g_p - alpha * g_perp, rtol=0, atol=1e-8)


def test_what_gsam_takes_away_is_orthogonal_to_the_perturbed_gradient():
    g, p = ({"a": jax.random.normal(key, (3, 4)), "b": jax.random.normal(key, (5,))} for key in jax.random.split(KEY))
    kept = surrogate(g, p, alpha=1.0)
    perp = jax.tree.map(jnp.subtract, p, kept)
    assert abs(float(dot(perp, p))) < 1e-5 < float(dot(perp, perp))
    zero = jax.tree.map(jnp.zeros_like, g)
    assert all(
        np.isfinite(leaf).all()
        for tree in (surrogate(g, zero, alpha=0.3), ascent(g, zero, rho=0.1, adaptive=True))
        for leaf in jax.tree.leaves(tree)
    )


def test_the_loss_starts_light():
    weights = [float(loss_weight(epoch)) for epoch in range(14)]
    np.testing.assert_allclose(weights, [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1, 1, 1, 1], atol=1e-6)


def test_the_penalty_is_0_for_unit_slopes_and_1_for_a_constant_and_its_gradient_is_finite():
    x, counts = jax.random.normal(KEY, (4, 3, 3, 3)), jnp.ones(4)
    net = linear_net(jnp.float32([0.6, 0.8, 0]))

    @jax.jit
    def penalty(w):
        return gradient_penalty(net, {"w": w}, x, counts)

    assert abs(float(penalty(jnp.float32(1)))) < 1e-12
    assert float(penalty(jnp.float32(3))) == pytest.approx(4)  # the norm over channels is 3, one less is 2
    assert float(penalty(jnp.float32(0))) == 1
    assert float(jax.grad(penalty)(jnp.float32(0))) == 0


def linear_net(slopes) -> Net:
    """Two logits whose sum has the gradient `slopes` f32[c] at each pixel, times the parameter `w`."""

    def apply(vars, x, *, train=False, key=None):
        total = jnp.sum(x * slopes[None, None, None, :], (1, 2, 3)) * vars.params["w"]
        logits = jnp.stack([0.25 * total, 0.75 * total], 1)
        return Out(logits, logits, {})

    return Net(lambda key: Vars({"w": jnp.ones(())}), apply)


def test_the_penalty_counts_rows_that_count_and_its_gradient_agrees_with_differences(float64):
    net, data = smooth_net((3, 3, 2), dtype=jnp.float64), blobs(2, image=(3, 3, 2), dtype=np.float64)
    x = jnp.asarray(data.x)
    w, unravel = ravel_pytree(net.init(KEY).params)
    counts = jnp.asarray([1, 1, 1, 1, 0, 0], jnp.float32)
    value = jax.jit(lambda w: gradient_penalty(net, unravel(w), x, counts))
    first = jax.jit(lambda w: gradient_penalty(net, unravel(w), x[:4], jnp.ones(4, jnp.float32)))
    assert float(value(w)) == pytest.approx(float(first(w)), rel=1e-12)
    np.testing.assert_allclose(jax.grad(value)(w), central_differences(value, w), rtol=0, atol=1e-7)


def test_smooth_adds_twice_the_penalty_of_images_that_are_not_augmented():
    net, data = smooth_net(), blobs()
    x, y = jnp.asarray(data.x), Hard(jnp.asarray(data.y), 3)
    params, stats = net.init(KEY)
    item = Item(KEY, jnp.arange(4), jnp.ones(4), (jnp.int32(3), jnp.int32(0)))

    def doubled(key, x, *, siamese):
        return 2 * x

    value, _ = RECIPES["smooth"]().objective(net, doubled, x, y)(params, stats, item)
    entropy, _ = on_examples(net, 2 * x, y)(params, stats, item)
    expected = 0.65 * float(entropy) + 2 * float(gradient_penalty(net, params, x[:4], jnp.ones(4)))
    assert float(value) == pytest.approx(expected, rel=1e-5)
    plain, _ = RECIPES["smooth"](penalty=0.0, cold=True).objective(net, doubled, x, y)(params, stats, item)
    assert float(plain) == pytest.approx(float(entropy), rel=1e-6)


@pytest.mark.slow
def test_the_step_size_of_smooth_falls_late_and_momentum_starts_anew(spec, tmp_path):
    """Seven epochs of one step each, against momentum and decay written out; the drop is before the sixth."""
    data, net = load_data(spec), nets.build(NET, (4, 4, 1), 3)
    rows = made(spec, tmp_path, count=1, epochs=7, batch=1000, recipe="smooth", lr=0.05, penalty=0.0).read(0, range(8))
    key = jax.random.fold_in(jax.random.fold_in(KEY, EXPERTS), 0)
    view, unravel = augment.dsa(augment.dsa_strategy(data.flips)), ravel_pytree(net.init(KEY).params)[1]
    objective = RECIPES["smooth"](penalty=0.0).objective(net, view, jnp.asarray(take_all(data.train).x), Hard(jnp.asarray(data.train.y), 3))
    gradient = jax.jit(jax.grad(lambda w, item: objective(unravel(w), (), item)[0]))
    w, b = rows[0], np.zeros_like(rows[0])
    for epoch in range(7):
        if epoch == 5:
            b = np.zeros_like(b)
        item = jax.tree.map(lambda leaf: leaf[0], epoch_items(jax.random.fold_in(key, 1), epoch, len(data.train.y), batch=1000))
        b = 0.9 * b + np.asarray(gradient(jnp.asarray(w), item)) + 1e-3 * w
        w = (w - (0.03 if epoch >= 5 else 0.05) * b).astype(np.float32)
        np.testing.assert_allclose(rows[epoch + 1], w, rtol=0, atol=1e-5)
    assert RECIPES["smooth"]().drop_epoch(50) == 27 and RECIPES["sgd"]().drop_epoch(50) == 50  # after epoch 26, counted from 0


def test_defaults_are_the_published_ones():
    assert complete_recipe("sgd", {}) == {"lr": 0.01, "batch": 256}
    assert complete_recipe("flat", {}) == {"lr": 0.01, "batch": 256, "rho": 0.01, "alpha": 0.3, "unscaled": False}
    assert complete_recipe("smooth", {}) == {
        "lr": 0.003, "momentum": 0.9, "weight_decay": 0.001, "batch": 256, "penalty": 2.0, "cold": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("steep", {}, "unknown recipe 'steep' of experts .known: sgd, flat, smooth"),
        ("sgd", {"rho": 0.1}, "--recipe sgd: has no option --rho .known: --lr, --batch"),
        ("flat", {"rho": -1.0}, "--rho -1.0: give a number of at least 0"),
        ("flat", {"lr": 0.0}, "--lr 0.0: give a number above 0"),
        ("smooth", {"penalty": -1.0}, "--penalty -1.0"),
    ],
)
def test_a_wrong_recipe_is_refused_by_name(recipe, options, words):
    with pytest.raises(BadInput, match=words):
        complete_recipe(recipe, options)


def test_the_penalty_on_vectors_is_that_of_the_whole_gradient():
    """The gradient of the sum of a linear network's scores is the sum of its kernel's columns, whatever the vector."""
    net, x = nets.build("linear", (5,), 3), jnp.asarray(np.random.default_rng(0).normal(size=(4, 5)), jnp.float32)
    params = net.init(jax.random.key(0)).params
    length = np.linalg.norm(np.asarray(params["head"]["kernel"]).sum(1))
    np.testing.assert_allclose(gradient_penalty(net, params, x, jnp.ones(4)), (length - 1) ** 2, rtol=1e-5)
