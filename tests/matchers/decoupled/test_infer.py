"""Oracles of the inter-class compensator: its budget, its gradient, what it adds, and how the set decodes."""

from dataclasses import replace
from itertools import product

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from matchers.base import conclude
from matchers.decoupled.infer import infer, natural_sets, slopes_of
from matchers.decoupled.loss import Jitter, RecoverySettings
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.images.content import Compensated, Summed, raw_of, to_bytes
from synth.labelling import present
from synth.training.fit import batch_view, epoch_items
from tests.support.toy_data import central_differences
from tests.support.toy_teachers import KEY, MEAN, PLAN, STD, committee, ran, started, task


@pytest.mark.parametrize(
    ("ipc", "classes", "compensators", "sets", "examples", "stored"),
    [
        (10, 10, 4, 7, 35, 98),
        (50, 10, 4, 35, 175, 490),
        (10, 100, 4, 9, 45, 936),
        (50, 100, 4, 48, 240, 4992),
        (100, 100, 4, 96, 480, 9984),
        (10, 1000, 3, 9, 36, 9027),
        (50, 1000, 3, 49, 196, 49147),
    ],
)
def test_the_budget_is_the_published_one(ipc, classes, compensators, sets, examples, stored):
    """Natural sets, examples a class, stored images: a change means another arithmetic than the paper's."""
    found = natural_sets(ipc, classes, compensators)
    assert (found, found * (compensators + 1), found * (classes + compensators)) == (sets, examples, stored)


def test_the_budget_is_never_exceeded_and_refused_where_nothing_fits():
    for ipc, classes, compensators in product((2, 3, 7, 10, 50), (2, 3, 10, 101), (1, 2, 3, 4)):
        if ipc * classes >= classes + compensators:
            sets = natural_sets(ipc, classes, compensators)
            assert sets * (classes + compensators) <= ipc * classes < (sets + 1) * (classes + compensators)
            assert sets == int(ipc / (1 + compensators / classes) + 1e-9)
    with pytest.raises(BadInput, match=r"--ipc 1: 4 compensators and 10 real images are more than 10 images.*give at least 2"):
        natural_sets(1, 10, 4)


def test_gradient_equals_finite_differences(float64):
    held = committee(2, dtype=jnp.float64)
    rng = np.random.default_rng(0)
    natural, delta = rng.normal(size=(1, 3, 4, 4, 1)), 0.1 * rng.normal(size=(1, 2, 4, 4, 1))
    settings, y = RecoverySettings(0.1, 0.3, 10.0, Jitter(1.0, 0.0, False)), jnp.arange(3, dtype=jnp.int32)
    run = jax.jit(lambda delta: slopes_of(KEY, held, [t.vars for t in held], jnp.asarray(natural), delta, y, settings))
    slopes, metrics = run(jnp.asarray(delta))

    @jax.jit
    def by_hand(delta):
        total = 0.0
        for k, member in enumerate(held):
            out = member.net.apply(member.vars, natural[0] + delta[0, k][None])
            pairs = [zip(out.taps[f"norm{i}"], out.taps[f"running{i}"], strict=True) for i in (0, 1)]
            gap = [sum(jnp.sqrt(((a - b) ** 2).sum()) for a, b in pair) for pair in pairs]
            total += -jnp.diag(jax.nn.log_softmax(out.logits)).mean() + 0.3 * (10 * gap[0] + gap[1])
        return total

    np.testing.assert_allclose(2 * float(metrics["loss"]), float(by_hand(delta)), rtol=1e-9)
    np.testing.assert_allclose(slopes, central_differences(by_hand, delta), rtol=1e-5, atol=1e-7)


def test_one_addition_serves_all_classes_and_natural_images_stay():
    held, (synth, examples) = committee(2), started(4)
    matcher = infer(held, task(), lr=0.05, roll=0.25, labels="hard")
    before, after, last, _ = ran(matcher, synth, examples, 2)
    s = natural_sets(4, 3, 2)
    assert isinstance(before.x, Summed) and s == 2 and len(last) == 3 * s * 3
    first = np.asarray(synth.x.pixels).reshape(3, 4, 4, 4, 1)[:, :s]
    start = np.asarray(before.x.decode()).reshape(3, s, 3, 4, 4, 1)
    np.testing.assert_array_equal(start, np.repeat(first[:, :, None], 3, 2))  # from zero: every example is its natural image
    np.testing.assert_array_equal(after.x.base, before.x.base)
    delta = np.asarray(after.x.delta)
    assert delta.shape == (s, 2, 4, 4, 1) and np.abs(delta[:, 0] - delta[:, 1]).min() > 0  # every network has its own
    summed = np.asarray(after.x.decode()).reshape(3, s, 3, 4, 4, 1)
    low, high = (np.float32(end - MEAN[0]) / STD[0] for end in (0, 1))
    for c in range(3):
        np.testing.assert_allclose(summed[c, :, 1:], np.clip(first[c][:, None] + delta, low, high), atol=1e-6)
    np.testing.assert_array_equal(np.asarray(last.y.index), np.repeat(np.arange(3), s * 3))


