"""What is drawn differs where it should: across classes, steps, epochs, sides, seeds and draws, and is the same across what is compared."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.data.load import load_data
from condense.teachers import barlow
from condense.teachers.barlow import Config, complete, make_training
from condense.workflows.transfer import make_goals
from evals.transfer import Probe
from matchers.distribution.dm import dm
from matchers.gradient.dsa import dsa
from synth.images.distortions import Ranges
from synth.training import fit
from tests.support.three_classes import three_classes
from tests.support.toy_data import as_set, blobs, smooth_net

KEY = jax.random.key(23)
CLASSES = 3


class Record:
    """An augmentation that changes nothing and tells what it would draw."""

    def __init__(self):
        self.drawn: list[tuple[bool, float]] = []

    def __call__(self, key, x, *, siamese):
        jax.debug.callback(lambda value: self.drawn.append((siamese, float(value))), jax.random.uniform(key))
        return x

    def take(self, siamese: bool = True) -> list[float]:
        jax.effects_barrier()
        found = [value for which, value in self.drawn if which == siamese]
        self.drawn.clear()
        return found


def stepped(matcher, record, steps: int):
    """What the steps of a method draw for what is compared, and for its own training, a list for each step."""
    examples = blobs(4)
    synth = as_set(examples._replace(x=examples.x[::2], y=examples.y[::2]))
    state, real, found = matcher.init(KEY, synth), jnp.asarray(examples.x.reshape(CLASSES, 4, 4, 4, 1)), []
    for number in range(steps):
        record.take()
        synth, state, _ = matcher.step(jax.random.fold_in(KEY, number), state, synth, real)
        jax.block_until_ready(synth.x.pixels)
        jax.effects_barrier()
        found.append((list(record.drawn), record.take())[0])
    return [[[value for which, value in drawn if which == side] for drawn in found] for side in (True, False)]


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dm", "dsa"])
def test_every_class_has_an_augmentation_of_its_own_that_both_sides_share(method):
    """And every step another."""
    record = Record()
    made = dm(smooth_net(), record, batch=4) if method == "dm" else dsa(smooth_net(), record, outer=2, inner=1, batch=4)
    steps, _ = stepped(made, record, 3)
    for drawn in steps:
        assert len(set(drawn)) == CLASSES and all(drawn.count(value) >= 2 for value in drawn), drawn
    assert len({value for drawn in steps for value in drawn}) == 3 * CLASSES


@pytest.mark.slow
def test_every_epoch_of_the_inner_training_draws_anew():
    """Of gradient matching: four epochs between two steps show four augmentations."""
    record = Record()
    _, inner = stepped(dsa(smooth_net(), record, outer=9, inner=4, batch=4), record, 2)
    assert [len(set(drawn)) for drawn in inner] == [4, 4] and not set(inner[0]) & set(inner[1])


def test_networks_that_embed_see_the_examples_in_another_order_every_epoch(monkeypatch):
    """The order of an epoch is a permutation, and no two are alike."""
    orders, real = [], fit.epoch_items

    def items(*args, **more):
        made = real(*args, **more)
        jax.debug.callback(lambda index: orders.append(np.asarray(index).ravel().tolist()), made.index)
        return made

    monkeypatch.setattr(fit, "epoch_items", items)
    fit._real_epoch.clear_cache()
    examples = blobs(7)
    fit.train_on(KEY, smooth_net(), examples.x, examples.y, CLASSES, epochs=3, batch=7)
    jax.effects_barrier()
    fit._real_epoch.clear_cache()
    assert len(orders) == 3 and all(sorted(order) == list(range(21)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.slow
def test_the_two_views_of_a_self_supervised_teacher_are_two(monkeypatch):
    """And those of another step are others."""
    drawn = []

    def views(key, x, ranges):
        jax.debug.callback(lambda value: drawn.append(float(value)), jax.random.uniform(key))
        return x

    monkeypatch.setattr(barlow, "views", views)
    x = jnp.asarray(blobs(8).x)
    config = complete(Config("mlp:width=4,norm=batch", 2, batch=8, projector=2), (4, 4, 1), len(x))
    training = make_training(nets.build("mlp:width=4,norm=batch", (4, 4, 1), CLASSES), config, x.shape, ranges=Ranges(flips=False))
    carry = training.init(KEY)
    for epoch in range(2):
        items = training.order(KEY, jnp.int32(epoch))
        carry = training.advance(carry, items, x, jnp.int32(0), jnp.int32(0), jnp.int32(training.steps))
    jax.block_until_ready(carry.total)
    jax.effects_barrier()
    assert len(drawn) == 2 * 2 * training.steps == len(set(drawn))


def test_labels_of_a_transfer_differ_by_seed_and_draw_and_are_the_same_for_every_row(tmp_path):
    data = three_classes(tmp_path)
    (goal,) = make_goals(KEY, data, 3, [(Probe(), 0.5)], data.image, split="test")
    first, second = goal.rows(0), goal.rows(1)
    assert len(first) == 3 and len({tuple(rows.tolist()) for rows in (*first, *second)}) == 6
    assert all(np.array_equal(a, b) for a, b in zip(first, goal.rows(0), strict=True))
    counts = [np.bincount(data.train.y[rows], minlength=3) for rows in first]
    assert all(np.ptp(count) <= 1 for count in counts)


def test_what_the_data_splits_by_seed_differs_by_seed(tmp_path):
    spec = three_classes(tmp_path).spec
    assert not np.array_equal(load_data(spec, seed=0).rows[1], load_data(spec, seed=1).rows[1])
