"""Goes over the examples of a split in an order that its caller fixes: at once where they lie in memory, else in pieces that threads read
ahead. What is computed from them has the same bits either way.

Compiled code sees one shape for all pieces but the last, so that a piece more compiles nothing.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PyTree

from synth.base import Examples, Net, Split, Vars, take_all
from synth.labels.plain import Hard
from synth.training.fit import Item, epoch_items, fit, in_batches, init_fit, on_examples, real_sgd, train_on
from synth.training.packed import gives_bytes, prepare

PIECE = 1 << 25  # bytes of examples in model space that are in memory at a time
AHEAD = 2  # pieces that threads make meanwhile
LEAST = 2  # mini-batches of a block, where there are so many: a compiler takes the loop over one apart, and rounds it otherwise
BATCH = 256  # examples that go through a network at a time
A = TypeVar("A")
B = TypeVar("B")


@dataclass
class Waiting:
    """How long a caller had to wait for data: `seconds` so far, since the clock (`time.perf_counter`) showed `since`."""

    seconds: float = 0.0
    since: float = field(default_factory=time.perf_counter)

    def __str__(self) -> str:
        return f"waited {self.seconds:.2f} s of {time.perf_counter() - self.since:.2f} s for data"

    def result(self, future: Future) -> Any:
        """Waits for what a thread makes, adds the time to `seconds`, and returns it. Raises what the thread raised."""
        began = time.perf_counter()
        try:
            return future.result()
        finally:
            self.seconds += time.perf_counter() - began


def in_order(make: Callable[[A], B], things: Iterable[A], *, ahead: int = AHEAD, waiting: Waiting | None = None) -> Iterator[B]:
    """`make(thing)` of all things in their order, while threads, `ahead` of them, make as many of the next. An error is raised at its
    place. `waiting` gets the time that the caller had to wait."""
    waiting, left, pending = waiting or Waiting(), iter(things), deque()
    pool = ThreadPoolExecutor(ahead)
    try:
        pending.extend(pool.submit(make, thing) for thing in islice(left, ahead))
        while pending:
            made = waiting.result(pending.popleft())
            pending.extend(pool.submit(make, thing) for thing in islice(left, 1))
            yield made
    finally:
        pool.shutdown(cancel_futures=True)


class Ahead:
    """A function of the step number whose next values threads compute meanwhile: two, or one where a value takes more than `PIECE` bytes.
    Steps may be asked for in any order; values are the same whatever was computed ahead, and so are those of a run that goes on in the
    middle."""

    def __init__(self, feed: Callable[[int], Any]):
        self.feed, self.waiting = feed, Waiting()
        self._pool, self._pending = ThreadPoolExecutor(AHEAD), {}

    def __call__(self, step: int) -> Any:
        """`feed(step)`. The values of the next steps are begun meanwhile; those of other steps that were begun are dropped."""
        value = self.waiting.result(self._pending.pop(step, None) or self._pool.submit(self.feed, step))
        ahead = AHEAD if sum(leaf.nbytes for leaf in jax.tree.leaves(value)) <= PIECE else 1
        wanted = range(step + 1, step + ahead + 1)
        self._pending = {at: self._pending.get(at) or self._pool.submit(self.feed, at) for at in wanted}
        return value


def held(split: Any) -> Any:
    """All examples of a split that lies in memory, taken once so that nobody normalises them again; another split as it is."""
    return take_all(split) if split.in_memory else split


def on_device(split: Split) -> Split:
    """`Examples`, with their arrays moved to the devices; any other split as it is, whether in memory or not."""
    return Examples(*map(jnp.asarray, split)) if isinstance(split, Examples) else split


def rows_in(split: Split) -> int:
    """How many rows of a split a piece holds: as many as fit into `PIECE` (32 MiB) as float32, rounded down to a multiple of
    `BATCH` (256) but at least that many, or all where they are fewer."""
    each = 4 * int(np.prod(split.shape[1:]))
    return max(1, min(len(split.y), max(1, PIECE // (each * BATCH)) * BATCH))


def pieces_of(split: Split, *, waiting: Waiting | None = None) -> Iterator[Examples]:
    """All examples in order: at once where they lie in memory, else `rows_in` of them at a time."""
    if split.in_memory:
        yield take_all(split)
        return
    prepare(split)
    size, n = rows_in(split), len(split.y)
    yield from in_order(lambda at: split.take(np.arange(at, min(at + size, n))), range(0, n, size), waiting=waiting)


def read_over(read: Callable, vars: PyTree, split: Split, *, least: int = 0) -> PyTree:
    """`read(vars, x[b ...])` of all examples of a split in their order, as numpy arrays that lead with them. `read` must answer to every
    row by itself.

    Where examples do not lie in memory, a piece is filled up with rows of zeros, whose answers are left out, to `least` rows and to the
    size
    of the other pieces: a product of matrices may round differently where it has fewer.
    """
    size, found = max(least, rows_in(split)), []
    for x, y in moved_pieces(split, size):
        m = len(y)
        found.append(jax.tree.map(lambda leaf: np.asarray(leaf)[:m], in_batches(read, vars, x, batch=BATCH)))  # noqa: B023
    return jax.tree.map(lambda *leaves: np.concatenate(leaves) if len(leaves) > 1 else leaves[0], *found)


def count_over(count: Callable[[Array, Array], Int[Array, "..."]], split: Split) -> Int[np.ndarray, "..."]:
    """The sum of `count(x, y)` over the pieces of a split: one where it lies in memory. Otherwise the last piece is filled up with rows of
    zeros whose class is -1, which `count` must not count."""
    size, total = rows_in(split), 0
    for x, y in moved_pieces(split, size):
        total = total + np.asarray(count(x, jnp.asarray(y if split.in_memory else padded(y, size, fill=-1))))
    return np.asarray(total)


def moved_pieces(split: Split, size: int) -> Iterator[tuple[Float[Array, "n ..."], Int[np.ndarray, " m"]]]:
    """All examples in order, moved to the device, with their class indices: at once where they lie in memory, else a piece after another,
    each filled up with rows of zeros, which no class index belongs to, to `size` of them. Bytes are moved as bytes."""
    if split.in_memory:
        whole = take_all(split)
        yield jnp.asarray(whole.x), whole.y
        return
    prepare(split)
    as_bytes, each, n = gives_bytes(split), rows_in(split), len(split.y)
    take = split.take_bytes if as_bytes else lambda rows: split.take(rows).x
    parts = [np.arange(at, min(at + each, n)) for at in range(0, max(1, n), each)]  # of no examples one piece, all of it filled up
    for rows, x in zip(parts, in_order(lambda rows: padded(take(rows), size), parts), strict=True):
        yield split.unpack(x) if as_bytes else jnp.asarray(x), np.asarray(split.y)[rows]


def padded(rows: np.ndarray, size: int, *, fill: int = 0) -> np.ndarray:
    """Rows filled up to `size` of them with rows of `fill`. There must not be more than `size`."""
    short = size - len(rows)
    return np.pad(rows, ((0, short),) + ((0, 0),) * (rows.ndim - 1), constant_values=fill) if short else np.asarray(rows)


@dataclass(frozen=True, eq=False)
class Chosen:
    """Examples of a split, those that `index` names, as a split that is gone over in pieces of one shape, however many they are.
    So `in_memory` is False even where they do lie in memory."""

    split: Split
    index: Int[np.ndarray, " n"]
    in_memory = False

    @property
    def y(self) -> Int[np.ndarray, " n"]:
        """The class index of every chosen example, in the order of `index`."""
        return np.asarray(self.split.y)[self.index]

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of chosen examples, then the shape of one."""
        return (len(self.index), *self.split.shape[1:])

    def take(self, index: Int[np.ndarray, " m"]) -> Examples:
        """The examples at the positions `index` among the chosen ones, in its order, with their class indices."""
        return self.split.take(self.index[index])


