"""The trials of a search: runs with other options and lengths, each scored on validation examples by a short retraining."""

from pathlib import Path
from typing import Any, NamedTuple

import jax

from condense.runtime.log import note
from condense.runtime.programs import release_programs
from condense.studies.rungs import Rung, best_of, options_at
from condense.studies.suite import write_json
from condense.workflows.distill import distill, first_set
from condense.workflows.evaluate import evaluate
from condense.workflows.plan import Plan, plan, realise
from condense.workflows.verdicts import at_start, compare_with_start
from evals.recipes import recipe
from evals.report import Report
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set
from synth.files.records import ListOf, Maybe, Real, Table, Text, Whole, read_record
from synth.options import Span, flag_of
from synth.set import SyntheticSet

CELLS, RUNS = "cells", "runs"
SHORTEST = 300  # epochs: of a longer retraining half is done, and at least these
ROW = {"trial": Whole(), "steps": Whole(1), "options": Table(rest=Real()), "accuracy": Maybe(ListOf(Real(0, 1), least=1))}
ROW |= {"mean": Maybe(Real(0, 1)), "reason": Text()}


class Search(NamedTuple):
    """A search under way.

    Args:
      made: the plan of its call, with all inputs. call: the arguments of its runs, by name.
      spans: where to look for each option that varies, by name.
      points: where each trial lies in them, a share in [0, 1] for each option, as `condense.studies.rungs.draw` gives them; None of the
        trial that leaves the options as they are.
      seeds: networks that score a set. out: the folder.
    """

    made: Plan
    call: dict[str, Any]
    spans: dict[str, Span]
    points: list[tuple[float, ...] | None]
    seeds: int
    out: Path


def climb(search: Search, rungs: list[Rung], path: Path) -> list[dict[str, Any]]:
    """Runs all rungs: all trials in the first, in each further one as many as it says of those that were best in the one before. Returns a
    row for every run, as `run_trial` gives it. All rows are written to the file `path` after each run; runs that stand there already with
    the same options are not done again."""
    held = read_rows(path)
    rows, alive = [], list(range(len(search.points)))
    for rung in rungs:
        alive = alive[: rung.trials]
        for number in sorted(alive):
            options = options_at(search.made, search.spans, search.points[number], rung.steps)
            same = (row for row in held if (row["trial"], row["steps"], row["options"]) == (number, rung.steps, options))
            rows.append(next(same, None) or run_trial(search, number, rung.steps, options))
            write_json(path, {"rows": rows + [row for row in held if row["steps"] > rung.steps]})
        alive = best_of(rows, rung.steps)
    return rows


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of trials in a file, as `run_trial` gives them; an empty list where there is no file. Raises BadInput, naming the file,
    where it holds something else."""
    if not path.is_file():
        return []
    kind = Table({"rows": ListOf(Table(ROW, rest=None))})
    return read_record(path, kind, what="holds no trials", remedy="remove it, and finished runs are scored again")["rows"]


def run_trial(search: Search, number: int, steps: int, options: dict[str, Any]) -> dict[str, Any]:
    """Distils with the options of a trial, scores the set on validation examples, and returns its row.

    Keys are `trial` (its number), `steps`, `options`, `accuracy` (a list, one a network), `mean` of these, and `reason`. A run that fails,
    such as one whose loss is not finite, has None for both scores and says why in `reason`, which is empty otherwise.
    """
    release_programs()
    place = search.out / RUNS / f"{number:02d}-{steps}"
    row = {"trial": number, "steps": steps, "options": options, "accuracy": None, "mean": None, "reason": ""}
    said = f"trial {number}, {steps:,} steps, " + ", ".join(f"{flag_of(name)} {value}" for name, value in options.items())
    try:
        distill(search.made.method, search.made.data, **{**search.call, **options}, steps=steps, out=place)
        report = score(search, place, cache=search.out / CELLS)
    except (RunFailed, BadInput) as error:  # a wrong call was refused before the search began
        note(f"{said}: {error}")
        return row | {"reason": str(error)}
    note(f"{said}: {100 * report.mean:.1f} % of validation")
    return row | {"accuracy": list(report.accuracy), "mean": report.mean}


def tell_start(search: Search, row: dict[str, Any]) -> None:
    """Scores the start of a trial's run as the trial was scored, and warns where the trial is no better. `row` is that of the trial, which
    has a score. Nothing is done for graphs, whose sets methods start by themselves, nor where the start cannot be scored."""
    if not search.made.modality.starts:
        return
    number, steps = row["trial"], row["steps"]
    call = {**search.call, **row["options"], "steps": steps, "out": search.out / RUNS / f"{number:02d}-{steps}"}
    try:
        made = realise(plan(search.made.method, search.made.data, **call))
        start = at_start(jax.random.key(made.seed), made.matcher, first_set(made, made.config()))
        first = score(search, start, cache=search.out / CELLS).mean
    except (RunFailed, BadInput) as error:
        note(f"the start of trial {number} has no score: {error}")
        return
    compare_with_start(f"the best trial, {number},", row["mean"], first)


def score(search: Search, what: SyntheticSet | Path, *, cache: str | Path) -> Report:
    """Scores a set on validation examples after a short retraining, of half the recipe's epochs and at least SHORTEST, but no more than the
    recipe's; where teachers made the labels, of all epochs.

    Args:
      what: a set, or the folder of a run.
      cache: the folder that keeps the scores of finished networks; `none` keeps none.
    """
    synth = load_set(what / "set.npz") if isinstance(what, Path) else what
    protocol, taught = recipe(synth.info.recipe), synth.y.taught
    short = "epochs" in protocol.options and not taught  # labels of certain views are for all their epochs
    epochs = min(protocol.epochs, max(SHORTEST, protocol.epochs // 2)) if short else None
    teachers = search.call.get("teachers") if taught else None
    how = {"split": "val", "rows": "distilled", "seeds": search.seeds, "epochs": epochs, "teachers": teachers, "cache": cache}
    return evaluate(what, data=search.made.data, **how).reports[0]
