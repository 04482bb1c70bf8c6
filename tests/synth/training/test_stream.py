"""Pieces of examples that do not lie in memory: their order, their bits, errors, and how much is read at a time."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.errors import BadInput
from synth.selection import choose
from synth.selection.choose import STARTS, Flat, choose_herding, choose_kmeans
from synth.training import stream
from synth.training.fit import epoch_items
from synth.training.stream import Ahead, Blocks, Chosen, Waiting, block_size, count_over, in_order, pieces_of, read_over, train_on_split
from tests.support.elsewhere import Elsewhere
from tests.support.linear import linear_net
from tests.support.toy_data import blobs, smooth_net

KEY = jax.random.key(0)
N = 3 * 100


@pytest.fixture
def small(monkeypatch):
    """Pieces of 256 examples, and blocks of three mini-batches of 16."""
    monkeypatch.setattr(stream, "PIECE", 3 * 16 * 64)
    return blobs(100)


def test_things_come_in_order_and_few_are_made_ahead():
    made, gate = [], threading.Event()

    def slow(at):
        made.append(at)
        if at == 0:
            gate.wait(10)
        return at * at

    waiting, found = Waiting(), in_order(slow, range(6), ahead=2)
    threading.Timer(0.05, gate.set).start()
    assert next(found) == 0
    assert max(made) <= 2
    assert list(found) == [1, 4, 9, 16, 25]
    list(in_order(lambda at: gate.wait(0.01), range(2), waiting=waiting))
    assert waiting.seconds >= 0


def test_an_error_comes_at_its_place_and_nothing_is_left_running():
    def broken(at):
        if at == 2:
            raise BadInput("row 2 is broken")
        return at

    found, before = in_order(broken, range(9)), threading.active_count()
    assert [next(found), next(found)] == [0, 1]
    with pytest.raises(BadInput, match="row 2 is broken"):
        next(found)
    assert threading.active_count() <= before


def test_a_feed_that_is_computed_ahead_gives_the_values_of_the_steps_asked_for():
    feed = Ahead(lambda step: np.full(3, step))
    for step in (0, 1, 2, 7, 8, 3):
        np.testing.assert_array_equal(feed(step), np.full(3, step))


def test_large_values_are_computed_ahead_one_at_a_time(monkeypatch):
    monkeypatch.setattr(stream, "PIECE", 8)
    feed = Ahead(lambda step: np.zeros(100))
    feed(0)
    assert list(feed._pending) == [1]


def test_pieces_are_all_examples_in_order_and_never_many(small):
    far = Elsewhere(small)
    found = list(pieces_of(far))
    assert [len(piece.y) for piece in found] == [256, 44] and sorted(far.asked) == [44, 256]  # by two threads
    np.testing.assert_array_equal(np.concatenate([piece.x for piece in found]), small.x)
    assert len(list(pieces_of(small))) == 1


def test_what_is_read_and_counted_has_the_bits_of_examples_in_memory(small):
    net = smooth_net()
    vars, read = net.init(KEY), lambda vars, x: net.apply(vars, x).logits
    here, there = (read_over(read, vars, split) for split in (small, Elsewhere(small)))
    np.testing.assert_array_equal(here, there)
    index = np.array([7, 7, 299, 0])
    np.testing.assert_array_equal(read_over(read, vars, Chosen(Elsewhere(small), index), least=256), here[index])
    right = jax.jit(lambda x, y: jnp.sum(net.apply(vars, x).logits.argmax(-1) == y))
    assert count_over(right, small) == count_over(right, Elsewhere(small)) == (here.argmax(-1) == small.y).sum()


def test_blocks_hold_the_mini_batches_of_an_epoch(small):
    items = epoch_items(KEY, 0, N, batch=16)
    (whole,) = Blocks(small)(items)
    assert (whole.first, whole.stop) == (0, 19) and len(whole.x) == N
    far = Elsewhere(small)
    found = list(Blocks(far)(items))
    assert [(block.first, block.stop) for block in found] == [(0, 3), (3, 6), (6, 9), (9, 12), (12, 15), (15, 19)], "none stands alone"
    assert max(far.asked) == 64
    for block in found:
        for place, at in enumerate(range(block.first, block.stop)):
            np.testing.assert_array_equal(block.x[block.items.index[place]], small.x[items.index[at]])
            np.testing.assert_array_equal(block.y[block.items.index[place]], small.y[items.index[at]])
            np.testing.assert_array_equal(block.items.counts[place], items.counts[at])
            assert block.items.key[place] == items.key[at]


def test_a_block_size_divides_the_steps_where_it_can():
    assert [block_size(19, 3), block_size(20, 6), block_size(21, 6), block_size(4, 9)] == [3, 5, 6, 4]
    assert [block_size(5, 0), block_size(1, 9), block_size(6, 1)] == [2, 1, 2], "two at least, where there are two"


def test_a_network_trained_on_pieces_has_the_bits_of_one_trained_on_all(small):
    net = linear_net()
    here, there = (train_on_split(KEY, net, split, 3, epochs=2, batch=16) for split in (small, Elsewhere(small)))
    jax.tree.map(np.testing.assert_array_equal, here, there)


@pytest.mark.parametrize("name", STARTS)
def test_starts_are_those_of_examples_in_memory(name, small):
    here, there = (np.asarray(STARTS[name](KEY, split, 3)) for split in (small, Elsewhere(small)))
    np.testing.assert_array_equal(here, there)


def test_a_class_that_is_too_large_is_clustered_and_herded_in_pieces(monkeypatch):
    """Three clumps a class: mini-batch k-means finds one example of each, and herding chooses what it chooses among all."""
    rng, y = np.random.default_rng(0), np.repeat([0, 1], 90)
    clump = np.tile(np.arange(3), 60)
    x = (np.eye(4)[clump] * 30 + rng.normal(size=(180, 4))).astype(np.float32).reshape(180, 2, 2, 1)
    examples = blobs(1)._replace(x=x, y=y.astype(np.int32))
    herded = choose_herding(x.reshape(180, 4), y, 5)
    monkeypatch.setattr(choose, "MOST_AT_ONCE", 16 * 4 * 20)
    far = Elsewhere(examples)
    chosen = choose_kmeans(KEY, Flat(far), y, 3)
    assert max(far.asked) < 40
    assert {tuple(sorted(clump[chosen[at : at + 3]])) for at in (0, 3)} == {(0, 1, 2)}
    np.testing.assert_array_equal(choose_herding(Flat(far), y, 5), herded)
