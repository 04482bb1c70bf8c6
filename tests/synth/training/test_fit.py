"""The training loop against recurrences written by hand in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synth.base import Net, Out, Vars
from synth.images.views import View
from synth.labels.plain import Hard, Soft
from synth.training import fit as module
from synth.training.fit import Fit, Item, adam, batch_view, epoch_items, fit, in_batches, init_fit, on_examples, sgd, train_on
from tests.support.linear import linear_gradient, linear_net, softmax
from tests.support.toy_data import blobs, smooth_net

KEY = jax.random.key(5)
items_of = jax.jit(epoch_items, static_argnames=("n", "batch"))


@pytest.mark.parametrize(("momentum", "decay"), [(0.0, 0.0), (0.9, 0.0), (0.0, 0.1), (0.9, 0.1)])
def test_sgd_is_pytorchs(momentum, decay):
    """torch.optim.SGD, dampening 0: d = g + decay p;  buf = d at first, then momentum buf + d;  p -= lr buf."""
    grads, lr = np.random.default_rng(0).normal(size=12), 0.3
    p, buf, expected = 2.0, None, []
    for g in grads:
        d = g + decay * p
        buf = d if buf is None else momentum * buf + d
        p -= lr * buf
        expected.append(p)

    @jax.jit
    def run(lr, grads):
        tx = sgd(lr, momentum=momentum, weight_decay=decay)

        def step(carry, g):
            p, opt = carry
            updates, opt = tx.update(g, opt, p)
            p = optax.apply_updates(p, updates)
            return (p, opt), p

        return jax.lax.scan(step, (jnp.float32(2), tx.init(jnp.float32(2))), grads)[1]

    np.testing.assert_allclose(run(jnp.float32(lr), jnp.asarray(grads, jnp.float32)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("n", "batch", "steps", "size"), [(10, 4, 3, 4), (8, 4, 2, 4), (5, 256, 1, 5), (1, 1, 1, 1), (7, 6, 2, 6)])
def test_an_epoch_shows_every_example_once(n, batch, steps, size):
    items = items_of(KEY, 3, n=n, batch=batch)
    assert items.index.shape == items.counts.shape == (steps, size)
    flat, counts = np.asarray(items.index).ravel(), np.asarray(items.counts).ravel()
    assert counts.tolist() == [1.0] * n + [0.0] * (steps * size - n)
    assert sorted(flat[:n]) == list(range(n))
    for row in np.asarray(items.index):
        assert len(set(row)) == size  # a filled-up batch repeats nothing within itself
    assert items.view[0].tolist() == [3] * steps and items.view[1].tolist() == list(range(steps))


def test_order_and_keys_differ_by_epoch_and_run():
    runs = [items_of(key, epoch, n=50, batch=10) for key, epoch in ((KEY, 0), (KEY, 1), (jax.random.key(6), 0))]
    orders = {tuple(np.asarray(items.index).ravel().tolist()) for items in runs}
    keys = {tuple(data) for items in runs for data in np.asarray(jax.random.key_data(items.key)).tolist()}
    assert len(orders) == 3 and len(keys) == 15
    again = items_of(KEY, jnp.int32(1), n=50, batch=10)
    np.testing.assert_array_equal(again.index, runs[1].index)


def test_every_place_in_the_order_is_equally_likely():
    """Chi-square of where example 0 falls among 6 places over 600 epochs; 20.5 is the 0.999 quantile with 5 degrees of freedom."""
    orders = jax.jit(jax.vmap(lambda epoch: epoch_items(KEY, epoch, 6, batch=6).index[0]))(jnp.arange(600))
    places = np.bincount(np.argmax(np.asarray(orders) == 0, axis=1), minlength=6)
    assert ((places - 100) ** 2 / 100).sum() < 20.5


@pytest.fixture(scope="module")
def ten():
    """Ten examples, a linear network at its start, its gradient function, and the last, short batch of an epoch in pieces of four."""
    rng, net = np.random.default_rng(1), linear_net()
    x = jnp.asarray(rng.normal(size=(10, 4, 4, 1)), jnp.float32)
    y = Hard(jnp.asarray(rng.integers(0, 3, 10), jnp.int32), 3)
    items = items_of(KEY, 0, n=10, batch=4)
    last = jax.tree.map(lambda leaf: leaf[-1], items)
    vars = net.init(jax.random.key(0))

    @jax.jit
    def gradient(x, y, item, weight=None):
        return jax.grad(on_examples(net, x, y, weight=weight), has_aux=True)(vars.params, (), item)[0]

    return x, y, last, vars.params, gradient


def test_a_short_batch_is_the_mean_over_its_true_rows(ten):
    x, y, last, params, gradient = ten
    true = np.asarray(last.index)[np.asarray(last.counts) == 1]
    assert len(true) == 2
    rows = np.asarray(x, np.float64).reshape(10, -1)[true]
    targets = np.eye(3)[np.asarray(y.index)[true]]
    w, b = linear_gradient(np.asarray(params["w"], np.float64), np.asarray(params["b"], np.float64), rows, targets, np.ones(2))
    grads = gradient(x, y, last)
    np.testing.assert_allclose(grads["w"], w, atol=1e-6)
    np.testing.assert_allclose(grads["b"], b, atol=1e-6)


def test_rows_that_fill_up_add_exactly_nothing(ten):
    x, y, last, _, gradient = ten
    filling = np.asarray(last.index)[np.asarray(last.counts) == 0]
    other = x.at[filling].set(1e3), Hard(y.index.at[filling].set(0), 3)
    assert np.abs(np.asarray(other[0] - x)).max() > 0
    for a, b in zip(jax.tree.leaves(gradient(x, y, last)), jax.tree.leaves(gradient(*other, last)), strict=True):
        np.testing.assert_array_equal(a, b)


def test_weights_are_frequencies(ten):
    """A batch with weights 3, 1, 0 is the batch with one row three times and one left out."""
    x, y, _, params, gradient = ten
    weight = jnp.zeros(10).at[4].set(3).at[7].set(1)
    item = Item(KEY, jnp.asarray([4, 7, 2]), jnp.ones(3), (jnp.int32(0), jnp.int32(0)))
    rows, targets = np.asarray(x, np.float64).reshape(10, -1)[[4, 4, 4, 7]], np.eye(3)[np.asarray(y.index)[[4, 4, 4, 7]]]
    w, b = linear_gradient(np.asarray(params["w"], np.float64), np.asarray(params["b"], np.float64), rows, targets, np.ones(4))
    grads = gradient(x, y, item, weight)
    np.testing.assert_allclose(grads["w"], w, atol=1e-6)
    np.testing.assert_allclose(grads["b"], b, atol=1e-6)
    nothing = gradient(x, y, item, jnp.zeros(10))  # a batch of which nothing counts
    assert all((np.asarray(leaf) == 0).all() for leaf in jax.tree.leaves(nothing))


def test_soft_labels_descend_their_cross_entropy(ten):
    x, _, _, params, gradient = ten
    logits = np.random.default_rng(2).normal(size=(10, 3))
    item = Item(KEY, jnp.arange(10), jnp.ones(10), (jnp.int32(0), jnp.int32(0)))
    rows = np.asarray(x, np.float64).reshape(10, -1)
    w, _ = linear_gradient(np.asarray(params["w"], np.float64), np.asarray(params["b"], np.float64), rows, softmax(logits), np.ones(10))
    np.testing.assert_allclose(gradient(x, Soft(jnp.asarray(logits, jnp.float32)), item)["w"], w, atol=1e-6)


def test_fit_carries_params_momentum_and_stats_and_returns_the_losses():
    """Three steps on one number: loss (p - t)^2, whose statistics count the steps."""
    targets, lr, momentum = [1.0, -2.0, 0.5], 0.1, 0.9
    p, buf, losses = 0.0, 0.0, []
    for t in targets:
        losses.append((p - t) ** 2)
        buf = momentum * buf + 2 * (p - t)
        p -= lr * buf

    def objective(params, stats, t):
        return (params - t) ** 2, stats + 1

    tx = sgd(lr, momentum=momentum)
    state = Fit(Vars(jnp.float32(0), jnp.int32(0)), tx.init(jnp.float32(0)))
    state, seen = jax.jit(lambda state, items: fit(objective, tx, state, items))(state, jnp.asarray(targets))
    np.testing.assert_allclose(state.vars.params, p, rtol=1e-5)
    np.testing.assert_allclose(seen, losses, rtol=1e-5)
    assert int(state.vars.stats) == 3


def test_augmentation_is_drawn_for_every_batch_and_a_sample_at_a_time():
    seen = []

    def augment(key, x, *, siamese):
        assert siamese is False
        return x + jax.random.normal(key, ())

    def apply(vars, x, *, train=False, key=None):
        assert train
        jax.debug.callback(lambda value: seen.append(float(value)), x[0, 0, 0, 0], ordered=True)
        return Out(vars.params["w"][None] * x.reshape(len(x), -1)[:, :1], x, {})

    net = Net(lambda key: Vars({"w": jnp.ones(3)}), apply)
    objective = on_examples(net, jnp.zeros((6, 2, 2, 1)), Hard(jnp.zeros(6, jnp.int32), 3), augment=augment)
    tx = sgd(0.0)
    run = jax.jit(lambda epoch, state: fit(objective, tx, state, epoch_items(KEY, epoch, 6, batch=2))[0])
    state = init_fit(KEY, net, tx)
    for epoch in (0, 1, 0):
        jax.block_until_ready(run(jnp.int32(epoch), state))
    jax.effects_barrier()
    seen = [value for value, _ in itertools.groupby(seen)]  # a network may be applied to a batch more than once
    assert len(set(seen)) == 6 and seen[:3] == seen[6:]  # drawn anew for each of 2 x 3 batches, and the same for the same epoch


@pytest.mark.parametrize("n", [1, 7, 8, 9, 20])
def test_reading_in_batches_is_reading_at_once(n):
    x = jnp.asarray(np.random.default_rng(n).normal(size=(n, 2, 2, 1)), jnp.float32)
    out = in_batches(_read, Vars(jnp.float32(2)), x, batch=8)
    np.testing.assert_array_equal(out["a"], 2 * np.asarray(x).reshape(n, 4))
    np.testing.assert_array_equal(out["b"], np.asarray(x)[:, 0, 0, 0])


def _read(vars, x):
    return {"a": vars.params * x.reshape(len(x), 4), "b": x[:, 0, 0, 0]}


def test_training_on_real_examples_learns_and_compiles_once():
    train, net = blobs(30), smooth_net()
    before = module._real_epoch._cache_size()
    vars = train_on(KEY, net, train.x, train.y, 3, epochs=12, batch=16, lr=0.05)
    assert module._real_epoch._cache_size() == before + 1
    right = np.asarray(net.apply(vars, jnp.asarray(train.x)).logits).argmax(1) == train.y
    assert right.mean() > 0.95
    again = train_on(KEY, net, train.x, train.y, 3, epochs=12, batch=16, lr=0.05)
    other = train_on(jax.random.key(1), net, train.x, train.y, 3, epochs=12, batch=16, lr=0.05)
    np.testing.assert_array_equal(vars.params["w"], again.params["w"])
    assert np.abs(np.asarray(vars.params["w"] - other.params["w"])).max() > 0.1


@pytest.mark.parametrize("decoupled", [False, True])
def test_decay_can_spare_norms_and_biases(decoupled):
    """Without a gradient decoupled decay multiplies matrices alone by 1 - lr lambda; joined to the gradient it moves them alone, by lr."""
    tx = adam(0.01, weight_decay=0.1, decoupled=decoupled, axes=2)
    params = {"kernel": jnp.full((2, 2), 2.0), "scale": jnp.full(2, 2.0)}
    updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
    np.testing.assert_allclose(updates["kernel"], -0.002 if decoupled else -0.01, rtol=1e-5)
    np.testing.assert_array_equal(updates["scale"], 0)


@pytest.mark.parametrize(("decoupled", "weight_decay"), [(False, 0.0), (False, 0.1), (True, 0.1)])
def test_adam_is_that_of_pytorch(decoupled, weight_decay):
    """Against the update written with numpy in float64, three steps of a moving gradient."""
    tx = adam(0.01, weight_decay=weight_decay, decoupled=decoupled)
    p = {"w": jnp.asarray([1.0, -2.0, 0.5])}
    state, w = tx.init(p), np.array([1.0, -2.0, 0.5])
    m, v = np.zeros(3), np.zeros(3)
    for t in range(1, 4):
        g = np.array([0.3, -0.1, 2.0]) * t
        updates, state = tx.update({"w": jnp.asarray(g, jnp.float32)}, state, p)
        p = {"w": p["w"] + updates["w"]}
        if weight_decay and decoupled:
            w = w * (1 - 0.01 * weight_decay)
        elif weight_decay:
            g = g + weight_decay * w
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        w = w - 0.01 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        np.testing.assert_allclose(p["w"], w, rtol=1e-5)


def test_views_are_those_of_the_epoch():
    """Crops that narrow over four epochs show whole images in the first, and none in the last."""
    x, view, draw = jnp.asarray(blobs(2).x), View(crop=(0.08, 0.2), narrow=4), jax.jit(batch_view, static_argnums=2)
    for epoch in (0, 4):
        item = jax.tree.map(lambda leaf: leaf[0], epoch_items(jax.random.key(0), jnp.int32(epoch), 6, batch=6))
        gaps = np.abs(np.asarray(draw(item, x, view).images) - np.asarray(x[item.index])).max((1, 2, 3))
        assert gaps.max() < 1e-6 if epoch == 0 else gaps.min() > 1e-3
