"""Real graphs, a step at a time: batches of one fixed size, a pure function of the seed and the step number."""

from collections.abc import Callable

import jax
import numpy as np

from synth.errors import BadInput
from synth.graphs import GraphBatch, GraphExamples, batch_of, ladder

GRAPHS = 3  # stream of the seed, beside those of the image feeds
SPREAD = 4  # standard deviations of room for the total size of a batch


def graphs_per_class(n: int, examples: GraphExamples, *, seed: int) -> Callable[[int], GraphBatch]:
    """The feed of `matchers.base.GraphsPerClass(n)`. Where the n drawn graphs of a class are larger than the batch, the last ones are left
    out; that is rare, because there is room for four standard deviations more than the mean."""
    rows = [np.flatnonzero(examples.y == c) for c in range(examples.classes)]
    if empty := [c for c, members in enumerate(rows) if not len(members)]:
        raise BadInput(f"--data has no training graph of class {empty[0]}; this method draws from each class")
    edges = np.bincount(examples.x.graph[examples.x.receivers], minlength=len(examples.x.nodes))
    room = {name: _room(sizes, rows, n) for name, sizes in (("nodes", examples.x.nodes), ("edges", edges))}

    def one(rng: np.random.Generator, members: np.ndarray) -> GraphBatch:
        drawn = rng.choice(members, n, replace=len(members) < n)
        fits = (np.cumsum(examples.x.nodes[drawn]) <= room["nodes"]) & (np.cumsum(edges[drawn]) <= room["edges"])
        return batch_of(examples.x.take(drawn[fits]), **room, count=n)

    def feed(step: int) -> GraphBatch:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, GRAPHS, step))))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *(one(rng, members) for members in rows))

    return feed


def _room(sizes: np.ndarray, rows: list[np.ndarray], n: int) -> int:
    """A total that n graphs of any class hardly ever pass, and one graph never."""
    wanted = max(n * sizes[members].mean() + SPREAD * np.sqrt(n) * sizes[members].std() for members in rows)
    return ladder(max(int(wanted), int(sizes.max()), 1))
