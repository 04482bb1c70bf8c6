"""Feeds are pure functions of the step, draw without replacement, and cover what they promise."""

import time
from itertools import pairwise

import jax
import numpy as np
import pytest

from condense.engine.feeds import make_feed
from condense.runtime import devices as mesh
from matchers.base import Given, PerClass, Shuffled, Whole
from synth.base import Examples
from synth.errors import BadInput


def numbered(counts, *, shape=(2, 2, 1)):
    """Examples whose pixels all equal their row number, with `counts[c]` of class c, mixed."""
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts)).astype(np.int32)
    x = np.broadcast_to(np.arange(len(y), dtype=np.float32)[:, None, None, None], (len(y), *shape)).copy()
    return Examples(x, y)


def rows_of(batch):
    return batch[..., 0, 0, 0].astype(int)


def test_per_class_draws_each_class_without_replacement_where_it_can():
    examples = numbered([9, 5, 3])
    feed = make_feed(PerClass(5), examples, 3, seed=1)
    for step in range(20):
        batch = feed(step)
        assert batch.shape == (3, 5, 2, 2, 1) and batch.dtype == np.float32
        rows = rows_of(batch)
        assert (examples.y[rows] == np.arange(3)[:, None]).all()
        assert len(set(rows[0])) == 5 and set(rows[1]) == set(np.flatnonzero(examples.y == 1))
        assert len(set(rows[2])) <= 3  # five drawn from three: with replacement


def test_per_class_takes_no_more_than_the_largest_class_has():
    """Of classes of 4 and 3 in batches of 64: all four of the one, and four draws of the other."""
    examples = numbered([4, 3])
    feed = make_feed(PerClass(64), examples, 2, seed=1)
    for step in range(20):
        rows = rows_of(feed(step))
        assert rows.shape == (2, 4) and set(rows[0]) == set(np.flatnonzero(examples.y == 0))
        assert set(rows[1]) <= set(np.flatnonzero(examples.y == 1))


def test_per_class_is_uniform_over_members():
    """Chi-square over 9 members in 2,000 draws of 3: 8 degrees of freedom, the 0.999 quantile is 26.1."""
    examples = numbered([9])
    feed = make_feed(PerClass(3), examples, 1, seed=5)
    counts = np.bincount(np.concatenate([rows_of(feed(step))[0] for step in range(2000)]), minlength=9)
    expected = 2000 * 3 / 9
    assert ((counts - expected) ** 2 / expected).sum() < 26.1


@pytest.mark.parametrize("request_", [PerClass(4), Shuffled(4)])
def test_a_batch_depends_on_seed_and_step_alone(request_):
    examples = numbered([9, 8, 7])
    forward, again, other = (make_feed(request_, examples, 3, seed=seed) for seed in (3, 3, 4))
    ahead = [forward(step) for step in range(14)]
    back = {step: again(step) for step in reversed(range(14))}
    for step, batch in enumerate(ahead):
        jax.tree.map(np.testing.assert_array_equal, batch, back[step])
    same = [jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), batch, other(step))) for step, batch in enumerate(ahead)]
    assert not any(same)
    assert any((rows_of(jax.tree.leaves(a)[0]) != rows_of(jax.tree.leaves(b)[0])).any() for a, b in pairwise(ahead))


def test_shuffled_visits_every_row_once_an_epoch_in_a_new_order():
    examples = numbered([6, 7])  # 13 rows, 3 batches of 4, one row left out
    feed = make_feed(Shuffled(4), examples, 2, seed=0)
    epochs = []
    for epoch in range(3):
        batches = [feed(3 * epoch + place) for place in range(3)]
        rows = np.concatenate([rows_of(batch.x) for batch in batches])
        assert len(set(rows)) == 12
        assert (np.concatenate([batch.y for batch in batches]) == examples.y[rows]).all()
        epochs.append(tuple(rows))
    assert len(set(epochs)) == 3


def test_whole_and_none():
    examples = numbered([3, 4])
    for ours, theirs in zip(make_feed(Whole(), examples, 2, seed=0)(7), examples, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert make_feed(None, examples, 2, seed=0)(7) is None


def test_what_a_method_brings_is_the_same_at_every_step_and_whole_on_every_device():
    brought = {"kernel": jax.numpy.ones((4, 8)), "bias": jax.numpy.zeros(4)}
    feed = make_feed(Given(brought), numbered([3, 4]), 2, seed=0)
    assert feed(0) is feed(7) is brought  # so that it is moved to the devices once
    placed = mesh.place_batch(brought)
    assert {shard.data.shape for shard in placed["kernel"].addressable_shards} == {(4, 8)}
    assert Given(brought) != Given(brought) and hash(Given(brought)) is not None  # methods that hold one can be told apart


@pytest.mark.parametrize(
    ("request_", "counts", "seed", "words"),
    [
        (PerClass(2), [4, 0, 2], 0, "class 1"),
        (Shuffled(8), [4, 3], 0, "7 training examples"),
        (PerClass(2), [4], -1, "--seed -1"),
    ],
)
def test_bad_input_is_named(request_, counts, seed, words):
    with pytest.raises(BadInput, match=words):
        make_feed(request_, numbered(counts), len(counts), seed=seed)


def test_gathering_is_quick():
    """10 x 256 of 20,000 28x28 images, 8 MB, within 60 ms on a loaded machine (3 ms on a quiet one)."""
    feed = make_feed(PerClass(256), numbered([2000] * 10, shape=(28, 28, 1)), 10, seed=0)
    feed(0)
    spans = []
    for step in range(5):
        began = time.perf_counter()
        feed(step)
        spans.append(time.perf_counter() - began)
    assert min(spans) < 0.06


def test_batches_are_split_over_devices_where_they_divide():
    count = len(mesh.devices())
    assert count == 4
    examples = numbered([8, 8])
    feed = make_feed(PerClass(8), examples, 2, seed=0)
    placed = mesh.place_batch(feed(0))
    assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 2, 2, 2, 1)}
    np.testing.assert_array_equal(placed, feed(0))
    placed = mesh.place_batch(Examples(examples.x[:12], examples.y[:12]))
    assert (
        {shard.data.shape[0] for shard in placed.x.addressable_shards}
        == {3}
        == {shard.data.shape[0] for shard in placed.y.addressable_shards}
    )
    odd = mesh.place_batch(make_feed(PerClass(3), examples, 2, seed=0)(0))
    assert {shard.data.shape for shard in odd.addressable_shards} == {(2, 3, 2, 2, 1)}
    assert mesh.place_batch(None) is None


def test_over_devices_equals_one_device(monkeypatch):
    keys = jax.random.split(jax.random.key(0), 6)  # not a multiple of four
    xs = {"a": jax.random.normal(jax.random.key(1), (6, 5))}

    def scores(keys, xs, scale):
        def one(key, x):
            return {"score": (x["a"] * jax.random.normal(key, (5,))).sum() * scale, "draw": jax.random.uniform(key)}

        return mesh.over_devices(jax.vmap(one), keys, xs)

    spread = jax.jit(lambda *given: scores(*given))(keys, xs, 2.0)
    monkeypatch.setattr(mesh, "devices", lambda: tuple(jax.local_devices()[:1]))
    single = jax.jit(lambda *given: scores(*given))(keys, xs, 2.0)
    assert spread["score"].shape == (6,) and len(spread["score"].devices()) > len(single["score"].devices()) == 1
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5), spread, single)