class Block(NamedTuple):
    """Mini-batches number `first` to `stop` - 1 of an epoch, and examples with their classes: `items.index` are positions in `x` and
    `y`."""

    items: Item
    x: Float[Array, "n ..."]
    y: Int[Array, " n"]
    first: int
    stop: int


class Blocks:
    """Cuts the mini-batches of an epoch into blocks, each with the examples that it needs. There is one block of all examples where these
    lie in memory; then they are moved to the devices once.

    Args:
      split: the examples. waiting: gets how long the training waited for them.
    """

    def __init__(self, split: Split):
        self.split, self.waiting = split, Waiting()
        self.whole = Examples(*map(jnp.asarray, take_all(split))) if split.in_memory else None

    def __call__(self, items: Item, *, seeds: Int[np.ndarray, " n"] | None = None) -> Iterator[Block]:
        """The blocks of these mini-batches, in order. With `seeds`, one an example of all of them, the examples are random parts of those
        of the split, as its `take_crops` gives them."""
        steps, batch = items.index.shape
        if self.whole is not None:
            yield Block(items, *self.whole, 0, steps)
            return
        prepare(self.split)
        index, size = np.asarray(items.index), block_size(steps, PIECE // (4 * batch * int(np.prod(self.split.shape[1:]))))
        starts = [at for at in range(0, steps, size) if at == 0 or at + LEAST <= steps]  # what would be left alone joins the last block
        ends = [*starts[1:], steps]
        packed = gives_bytes(self.split)
        take = self.split.take_bytes if packed else lambda rows: self.split.take(rows).x
        if seeds is not None:
            drawn = seeds.reshape(index.shape)

        def taken_of(ends):
            rows = index[slice(*ends)].ravel()
            return take(rows) if seeds is None else self.split.take_crops(rows, drawn[slice(*ends)].ravel())

        blocks = list(zip(starts, ends, strict=True))
        for (first, stop), x in zip(blocks, in_order(taken_of, blocks, waiting=self.waiting), strict=True):
            own = jax.tree.map(lambda leaf: leaf[first:stop], items)  # noqa: B023
            own = own._replace(index=jnp.arange((stop - first) * batch).reshape(-1, batch))
            y = jnp.asarray(self.split.y[index[first:stop].ravel()])
            yield Block(own, self.split.unpack(x) if packed else jnp.asarray(x), y, first, stop)


@partial(jax.jit, static_argnames=("net", "classes"), donate_argnums=1)
def _train_block(net, state, items, x, y, lr, *, classes):
    return fit(on_examples(net, x, Hard(y, classes)), real_sgd(lr), state, items)[0]


def train_on_split(
    key: jax.Array,
    net: Net,
    split: Split,
    classes: int,
    *,
    epochs: int = 5,
    batch: int = 256,
    lr: float = 0.01,
    done: Callable = lambda: None,
) -> Vars:
    """Trains a new network on the examples of a split, wherever they lie, by SGD (momentum 0.9, weight decay 5e-4) and returns its
    variables.

    `batch` is examples a step, `lr` the step size. `done()` is called after every epoch.
    """
    if split.in_memory:
        return train_on(key, net, *take_all(split), classes, epochs=epochs, batch=batch, lr=lr, done=done)
    k_init, k_fit = jax.random.split(key)
    state, blocks, n = init_fit(k_init, net, real_sgd(lr)), Blocks(split), len(split.y)
    order = jax.jit(lambda key, epoch: epoch_items(key, epoch, n, batch=batch))
    for epoch in range(epochs):
        for block in blocks(order(k_fit, epoch)):
            state = jax.block_until_ready(_train_block(net, state, block.items, block.x, block.y, jnp.float32(lr), classes=classes))
        done()
    return state.vars


def block_size(steps: int, most: int) -> int:
    """How many mini-batches a block holds: `most`, limited to [2, steps], or the largest number above half of that which divides the
    steps."""
    most = min(max(LEAST, most), steps)
    return next((size for size in range(most, most // 2, -1) if steps % size == 0), most)
