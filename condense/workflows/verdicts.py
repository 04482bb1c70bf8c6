"""What a run says at its end where nothing was learned, a line each. The loop says it of a loss that did not fall."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from condense.engine.loop import FINISH, INIT, stream
from condense.runtime.log import note
from evals.report import Report
from matchers.base import Matcher, conclude
from synth.set import SyntheticSet

ROOM = 0.03  # by how much all images must teach more than random ones, so that a set of as many can show a gain
SEEN, FAR = 256, 10  # real images that are looked at; times their largest value, from which on pixels lie far from them


def tell_far_pixels(synth: SyntheticSet, data: Any) -> None:
    """Warns on stderr where the largest absolute value of the set's images in model space is more than ten times that of the first 256
    training images. Says nothing of sets of graphs or vectors."""
    if synth.x.modality != "images":
        return
    real = data.train.take(np.arange(min(SEEN, len(data.train.y)))).x
    most, there = float(np.abs(real).max()), float(jnp.abs(synth.x.decode()).max())
    if there > FAR * most:
        note(f"warning: pixels reach {there:.3g} in model space, where those of the data reach {most:.3g}: try a smaller step size")


class LastScore:
    """A function from a set to its score: that of the function `score`, which it is made of. The field `last` is the last score that it
    gave; None before the first."""

    def __init__(self, score: Callable[[SyntheticSet], float]) -> None:
        self.score, self.last = score, None

    def __call__(self, synth: SyntheticSet) -> float:
        self.last = float(self.score(synth))
        return self.last


def at_start(key: jax.Array, matcher: Matcher, start: SyntheticSet) -> SyntheticSet:
    """The set that a run would give if it took no step, labels and all. `key` is of the run, `start` the set before its first step."""
    state = jax.jit(matcher.init)(stream(key, INIT), start.bare())
    return conclude(stream(key, FINISH), matcher, state, start)


def tell_no_gain(key: jax.Array, matcher: Matcher, start: SyntheticSet, scored: LastScore | None) -> None:
    """Warns where the set does not score better on validation examples than its own start.

    Args:
      key: of the run.
      start: the set before the first step, which is finished (labels and all) and scored here.
      scored: what has scored the set after its last step; where it is None or has scored nothing, nothing is done.
    """
    if scored is None or scored.last is None or not len(start):
        return
    last = scored.last
    compare_with_start("the set", last, scored(at_start(key, matcher, start)))


def compare_with_start(what: str, last: float, first: float) -> None:
    """Warns where a score, an accuracy of validation examples in [0, 1], is not above that of the start. `what` names the set."""
    if last <= first:
        found = f"{what} scores {100 * last:.1f} % on validation and its own start {100 * first:.1f} %"
        note(f"warning: {found}: nothing was gained; try another step size or more steps")


def tell_no_room(target: str, protocol: str, reports: Sequence[Report]) -> None:
    """Warns, network by network, where the mean accuracy of the row `full` is less than 0.03 above that of the row `random`: then no set of
    so many images can show a gain. Networks without both rows are passed over. `target` and `protocol` are names for the message."""
    for net in dict.fromkeys(report.net for report in reports):
        mean = {report.set_kind: report.mean for report in reports if report.net == net}
        if {"random", "full"} <= mean.keys() and mean["full"] - mean["random"] < ROOM:
            found = f"random images have {100 * mean['random']:.1f} % and all of the source {100 * mean['full']:.1f} %"
            advice = "take a better teacher, a harder target or fewer images"
            note(f"warning: {target}, {protocol}, {net}: {found}, so no set of their number can show a gain; {advice}")
