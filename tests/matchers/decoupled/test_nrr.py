"""Oracles of non-critical region refinement: activation maps, what is frozen, the masked step, and its labels."""

import sys
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.base import conclude
from matchers.decoupled.common import batches_of, images_of
from matchers.decoupled.loss import Jitter, RecoverySettings, vote
from matchers.decoupled.nrr import freedom, nrr
from matchers.decoupled.sre2l import sre2l
from synth import labelling as teacher_labels
from synth.base import Out
from synth.errors import BadInput
from synth.selection.cam import attention, averages, class_map
from synth.selection.collage import critical_patches, framed
from tests.support.factories import complete_options
from tests.support.toy_teachers import KEY, PLAIN, PLAN, committee, ran, started, task, teacher

QUICK = {"crops": 2, "keep": 2, "labels": "hard"}


def test_a_map_averages_to_the_logit():
    held = teacher()
    x = jnp.asarray(np.random.default_rng(0).normal(size=(5, 4, 4, 1)), jnp.float32)
    y = jnp.asarray([0, 1, 2, 0, 1])
    logits = jax.jit(held.net.apply)(held.vars, x).logits[np.arange(5), y]
    means = jax.jit(partial(class_map, held.net))(held.vars, x, y).mean((1, 2)) + held.vars.params["head"]["bias"][y]
    np.testing.assert_allclose(means, logits, rtol=1e-5, atol=1e-6)


def test_attention_runs_from_0_to_1_and_a_constant_map_is_0():
    held = teacher()
    x = jnp.asarray(np.random.default_rng(1).normal(size=(4, 4, 4, 1)), jnp.float32)
    y = jnp.asarray([0, 1, 2, 0])
    seen = np.asarray(jax.jit(partial(attention, held.net))(held.vars, x.at[3].set(0.5), y))
    coarse = np.asarray(jax.jit(partial(class_map, held.net))(held.vars, x, y))
    assert seen.shape == (4, 4, 4) and seen.min() >= 0 and seen.max() <= 1
    assert (seen[3] == 0).all()
    for image in range(3):  # corners keep the value of the coarse map's corners under bilinear resizing
        scaled = (coarse[image] - coarse[image].min()) / np.ptp(coarse[image])
        np.testing.assert_allclose(seen[image][[0, 0, -1, -1], [0, -1, 0, -1]], scaled.ravel(), atol=1e-5)


def test_attention_leaves_out_what_networks_pad():
    """28x28 images are seen as 32x32: a map that rises from left to right is symmetric around the middle of the image."""
    ramp = jnp.tile(jnp.arange(8.0)[None, None, :, None], (1, 8, 1, 1))
    net = teacher().net._replace(apply=lambda vars, x: Out(jnp.zeros((1, 3)), jnp.zeros((1, 1)), {"conv": ramp}))
    vars = teacher().vars._replace(params={"head": {"kernel": jnp.ones((1, 3)), "bias": jnp.zeros(3)}})
    row = np.asarray(jax.jit(partial(attention, net))(vars, jnp.zeros((1, 28, 28, 1)), jnp.zeros(1, jnp.int32)))[0, 0]
    expected = np.asarray(jax.image.resize(jnp.arange(8.0) / 7, (32,), "bilinear"))[2:30]
    np.testing.assert_allclose(row, expected, atol=1e-6)
    np.testing.assert_allclose(row + row[::-1], 1, atol=1e-6)


def test_only_networks_that_average_have_maps():
    held, flat = teacher(), teacher(average=False)
    assert averages(held.net, held.vars, (4, 4, 1)) and not averages(flat.net, flat.vars, (4, 4, 1))
    with pytest.raises(BadInput, match=r"--teachers: toy0 does not; a class activation map needs a network that averages"):
        nrr((flat, held), task(), member=1)
    assert nrr((flat, held), task(), **QUICK).feed.value[0] is held.vars  # the first that has maps


