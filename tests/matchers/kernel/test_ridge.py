"""Oracles of the kernel ridge methods: the same numbers by hand, how their networks live, and why they regress instead of contrasting."""

import sys
from dataclasses import replace
from functools import partial
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.teachers.barlow import barlow_loss
from matchers.kernel import pool
from matchers.kernel.common import Ridge, descend_ridge, embed, one_hot_targets
from matchers.kernel.frepo import frepo, margin, start_labels
from matchers.kernel.kip import kip
from matchers.kernel.krrst import crop_flip, headed, krrst
from matchers.kernel.pool import PoolSchedule
from synth.base import Examples, Net, Out, Vars, fresh
from synth.files.format import load_set, save_set
from synth.images.content import Pixels
from synth.images.preprocess import Standard
from synth.labels.plain import Target
from synth.set import Info, SyntheticSet
from synth.training.fit import Fit, Item, adam, on_examples, sgd
from synth.training.optim import cosine, lamb, scheduled
from synth.training.optim import linear as straight
from synth.training.ridge import centred, ntk
from tests.support.toy_data import as_set, blobs, central_differences, smooth_net
from tests.support.toy_run import pixels
from tests.support.toy_teachers import task

KEY = jax.random.key(3)


def problem(dtype=np.float64):
    """A smooth network's life (never trained), a set with regression labels off the one-hot rows, and a real batch."""
    net, rng = smooth_net(dtype=jnp.dtype(dtype)), np.random.default_rng(5)
    y = np.asarray(centred(jnp.asarray(blobs(2).y), 3), dtype) + 0.1 * rng.normal(size=(6, 3)).astype(dtype)
    synth = SyntheticSet(Pixels(jnp.asarray(blobs(2, seed=1, dtype=dtype).x)), Target(jnp.asarray(y)))
    real = Examples(*(jnp.asarray(part) for part in blobs(4, dtype=dtype)))
    life = PoolSchedule(net, sgd(0.1), lambda s: on_examples(net, s.x.decode(), s.y), size=1, most=0)
    return net, life, synth, real


def first(matcher, key, synth, batch):
    state = matcher.init(key, synth)
    after, _, metrics = matcher.step(key, state, synth, batch)
    return after, state, metrics


def stepped(matcher, synth, batch):
    """(set after one step, state before it, metrics)."""
    return jax.jit(lambda key, synth, batch: first(matcher, key, synth, batch))(KEY, synth, batch)


def gradients(ridge, life, synth, real, **more):
    """(by images, by labels, error) that a first step of plain descent reveals."""
    after, _, metrics = stepped(descend_ridge(ridge, sgd(1.0), batch=8, life=lambda s: life, **more), synth, real)
    return np.asarray(synth.x.pixels - after.x.pixels), np.asarray(synth.y.values - after.y.values), float(metrics["error"])


CASES = {
    "frepo": Ridge(embed(smooth_net(dtype=jnp.float64)), one_hot_targets, reg=1e-2),
    "flipped": Ridge(embed(smooth_net(dtype=jnp.float64)), one_hot_targets, reg=1e-2, flip=True),
    "krrst": Ridge(embed(smooth_net(dtype=jnp.float64), bias=True), one_hot_targets, reg=1e-2, rule="trace", detached=True, mean=True),
}


