"""Oracles of the options of recovery: crops that narrow, images that join late, statistics of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.engine.feeds import make_feed
from matchers.base import Computed
from matchers.decoupled.common import BETAS, EPSILON, batches_of, images_of, joined, narrowing
from matchers.decoupled.cvdd import cvdd
from matchers.decoupled.fadrm import fadrm
from matchers.decoupled.loss import Jitter, RecoverySettings, vote
from matchers.decoupled.sre2l import sre2l
from synth.base import Examples
from synth.errors import BadInput
from synth.images.views import random_resized_crop
from synth.training import statistics
from synth.training.statistics import class_statistics
from tests.support.toy_data import as_set, central_differences
from tests.support.toy_teachers import KEY, PLAIN, committee, priors, ran, started, task, teacher

HARD = {"labels": "hard", "lr": 0.05}
METHODS = {
    "sre2l": lambda **more: sre2l(committee(1), task(steps=4), **HARD, **more),
    "cvdd": lambda **more: cvdd(committee(1), priors(1), task(steps=4), member=1, patches="none", **HARD, **more),
    "fadrm": lambda **more: fadrm(committee(1), task(steps=4), sizes=(1.0,), patches="none", **HARD, **more),
}


def test_crops_narrow_on_a_cosine():
    """The least share of the area after t of T steps is c + (1 - c)(1 + cos(pi t / T)) / 2: the whole image at first, c at the end."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(2, 8, 8, 1)), jnp.float32)
    jitter = Jitter(0.1, 0.0, False, narrow=6)
    keys = jax.random.split(KEY, 8)
    for step in (0, 2, 6, 9):
        least = 0.1 + 0.9 * (1 + np.cos(np.pi * min(step, 6) / 6)) / 2
        for key in keys:
            plain = random_resized_crop(jax.random.split(key, 3)[0], x, scale=(float(least), 1.0), shared=True)
            np.testing.assert_allclose(jitter(key, x, jnp.int32(step)), plain, atol=1e-6)
    assert all(np.array_equal(jitter(key, x, 0), x) for key in keys)
    assert any(np.abs(np.asarray(jitter(key, x, 6) - x)).max() > 0.1 for key in keys)
    assert [narrowing(share, task(steps=10)) for share in (None, 0.01, 0.5, 1.0)] == [0, 1, 5, 10]


@pytest.mark.parametrize("name", METHODS)
def test_a_method_crops_nothing_at_first_where_crops_narrow(name):
    """Its first step is that without crops, and the one after the curriculum differs from it."""
    synth, examples = started(1)
    crops = {"roll": 0.0, "crop": 0.3}

    def made(steps, **more):
        return np.asarray(ran(METHODS[name](**crops | more), synth, examples, steps)[1].x.pixels)

    np.testing.assert_allclose(made(1, narrow=1.0), made(1, crop=1.0), atol=1e-5)
    assert np.abs(made(1, narrow=1.0) - made(1)).max() > 1e-3
    assert np.abs(made(4, narrow=0.25) - made(4, crop=1.0)).max() > 1e-3


