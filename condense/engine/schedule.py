"""The schedule of a run: how many steps, and every how many of them what is done beside."""

from typing import NamedTuple

from matchers.base import Matcher


class Schedule(NamedTuple):
    """Steps in all; every how many of them metrics are logged, a checkpoint is saved, the set is scored, a frame is drawn (0: never); also
    at the last."""

    steps: int
    log_every: int = 10
    checkpoint_every: int = 100
    eval_every: int = 0
    frame_every: int = 0


def make_schedule(matcher: Matcher, *, steps: int, eval_every: int | None, checkpoint_every: int | None) -> Schedule:
    """Makes the schedule of a run of `steps` steps. Metrics are logged every hundredth of the run and frames drawn every twentieth.

    None stands for a default: a checkpoint every twentieth, no scores. A method that works once on the host gets one step, and neither
    scores nor frames.
    """
    steps = 1 if matcher.host else steps
    twentieth, frames = max(1, steps // 20), 0 if matcher.host else max(1, steps // 20)
    return Schedule(steps, max(1, steps // 100), checkpoint_every or twentieth, 0 if matcher.host else eval_every or 0, frames)
