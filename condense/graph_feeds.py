"""Real graphs, a step at a time: batches of one fixed size, a pure function of the seed and the step number."""

import math
from collections.abc import Callable

import numpy as np

from synth.errors import BadInput
from synth.graphs import GraphBatch, GraphExamples, batch_of

GRAPHS = 3  # stream of the seed, beside those of the image feeds


def graphs_per_class(n: int, examples: GraphExamples, *, seed: int) -> Callable[[int], tuple[GraphBatch, ...]]:
    """The feed of `matchers.base.GraphsPerClass(n)`: about n graphs a class, each class in a room of its own, the same at every step.

    The room is what n graphs of the class hold on average. A class fills it with graphs in random order, all of them before one returns,
    until the next does not fit. From n = 16 on few places stay empty: nodes, edges and graphs are each less than 1.3 times those that are
    there. Below that they may be more, because the room is never smaller than the largest graph.
    """
    rows = [np.flatnonzero(examples.y == c) for c in range(examples.classes)]
    if empty := [c for c, members in enumerate(rows) if not len(members)]:
        raise BadInput(f"--data has no training graph of class {empty[0]}; this method draws from each class")
    nodes, edges = examples.x.nodes, np.bincount(examples.x.graph[examples.x.receivers], minlength=len(examples.x.nodes))

    def one(rng: np.random.Generator, members: np.ndarray) -> GraphBatch:
        room = {"nodes": _room(nodes[members], n), "edges": _room(edges[members], n)}
        drawn = np.concatenate([rng.permutation(members) for _ in range(math.ceil(n / len(members)))])[:n]
        fits = (np.cumsum(nodes[drawn]) <= room["nodes"]) & (np.cumsum(edges[drawn]) <= room["edges"])
        return batch_of(examples.x.take(drawn[fits]), **room, count=n)

    def feed(step: int) -> tuple[GraphBatch, ...]:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, GRAPHS, step))))
        return tuple(one(rng, members) for members in rows)

    return feed


def _room(sizes: np.ndarray, n: int) -> int:
    """The total of n graphs on average, and at least the largest one."""
    return max(math.ceil(n * sizes.mean()), int(sizes.max()), 1)
