"""What the factories of kernel methods hand over: how networks of a pool are trained and on which rows, step sizes and their schedules, and
the image that a target belongs to."""

import sys
from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.kernel import common, pool
from matchers.kernel.frepo import frepo
from matchers.kernel.kip import kip
from matchers.kernel.krrst import crop_flip, krrst
from matchers.kernel.pool import PoolSchedule
from synth.base import Examples, fresh
from synth.images.content import Pixels
from synth.labels.plain import Target
from synth.set import SyntheticSet
from synth.training.fit import Fit, on_examples, sgd
from tests.support.toy_data import blobs, smooth_net
from tests.support.toy_teachers import task

KEY, LR, NET_LR, STEPS = jax.random.key(9), 0.02, 0.3, 8


class Half:
    """A teacher that represents images by half of their first four pixels."""

    def represent(self, x):
        return jnp.asarray(x).reshape(len(x), -1)[:, :4] / 2


FACTORIES = {
    "frepo": lambda **o: frepo(smooth_net(), task(steps=STEPS), lr=LR, net_lr=NET_LR, **o),
    "krrst": lambda **o: krrst(smooth_net(), Half(), task(steps=STEPS, flips=True), lr=LR, net_lr=NET_LR, **o),
    "kip": lambda **o: kip(smooth_net(), kernel="net", lr=LR, **o),
}


@cache
def handed_over(name: str, **options) -> dict:
    """What a factory gives `descend_ridge`."""
    caught, whole = {}, common.descend_ridge

    def catch(ridge, tx, **more):
        caught.update(ridge=ridge, tx=tx, **more)
        return whole(ridge, tx, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules[f"matchers.kernel.{name}"], "descend_ridge", catch)
        FACTORIES[name](**options)
    return caught


def a_set(n: int = 6, width: int = 4) -> SyntheticSet:
    rng = np.random.default_rng(1)
    return SyntheticSet(
        Pixels(jnp.asarray(rng.normal(size=(n, 4, 4, 1)), jnp.float32)), Target(jnp.asarray(rng.normal(size=(n, width)), jnp.float32))
    )


