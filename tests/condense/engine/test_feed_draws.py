"""What feeds draw: every class for itself, graphs too, and start epochs that tell nothing of the expert."""

import numpy as np
import pytest

from condense.engine.feeds import graphs_per_class, make_feed
from matchers.base import PerClass, Segment
from synth.base import Examples
from synth.graphs.base import Alphabet, GraphExamples, Graphs
from tests.support.toy_data import ToyExperts, smooth_net
from tests.support.toy_graphs import some_graphs

STEPS = 150


def test_rows_of_a_class_tell_nothing_of_those_of_another():
    """Places within classes of one size, over 150 steps; hardly any two steps are alike."""
    y = np.tile(np.arange(3, dtype=np.int32), 10)
    x = np.broadcast_to((np.arange(30, dtype=np.float32) // 3)[:, None, None, None], (30, 2, 2, 1)).copy()
    feed = make_feed(PerClass(3), Examples(x, y), 3, seed=0)
    places = np.stack([feed(step)[:, :, 0, 0, 0] for step in range(STEPS)]).astype(int)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (places[:, a] != places[:, b]).any(1).mean() > 0.9
        assert abs(np.corrcoef(places[:, a, 0], places[:, b, 0])[0, 1]) < 0.3
    assert len({part.tobytes() for part in places}) > STEPS - 5


def test_graphs_of_a_class_tell_nothing_of_those_of_another():
    """The same twenty graphs in two classes, told apart by tags of their own."""
    half = some_graphs(3, count=20, most=4)
    lines = {name: np.concatenate([getattr(half, name), getattr(half, name) + len(half.tags)]) for name in ("senders", "receivers")}
    twice = {
        name: np.tile(part, 2).astype(np.int32) for name, part in (("nodes", half.nodes), ("tags", half.graph), ("labels", half.labels))
    }
    examples = GraphExamples(Graphs(**twice, **lines), np.repeat(np.arange(2, dtype=np.int32), 20), 2, Alphabet(20))
    feed, seen = graphs_per_class(6, examples, seed=0), []
    for step in range(20):
        seen.append([tuple(np.asarray(part.tags)[np.asarray(part.times) > 0].tolist()) for part in feed(step)])
    assert sum(first != second for first, second in seen) >= 19
    assert len({batch for step in seen for batch in step}) >= 38


@pytest.mark.parametrize("every", [False, True])
def test_start_epochs_are_drawn_for_every_step_whatever_the_expert(every):
    """Of three experts and starts 1 ... 3 all nine pairs serve, about as often; seeds differ in starts and in orders."""
    experts = ToyExperts(smooth_net(), count=3, epochs=6)
    counts = np.zeros((3, 3))
    orders = []
    for seed in range(2):
        feed, pairs = make_feed(Segment(2, 1, 4, every=every), None, 3, seed=seed, experts=experts), []
        for step in range(STEPS):
            piece = feed(step)
            expert = next(e for e in range(3) if np.array_equal(experts.rows[e, int(piece.epoch)], piece.start))
            pairs.append((expert, int(piece.epoch)))
            counts[expert, int(piece.epoch) - 1] += 1
        assert all({expert for expert, _ in pairs[at : at + 3]} == {0, 1, 2} for at in range(0, STEPS, 3))
        assert len({tuple(expert for expert, _ in pairs[at : at + 3]) for at in range(0, STEPS, 3)}) == 6, "all orders of three experts"
        orders.append(pairs)
    assert orders[0] != orders[1] and counts.min() > 0.6 * counts.mean()