@pytest.mark.slow
def test_critical_pixels_keep_every_bit_and_others_move():
    held, (synth, examples) = committee(1), started(1)
    before, after, last, _ = ran(nrr(held, task(steps=5), epsilon=0.4, roll=0.25, **QUICK), synth, examples, 5)
    mask = np.asarray(jax.jit(partial(freedom, held[0].net, epsilon=0.4))(held[0].vars, before.x.pixels, synth.y.index))
    old, new = (np.asarray(x.x.pixels)[..., 0] for x in (before, after))
    assert mask.min() == 0 and (mask == 0).sum() > 5 and (mask > 0).sum() > 5
    assert old[mask == 0].tobytes() == new[mask == 0].tobytes()
    assert (old[mask > 0] != new[mask > 0]).mean() > 0.9
    first, stored = (np.asarray(x.store().pixels)[..., 0] for x in (before.x, after.x))
    np.testing.assert_array_equal(first[mask == 0], stored[mask == 0])
    np.testing.assert_array_equal(np.asarray(last.x.pixels)[..., 0], stored)


@pytest.mark.slow
def test_a_step_is_the_masked_gradient():
    held, (synth, examples) = committee(1), started(1)
    matcher = nrr(held, task(), epsilon=0.7, optimizer="sgd", lr=0.01, alpha_bn=0.1, **QUICK)
    before = matcher.prepare(KEY, synth, examples).bare()
    step = jax.jit(matcher.step)
    now, state, _ = step(KEY, matcher.init(KEY, before), before, matcher.feed.value)
    settings = RecoverySettings(0.01, 0.1, 10.0, Jitter(1.0, 0.0, False))
    x, y = (batches_of(leaf, 3, 100) for leaf in (before.x.pixels, before.y.index))
    slopes = jax.jit(lambda x: vote(KEY, held, matcher.feed.value, np.ones((1, 1)), x, y, settings)[0])(x)
    mask = jax.jit(partial(freedom, held[0].net, epsilon=0.7))(held[0].vars, before.x.pixels, before.y.index)[..., None]
    expected = before.x.clip(before.x.pixels - mask * 0.01 * images_of(slopes, 3))  # the cosine is 1 at the first step
    np.testing.assert_allclose(now.x.pixels, expected, atol=1e-6)
    _, renewed, _ = step(KEY, state, now, matcher.feed.value)
    np.testing.assert_array_equal(renewed.mask, state.mask)  # the map of the first step stays


@pytest.mark.parametrize(("epsilon", "moves"), [(0.0, False), (1.5, True)])
def test_the_limits_of_epsilon(epsilon, moves):
    """Nothing is free at 0 or below; above 1 every pixel is."""
    held, (synth, examples) = committee(1), started(1)
    before, after, *_ = ran(nrr(held, task(), epsilon=epsilon, **QUICK), synth, examples, 1)
    changed = np.asarray(before.x.pixels) != np.asarray(after.x.pixels)
    assert changed.mean() > 0.9 if moves else not changed.any()


def test_where_no_pixel_is_critical_it_is_sre2l_from_the_collage(monkeypatch):
    """Maps of 0 and epsilon = 1 make M = 1 everywhere."""
    monkeypatch.setattr(sys.modules["matchers.decoupled.nrr"], "attention", lambda net, vars, x, y: jnp.zeros(x.shape[:-1]))
    held, (synth, examples) = committee(1), started(1)
    options = {"lr": 0.1, "labels": "hard", **PLAIN}
    before, after, *_ = ran(nrr(held, task(), epsilon=1.0, crops=2, keep=2, **options), synth, examples, 3)
    other = ran(sre2l(held, task(), **options), before, examples, 3)[1]
    np.testing.assert_allclose(after.x.pixels, other.x.pixels, atol=1e-6)
    assert (np.abs(np.asarray(after.x.pixels - before.x.pixels)) > 1e-2).mean() > 0.7


