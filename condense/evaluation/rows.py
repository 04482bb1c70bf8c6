"""The work of an evaluation: rows of networks, each scored from several seeds, behind one progress bar and one estimate."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from condense.evaluation.cells import Cells, scores_of, with_scores
from condense.evaluation.facts import Facts
from condense.runtime.log import duration, note, progress
from condense.runtime.processes import count, gather, index, is_first, on_first
from condense.runtime.programs import release_programs
from evals.protocol import Protocol, Worker, groups_of
from evals.report import Report, join

INIT = 0  # key stream of an evaluation's networks; `condense.evaluation.baselines` has its own


class Row(NamedTuple):
    """One row of one network: what it learns from, and how it is scored.

    Args:
      net: the network's name.
      kind: name of the row, as reports have it, such as `distilled` or `random`.
      protocol: how it is scored. worker: what scores it.
      draw: () -> (seed -> what the network learns from). It is asked only where networks are trained, and raises what then is to be raised.
      whole: whether that is all training examples.
      facts: what its scores depend on beside the seeds; None where that is not known.
      kept: whether its scores may be kept for other calls.
      score: the full name of the score of examples by which the row chooses; None where it reads none.
    """

    net: str
    kind: str
    protocol: Protocol
    worker: Worker
    draw: Callable[[], Callable[[int], Any]]
    whole: bool = False
    facts: Facts | None = None
    kept: bool = False
    score: str | None = None


class Shelf(NamedTuple):
    """The finished cells that the rows of a set may use. A cell is the scores of the networks of a row that were trained at one time.

    Args:
      cells: of the whole call. own: the folder of this set's cells, if it has one. others: the folders of the other sets, which are read.
    """

    cells: Cells
    own: Path | None = None
    others: tuple[Path, ...] = ()

    def find(self, row: Row, numbers: Sequence[int]) -> Report | None:
        """The report on the seeds `numbers` of a row that were trained at one time; None if they are not finished. What is found in memory
        or in another folder is copied to the set's own folder."""
        if row.facts is None:
            return None
        places = [place for place in (self.own, *self.others) if place and row.kept]
        facts = row.facts | {"networks": list(numbers)}
        found = self.cells.find(facts, blank(row), places)
        if found and row.kept:
            self.cells.copy(facts, self.own)
        return found

    def keep(self, row: Row, numbers: Sequence[int], report: Report) -> None:
        """Keeps the report on the seeds `numbers` of a row in memory, and in the set's own folder if the row may be kept. Does nothing
        where the row's facts are not known."""
        if row.facts is not None:
            self.cells.keep(row.facts | {"networks": list(numbers)}, report, self.own if row.kept else None)


def blank(row: Row) -> Report:
    """A report on a row that says its names, and no scores."""
    return Report(row.net, row.protocol.name, row.kind, (), 0.0)


def groups(row: Row, seeds: int) -> list[tuple[int, ...]]:
    """The numbers of a row's seeds, in the groups that are trained at one time. A short last group is filled by repeating its last seed."""
    return groups_of(seeds, row.worker.group(seeds, row.whole))


def unfinished(rows: Sequence[Row], shelf: Shelf, *, seeds: int) -> list[Row]:
    """Those of the rows of which the shelf lacks the scores of some of the `seeds` networks."""
    return [row for row in rows if any(shelf.find(row, numbers) is None for numbers in groups(row, seeds))]


def run_rows(key: jax.Array, rows: Sequence[Row], shelf: Shelf, *, seeds: int) -> tuple[Report, ...]:
    """Scores all rows, one after another, as far as the shelf does not hold their scores, and returns a report for each in their order.
    One compilation serves all rows of a network, protocol and shape. What is finished is kept at once, group by group. A note estimates
    the time before. Of several processes each scores other groups on its own devices, one at a time."""
    release_programs()
    found = find_all(rows, shelf, seeds=seeds)
    missing = [(at, numbers) for (at, numbers), report in found.items() if report is None]
    finished = f", {len(found) - len(missing)} of {len(found)} cells are finished" if len(missing) < len(found) else ""
    if missing:
        if is_first():
            total = estimate([(rows[at], numbers) for at, numbers in missing]) / min(count(), len(missing))
            note(f"{len(rows)} rows of {seeds} seeds: about {duration(total)}{finished}")
        with progress(sum(rows[at].worker.ticks for at, _ in missing), "evaluate") as bar:
            for start in range(0, len(missing), count()):
                turn = missing[start : start + count()]
                for (at, numbers), report in zip(turn, score_groups(key, rows, turn, bar.advance), strict=True):
                    found[at, numbers] = report
                    shelf.keep(rows[at], numbers, report)
    reports = (join([found[at, numbers] for numbers in groups(row, seeds)], seeds) for at, row in enumerate(rows))
    return tuple(report._replace(score=row.score) for row, report in zip(rows, reports, strict=True))


Group = tuple[int, tuple[int, ...]]  # the place of a row among those that are scored, and numbers of its seeds


def find_all(rows: Sequence[Row], shelf: Shelf, *, seeds: int) -> dict[Group, Report | None]:
    """For every group of seeds of every row, in order, what the shelf holds, or None. Of several processes all take what the first one
    finds: a folder may change while they look."""
    every = [(at, numbers) for at, row in enumerate(rows) for numbers in groups(row, seeds)]
    if count() == 1:
        return {(at, numbers): shelf.find(rows[at], numbers) for at, numbers in every}
    reports = on_first(lambda: [report and scores_of(report) for at, numbers in every for report in (shelf.find(rows[at], numbers),)])
    found = {(at, numbers): scores and with_scores(blank(rows[at]), scores) for (at, numbers), scores in zip(every, reports, strict=True)}
    return found


def score_groups(key: jax.Array, rows: Sequence[Row], turn: Sequence[Group], tick: Callable[[int], None]) -> list[Report]:
    """Scores groups of seeds, at most one on each process, and gives the reports on all of them, in order, to all. `tick` is called with
    the number of epochs that are done."""

    def score(at: int, numbers: tuple[int, ...]) -> Report:
        report = rows[at].worker.report(key, rows[at].kind, rows[at].draw(), numbers=numbers, tick=tick)
        if report.waited is not None:
            note(f"{report.net} on the {report.set_kind} set: waited {report.waited:.2f} s of {report.seconds:.2f} s for data")
        return report

    if count() == 1:
        return [score(*group) for group in turn]
    made = gather(lambda: scores_of(score(*turn[index()])) if index() < len(turn) else None)
    for at, _ in turn[1:]:  # what others have done
        tick(rows[at].worker.ticks)
    return [with_scores(blank(rows[at]), scores) for (at, _), scores in zip(turn, made, strict=False)]


def estimate(work: Sequence[tuple[Row, Sequence[int]]]) -> float:
    """How many seconds it takes to score pieces of work, each a row and the numbers of seeds that are trained at one time. It compiles and
    times; the first piece of a network and protocol stands for the others."""
    if slow := dict.fromkeys(row.net for row, _ in work if row.protocol.trains):
        note(f"compiling and timing {', '.join(slow)} for an estimate")
    seconds: dict[Any, float] = {}
    for row, numbers in work:
        if (at := _timed_as(row)) not in seconds:
            seconds[at] = row.worker.seconds(row.draw()(numbers[0]), len(numbers))
    return sum(seconds[_timed_as(row)] for row, _ in work)


def _timed_as(row: Row) -> tuple:
    """Rows that agree in this take equally long."""
    return row.net, row.protocol, row.kind if row.worker.apart else ""
