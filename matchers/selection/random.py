"""Real examples drawn at random: the floor of every comparison."""

from matchers.base import Matcher, Unread, once
from matchers.selection.common import put
from synth.base import take_all
from synth.graphs.content import PackedGraphs
from synth.selection.choose import choose_random
from synth.selection.graphs import choose_within, pack


def random(budget: tuple[str, int] | None) -> Matcher:
    """Real examples of every class, drawn uniformly without replacement; of graphs, as many as a number of bytes holds.

    Args:
      budget: of graphs, how many a class or in all, or in how many bytes. Of other examples as many are chosen as the set already has.
    """

    def solve(key, synth, examples):
        if isinstance(synth.x, PackedGraphs):
            examples = take_all(examples)
            return pack(synth, examples, choose_within(key, examples, budget))
        return put(synth, examples, choose_random(key, examples.y, len(synth) // synth.y.classes))

    return once(solve, feed=Unread())._replace(own_start="")
