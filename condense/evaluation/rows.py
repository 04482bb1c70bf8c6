"""The work of an evaluation: rows of networks, each scored from several seeds, behind one progress bar and one estimate."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax

from condense.runtime.log import duration, note, progress
from evals.protocol import Protocol, ScoringNetwork, ScoringTask
from evals.report import Report

INIT = 0  # key stream of an evaluation's networks; `condense.evaluation.baselines` has its own


class Row(NamedTuple):
    """One row of one network.

    Args:
      net: the network's name.
      kind: of the row, a key of `Evaluator.baselines`.
      protocol: how it is scored.
      draw: seed -> what the network learns from.
      whole: whether that is all training examples.
    """

    net: str
    kind: str
    protocol: Protocol
    draw: Callable[[int], Any]
    whole: bool = False


def run_rows(
    key: jax.Array, rows: Sequence[Row], networks: Mapping[str, ScoringNetwork], task: ScoringTask, *, seeds: int
) -> tuple[Report, ...]:
    """Scores all rows, one after another; one compilation serves all rows of a network, protocol and shape. `networks` holds those that the
    rows name."""
    pairs = dict.fromkeys((row.net, row.protocol) for row in rows)
    workers = {(net, protocol): protocol.worker(networks[net], task) for net, protocol in pairs}
    work = [(row, workers[row.net, row.protocol]) for row in rows]
    groups = [worker.group(seeds, row.whole) for row, worker in work]
    rounds = [-(-seeds // group) for group in groups]
    if slow := dict.fromkeys(row.net for row in rows if row.protocol.trains):
        note(f"timing {', '.join(slow)} for an estimate")
    seconds: dict[Any, float] = {}
    for (row, worker), group in zip(work, groups, strict=True):
        if (at := _timed_as(row, worker)) not in seconds:
            seconds[at] = worker.seconds(row.draw(0), group)
    total = sum(number * seconds[_timed_as(*pair)] for pair, number in zip(work, rounds, strict=True))
    note(f"{len(rows)} rows of {seeds} seeds: about {duration(total)}")
    ticks = sum(number * worker.ticks for (_, worker), number in zip(work, rounds, strict=True))
    with progress(ticks, "evaluate") as bar:
        more = {"seeds": seeds, "tick": bar.advance}
        return tuple(worker.report(key, row.kind, row.draw, group=group, **more) for (row, worker), group in zip(work, groups, strict=True))


def _timed_as(row: Row, worker) -> tuple:
    """Rows that agree in this take equally long."""
    return row.net, row.protocol, row.kind if worker.apart else ""
