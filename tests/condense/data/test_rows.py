"""Rows in memory and parts of them; views in model space, whose rows do not depend on what is taken beside them."""

from dataclasses import dataclass

import numpy as np
import pytest

from condense.data.rows import InMemory, Part, Rows, Slices, View, pieces, view
from synth.base import Split, take_all
from synth.images.preprocess import CHUNK, Standard, Whiten, fit, unit

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (50, 5, 4, 3), np.uint8)
Y = (np.arange(50) % 4).astype(np.int32)
ROWS = InMemory(X, Y)


@dataclass(frozen=True, eq=False)
class Elsewhere:
    """Rows that do not say that they lie in memory; counts what is asked for."""

    inner: Rows
    asked: list
    in_memory = False

    def __getattr__(self, name):
        return getattr(self.inner, name)

    def take(self, index):
        self.asked.append(len(index))
        return self.inner.take(index)


def test_a_part_is_rows_too_and_its_index_counts_within_it():
    index = np.array([7, 3, 3, 40, 1])
    part = Part(ROWS, index)
    assert part.shape == (5, 5, 4, 3) and part.dtype == np.uint8 and part.in_memory
    np.testing.assert_array_equal(part.y, Y[index])
    np.testing.assert_array_equal(part.take(np.array([4, 0, 4])), X[[1, 7, 1]])
    nested = Part(part, np.array([3, 2]))
    np.testing.assert_array_equal(nested.take(np.array([0, 1])), X[[40, 3]])
    np.testing.assert_array_equal(nested.y, Y[[40, 3]])
    assert not Part(Elsewhere(ROWS, []), index).in_memory


def test_what_is_taken_is_a_copy():
    before = X.copy()
    ROWS.take(np.arange(3))[:] = 0
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("n", [0, 1, CHUNK, CHUNK + 1])
def test_pieces_and_slices_are_all_rows_in_order(n):
    x = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
    rows, asked = InMemory(x, np.zeros(n, np.int32)), []
    found = list(pieces(Elsewhere(rows, asked)))
    assert max(asked, default=0) <= CHUNK and sum(asked) == n
    np.testing.assert_array_equal(np.concatenate([*found, x[:0]]), x)
    slices = Slices(rows)
    assert slices.shape == x.shape and len(slices) == n
    np.testing.assert_array_equal(slices[: CHUNK // 2], x[: CHUNK // 2])
    np.testing.assert_array_equal(slices[CHUNK : 2 * CHUNK], x[CHUNK:])


@pytest.mark.parametrize("kind", ["standard", "zca"])
@pytest.mark.parametrize("memory", [True, False])
def test_a_row_in_model_space_has_the_same_bits_in_every_batch(kind, memory):
    rows = ROWS if memory else Elsewhere(ROWS, [])
    made = fit(kind, X)
    index = [np.array([9]), np.array([9, 2]), RNG.permutation(50), RNG.integers(0, 50, 333)]
    for seen in (view(rows, made), view(Part(rows, np.arange(50)), made)):
        batches = [seen.take(one) for one in index]  # before all are taken, so that nothing is kept yet
        whole = take_all(seen)
        for one, batch in zip(index, batches, strict=True):
            np.testing.assert_array_equal(batch.x, whole.x[one])
            np.testing.assert_array_equal(seen.take(one).x, whole.x[one])
            np.testing.assert_array_equal(batch.y, Y[one])
        assert whole.x.dtype == np.float32 and isinstance(seen, Split) and len(seen) == 50
        np.testing.assert_allclose(whole.x, made.apply(unit(X)), atol=1e-4)
        assert seen.take(np.zeros(0, np.int64)).x.shape == (0, 5, 4, 3)
    empty = view(Part(rows, np.zeros(0, np.int64)), made)
    assert take_all(empty).x.shape == (0, 5, 4, 3) and len(empty) == 0


def test_a_batch_that_is_taken_is_what_is_normalised():
    """Rows in memory as well: nobody who wants ten rows pays for all, and all are not kept. What is whitened is whitened whole, once."""
    calls = []

    class Watched(Standard):
        def apply(self, x):
            calls.append(len(x))
            return super().apply(x)

    class Whitening(Whiten):
        def apply(self, x):
            calls.append(len(x))
            return super().apply(x)

    made = Watched(*fit("standard", X))
    seen = view(ROWS, made)
    seen.take(np.arange(10))
    assert calls == [10]
    take_all(seen)
    seen.take(np.arange(10))
    assert calls == [10, 50, 10] and set(vars(seen)) == set(View.__dataclass_fields__)
    whitened = view(ROWS, Whitening(*fit("zca", X)))
    calls.clear()
    assert whitened.take(np.array([1])).x.base is None and len(take_all(whitened).x) == 50
    assert calls == [50]


def test_rows_elsewhere_are_read_again_and_not_kept():
    asked = []
    seen = view(Elsewhere(ROWS, asked), fit("standard", X))
    one, other = take_all(seen), take_all(seen)
    assert one is not other and asked == [50, 50] and len(vars(seen)) == len(View.__dataclass_fields__)


def test_bytes_that_a_device_normalises_have_the_bits_of_rows_that_are_taken():
    x = np.arange(256, dtype=np.uint8).repeat(12).reshape(256, 2, 2, 3)  # every byte in every channel
    rows = InMemory(x, np.zeros(256, np.int32))
    for made in (Standard(*np.float32([[0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]])), fit("standard", X)):
        seen, index = view(rows, made), np.arange(256)
        assert seen.packed
        np.testing.assert_array_equal(seen.unpack(seen.take_bytes(index)), seen.take(index).x)
    assert not view(ROWS, fit("zca", X)).packed


def test_without_labels_all_examples_are_of_one_class():
    seen = view(ROWS, fit("standard", X))
    blind = seen.unlabelled()
    assert not blind.y.any() and not blind.take(np.arange(5)).y.any() and seen.y.any()
    np.testing.assert_array_equal(blind.take(np.arange(5)).x, seen.take(np.arange(5)).x)
