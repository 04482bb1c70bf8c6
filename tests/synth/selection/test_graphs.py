"""Random graphs within a number of bytes: the same as by packing everything anew for every graph that is tried."""

import jax
import numpy as np
import pytest

from synth.errors import BadInput
from synth.graphs.base import GraphExamples
from synth.graphs.packing import pack_graphs
from synth.selection.graphs import MISSES, choose_within
from tests.support.toy_graphs import some_examples


def naive(key: jax.Array, examples: GraphExamples, limit: int) -> list[int]:
    """Classes take turns; whatever still fits when all is packed together is kept, until MISSES in a row did not fit."""
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    queues = [list(rng.permutation(np.flatnonzero(examples.y == c))) for c in range(examples.classes)]
    chosen, counts, misses = [], np.zeros(examples.classes, int), 0
    while misses < MISSES and any(queues):
        c = int(min((c for c in range(examples.classes) if queues[c]), key=lambda c: counts[c]))
        tried = [*chosen, queues[c].pop()]
        if pack_graphs(examples.x.take(np.array(tried)), examples.alphabet).nbytes <= limit - 8 * examples.classes:
            chosen, misses = tried, 0
            counts[c] += 1
        else:
            misses += counts.min() > 0
    return sorted(chosen, key=lambda g: examples.y[g])


@pytest.mark.parametrize("directed", (False, True))
@pytest.mark.parametrize("limit", (80, 300, 10**6))
def test_graphs_are_chosen_as_by_packing_all_of_them_anew(directed, limit, monkeypatch):
    examples = some_examples(0, classes=3, count=40, tags=20, edges=3, most=12, directed=directed)
    wanted = naive(jax.random.key(1), examples, limit)
    monkeypatch.setattr("synth.selection.graphs.pack_graphs", None)  # nothing is packed to be measured
    found = choose_within(jax.random.key(1), examples, ("bytes", limit))
    assert found.tolist() == wanted and (len(wanted) == 40) == (limit == 10**6)
    assert pack_graphs(examples.x.take(found), examples.alphabet).nbytes + 24 <= limit


def test_too_few_bytes_are_refused():
    with pytest.raises(BadInput, match="--bytes 26: does not hold one graph of every class; give more"):
        choose_within(jax.random.key(0), some_examples(0, classes=3, count=60), ("bytes", 26))