@pytest.mark.parametrize("name", CASES)
def test_gradients_equal_finite_differences_of_the_formula(float64, name):
    """In numpy: features, lambda (a constant where it is detached), normal equations in the dual, error; by images and by labels."""
    _, life, synth, real = problem()
    ridge = CASES[name]
    by_x, by_y, error = gradients(ridge, life, synth, real)
    p = jax.tree.map(lambda leaf: np.asarray(leaf[0]), pool.init_pool(KEY, life, synth).vars.params)

    def features(x):
        f = np.tanh(np.asarray(x).reshape(len(x), -1) @ p["w"] + p["b"])
        return np.concatenate([f, np.ones((len(f), 1))], 1) if name == "krrst" else f

    def lam(gram):
        return 1e-2 * np.trace(gram) / (1 if name == "krrst" else len(gram))

    held = lam(features(synth.x.pixels) @ features(synth.x.pixels).T)

    def by_hand(x, y):
        if name == "flipped":
            x, y = np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, y])
        f, t = features(x), features(real.x)
        strength = held if name == "krrst" else lam(f @ f.T)
        off = t @ f.T @ np.linalg.solve(f @ f.T + strength * np.eye(len(f)), y) - (np.eye(3)[np.asarray(real.y)] - 1 / 3)
        return (off**2).mean() if name == "krrst" else 0.5 * (off**2).sum(1).mean()

    x, y = np.asarray(synth.x.pixels), np.asarray(synth.y.values)
    np.testing.assert_allclose(error, by_hand(x, y), rtol=1e-10)
    np.testing.assert_allclose(by_x, central_differences(lambda x: by_hand(x, y), x), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(by_y, central_differences(lambda y: by_hand(x, y), y), rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_the_methods_are_the_settings_they_are_said_to_be(float64):
    """KRR-ST's regression without a bias, at 1/n of FRePo's reg, is FRePo's up to C/2, but that its lambda is held; FRePo on one network
    that is never trained is KIP on its kernel, but for the margin."""
    net, life, synth, real = problem()
    theirs = CASES["krrst"]._replace(features=embed(net), reg=1e-2 / len(synth))
    expected = gradients(CASES["frepo"]._replace(features=embed(net)), life, synth, real)
    held, passed = (gradients(theirs._replace(detached=detached), life, synth, real) for detached in (True, False))
    for found in (held[1:], passed):
        for ours, other in zip(expected[-len(found) :], found, strict=True):
            np.testing.assert_allclose(ours, 3 / 2 * other, rtol=1e-9)
    assert np.abs(expected[0] - 3 / 2 * held[0]).max() > 1e-3 * np.abs(expected[0]).max(), "images feel what lambda does"
    one, two = (one_step(matcher, synth, real) for matcher in (frepo(net, task(), pool=1, pool_steps=0), kip(net, kernel="net")))
    np.testing.assert_allclose(float(one[3]["error"]), float(two[3]["error"]), rtol=1e-9)
    by_margin = np.asarray(jax.grad(margin)(synth.y.values))
    for ours, other in zip(one[4], (two[4][0], two[4][1] + by_margin), strict=True):
        assert np.abs(ours).max() > 1e-3
        np.testing.assert_allclose(ours, other, rtol=1e-7, atol=1e-12)


@pytest.mark.slow
def test_only_what_is_learned_moves():
    """The real images get no gradient; the networks take none of its steps: who served differs by its own training on the new set, and
    nobody else does. `learn` leaves the other part of the set alone."""
    net, life, synth, real = problem(np.float32)
    ridge = CASES["frepo"]._replace(features=embed(net))
    matcher = descend_ridge(ridge, sgd(1.0), batch=8, life=lambda s: replace(life, size=2, most=9))
    state = jax.jit(matcher.init)(KEY, synth)

    @jax.jit
    def step(x):
        after, later, metrics = matcher.step(KEY, state, synth, real._replace(x=x))
        return metrics["loss"], (after, later)

    by_real, (after, later) = jax.grad(step, has_aux=True)(real.x)
    assert not np.asarray(by_real).any()
    for number in range(2):
        was, now = (pool.at((aux.vars, aux.opt), number) for aux in (state.aux, later.aux))
        own = train_by_hand(life, *was, after) if number == int(state.aux.at) else was
        near(now, own)
        assert (np.asarray(now[0].params["w"]) != was[0].params["w"]).any() == (number == int(state.aux.at))
    by_x, by_y, _ = gradients(ridge, life, synth, real, learn=("y",))
    assert by_y.any() and not by_x.any()


@pytest.mark.slow
def test_labels_start_centred_and_scaled_and_their_margin_is_bounded():
    labels = start_labels(KEY, as_set(blobs(2)), None).y.values
    np.testing.assert_allclose(labels.sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(labels[0], np.array([2, -1, -1]) / 3 / np.sqrt(0.3), rtol=1e-6)
    wide, narrow, tied = jnp.array([[2.0, 0, 0, 0]]), jnp.array([[0.1, 0.0, -0.2, 0]]), jnp.zeros((1, 4))
    np.testing.assert_allclose([float(margin(y)) for y in (wide, narrow, tied)], [-0.25, -0.1, 0], atol=1e-7)
    assert not np.asarray(jax.grad(margin)(wide)).any()
    np.testing.assert_allclose(jax.grad(margin)(narrow), [[-1, 1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(float(margin(jnp.concatenate([wide, tied]))), -0.125)


def test_kip_starts_from_centred_one_hot_labels():
    """Of any number of classes: FRePo's scale, sqrt(C / 10), is not KIP's."""
    for kind in ("fixed", "learned"):
        labels = kip(smooth_net(), labels=kind).prepare(KEY, as_set(blobs(2)), None).y.values
        np.testing.assert_allclose(labels, np.repeat(np.eye(3) - 1 / 3, 2, 0), atol=1e-6)


@partial(jax.jit, static_argnums=(0, 4))
def train_by_hand(life, vars, opt, synth, steps=1):
    """Training steps of a pool's network, written out."""
    for _ in range(steps):

        def loss(params, vars=vars):
            logits = life.net.apply(vars._replace(params=params), synth.x.decode(), train=True).logits
            return jnp.mean(jnp.sum((logits - synth.y.values) ** 2, 1)) / 2

        updates, opt = life.tx.update(jax.grad(loss)(vars.params), opt, vars.params)
        vars = vars._replace(params=jax.tree.map(jnp.add, vars.params, updates))
    return vars, opt


def near(ours, theirs, *, atol=1e-5):
    """Compares trees of arrays."""
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=atol), jax.device_get(ours), jax.device_get(theirs))


@pytest.mark.slow
def test_a_pool_is_a_list_of_networks():
    """Ten steps against a Python list: who serves is trained by one step, or renewed at age 2, and nobody else changes."""
    net, _, synth, _ = problem(np.float32)
    life = PoolSchedule(net, adam(0.1), lambda s: on_examples(net, s.x.decode(), s.y), size=2, most=2)
    state, step = jax.jit(lambda key: pool.init_pool(key, life, synth))(KEY), jax.jit(lambda key, p: pool.advance(key, life, p, synth))
    np.testing.assert_array_equal(state.age, [0, 1])
    nets = [(*pool.at((state.vars, state.opt), i), int(state.age[i])) for i in range(2)]
    served, renewed = [], 0
    for number in range(10):
        key, i = jax.random.fold_in(KEY, number), int(state.at)
        vars, opt, age = nets[i]
        if age == 2:
            drawn = fresh(jax.random.split(key, 3)[0], net)
            nets[i], renewed = (drawn, life.tx.init(drawn.params), 0), renewed + 1
        else:
            nets[i] = (*train_by_hand(life, vars, opt, synth), age + 1)
        served.append(i)
        state = step(key, state)
        for at, (vars, opt, age) in enumerate(nets):
            near(jax.tree.map(lambda leaf, at=at: np.asarray(leaf)[at], (state.vars, state.opt)), (vars, opt))
            assert int(state.age[at]) == age
    assert set(served) == {0, 1} and renewed >= 2


@pytest.mark.slow
def test_a_forgetful_pool_ends_as_fresh_networks_and_a_warm_one_starts_trained():
    net, _, synth, _ = problem(np.float32)
    life = PoolSchedule(net, sgd(0.1), lambda s: on_examples(net, s.x.decode(), s.y), size=2, most=3, forgetful=True)
    step = jax.jit(lambda key, p: pool.advance(key, life, p, synth))
    state = pool.init_pool(KEY, life, synth)._replace(age=jnp.array([3, 3]), at=jnp.int32(1))
    for number in range(4):  # always renewed, never trained: it keeps its age
        key, at = jax.random.fold_in(KEY, number), state.at
        state = step(key, state)
        drawn = fresh(jax.random.split(key, 3)[0], net)
        near(pool.at(state.vars, at), drawn, atol=0)
        assert state.age.tolist() == [3, 3]
    warm = replace(life, warm=True, most=5, size=6, forgetful=False)
    start, cold = (jax.jit(lambda key, w=w: pool.init_pool(key, replace(warm, warm=w), synth))(KEY) for w in (True, False))
    assert start.age.min() >= 1 and start.age.max() < 5 and len(set(start.age.tolist())) > 1
    np.testing.assert_array_equal(cold.age, [0, 0, 1, 2, 3, 4])
    trained, _ = train_by_hand(warm, *pool.at((cold.vars, cold.opt), 5), synth, int(start.age[5]))
    near(pool.at(start.vars, 5), trained)


@pytest.mark.parametrize(("rows", "shown"), [(3, 3), (None, 6), (20, 6)])
def test_a_pool_samples_large_sets(rows, shown):
    _, life, synth, _ = problem(np.float32)
    seen = []
    life = replace(
        life, most=9, rows=rows, objective=lambda s: lambda params, stats, item: (seen.append(item.index.shape), (0.0, stats))[1]
    )
    jax.eval_shape(lambda key: pool.advance(key, life, pool.init_pool(key, life, synth), synth), KEY)
    assert len(synth) == 6 and set(seen) == {(shown,)}


@pytest.mark.slow
def test_the_inner_problem_of_krrst_draws_nothing_and_sees_the_whole_set(monkeypatch):
    """A network takes the same steps whatever the key: the paper's reason to regress. FRePo's, on more than 1,000 images, does not."""
    lives, rng, whole = {}, np.random.default_rng(0), descend_ridge
    for name, build in (("krrst", lambda: krrst(smooth_net(), Half(), task())), ("frepo", lambda: frepo(smooth_net(), task()))):

        def caught(*args, life, name=name, **more):
            lives[name] = life
            return whole(*args, life=life, **more)

        monkeypatch.setattr(sys.modules[f"matchers.kernel.{name}"], "descend_ridge", caught)
        build()
    x, y = (jnp.asarray(rng.normal(size=(1100, *shape)), jnp.float32) for shape in ((4, 4, 1), (3,)))
    synth = SyntheticSet(Pixels(x), Target(y))
    for name, same in (("krrst", True), ("frepo", False)):
        life = lives[name](synth)
        drawn = fresh(KEY, life.net)
        step = jax.jit(
            lambda key, life=life, drawn=drawn: pool.train(key, life, synth, Fit(drawn, life.tx.init(drawn.params)), 3).vars.params
        )
        gaps = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), *(step(jax.random.key(seed)) for seed in (1, 2)))
        assert (max(jax.tree.leaves(gaps)) == 0) == same, name


def test_label_solve_is_the_least_squares_solution(float64):
    """Against lstsq of the whole prediction matrix; no perturbation of the labels has a smaller error."""
    real, fake = blobs(4, dtype=np.float64), as_set(blobs(2, seed=1, dtype=np.float64))
    matcher = kip(smooth_net(dtype=jnp.float64), labels="solved", reg=1e-3)
    assert matcher.host
    solved, _, _ = matcher.step(KEY, (), fake, real)
    s, t = (np.asarray(x).reshape(len(x), -1) for x in (fake.x.pixels, real.x))
    gram = np.array(ntk(jnp.asarray(s), jnp.asarray(s)))
    gram += 1e-3 * np.trace(gram) / len(gram) * np.eye(len(gram))
    a, y = np.asarray(ntk(jnp.asarray(t), jnp.asarray(s))) @ np.linalg.inv(gram), np.asarray(centred(jnp.asarray(real.y), 3))
    np.testing.assert_allclose(solved.y.values, np.linalg.lstsq(a, y, rcond=None)[0], atol=1e-6)
    error = lambda labels: ((a @ labels - y) ** 2).sum()  # noqa: E731
    rng = np.random.default_rng(0)
    least = error(np.asarray(solved.y.values))
    assert all(error(np.asarray(solved.y.values) + 0.1 * rng.normal(size=y[:6].shape)) > least for _ in range(20))
    assert least < error(np.asarray(centred(fake.y.index, 3)))
    np.testing.assert_array_equal(solved.x.pixels, fake.x.pixels)


def test_labels_are_solved_on_the_features_of_a_network_too(float64):
    real, fake, net = blobs(4, dtype=np.float64), as_set(blobs(2, seed=1, dtype=np.float64)), smooth_net(hidden=12, dtype=jnp.float64)
    solved, _, _ = kip(net, kernel="net", labels="solved", reg=1e-3).step(KEY, (), fake, real)
    p = jax.device_get(fresh(KEY, net).params)
    f, t = (np.tanh(np.asarray(x).reshape(len(x), -1) @ p["w"] + p["b"]) for x in (fake.x.pixels, real.x))
    a = t @ f.T @ np.linalg.inv(f @ f.T + 1e-3 * (f**2).sum() / 6 * np.eye(6))
    np.testing.assert_allclose(solved.y.values, np.linalg.lstsq(a, np.eye(3)[real.y] - 1 / 3, rcond=None)[0], atol=1e-6)


def test_lamb_moves_every_array_by_a_share_of_its_norm():
    """Against numpy over three steps with a schedule; an array of zeros moves as under Adam."""
    rng = np.random.default_rng(0)
    p = {"x": rng.normal(size=(3, 4)).astype(np.float32), "zero": np.zeros(2, np.float32)}
    tx = scheduled(lamb(0.1), cosine(2, floor=0.1))
    state, ours = tx.init(jax.tree.map(jnp.asarray, p)), jax.tree.map(jnp.asarray, p)
    m, v = ({k: np.zeros_like(leaf) for k, leaf in p.items()} for _ in range(2))
    for t, factor in ((1, 1.0), (2, 0.55), (3, 0.1)):
        g = {k: rng.normal(size=leaf.shape).astype(np.float32) for k, leaf in p.items()}
        updates, state = jax.jit(tx.update)(jax.tree.map(jnp.asarray, g), state, ours)
        ours = jax.tree.map(jnp.add, ours, updates)
        for k in p:
            m[k], v[k] = 0.9 * m[k] + 0.1 * g[k], 0.999 * v[k] + 0.001 * g[k] ** 2
            u = m[k] / (1 - 0.9**t) / (np.sqrt(v[k] / (1 - 0.999**t)) + 1e-6)
            ratio = np.linalg.norm(p[k]) / np.linalg.norm(u) if p[k].any() else 1
            p[k] = p[k] - 0.1 * factor * ratio * u
            np.testing.assert_allclose(ours[k], p[k], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose([float(straight(4, floor=0.2)(jnp.int32(t))) for t in (0, 2, 4, 9)], [1, 0.6, 0.2, 0.2], rtol=1e-6)


def test_a_head_of_another_width_sits_on_the_same_body():
    net = smooth_net()
    wide = headed(net, 5, 7)
    vars, x = wide.init(KEY), jnp.asarray(blobs(2).x)
    out = wide.apply(vars, x)
    body = net.apply(vars._replace(params=vars.params["body"]), x)
    np.testing.assert_array_equal(out.embed, body.embed)
    np.testing.assert_allclose(out.logits, np.asarray(body.embed) @ vars.params["kernel"] + vars.params["bias"], atol=1e-6)
    assert out.logits.shape == (6, 7) and np.abs(vars.params["kernel"]).max() <= 5**-0.5 < 1.5 * np.abs(vars.params["kernel"]).max()


@pytest.mark.slow
def test_views_shift_and_mirror():
    """What moves in is the border itself: on a background of 1, which may be what is black in model space, no 0 appears."""
    x = 1 + jnp.arange(64, dtype=jnp.float32).reshape(1, 8, 8, 1) + jnp.zeros((40, 1, 1, 1))
    shown = {flips: np.asarray(crop_flip(KEY, x, flips=flips))[..., 0] for flips in (False, True)}
    padded = np.pad(np.asarray(x[0, ..., 0]), 1, mode="edge")
    crops = [padded[i : i + 8, j : j + 8] for i, j in product(range(3), repeat=2)]
    mirrored = [any((v[:, ::-1] == c).all() for c in crops) for v in shown[True]]
    assert all(any((v == c).all() for c in crops) for v in shown[False])
    assert all(m or any((v == c).all() for c in crops) for m, v in zip(mirrored, shown[True], strict=True))
    assert 8 <= sum(mirrored) <= 32


@pytest.mark.slow
def test_krrst_reads_no_label():
    """Its targets are the teacher's, at the start and of the real images; other labels of the real images change nothing."""
    net, real = smooth_net(), blobs(4)
    matcher = krrst(net, Half(), task(), pool=1, pool_steps=1, views="none", reg=1e-3)
    synth = matcher.prepare(KEY, as_set(blobs(2, seed=1)), real)
    assert synth.y.values.shape == (6, 4)
    np.testing.assert_allclose(synth.y.values, np.asarray(synth.x.pixels).reshape(6, -1)[:, :4] / 2)
    batch = Examples(*(jnp.asarray(part) for part in real))
    state = matcher.init(KEY, synth)
    step = jax.jit(matcher.step)
    after, _, metrics = step(KEY, state, synth, batch)
    other, _, _ = step(KEY, state, synth, batch._replace(y=batch.y[::-1]))
    jax.tree.map(np.testing.assert_array_equal, after, other)
    vars = jax.tree.map(lambda leaf: leaf[0], state.aux.vars)
    f, t = (np.concatenate([np.asarray(net.apply(vars._replace(params=vars.params["body"]), x).embed), np.ones((len(x), 1))], 1)
            for x in (synth.x.pixels, batch.x))  # fmt: skip
    gram = f @ f.T
    off = t @ f.T @ np.linalg.solve(gram + 1e-3 * np.trace(gram) * np.eye(6), np.asarray(synth.y.values)) - np.asarray(
        Half().represent(real.x)
    )
    np.testing.assert_allclose(float(metrics["loss"]), (off**2).mean(), rtol=1e-3)


class Half:
    """A teacher that represents images by half of their first four pixels."""

    def represent(self, x):
        return jnp.asarray(x).reshape(len(x), -1)[:, :4] / 2


def after_two_steps(matcher, real=blobs(4)):
    synth = matcher.prepare(KEY, as_set(blobs(2, seed=1)), real)
    batch, state, step = Examples(*(jnp.asarray(part) for part in real)), matcher.init(KEY, synth), jax.jit(matcher.step)
    for number in range(2):
        synth, state, _ = step(jax.random.fold_in(KEY, number), state, synth, batch)
    return pixels(synth)


@pytest.mark.slow
def test_krrst_mirrors_only_where_a_mirror_image_keeps_its_label():
    shown = {
        (flips, views): after_two_steps(krrst(smooth_net(), Half(), task(flips=flips), pool=1, pool_steps=1, views=views))
        for flips in (False, True)
        for views in ("crop", "crop_flip")
    }
    assert shown[False, "crop_flip"] == shown[False, "crop"] == shown[True, "crop"] != shown[True, "crop_flip"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "factory",
    [
        lambda t, **o: frepo(smooth_net(), t, **o),
        lambda t, **o: krrst(smooth_net(), Half(), t, **o),
    ],
)
def test_step_sizes_fall_over_the_run(factory):
    """As they do where the number of its steps is given; over more steps they fall more slowly."""
    options = {"pool": 1, "pool_steps": 1, "lr": 0.1}
    short, longer = (after_two_steps(factory(task(steps=steps), **options)) for steps in (4, 40))
    assert short == after_two_steps(factory(task(steps=99), decay=4, **options)) != longer


# Factories as they are wired: one step against a formula in numpy that shares no code with them


def moments(after, before):
    """Adam's first moment after one step is a tenth of the gradient: the gradients by images and by labels, None where it has none."""
    leaves = jax.tree.leaves(after.opt)
    return [next((np.asarray(leaf) / 0.1 for leaf in leaves if leaf.shape == part.shape), None) for part in before]


def one_step(matcher, synth, real):
    state = jax.jit(matcher.init)(KEY, synth)
    after, later, metrics = jax.jit(matcher.step)(KEY, state, synth, real)
    return state, after, later, metrics, moments(later, (synth.x.pixels, synth.y.values))


def served(state):
    return jax.tree.map(lambda leaf: np.asarray(leaf[int(state.aux.at)]), state.aux.vars.params)


def ridge_by_hand(f, t, y, lam):
    return t @ f.T @ np.linalg.solve(f @ f.T + lam * np.eye(len(f)), y)


def test_frepo_is_its_formula_with_margin_flip_and_lamb(float64):
    """L of the docstring with mirror images, and x - lr |x| / |u| u with u = g / (|g| + epsilon), LAMB's first step; the same of labels."""
    net, _, synth, real = problem()
    matcher = frepo(net, task(), pool=2, reg=1e-2, flip=True, lr=0.1)
    state, after, later, metrics, _ = one_step(matcher, synth, real)
    p = served(state)

    def loss(x, y):
        x, twice = np.concatenate([x, x[:, :, ::-1]]), np.concatenate([y, y])
        f, t = (np.tanh(np.asarray(part).reshape(len(part), -1) @ p["w"] + p["b"]) for part in (x, real.x))
        off = ridge_by_hand(f, t, twice, 1e-2 * (f**2).sum() / len(f)) - (np.eye(3)[np.asarray(real.y)] - 1 / 3)
        first, second = np.sort(y, 1)[:, :-3:-1].T
        return 0.5 * (off**2).sum(1).mean() - np.minimum(first - second, 1 / 3).mean()

    x, y = np.asarray(synth.x.pixels), np.asarray(synth.y.values)
    np.testing.assert_allclose(float(metrics["loss"]), loss(x, y), rtol=1e-9)
    for before, now, g in (
        (x, after.x.pixels, central_differences(lambda v: loss(v, y), x)),
        (y, after.y.values, central_differences(lambda v: loss(x, v), y)),
    ):
        u = g / (np.abs(g) + 1e-6)
        np.testing.assert_allclose(now, before - 0.1 * np.linalg.norm(before) / np.linalg.norm(u) * u, rtol=0, atol=1e-3)
    assert int(later.aux.age.sum()) == int(state.aux.age.sum()) + 1


@pytest.mark.slow
@pytest.mark.parametrize("learn", ["both", "images", "targets"])
def test_krrst_is_its_formula_with_a_bias_and_a_constant_lambda(float64, learn):
    """mean || F_t F_s^T (F_s F_s^T + lambda I)^-1 Y_s - g(x_t) ||^2; networks start trained, and only what is learned moves."""
    net, _, synth, real = problem()
    matcher = krrst(net, Half(), task(), pool=3, pool_steps=4, reg=1e-2, views="none", learn=learn)
    synth = matcher.prepare(KEY, synth, real)
    state, after, _, metrics, found = one_step(matcher, synth, real)
    p, goal = served(state)["body"], np.asarray(Half().represent(real.x))
    assert state.aux.age.min() >= 1, "a warm pool has no network as it was drawn"

    def features(x):
        f = np.tanh(np.asarray(x).reshape(len(x), -1) @ p["w"] + p["b"])
        return np.concatenate([f, np.ones((len(f), 1))], 1)

    lam = 1e-2 * (features(synth.x.pixels) ** 2).sum()  # held
    loss = lambda x, y: ((ridge_by_hand(features(x), features(real.x), y, lam) - goal) ** 2).mean()  # noqa: E731
    x, y = np.asarray(synth.x.pixels), np.asarray(synth.y.values)
    np.testing.assert_allclose(float(metrics["loss"]), loss(x, y), rtol=1e-9)
    slopes = central_differences(lambda v: loss(v, y), x), central_differences(lambda v: loss(x, v), y)
    for name, ours, slope, now, before in zip(("images", "targets"), found, slopes, (after.x.pixels, after.y.values), (x, y), strict=True):
        if learn in ("both", name):
            np.testing.assert_allclose(ours, slope, rtol=1e-6, atol=1e-9)
        assert (np.asarray(now) != before).any() == (learn in ("both", name))


@pytest.mark.slow
def test_krrst_renews_as_the_paper_or_as_the_released_code(float64):
    """A network of the greatest age is drawn anew, and is of age 0, or keeps its age and is never trained again."""
    net, _, synth, real = problem()
    for resets, age in (("paper", 0), ("released", 2)):
        matcher = krrst(net, Half(), task(), pool=1, pool_steps=2, views="none", resets=resets)
        given = matcher.prepare(KEY, synth, real)
        state = jax.jit(matcher.init)(KEY, given)
        old = state._replace(aux=state.aux._replace(age=jnp.full_like(state.aux.age, 2)))
        assert int(jax.jit(matcher.step)(KEY, old, given, real)[1].aux.age[0]) == age


def ntk_by_hand(a, b):
    """One hidden ReLU layer, w = sqrt 2, bias 0.1."""
    s, sa, sb = 2 * a @ b.T / a.shape[1] + 0.01, 2 * (a**2).sum(1) / a.shape[1] + 0.01, 2 * (b**2).sum(1) / b.shape[1] + 0.01
    q = np.sqrt(np.outer(sa, sb))
    cosine = np.clip(s / q, -1, 1)
    angle = np.where(cosine > 1 - 1e-12, 0, np.arccos(cosine))  # of equal inputs, where rounding would leave half of the digits
    return s * (np.pi - angle) / np.pi + q * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / np.pi + 0.01


@pytest.mark.parametrize(("kernel", "labels"), [("net", "fixed"), ("ntk", "fixed"), ("ntk", "learned")])
def test_kip_is_its_formula_under_either_kernel(float64, kernel, labels):
    """Fixed labels get no gradient and stay; the network of the kernel `net` is never trained."""
    net, _, synth, real = problem()
    state, after, later, metrics, found = one_step(kip(net, kernel=kernel, labels=labels, reg=1e-2), synth, real)
    p = served(state) if kernel == "net" else None

    def gram(a, b):
        a, b = (np.asarray(x).reshape(len(x), -1) for x in (a, b))
        return np.tanh(a @ p["w"] + p["b"]) @ np.tanh(b @ p["w"] + p["b"]).T if p else ntk_by_hand(a, b)

    def loss(x, y):
        within = gram(x, x)
        predicted = gram(real.x, x) @ np.linalg.solve(within + 1e-2 * np.trace(within) / len(x) * np.eye(len(x)), y)
        return 0.5 * ((predicted - (np.eye(3)[np.asarray(real.y)] - 1 / 3)) ** 2).sum(1).mean()

    x, y = np.asarray(synth.x.pixels), np.asarray(synth.y.values)
    np.testing.assert_allclose(float(metrics["loss"]), loss(x, y), rtol=1e-9)
    np.testing.assert_allclose(found[0], central_differences(lambda v: loss(v, y), x), rtol=1e-5, atol=1e-7)
    assert np.array_equal(after.y.values, y) == (found[1] is None) == (labels == "fixed")
    jax.tree.map(np.testing.assert_array_equal, later.aux, state.aux)


def test_regression_labels_are_a_kind():
    y = Target(jnp.array([[0.5, -0.5], [-1.0, 1.0], [2.0, 3.0]]))
    assert y.classes == 2 and y.nbytes() == 24
    t = y.targets(jnp.array([2, 0]), None)
    np.testing.assert_allclose(y.loss(jnp.array([[2.0, 1.0], [0.5, -0.5]]), t), [2, 0])
    np.testing.assert_allclose(y.mix(t, t[::-1], 0.25), [[0.875, 0.375], [1.625, 2.125]])
    np.testing.assert_array_equal(y.probs(), [[1, 0], [0, 1], [0, 1]])


@pytest.mark.parametrize("width", [2, 5])
def test_regression_labels_of_any_width_are_stored(tmp_path, width):
    """As many numbers as classes, or a representation."""
    info = Info(("zero", "one"), Standard(np.zeros(1, np.float32), np.ones(1, np.float32)))
    y = Target(jax.random.normal(KEY, (3, width)))
    save_set(tmp_path / "set.npz", SyntheticSet(Pixels(jnp.ones((3, 4, 4, 1))), y, info=info))
    found = load_set(tmp_path / "set.npz").y
    assert isinstance(found, Target)
    np.testing.assert_array_equal(found.values, y.values)


@pytest.mark.slow
def test_an_inner_loop_that_draws_views_biases_the_meta_gradient(float64):
    """Why the method regresses. The set is learned through three inner steps on it; the mean of the meta-gradient over everything that an
    inner loop may draw is compared with the meta-gradient through the inner objective's expectation. Contrasting two views of the set
    (Barlow Twins under random masks), the mean is another gradient, because the outer loss is not linear in the weights; regression
    draws nothing, and batches of real images alone leave the mean where it is. It is the draw that does it: regression on masked images is
    biased too, and a contrast whose masks hide nothing is not."""
    rng = np.random.default_rng(2)
    fake, real, y, first = (jnp.asarray(rng.normal(size=s)) for s in ((4, 6), (8, 6), (4, 3), (6, 3)))
    goal, masks = jnp.tanh(real @ jnp.asarray(rng.normal(size=(6, 3)))), jnp.asarray(rng.random((3, 6)) < 0.6).astype(jnp.float64)
    linear = Net(lambda key: Vars(first), lambda vars, x, *, train=False, key=None: Out(x.reshape(len(x), -1) @ vars.params, x, {}))
    item = Item(KEY, jnp.arange(4), jnp.ones(4), (jnp.int32(0), jnp.int32(0)))

    def contrast(w, x, mask):
        return barlow_loss(x @ w, (x * mask[None]) @ w, trade=0.2, epsilon=0.1)

    def regress(w, x, mask):
        return on_examples(linear, (x * mask[None])[:, :, None, None], Target(y))(w, (), item)[0]

    def outer(w, rows):
        return ((real[rows] @ w - goal[rows]) ** 2).mean()

    def through(inner, rows=jnp.arange(8)):
        """d outer / d fake through three steps, whose inner losses are `inner`."""

        def loss(x):
            w = first
            for step in inner:
                w = w - 0.5 * jax.grad(step)(w, x)
            return outer(w, rows)

        return jax.grad(loss)(fake)

    def bias(objective, masks):
        """How far the mean over all draws of three masks is from the gradient through the mean objective."""

        @jax.jit
        def both():
            mean = through([lambda w, x: jax.vmap(lambda mask: objective(w, x, mask))(masks).mean()] * 3)
            drawn = jnp.asarray(list(product(range(3), repeat=3)))
            return mean, jax.vmap(lambda at: through([lambda w, x, i=i: objective(w, x, masks[i]) for i in at]))(drawn)

        mean, every = both()
        return np.linalg.norm(every.mean(0) - mean) / np.linalg.norm(mean)

    open_masks = jnp.ones_like(masks)
    assert bias(contrast, masks) > 0.05 and bias(regress, masks) > 0.05
    assert bias(contrast, open_masks) < 1e-9 and bias(regress, open_masks) < 1e-9  # a control: equal draws leave nothing to differ
    inner = [lambda w, x: regress(w, x, open_masks[0])] * 3
    batches = jax.jit(jax.vmap(lambda rows: through(inner, rows)))(jnp.arange(8).reshape(4, 2))
    np.testing.assert_allclose(batches.mean(0), jax.jit(lambda: through(inner))(), rtol=1e-9, atol=1e-12)
    assert np.abs(batches - batches.mean(0, keepdims=True)).max() > 1e-3  # they do differ, as those of the contrast do
