"""Chooses real graphs at a budget, for comparison with a distilled set in the same encoding."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int

from synth.errors import BadInput
from synth.graphs.base import GraphExamples
from synth.graphs.content import PackedGraphs
from synth.graphs.packing import count_bits, count_bytes, pack_graphs
from synth.labels.plain import Runs
from synth.selection.choose import choose_random
from synth.set import SyntheticSet

MISSES = 20  # graphs in a row that no longer fit before a set counts as full


def per_class(budget: tuple[str, int], classes: int) -> int | None:
    """How many examples of every class a budget allows: the number of (`ipc`, number), the number divided by the classes of (`size`,
    number), None for (`bytes`, number). Raises BadInput if classes cannot share a size equally."""
    name, value = budget
    if name == "size" and value % classes:
        raise BadInput(f"--size {value}: not a multiple of the {classes} classes; give one that is")
    return {"ipc": value, "size": value // classes, "bytes": None}[name]


def choose_within(key: jax.Array, examples: GraphExamples, budget: tuple[str, int] | None) -> Int[np.ndarray, " m"]:
    """Chooses random graphs of every class, class-major: a fixed number of each class, or as many as fit into a number of bytes with their
    labels. Returns their positions. `budget` is (`ipc`, number), (`size`, number) or (`bytes`, number).

    For bytes, the classes take turns; a graph that does not fit is passed over, and after 20 such in a row the set is full.

    Raises:
      BadInput: no budget, or one that does not hold a graph of every class.
    """
    if budget is None:
        raise BadInput("give exactly one of --ipc, --size and --bytes (given: none)")
    count = per_class(budget, examples.classes)
    if count is not None:
        return choose_random(key, examples.y, count)
    room = budget[1] - 8 * examples.classes  # bytes of the labels
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    queues = [list(rng.permutation(np.flatnonzero(examples.y == c))) for c in range(examples.classes)]
    graphs, alphabet = examples.x, examples.alphabet
    each, last = count_bits(graphs, alphabet), np.cumsum(graphs.nodes)
    chosen, counts = [], np.zeros(examples.classes, int)
    bits = nodes = misses = 0
    tags: set[int] = set()
    while misses < MISSES and any(queues):
        c = int(min((c for c in range(examples.classes) if queues[c]), key=lambda c: counts[c]))
        g = queues[c].pop()
        more = tags.union(graphs.tags[last[g] - graphs.nodes[g] : last[g]].tolist())
        took = int(bits + each[g]), int(nodes + graphs.nodes[g])
        if count_bytes(*took, len(chosen) + 1, len(more), alphabet) <= room:
            (bits, nodes), tags, misses = took, more, 0
            chosen.append(g)
            counts[c] += 1
        else:
            misses += counts.min() > 0  # until every class has one, all its graphs are tried
    if counts.min() == 0:
        raise BadInput(f"--bytes {budget[1]}: does not hold one graph of every class; give more")
    index = np.array(chosen)
    return index[np.argsort(examples.y[index], kind="stable")].astype(np.int32)


def pack(synth: SyntheticSet, examples: GraphExamples, index: Int[np.ndarray, " m"]) -> SyntheticSet:
    """The set with the graphs at the positions `index` of `examples`, packed, as its content, and with their classes as labels (`Runs`).
    `index` must be class-major."""
    chosen, alphabet = examples.take(index), examples.alphabet
    payload = jnp.asarray(pack_graphs(chosen.x, alphabet))
    content = PackedGraphs(payload, alphabet.tags, alphabet.edges, alphabet.directed)
    return replace(synth, x=content, y=Runs(jnp.asarray(chosen.sizes()), jnp.asarray(examples.sizes())))