@pytest.mark.slow
def test_krrst_trains_its_networks_by_the_mean_square_with_momentum_and_decay():
    """Three steps, by the network's own gradient of mean (f(x) - y)^2: d = g + 0.001 p, b = 0.9 b + d, p - lr b, as PyTorch does."""
    synth = a_set()
    life = handed_over("krrst")["life"](synth)
    drawn = fresh(KEY, life.net)
    drawn = drawn._replace(params=jax.tree.map(lambda leaf: 3 * leaf, drawn.params))  # so that decay shows
    found = jax.jit(lambda: pool.train(KEY, life, synth, Fit(drawn, life.tx.init(drawn.params)), 3).vars.params)()

    @jax.jit
    @jax.grad
    def slope(params):
        p = params["body"]
        embed = jnp.tanh(synth.x.pixels.reshape(6, 16) @ p["w"] + p["b"][None])
        return jnp.mean((embed @ params["kernel"] + params["bias"] - synth.y.values) ** 2)

    p, b = drawn.params, jax.tree.map(jnp.zeros_like, drawn.params)
    for _ in range(3):
        b = jax.tree.map(lambda b, g, p: 0.9 * b + g + 1e-3 * p, b, slope(p), p)
        p = jax.tree.map(lambda p, b: p - NET_LR * b, p, b)
    for name in ("kernel", "bias"):
        np.testing.assert_allclose(found[name], p[name], rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(found["body"]["w"], p["body"]["w"], rtol=1e-4, atol=2e-6)
    np.testing.assert_allclose(found["body"]["v"], 3 * np.asarray(fresh(KEY, life.net).params["body"]["v"]) * faded(3), rtol=1e-6)


def faded(steps: int) -> float:
    """What decay alone leaves of a number that has no gradient: the head of the body, which another replaces."""
    p, b = 1.0, 0.0
    for _ in range(steps):
        b = 0.9 * b + 1e-3 * p
        p -= NET_LR * b
    return p


def test_frepo_trains_its_networks_by_adam_at_a_step_size_of_their_own():
    """Half the squared error of an example; Adam's first step moves every number by `net_lr`, whatever its gradient."""
    synth = a_set(width=3)
    life = handed_over("frepo")["life"](synth)
    drawn = fresh(KEY, life.net)
    first, second = (
        jax.jit(lambda n=n: pool.train(KEY, life, synth, Fit(drawn, life.tx.init(drawn.params)), n).vars.params)() for n in (1, 2)
    )

    @jax.jit
    @jax.grad
    def slope(p):
        out = jnp.tanh(synth.x.pixels.reshape(6, 16) @ p["w"] + p["b"][None]) @ p["v"]
        return jnp.mean(jnp.sum((out - synth.y.values) ** 2, 1)) / 2

    g = slope(drawn.params)
    jax.tree.map(lambda now, p, g: np.testing.assert_allclose(now, p - NET_LR * np.sign(g), atol=1e-4), first, drawn.params, g)
    h = slope(first)

    def move(p, g, h):
        m, v = (0.09 * g + 0.1 * h) / 0.19, (0.999e-3 * g * g + 1e-3 * h * h) / (1 - 0.999**2)
        return p - NET_LR * m / (np.sqrt(v) + 1e-8)

    jax.tree.map(lambda now, p, g, h: np.testing.assert_allclose(now, move(*map(np.asarray, (p, g, h))), atol=1e-3), second, first, g, h)


def updates(tx, params, steps: int) -> np.ndarray:
    """By how much an optimiser moves a number whose gradient stays 1."""
    state, moves = tx.init(params), []
    for _ in range(steps):
        moved, state = tx.update(jax.tree.map(jnp.ones_like, params), state, params)
        moves.append(float(jax.tree.leaves(moved)[0][0]))
    return np.asarray(moves)


@pytest.mark.parametrize("decay", [None, 5])
def test_step_sizes_fall_as_each_method_says_and_stay_at_their_floor(decay):
    """frepo's to a tenth by a cosine, relative to the norm of the parameters; krrst's to a thousandth in a line; kip's never."""
    last = decay or STEPS
    share = np.minimum(np.arange(12) / last, 1)
    options = {} if decay is None else {"decay": decay}
    found = updates(handed_over("frepo", **options)["tx"], {"x": jnp.full(4, 3.0)}, 12)
    np.testing.assert_allclose(found, -LR * 3 * (0.1 + 0.9 * (1 + np.cos(np.pi * share)) / 2), rtol=1e-4)
    found = updates(handed_over("krrst", **options)["tx"], {"x": jnp.full(4, 3.0)}, 12)
    np.testing.assert_allclose(found, -LR * (1 - 0.999 * share), rtol=1e-3)
    np.testing.assert_allclose(updates(handed_over("kip")["tx"], {"x": jnp.full(4, 3.0)}, 12), -LR, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("views", ["none", "crop", "crop_flip"])
def test_the_target_of_a_view_is_what_the_teacher_makes_of_that_view(views):
    examples = Examples(*(jnp.asarray(part) for part in blobs(8, image=(8, 8, 1))))
    x, y = handed_over("krrst", views=views)["ridge"].targets(KEY, examples, 3)
    np.testing.assert_array_equal(y, Half().represent(x))
    shown = {"none": examples.x, "crop": crop_flip(KEY, examples.x, flips=False), "crop_flip": crop_flip(KEY, examples.x, flips=True)}
    for name, other in shown.items():
        assert np.array_equal(x, other) == (name == views), name
    if views != "none":
        assert np.abs(y - Half().represent(examples.x)).max() > 0.1
        again = handed_over("krrst", views=views)["ridge"].targets(jax.random.key(10), examples, 3)[0]
        assert not np.array_equal(again, x)


@pytest.mark.slow
def test_every_image_is_shifted_by_itself_and_mirrored_whatever_its_shift():
    """The point of 400 images: all nine shifts of an 8x8 image appear, and as often mirrored as not."""
    x = jnp.zeros((400, 8, 8, 1)).at[:, 3, 2].set(1)
    shown = [np.asarray(crop_flip(KEY, x, flips=flips)).reshape(400, -1).argmax(1) for flips in (False, True)]
    places = [np.stack(np.unravel_index(at, (8, 8)), 1) for at in shown]
    shifts = [tuple(place) for place in places[0].tolist()]
    assert set(shifts) == {(3 + i, 2 + j) for i in (-1, 0, 1) for j in (-1, 0, 1)}
    mirrored = places[1][:, 1] != places[0][:, 1]
    assert (places[1][mirrored, 1] == 7 - places[0][mirrored, 1]).all()
    for column in (1, 2, 3):
        assert 0.35 < mirrored[places[0][:, 1] == column].mean() < 0.65


# Draws of a pool


def recorded(life: PoolSchedule, run) -> list[tuple[int, list[int], tuple]]:
    """(number, rows, key) of every step that `run(life)` trains."""
    seen = []

    def objective(synth):
        real = life.objective(synth)

        def loss(params, stats, item):
            note = lambda n, rows, key: seen.append((int(n), np.asarray(rows).tolist(), tuple(np.asarray(key).tolist())))  # noqa: E731
            jax.debug.callback(note, item.view[0], item.index, jax.random.key_data(item.key))
            return real(params, stats, item)

        return loss

    jax.block_until_ready(jax.tree.leaves(run(replace(life, objective=objective))))
    jax.effects_barrier()
    return sorted(set((n, tuple(rows), key) for n, rows, key in seen))


def plain(**options) -> PoolSchedule:
    net = smooth_net()
    return PoolSchedule(net, sgd(0.0), lambda s: on_examples(net, s.x.decode(), s.y), **{"size": 1, "most": 9} | options)


@pytest.mark.slow
def test_a_network_sees_other_rows_of_a_large_set_every_step():
    """Five steps on 4 of 12 rows, none twice in a step: five choices and five keys; another key gives five others."""
    life, synth = plain(rows=4), a_set(12, 3)
    drawn = fresh(KEY, life.net)
    train = lambda key: recorded(life, lambda life: pool.train(key, life, synth, Fit(drawn, life.tx.init(drawn.params)), 5))  # noqa: E731
    once, again, other = train(KEY), train(KEY), train(jax.random.key(1))
    assert once == again and [number for number, *_ in once] == list(range(5))
    assert all(len(set(rows)) == 4 for _, rows, _ in once)
    assert len({rows for _, rows, _ in once + other}) == len({key for *_, key in once + other}) == 10


@pytest.mark.slow
def test_networks_of_a_warm_pool_are_drawn_and_trained_apart():
    """Three networks, each by keys and on rows of its own."""
    synth, pools = a_set(12, 3), []
    life = plain(rows=4, size=3, most=4, warm=True)

    def run(life):
        pools.append(pool.init_pool(KEY, life, synth))
        return pools[-1]

    steps = recorded(life, run)
    (made,) = pools
    assert len(steps) == int(made.age.sum()) and len({key for *_, key in steps}) == len({rows for _, rows, _ in steps}) == len(steps)
    w = np.asarray(made.vars.params["w"]).reshape(3, -1)
    assert np.abs(np.corrcoef(w)[np.triu_indices(3, 1)]).max() < 0.5


@pytest.mark.slow
def test_which_network_serves_next_is_drawn_anew_every_step():
    """Of three networks each about as often as another, and no more often in turn."""
    life, synth = plain(size=3, most=0), a_set(6, 3)
    start = jax.jit(lambda: pool.init_pool(KEY, life, synth))()
    assert pool.advance(KEY, life, start, synth) is start, "networks that are never trained need no turns"
    life = replace(life, most=9, objective=lambda s: lambda params, stats, item: (jnp.sum(params["b"]), stats))
    at = jax.jit(lambda key: (pool.init_pool(key, life, synth).at, pool.advance(key, life, start, synth).at))
    for served in np.asarray([at(key) for key in jax.random.split(KEY, 120)]).T:
        assert np.bincount(served, minlength=3).min() > 20
