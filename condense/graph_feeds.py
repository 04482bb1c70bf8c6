"""Real graphs, a step at a time: batches of one fixed size, a pure function of the seed and the step number."""

import math
from collections.abc import Callable

import jax
import numpy as np

from synth.errors import BadInput
from synth.graphs import GraphBatch, GraphExamples, batch_of

GRAPHS = 3  # stream of the seed, beside those of the image feeds


def graphs_per_class(n: int, examples: GraphExamples, *, seed: int) -> Callable[[int], GraphBatch]:
    """The feed of `matchers.base.GraphsPerClass(n)`: about n graphs a class, in a room of one size for all classes and steps.

    The room is what n graphs of the class with the largest ones hold on average. A class fills it with graphs in random order, all of them
    before one returns, until the next does not fit: classes of smaller graphs give more of them, and few places stay empty.
    """
    rows = [np.flatnonzero(examples.y == c) for c in range(examples.classes)]
    if empty := [c for c, members in enumerate(rows) if not len(members)]:
        raise BadInput(f"--data has no training graph of class {empty[0]}; this method draws from each class")
    edges = np.bincount(examples.x.graph[examples.x.receivers], minlength=len(examples.x.nodes))
    room = {name: _room(sizes, rows, n) for name, sizes in (("nodes", examples.x.nodes), ("edges", edges))}
    count = max(math.ceil(room["nodes"] / examples.x.nodes[members].mean()) for members in rows)

    def one(rng: np.random.Generator, members: np.ndarray) -> GraphBatch:
        drawn = np.concatenate([rng.permutation(members) for _ in range(math.ceil(count / len(members)))])[:count]
        fits = (np.cumsum(examples.x.nodes[drawn]) <= room["nodes"]) & (np.cumsum(edges[drawn]) <= room["edges"])
        return batch_of(examples.x.take(drawn[fits]), **room, count=count)

    def feed(step: int) -> GraphBatch:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, GRAPHS, step))))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *(one(rng, members) for members in rows))

    return feed


def _room(sizes: np.ndarray, rows: list[np.ndarray], n: int) -> int:
    """The total of n graphs of the class with the largest ones, on average, and at least the largest graph."""
    return max(math.ceil(n * max(sizes[members].mean() for members in rows)), int(sizes.max()), 1)
