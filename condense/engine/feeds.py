"""Feeds: the real data of every step. A batch depends only on the seed and the step number, so a resumed run sees the same batches.

A feed takes the examples of a batch and no others (`synth.base.Split`), in model space; class indices are i32.
"""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Protocol

import numpy as np
from jaxtyping import Float32

from condense.data.graph_rows import GraphView, pieces
from condense.runtime.log import note
from matchers.base import Computed, Feed, Given, GraphsPerClass, PerClass, Piece, Segment, Shuffled, Snapshots, Stages, Unread
from synth.base import Split, take_all
from synth.errors import BadInput
from synth.graphs.base import GraphBatch, GraphExamples, batch_of
from synth.training.packed import Bytes, gives_bytes, prepare
from synth.training.stream import Ahead

ENDS = "their parameters before training and after the last epoch alone are recorded, and those between are read here"
GRAPHS = 3  # stream of the seed, beside those of the image feeds

PER_CLASS, SHUFFLED, ORDER, EPOCH = 1, 2, 3, 4  # each feed draws from streams of its own


class Trajectories(Protocol):
    """What the feeds `Segment` and `Stages` read: parameters of `count` networks before training and after each of `epochs` epochs, or
    with `ends` after the last one alone."""

    count: int
    epochs: int
    ends: bool

    def read(self, expert: int, epochs: Sequence[int]) -> Float32[np.ndarray, "k p"]:
        """The parameters of one network after each of the epochs (0: before training), as flat vectors of p numbers."""
        ...


def make_feed(request: Feed, examples: Split, classes: int, *, seed: int, experts: Trajectories | None = None) -> Callable[[int], object]:
    """Builds the feed that a matcher asks for: a function from the step number to a batch.

    Args:
      request: `PerClass(n)` gives f32[classes n h w c], with a smaller n where no class has as many, `Shuffled(n)` gives `Examples` of n
        rows, `Whole()` all of `examples` in memory, `Unread()` `examples` as they are, `Segment(...)` a `Piece` of an expert's trajectory,
        `Stages(...)` two `Snapshots` of it, `GraphsPerClass(n)` a batch of graphs a class, `Given(value)` that value, `Computed(of)` what
        `of` makes of the examples, None nothing, and a tuple of requests a tuple of their batches. Threads read the next batches meanwhile,
        where examples do not lie in memory; bytes come as `synth.training.packed.Bytes` then, which `place_batch` normalises.
      examples: the training split.
      classes: how many; labels are in [0, classes).
      seed: of the run, >= 0.
      experts: what `Segment` and `Stages` read.
    Raises BadInput where a class is empty, where the data is smaller than one shuffled batch, or where the experts' training is too short
    or lacks snapshots.
    """
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    feed = _feed(request, examples, classes, seed, experts)
    reads = any(isinstance(part, PerClass | Shuffled) for part in (request if type(request) is tuple else (request,)))
    if not reads or examples.in_memory:
        return feed
    prepare(examples)
    return Ahead(feed)


def _feed(request: Feed, examples: Split, classes: int, seed: int, experts: Trajectories | None) -> Callable[[int], object]:
    if type(request) is tuple:  # the requests themselves are named tuples
        feeds = [_feed(part, examples, classes, seed, experts) for part in request]
        return lambda step: tuple(feed(step) for feed in feeds)
    match request:
        case PerClass(n):
            return _per_class(n, examples, classes, seed)
        case Shuffled(n):
            return _shuffled(n, examples, seed)
        case Segment():
            return _segment(request, experts, seed)
        case Stages(window):
            return _stages(window, experts, seed)
        case Unread():
            return lambda step: examples
        case Given(value):
            return lambda step: value
        case Computed(of):
            made = lru_cache(1)(lambda: of(examples))
            return lambda step: made()
        case GraphsPerClass(n):
            return graphs_per_class(n, examples, seed=seed)
        case None:
            return lambda step: None
    return lambda step: take_all(examples)


