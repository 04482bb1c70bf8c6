"""Real images drawn at random: the floor of every comparison."""

from matchers.base import Matcher, once
from matchers.select import put
from synth.start import choose_random


def random() -> Matcher:
    """Real images of every class, drawn uniformly without replacement."""

    def solve(key, synth, examples):
        return put(synth, examples, choose_random(key, examples.y, len(synth) // synth.y.classes))

    return once(solve)
