"""Oracles of the gradient and distribution matching methods: the same numbers by other means."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import synth.numerics.backend
from condense.workflows.options import complete_options
from matchers import REGISTRY
from matchers.base import PerClass
from matchers.distribution import dm
from matchers.gradient import dc, dsa
from matchers.gradient.dc import DISTANCES, LOOPS, Student, channelwise_cosine, cos, loops, mse
from synth.base import Net, Out, Vars
from synth.images.augment import dsa as make_augment
from synth.images.augment import none
from synth.images.content import Pixels
from synth.labels.plain import Soft
from synth.selection.choose import choose_herding, choose_kmeans
from synth.training.fit import train_on
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net

DSA_SLOW = ["dc", pytest.param("dsa", marks=pytest.mark.slow), "dm"]  # dc behind an augmentation that compiles for long

KEY = jax.random.key(3)


def stepped(matcher, synth, batch, *, key=KEY):
    return jax.jit(lambda key, synth, batch: matcher.step(key, matcher.init(key, synth), synth, batch))(key, synth, batch)


def gradient_of(matcher, synth, batch, *, lr, key=KEY):
    """The image gradient that a first step of plain descent reveals: (before - after) / lr."""
    after, _, metrics = stepped(matcher, synth, batch, key=key)
    return (np.asarray(synth.x.pixels) - np.asarray(after.x.pixels)) / lr, float(metrics["loss"])


def per_class(examples, classes=3):
    return jnp.asarray(examples.x).reshape(classes, -1, *examples.x.shape[1:])


def test_distance_counts_rows_as_published():
    rng = np.random.default_rng(0)
    g = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32), "bias": jnp.asarray(rng.normal(size=4), jnp.float32)}
    flat = np.asarray(g["kernel"], np.float64).reshape(-1, 4)
    short = {"kernel": g["kernel"] * jnp.float32(1e-3), "bias": g["bias"]}  # rows of about the length that is added
    square = (flat**2).sum(0) * 1e-6
    np.testing.assert_allclose(float(channelwise_cosine(short, short)), (1e-6 / (square + 1e-6)).sum(), rtol=1e-4)
    np.testing.assert_allclose(
        float(channelwise_cosine(g, jax.tree.map(jnp.negative, g))), 8, atol=1e-5
    )  # two for each of four opposite rows
    scaled = {"kernel": g["kernel"] * jnp.asarray([0.1, 1, 7, 100], jnp.float32)[None, None, None, :], "bias": -5 * g["bias"]}
    np.testing.assert_allclose(float(channelwise_cosine(g, scaled)), 0, atol=1e-4)  # neither a row's length nor a vector counts
    h = {"kernel": jnp.asarray(rng.normal(size=(3, 3, 2, 4)), jnp.float32), "bias": g["bias"]}
    other = np.asarray(h["kernel"], np.float64).reshape(-1, 4)
    expected = sum(1 - flat[:, o] @ other[:, o] / (np.linalg.norm(flat[:, o]) * np.linalg.norm(other[:, o]) + 1e-6) for o in range(4))
    np.testing.assert_allclose(float(channelwise_cosine(g, h)), expected, rtol=1e-5)


def test_a_dead_row_counts_one_and_has_a_finite_derivative():
    g = {"kernel": jnp.ones((5, 2))}
    dead = {"kernel": jnp.ones((5, 2)).at[:, 1].set(0)}
    np.testing.assert_allclose(float(channelwise_cosine(g, dead)), 1, atol=1e-5)
    slope = jax.grad(lambda h: channelwise_cosine(g, {"kernel": h}))(dead["kernel"])
    assert np.isfinite(np.asarray(slope)).all()


def test_other_distances_against_numpy():
    rng = np.random.default_rng(1)
    a, b = ({"k": jnp.asarray(rng.normal(size=(2, 3)), jnp.float32), "b": jnp.asarray(rng.normal(size=3), jnp.float32)} for _ in range(2))
    flat = [np.concatenate([np.asarray(leaf).ravel() for leaf in jax.tree.leaves(t)]) for t in (a, b)]
    np.testing.assert_allclose(float(mse(a, b)), ((flat[0] - flat[1]) ** 2).sum(), rtol=1e-5)
    lengths = np.linalg.norm(flat[0]) * np.linalg.norm(flat[1])
    np.testing.assert_allclose(float(cos(a, b)), 1 - flat[0] @ flat[1] / (lengths + 1e-6), rtol=1e-5)


@pytest.mark.parametrize("distance", sorted(DISTANCES))
def test_dc_gradient_equals_finite_differences(float64, distance):
    net, real, fake = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    matcher = dc(net, lr=1.0, momentum=0.0, distance=distance, outer=1)
    grad, loss = gradient_of(matcher, fake, real, lr=1.0)

    p = matcher.init(KEY, fake).aux.vars.params

    @jax.jit
    def by_hand(pixels):

        def entropy(p, x, label):
            logits = jnp.tanh(x.reshape(len(x), -1) @ p["w"] + p["b"][None, :]) @ p["v"]
            return -jax.nn.log_softmax(logits)[:, label].mean()

        def gradient(x, label):
            return jax.grad(entropy)(p, x, label)

        images = jnp.asarray(pixels).reshape(3, -1, 4, 4, 1)
        return sum(DISTANCES[distance](gradient(real[c], c), gradient(images[c], c)) for c in range(3))

    np.testing.assert_allclose(loss, float(by_hand(fake.x.pixels)), rtol=1e-10)
    np.testing.assert_allclose(grad, central_differences(by_hand, fake.x.pixels), rtol=1e-6, atol=1e-8)


def test_dm_loss_and_gradient_equal_numpy(float64):
    net, real, fake = smooth_net(dtype=jnp.float64), per_class(blobs(4, dtype=np.float64)), as_set(blobs(2, seed=1, dtype=np.float64))
    grad, loss = gradient_of(dm(net, none, lr=1.0, momentum=0.0), fake, real, lr=1.0)
    k_loss, _ = jax.random.split(KEY)
    params = net.init(jax.random.split(k_loss)[0]).params
    w, b = np.asarray(params["w"]), np.asarray(params["b"])

    def embed(x):
        return np.tanh(np.asarray(x).reshape(len(x), -1) @ w + b)

    def by_hand(pixels):
        images = np.asarray(pixels).reshape(3, -1, 4, 4, 1)
        return sum(((embed(real[c]).mean(0) - embed(images[c]).mean(0)) ** 2).sum() for c in range(3))

    np.testing.assert_allclose(loss, by_hand(fake.x.pixels), rtol=1e-10)
    np.testing.assert_allclose(grad, central_differences(by_hand, fake.x.pixels), rtol=1e-6, atol=1e-9)


def make(name, net, **options):
    augment = {} if name == "dc" else {"augment": make_augment("color_crop_cutout_scale_rotate")}
    return REGISTRY[name](net, **augment, **options)


@pytest.mark.parametrize("name", DSA_SLOW)
def test_nothing_is_learned_from_a_copy_of_the_real_batch(name):
    """Every real image twice, so that only parameters shared by batches of different sizes augment both sides alike."""
    net, examples = smooth_net(), blobs(4)
    real = jnp.repeat(per_class(examples), 2, 1)
    grad, loss = gradient_of(make(name, net, lr=1.0, momentum=0.0), as_set(examples), real, lr=1.0)
    other = gradient_of(make(name, net, lr=1.0, momentum=0.0), as_set(blobs(4, seed=5)), real, lr=1.0)
    assert loss < 1e-2 * other[1]  # not zero: a row of a short gradient counts up to one
    assert np.abs(grad).max() < 1e-2 * np.abs(other[0]).max()


@pytest.mark.parametrize("name", ["dc", "dm"])
def test_duplicated_and_permuted_synthetic_images_change_no_loss(name):
    net, real, examples = smooth_net(), per_class(blobs(4)), blobs(2, seed=1)
    matcher = REGISTRY[name](net) if name == "dc" else REGISTRY[name](net, none)
    order = np.arange(6).reshape(3, 2)
    twice, swapped = (examples._replace(x=examples.x[i], y=examples.y[i]) for i in (np.repeat(order, 2, 1).ravel(), order[:, ::-1].ravel()))
    losses = [float(stepped(matcher, as_set(e), real)[2]["loss"]) for e in (examples, twice, swapped)]
    np.testing.assert_allclose(losses, losses[0], rtol=1e-5)
    assert losses[0] > 1e-3


@pytest.mark.parametrize("name", DSA_SLOW)
def test_classes_do_not_touch_each_other(name):
    net, real, examples = smooth_net(), per_class(blobs(4)), blobs(2, seed=1)
    changed = examples._replace(x=np.where((examples.y == 2)[:, None, None, None], 3 - examples.x, examples.x).astype(np.float32))
    grads = [gradient_of(make(name, net, lr=1.0, momentum=0.0, batch=4), as_set(e), real, lr=1.0)[0] for e in (examples, changed)]
    np.testing.assert_allclose(grads[0][:4], grads[1][:4], atol=1e-6)
    assert np.abs(grads[0][4:] - grads[1][4:]).max() > 1e-4


def test_no_gradient_reaches_the_real_images():
    """Of dm; that of dc and dsa is computed inside their loss, by the synthetic images alone."""
    fake = as_set(blobs(2, seed=1))
    matcher = make("dm", smooth_net())
    state = matcher.init(KEY, fake)
    slope = jax.jit(jax.grad(lambda real: matcher.step(KEY, state, fake, real)[2]["loss"]))(per_class(blobs(4)))
    assert not np.asarray(slope).any()


@pytest.mark.parametrize("together", [20, pytest.param(2, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", DSA_SLOW)
def test_classes_together_equal_classes_in_turn(name, together, monkeypatch):
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net)
    looped = stepped(matcher, fake, real)[0].x.pixels
    monkeypatch.setattr(synth.numerics.backend, "is_cpu", lambda: False)
    monkeypatch.setattr(synth.numerics.backend, "TOGETHER", together)
    np.testing.assert_allclose(np.asarray(looped), np.asarray(stepped(matcher, fake, real)[0].x.pixels), atol=1e-5)


def test_dm_draws_a_network_a_step_and_keeps_none():
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = dm(net, none)
    losses = {float(stepped(matcher, fake, real, key=jax.random.key(k))[2]["loss"]) for k in range(4)}
    assert len(losses) == 4
    kept = [leaf.shape for leaf in jax.tree.leaves(matcher.init(KEY, fake))]
    assert kept == [fake.x.pixels.shape]  # the momentum of the images is all that is carried


def test_dm_real_mean_sharpens_with_the_batch():
    """With the synthetic mean exact, the expected loss is the variance of a mean over b samples: it falls like 1 / b."""
    net, examples = smooth_net(), blobs(4000, 1)
    whole, rng = as_set(examples, 1), np.random.default_rng(0)

    def expected(b):
        step = jax.jit(lambda key, batch: matcher.step(key, matcher.init(key, whole), whole, batch)[2]["loss"])
        return np.mean([float(step(jax.random.key(i), jnp.asarray(examples.x[rng.choice(4000, b)])[None])) for i in range(60)])

    matcher = dm(smooth_net(classes=1), none)
    assert net and 2.5 < expected(8) / expected(32) < 6


def test_loop_table_is_the_published_one():
    published = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
    assert {ipc: loops(ipc) for ipc in published} == published
    assert loops(5) == LOOPS[1] and loops(100) == LOOPS[50]


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_the_network_trains_between_steps_and_is_renewed_after_the_last(name):
    """A step size of NaN betrays training: it must show after the first of two matching steps and be gone after the second."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net, net_lr=float("nan"), outer=2, inner=1)
    state = matcher.init(KEY, fake)
    step = jax.jit(matcher.step)
    _, first, _ = step(KEY, state, fake, real)
    assert np.isnan(np.asarray(first.aux.vars.params["w"])).all()
    _, second, _ = step(jax.random.key(9), first, fake, real)
    assert np.isfinite(np.asarray(second.aux.vars.params["w"])).all() and int(second.aux.seen) == 2


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_at_one_image_a_class_the_network_never_trains(name):
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(1, seed=1))
    matcher = make(name, net, net_lr=float("nan"))
    state, step = matcher.init(KEY, fake), jax.jit(matcher.step)
    for number in range(3):
        fake, state, metrics = step(jax.random.key(number), state, fake, real)
        assert np.isfinite(np.asarray(state.aux.vars.params["w"])).all() and np.isfinite(float(metrics["loss"]))


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_inner_training_is_plain_descent_on_the_updated_set(name):
    """The augmentation of dsa turns images negative wherever it is not siamese, which must be in the training alone."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    options = {"outer": 2, "inner": 3, "net_lr": 0.5}
    matcher = dc(net, **options) if name == "dc" else dsa(net, lambda key, x, *, siamese: x if siamese else -x, **options)
    state = matcher.init(KEY, fake)
    after, trained, metrics = jax.jit(matcher.step)(KEY, state, fake, real)
    images, params = after.x.pixels if name == "dc" else -after.x.pixels, state.aux.vars.params

    def entropy(p):
        logits = net.apply(state.aux.vars._replace(params=p), images).logits
        return -jax.nn.log_softmax(logits)[jnp.arange(6), after.y.index].mean()

    for _ in range(3):  # the whole set is one batch, so order does not matter
        params = jax.tree.map(lambda p, g: p - 0.5 * g, params, jax.grad(entropy)(params))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-5), trained.aux.vars.params, params)
    plain = jax.jit(dc(net, **options).step)(KEY, state, fake, real)[2]
    np.testing.assert_allclose(float(metrics["loss"]), float(plain["loss"]), rtol=1e-5)


def normed_net(inputs: int = 16, hidden: int = 5, classes: int = 3) -> Net:
    """A linear layer, batch normalisation without scale, a head: statistics move by a tenth."""

    def init(key):
        a, b = jax.random.split(key)
        params = {"w": jax.random.normal(a, (inputs, hidden)), "v": jax.random.normal(b, (hidden, classes))}
        return Vars(params, {"mean": jnp.zeros(hidden), "var": jnp.ones(hidden)})

    def apply(vars, x, *, train=False, key=None):
        h = x.reshape(len(x), -1) @ vars.params["w"]
        seen = {"mean": h.mean(0), "var": h.var(0)}
        used = seen if train else vars.stats
        embed = jnp.tanh((h - used["mean"][None]) / jnp.sqrt(used["var"][None] + jnp.float32(1e-5)))
        moved = {name: 0.9 * vars.stats[name] + 0.1 * seen[name] for name in seen} if train else vars.stats
        return Out(embed @ vars.params["v"], embed, {}, moved)

    return Net(init, apply)


@pytest.mark.parametrize("name", ["dc", "dsa"])
def test_batch_statistics_come_from_sixteen_real_images_a_class_and_stand_still(name):
    net, real, fake = normed_net(), per_class(blobs(20)).at[:, 16:].multiply(5), as_set(blobs(2, seed=1))
    matcher = dc(net, outer=1) if name == "dc" else dsa(net, none, outer=1)
    state = matcher.init(KEY, fake)
    params = state.aux.vars.params

    @jax.jit
    def by_hand(seen):
        h = seen.reshape(-1, 16) @ params["w"]
        mean, var = 0.1 * h.mean(0), 0.9 + 0.1 * h.var(0)

        def gradient(x, label):
            def entropy(p):
                h = (x.reshape(len(x), -1) @ p["w"] - mean[None]) / jnp.sqrt(var[None] + jnp.float32(1e-5))
                return -jax.nn.log_softmax(jnp.tanh(h) @ p["v"])[:, label].mean()

            return jax.grad(entropy)(params)

        images = fake.x.pixels.reshape(3, -1, 4, 4, 1)
        return sum(channelwise_cosine(gradient(real[c], c), gradient(images[c], c)) for c in range(3))

    loss = float(jax.jit(matcher.step)(KEY, state, fake, real)[2]["loss"])
    np.testing.assert_allclose(loss, float(by_hand(real[:, :16])), rtol=1e-4)
    assert abs(loss - float(by_hand(real))) > 1e-3 * loss  # all twenty would give another


def test_dm_normalises_the_batches_of_all_classes_together():
    net, real, fake = normed_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    _, _, metrics = stepped(dm(net, none), fake, real)
    w = np.asarray(net.init(jax.random.split(jax.random.split(KEY)[0])[0]).params["w"], np.float64)

    def means(x):
        h = np.asarray(x, np.float64).reshape(-1, 16) @ w
        return np.tanh((h - h.mean(0)) / np.sqrt(h.var(0) + 1e-5)).reshape(3, -1, w.shape[1]).mean(1)

    np.testing.assert_allclose(float(metrics["loss"]), ((means(real) - means(fake.x.pixels)) ** 2).sum(), rtol=1e-4)


def test_outer_momentum_is_the_scalar_recurrence():
    """v <- m v + g, x <- x - lr v, with the gradients of two steps of dm under fixed networks."""
    net, real, fake = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher, plain = dm(net, none, lr=0.3, momentum=0.5), dm(net, none, lr=1.0, momentum=0.0)
    state, x, v, current = matcher.init(KEY, fake), np.asarray(fake.x.pixels), 0.0, fake
    for number in range(2):
        key = jax.random.key(number)
        g, _ = gradient_of(plain, replace(fake, x=Pixels(jnp.asarray(x, jnp.float32))), real, lr=1.0, key=key)
        v = 0.5 * v + g
        x = x - 0.3 * v
        current, state, _ = jax.jit(matcher.step)(key, state, current, real)
    np.testing.assert_allclose(np.asarray(current.x.pixels), x, atol=1e-5)


@pytest.mark.parametrize("name", DSA_SLOW)
def test_certain_soft_labels_are_hard_labels(name):
    """Two steps, with the network trained on the set between them: logits of 60 and 0 leave no probability to the other classes."""
    net, real, hard = smooth_net(), per_class(blobs(4)), as_set(blobs(2, seed=1))
    matcher = make(name, net) if name == "dm" else make(name, net, outer=2, inner=2, net_lr=0.5)

    @jax.jit
    def twice(synth):
        state = matcher.init(KEY, synth)
        for number in range(2):
            synth, state, _ = matcher.step(jax.random.fold_in(KEY, number), state, synth, real)
        return synth.x.pixels

    certain, even = (replace(hard, y=Soft(c * jax.nn.one_hot(hard.y.index, 3))) for c in (60.0, 0.0))
    np.testing.assert_allclose(np.asarray(twice(certain)), np.asarray(twice(hard)), atol=1e-5)
    assert name == "dm" or np.abs(np.asarray(twice(even)) - np.asarray(twice(hard))).max() > 1e-4


def test_defaults_are_the_published_ones():
    net, augment = smooth_net(), make_augment("color_crop")
    made = {"dc": dc(net), "dsa": dsa(net, augment), "dm": dm(net, augment)}
    assert {name: (m.start, m.recipe, m.feed) for name, m in made.items()} == {
        "dc": ("noise", "dc", PerClass(256)),
        "dsa": ("random", "dsa", PerClass(256)),
        "dm": ("random", "dsa", PerClass(256)),
    }
    gradient = {"lr": 0.1, "momentum": 0.5, "net_lr": 0.01, "batch": 256, "distance": "rows", "outer": None, "inner": None}
    options = {"dc": gradient, "dsa": gradient, "dm": {"lr": 1.0, "momentum": 0.5, "batch": 256}}
    assert {name: complete_options(name, {}) for name in options} == options


def test_student_is_what_dsa_carries():
    net, fake = smooth_net(), as_set(blobs(2))
    assert isinstance(dsa(net, none).init(KEY, fake).aux, Student)


@pytest.mark.parametrize("name", ["random", "kmeans", "herding"])
def test_selection_keeps_real_images_of_the_right_class(name):
    examples = blobs(9)
    matcher = REGISTRY[name](None) if name == "random" else REGISTRY[name](smooth_net(), space="pixels")
    start = as_set(blobs(2, seed=4))
    synth, _, _ = matcher.step(KEY, matcher.init(KEY, start), start, examples)
    chosen = [np.flatnonzero((examples.x == image).all((1, 2, 3))) for image in np.asarray(synth.x.pixels)]
    assert all(len(found) == 1 for found in chosen) and len({int(found[0]) for found in chosen}) == 6
    assert [int(examples.y[found[0]]) for found in chosen] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["kmeans", "herding"])
def test_selection_compares_what_a_network_trained_on_the_examples_embeds(name):
    """Not what it embeds before its training, and not pixels; the bar counts the epochs, and the classes in either space."""
    net, examples, start = smooth_net(), blobs(30, seed=2), as_set(blobs(2, seed=4))
    k_space, k_choose = jax.random.split(KEY) if name == "kmeans" else (KEY, None)

    def choice(features):
        features = np.asarray(features).reshape(90, -1)
        chosen = choose_herding(features, examples.y, 2) if name == "herding" else choose_kmeans(k_choose, features, examples.y, 2)
        return examples.x[chosen]

    by_epochs = [choice(net.apply(train_on(k_space, net, *examples, 3, epochs=epochs), examples.x).embed) for epochs in (0, 40)]
    for space, epochs, wanted in (("pixels", 0, choice(examples.x)), ("embed", 40, by_epochs[1])):
        matcher, done = REGISTRY[name](net, space=space, epochs=40), []
        picked = matcher.step(KEY, (), start, examples, lambda done=done: done.append(1))[0].x.pixels
        np.testing.assert_array_equal(picked, wanted)
        assert len(done) + 1 == matcher.host(start) == 3 + epochs
    assert all((other != by_epochs[1]).any() for other in (by_epochs[0], choice(examples.x)))