def test_slots_join_in_rounds_as_the_release_counts_them():
    """Rounds of so many new images each, the first ones of one more; an image moves from its own round on (VILA-Lab/DELT, recover.py)."""
    for slots, rounds, steps in ((10, 8, 16), (7, 3, 9), (2, 4, 8), (1, 1, 3)):
        new = [slots // rounds + (number < slots % rounds) for number in range(rounds)]
        starts = [next(r for r in range(rounds) if slot < sum(new[: r + 1])) for slot in range(slots)]
        for count in range(steps):
            expected = [start <= count // (steps / rounds) for start in starts]
            assert joined(slots, rounds, jnp.int32(count), task(steps=steps)).tolist() == expected
    assert joined(3, None, jnp.int32(0), task()) is None


@pytest.mark.parametrize("name", METHODS)
def test_late_slots_are_moved_by_adam_from_their_round_on(name):
    """Three slots in two rounds of two steps, against the loop over slots: two move at once, the third after two steps. Adam's moments of
    the third are still 0 then, and its count of steps is that of the run."""
    held, (synth, examples) = committee(1), started(3)
    matcher = METHODS[name](rounds=2, **PLAIN)
    before, after, _, metrics = ran(matcher, synth, examples, 4)
    settings = RecoverySettings(0.05, 0.01, 10.0, Jitter(1.0, 0.0, False))
    x, y = np.asarray(batches_of(before.x.pixels, 3, 100), np.float64), batches_of(before.y.index, 3, 100)
    low, high = (float(end) for end in before.x.clip(jnp.asarray([-9.0, 9.0], jnp.float32).reshape(1, 2, 1, 1)).ravel())
    slope = jax.jit(lambda x: vote(KEY, held, [held[0].vars], np.ones((3, 1)), x, y, settings))
    mean = square = np.zeros_like(x)
    for t in range(4):
        own, told = slope(jnp.asarray(x, jnp.float32))
        moving = np.array([True, True, t >= 2])[:, None, None, None, None]
        own = np.where(moving, np.asarray(own, np.float64), 0)
        mean, square = BETAS[0] * mean + (1 - BETAS[0]) * own, BETAS[1] * square + (1 - BETAS[1]) * own**2
        rate = 0.05 * (1 + np.cos(np.pi * t / 4)) / 2
        update = mean / (1 - BETAS[0] ** (t + 1)) / (np.sqrt(square / (1 - BETAS[1] ** (t + 1))) + EPSILON)
        x = np.clip(x - rate * update, low, high)
        if t == 1:
            np.testing.assert_array_equal(ran(matcher, synth, examples, 2)[1].x.pixels.reshape(3, 3, 4, 4, 1)[:, 2], before.x.pixels[2::3])
    np.testing.assert_allclose(after.x.pixels, images_of(jnp.asarray(x), 3), atol=2e-4)
    np.testing.assert_allclose(float(metrics["loss"]), float(told["loss"]), rtol=1e-3)


def test_means_are_over_the_batches_that_count():
    held, (synth, _) = committee(1), started(3)
    x, y = (batches_of(leaf, 3, 100) for leaf in (synth.x.pixels, synth.y.index))
    settings = RecoverySettings(0.05, 0.01, 10.0, Jitter(1.0, 0.0, False))
    asked = lambda rows, active: vote(  # noqa: E731
        KEY, held, [held[0].vars], np.ones((len(rows), 1)), x[rows], y[rows], settings, active=active
    )
    some, told = asked(np.arange(3), jnp.asarray([True, False, True]))
    alone, expected = asked(np.array([0, 2]), None)
    np.testing.assert_allclose(some[np.array([0, 2])], alone, rtol=1e-5, atol=1e-7)
    assert not np.asarray(some[1]).any()
    assert {name: float(value) for name, value in told.items()} == pytest.approx({name: float(value) for name, value in expected.items()})


def test_class_statistics_are_those_of_all_images_of_a_class(monkeypatch):
    """By hand, in one batch; the library takes two batches of four, of a class with nine images too."""
    monkeypatch.setattr(statistics, "MOST", 4)
    held, (_, examples) = teacher(), started()
    more = Examples(np.concatenate([examples.x, examples.x[:1] + 5]), np.concatenate([examples.y, examples.y[:1]]))
    made = class_statistics(held, more)
    a, b = (np.asarray(held.vars.params[name], np.float64) for name in "ab")
    means, variances = (np.asarray(held.vars.stats[name], np.float64) for name in ("mean", "var"))
    for label in range(3):
        cells = examples.x[examples.y == label].reshape(8, 2, 2, 2, 2, 1).transpose(0, 1, 3, 2, 4, 5).reshape(-1, 4) @ a
        inner = np.tanh((cells - means[0]) / np.sqrt(variances[0] + 1e-5)) @ b
        for layer, seen in (("running0", cells), ("running1", inner)):
            np.testing.assert_allclose(made[layer][0][label], seen.mean(0), rtol=1e-4, atol=1e-5)
            np.testing.assert_allclose(made[layer][1][label], seen.var(0), rtol=1e-3, atol=1e-5)
    with pytest.raises(BadInput, match="a class has no training images"):
        class_statistics(held, Examples(examples.x, np.where(examples.y == 1, 2, examples.y)))


def test_the_gradient_by_class_statistics_equals_finite_differences(float64):
    """Of a whole set, the images of a class in a batch, against the loss written out class by class."""
    held = teacher(dtype=jnp.float64)
    synth, examples = started(2, dtype=np.float64)
    kept = class_statistics(held, examples)
    x, y = jnp.asarray(synth.x.pixels, jnp.float64).reshape(3, 2, 4, 4, 1), synth.y.index.reshape(3, 2)
    settings = RecoverySettings(0.1, 0.3, 10.0, Jitter(1.0, 0.0, False))
    wide = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), kept)
    slopes, metrics = jax.jit(lambda x: vote(KEY, (held,), (held.vars,), np.ones((3, 1)), x, y, settings, kept=(wide,)))(x)

    @jax.jit
    def by_hand(pixels):
        total = 0.0
        for label in range(3):
            out = held.net.apply(held.vars, pixels[label])
            gap = sum(
                weight * jnp.sqrt(((seen - wide[f"running{layer}"][part][label]) ** 2).sum())
                for layer, weight in ((0, 10), (1, 1))
                for part, seen in enumerate(out.taps[f"norm{layer}"])
            )
            total += -jax.nn.log_softmax(out.logits)[:, label].mean() + 0.3 * gap
        return total

    np.testing.assert_allclose(float(metrics["loss"]) * 3, by_hand(x), rtol=1e-9)
    np.testing.assert_allclose(slopes, central_differences(by_hand, x), rtol=1e-5, atol=1e-7)


def test_the_real_images_of_a_class_are_at_no_distance_from_its_statistics():
    """The whole step: its feed is made of the training images once, and a set of all of them has no gap, as it has to running ones."""
    _, examples = started()
    synth, _ = started()
    whole = as_set(Examples(jnp.asarray(examples.x), jnp.asarray(examples.y)))
    matcher = sre2l(committee(1), task(), statistics="class", **HARD, **PLAIN)
    assert isinstance(matcher.feed, Computed)
    feed = make_feed(matcher.feed, examples, 3, seed=0)
    assert feed(0) is feed(1)
    before = matcher.prepare(KEY, type(synth)(whole.x, whole.y, info=synth.info), examples).bare()
    now, _, metrics = jax.jit(matcher.step)(KEY, matcher.init(KEY, before), before, feed(0))
    running = sre2l(committee(1), task(), **HARD, **PLAIN)
    other = jax.jit(running.step)(KEY, running.init(KEY, before), before, running.feed.value)[2]
    assert float(metrics["statistics"]) < 1e-3 < 0.1 * float(other["statistics"])
    assert now.x.pixels.shape == before.x.pixels.shape and np.isfinite(now.x.pixels).all()
    with pytest.raises(BadInput, match="--rounds 2: no image joins late under --statistics class"):
        sre2l(committee(1), task(), statistics="class", rounds=2)