def _rng(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def _per_class(n: int, examples: Split, classes: int, seed: int) -> Callable:
    rows = [np.flatnonzero(examples.y == c) for c in range(classes)]
    empty = [c for c, members in enumerate(rows) if not len(members)]
    if empty:
        raise BadInput(f"--data has no training example of class {empty[0]}; this method draws from each of the {classes} classes")

    n = min(n, max(map(len, rows)))  # more would be the same rows again, at their full cost
    as_bytes = gives_bytes(examples)

    def feed(step: int):
        rng = _rng(seed, PER_CLASS, step)
        chosen = np.stack([members[rng.choice(len(members), n, replace=len(members) < n)] for members in rows])
        x = examples.take_bytes(chosen.ravel()) if as_bytes else examples.take(chosen.ravel()).x
        x = x.reshape(*chosen.shape, *x.shape[1:])
        return Bytes(x, None, examples) if as_bytes else x

    return feed


def _shuffled(n: int, examples: Split, seed: int) -> Callable:
    size = len(examples.y)
    if size < n:
        raise BadInput(f"--data has {size} training examples, fewer than the {n} of one batch; choose a batch of at most {size}")
    as_bytes = gives_bytes(examples)
    permutation = lru_cache(1)(lambda epoch: _rng(seed, SHUFFLED, epoch).permutation(size))

    def feed(step: int):
        epoch, place = divmod(step, size // n)
        rows = permutation(epoch)[place * n : (place + 1) * n]
        return Bytes(examples.take_bytes(rows), examples.y[rows], examples) if as_bytes else examples.take(rows)

    return feed


def start_bound(request: Segment, step: int) -> int:
    """The bound U below which start epochs are drawn at this step: `request.last`. With `request.grow` = (U0, E) it grows evenly from U0 at
    step 0 to `request.last` at step E, rounded down."""
    if request.grow is None:
        return request.last
    first, end = request.grow
    return min(request.last, first + (request.last - first) * step // end)


def _segment(request: Segment, experts: Trajectories, seed: int) -> Callable:
    span, first, last = request.span, request.first, request.last
    if experts.ends and not request.straight:
        raise BadInput(f"--experts: {ENDS}; add --path straight, or give experts that were trained without --ends")
    bound = request.bound(experts.epochs)
    least = last if request.grow is None else request.grow[0]
    if min(bound, least) <= first:
        raise BadInput(
            f"no start epoch: from {first} to below {least}, matched {span} epochs further on, by experts trained for {experts.epochs};"
            f" raise the upper bound of start epochs, or give experts of at least {first + span + request.straight} epochs"
        )
    if bound < last:
        note(f"start epochs stay below {bound}, not {last}: the experts are trained for {experts.epochs} epochs")
    served, read = _order(experts, seed), partial(on_line, experts) if request.straight else experts.read

    def feed(step: int):
        rng, high = _rng(seed, EPOCH, step), min(bound, start_bound(request, step))
        start = float(rng.uniform(first, high)) if request.straight else int(rng.integers(first, high))
        after = range(1, span + 1) if request.every else (span,)
        rows = read(served(step), [start, *(start + epochs for epochs in after)])
        return Piece(rows[0], rows[1:], np.float32(start) if request.straight else np.int32(start))

    return feed


def on_line(experts: Trajectories, expert: int, positions: Sequence[float]) -> Float32[np.ndarray, "k p"]:
    """Parameters at positions s, in epochs, on the straight line from an expert's first snapshot to its last, the only two that are read:
    theta*_0 + s / K (theta*_K - theta*_0), computed in double precision. Raises BadInput as `experts.read` does."""
    first, last = experts.read(expert, [0, experts.epochs]).astype(np.float64)
    share = np.asarray(positions, np.float64)[:, None] / experts.epochs
    return (first + share * (last - first)).astype(np.float32)


def _order(experts: Trajectories, seed: int) -> Callable[[int], int]:
    """The expert that serves a step: one permutation of all after another."""
    shuffle = lru_cache(1)(lambda turn: _rng(seed, ORDER, turn).permutation(experts.count))
    return lambda step: int(shuffle(step // experts.count)[step % experts.count])


def _stages(window: int, experts: Trajectories, seed: int) -> Callable:
    if experts.ends:
        raise BadInput(f"--experts: {ENDS}; give experts that were trained without --ends")
    served = _order(experts, seed)

    def feed(step: int):
        rng = _rng(seed, EPOCH, step)
        earlier = int(rng.integers(experts.epochs))
        later = int(rng.integers(earlier + 1, min(earlier + window, experts.epochs) + 1))
        return Snapshots(*experts.read(served(step), [earlier, later]))

    return feed


def graphs_per_class(n: int, examples: GraphView | GraphExamples, *, seed: int) -> Callable[[int], tuple[GraphBatch, ...]]:
    """Builds the feed of `matchers.base.GraphsPerClass(n)`: about n graphs of every class. Each class has a fixed padded size of its own,
    the same at every step.

    The room is what n graphs of the class hold on average. A class fills it with graphs in random order, all of them before one returns,
    until the next does not fit. From n = 16 on few places stay empty: nodes, edges and graphs are each less than 1.3 times those that are
    there. Below that they may be more, because the room is never smaller than the largest graph.
    """
    rows = [np.flatnonzero(examples.y == c) for c in range(examples.classes)]
    if empty := [c for c, members in enumerate(rows) if not len(members)]:
        raise BadInput(f"--data has no training graph of class {empty[0]}; this method draws from each class")
    counts = [(piece.x.nodes, piece.x.edges_by_graph()[1]) for piece in pieces(examples)]
    nodes, edges = (np.concatenate(each) for each in zip(*counts, strict=True))

    def one(rng: np.random.Generator, members: np.ndarray) -> GraphBatch:
        room = {"nodes": _room(nodes[members], n), "edges": _room(edges[members], n)}
        drawn = np.concatenate([rng.permutation(members) for _ in range(math.ceil(n / len(members)))])[:n]
        fits = (np.cumsum(nodes[drawn]) <= room["nodes"]) & (np.cumsum(edges[drawn]) <= room["edges"])
        return batch_of(examples.take(drawn[fits]).x, **room, count=n)

    def feed(step: int) -> tuple[GraphBatch, ...]:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, GRAPHS, step))))
        return tuple(one(rng, members) for members in rows)

    return feed


def _room(sizes: np.ndarray, n: int) -> int:
    """The total of n graphs on average, and at least the largest one."""
    return max(math.ceil(n * sizes.mean()), int(sizes.max()), 1)