@pytest.mark.slow
def test_the_map_can_be_renewed():
    held, (synth, examples) = committee(1), started(1)
    matcher = nrr(held, task(), epsilon=0.9, lr=1.0, renew=2, **QUICK)
    now = matcher.prepare(KEY, synth, examples).bare()
    state, step, masks = matcher.init(KEY, now), jax.jit(matcher.step), []
    for number in range(3):
        expected = freedom(held[0].net, held[0].vars, now.x.pixels, now.y.index, 0.9)
        now, state, _ = step(jax.random.fold_in(KEY, number), state, now, matcher.feed.value)
        masks.append((np.asarray(state.mask), np.asarray(expected)))
    np.testing.assert_array_equal(masks[0][0], masks[1][0])
    assert np.abs(masks[1][0] - masks[1][1]).max() > 1e-3  # by then the map has moved
    np.testing.assert_allclose(masks[2][0], masks[2][1], atol=1e-5)


@pytest.mark.slow
def test_critical_patches_by_brute_force(monkeypatch):
    """Of every image the crop over which the map is highest, of these the highest, of these the least sure first."""
    from synth.selection import collage

    (held,), (_, examples) = committee(1), started()
    seen, original = [], collage.draw_crops
    monkeypatch.setattr(collage, "draw_crops", lambda *args, **more: seen.append(np.asarray(original(*args, **more))) or seen[-1])
    found = critical_patches(KEY, held, examples, 1, factor=2, images=8, crops=3, keep=2)
    fewer = critical_patches(KEY, held, examples, 1, factor=1, images=6, crops=3, keep=3)
    assert found.shape == (3, 4, 2, 2, 1) and fewer.shape == (3, 1, 4, 4, 1)
    for label, (patches, keep, needed) in enumerate([(found, 8, 4)] * 3 + [(fewer, 3, 1)] * 3):
        both, label = seen[label], label % 3
        ratio = both[..., 1].mean((2, 3))
        best = [both[i, max(range(3), key=lambda j: ratio[i, j]), ..., :1] for i in range(len(both))]
        top = sorted(range(len(both)), key=lambda i: -ratio[i].max())[:keep]
        logits = held.net.apply(held.vars, framed(jnp.asarray([best[i] for i in top]), (4, 4, 1))).logits
        sure = np.asarray(jax.nn.softmax(logits))[:, label]
        expected = [best[top[i]] for i in sorted(range(keep), key=lambda i: sure[i])][:needed]
        np.testing.assert_allclose(patches[label], expected, atol=1e-6)


def test_labels_are_two_numbers_a_view():
    """At a temperature that the paper leaves open; labels that are asked for again have the recipe's unless another is given."""
    held, (synth, examples) = committee(1), started(1)

    def labelled(**own):
        return conclude(KEY, nrr(held, task(), crops=2, keep=2, **own), None, made).y

    made = nrr(held, task(), crops=2, keep=2).prepare(KEY, synth, examples)
    y, x = labelled(label_temperature=3.0, alpha_dbr=0.3, norm_dbr="l2"), made.x.store().decode()
    assert y.kind == "distances" and y.codes.shape == (2, 3, 2) and (y.alpha, y.norm, y.temperature) == (0.3, "l2", 3.0)
    expected = teacher_labels.label(KEY, "distances", x, y.index, 3, held, PLAN._replace(temperature=3.0))
    np.testing.assert_array_equal(y.codes, expected.codes)
    assert [labelled(labels="online", label_temperature=t).temperature for t in (None, 7.0)] == [PLAN.temperature, 7.0]
    with pytest.raises(BadInput, match=r"alpha: labels of kind online have no such option \(it is one of distances\); leave it out"):
        labelled(labels="online", alpha_dbr=0.3)
    with pytest.raises(BadInput, match=r"--label-temperature 0.0: give a number above 0"):
        complete_options("nrr", {"label_temperature": 0.0})