def test_stored_bytes_are_the_budget_and_decode_to_what_was_learned(tmp_path):
    held, (synth, examples) = committee(2), started(4)
    before, after, last, _ = ran(infer(held, task(), lr=0.5, labels="hard"), synth, examples, 3)
    assert isinstance(last.x, Compensated)
    assert last.x.images == 2 * 3 + 2 * 2 and last.x.nbytes() == last.x.images * 16 <= 4 * 3 * 16
    grey = STD[0] * 255 * np.abs(np.asarray(last.x.decode() - after.x.decode())).max()
    assert 0 < grey <= 2  # grey levels: one of truncation, one of rounding an addition to 1/127
    natural = np.asarray(last.x.decode()).reshape(3, 2, 3, 4, 4, 1)[:, :, 0]
    kept = to_bytes(raw_of(before.x.base, before.x.mean, before.x.std))
    np.testing.assert_array_equal(last.x.base, kept)
    np.testing.assert_allclose(natural.reshape(-1, 4, 4, 1), (np.asarray(kept) / np.float32(255) - MEAN[0]) / STD[0], atol=1e-6)
    save_set(tmp_path / "set.npz", replace(last, info=synth.info))
    loaded = load_set(tmp_path / "set.npz")
    np.testing.assert_array_equal(loaded.x.decode(), last.x.decode())


@pytest.mark.slow
def test_labels_are_the_mean_answer_of_the_networks_once():
    held, (synth, examples) = committee(3), started(4)
    matcher = infer(held, task(), compensators=2)
    made = matcher.prepare(KEY, synth, examples)
    delta = 0.3 * np.random.default_rng(1).normal(size=made.x.delta.shape).astype(np.float32)
    last = conclude(KEY, matcher, None, replace(made, x=made.x.moved(jnp.asarray(delta))))
    x = last.x.decode()
    expected = sum(t.net.apply(t.vars, x).logits for t in held[:2]) / 2
    assert last.y.kind == "interpolated"
    np.testing.assert_allclose(np.asarray(last.y.logits, np.float32), np.asarray(expected), rtol=2e-3, atol=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["online", "committee"])
def test_labels_may_be_asked_for_every_view(kind):
    """The mean answer of the compensators' networks to the mixed image, as INFER+Dyn has it, and not that of the whole committee."""
    held, (synth, examples) = committee(3), started(4)
    last = ran(infer(held, task(), compensators=2, labels=kind, label_epochs=3), synth, examples, 1)[2]
    items = epoch_items(jax.random.key(getattr(last.y, "seed", 0)), 1, len(last), batch=PLAN.batch)
    item = jax.tree.map(lambda leaf: leaf[0], items)
    labels = present(last.y, held)

    @jax.jit
    def both(x):
        seen = batch_view(item, x, PLAN.view)
        answers = sum(t.net.apply(t.vars, seen.images).logits for t in held[:2]) / 2
        return labels.targets(item.index, seen), jax.nn.softmax(answers / PLAN.temperature)

    np.testing.assert_allclose(*both(last.x.decode()), atol=1e-3)
    assert last.y.kind == kind and (kind == "online" or last.y.epochs == 3)


def test_more_compensators_than_teachers_are_refused():
    with pytest.raises(BadInput, match=r"--compensators 3: there are 2 teachers"):
        infer(committee(2), task(), compensators=3)


@pytest.mark.slow
def test_examples_sum_in_bounds_whatever_the_addition():
    """An addition beyond [-1, 1] is cut when stored, and decodes to the same example."""
    base = jnp.full((2, 1, 1, 1), (100 / 255 - MEAN[0]) / STD[0])
    huge = jnp.asarray([[[[[9.0]]], [[[-9.0]]]]])
    x = Summed(base, huge, jnp.asarray(MEAN), jnp.asarray(STD))
    low, high = (np.float32(end - MEAN[0]) / STD[0] for end in (0, 1))
    np.testing.assert_allclose(np.ravel(x.decode()), [base[0, 0, 0, 0], high, low] * 2, rtol=1e-5)
    np.testing.assert_allclose(np.ravel(x.store().decode()), [base[0, 0, 0, 0], high, low] * 2, rtol=1e-5)
