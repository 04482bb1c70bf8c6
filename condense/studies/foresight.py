"""The dry run of a suite: what it would make, run and score, and what that would take. Nothing is written."""

import time
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from condense.engine.machines import Machine, Span, together
from condense.engine.measure import Cost
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.regimes import without_answers
from condense.evaluation.rows import estimate
from condense.evaluation.scoring import Choices, Common, prepare
from condense.inputs.context import ToMake
from condense.runtime.log import duration, note, progress
from condense.runtime.run_folder import RECORD
from condense.studies.crossing import Crossing, SuiteRun, cross
from condense.studies.scorings import asks_teachers, trainings
from condense.studies.suite import check_out
from condense.studies.suite_file import Suite, read_suite
from condense.workflows.elsewhere import caution, check_device, find_machine, input_span, spoken, step_span
from condense.workflows.lengths import step_cost
from condense.workflows.plan import Plan, stand_in_set
from condense.workflows.preview import seconds_to_make
from evals.storage import count_bytes
from synth.errors import BadInput, RunFailed
from synth.files.memory import megabytes
from synth.files.records import Table, read_record


def preview_suite(what: str | Path | Mapping[str, Any], *, out: str | Path | None = None, device: str | None = None) -> list[str]:
    """The lines of a suite's dry run: runs, scorings, estimated hours and bytes. Nothing is written.

    A step of each method is compiled and timed at its largest budget, which stands for smaller ones, so that times are rather too long.
    They are of one process on this machine.

    Args:
      what: a suite's file, the name of one of `condense.list_suites()`, or the contents of a file by key.
      out: the folder of the suite; where it is given, a line says how many runs are done there.
      device: another machine, such as `h100x8`, for which inputs and runs are estimated and not timed (`here` is this one); scorings are
        not estimated then.

    Raises BadInput for a wrong file, where a run of it would be a wrong call, where `out` holds something else, and for an unknown machine.
    """
    check_device(device)
    asked = read_suite(what)
    folder = None if out is None else check_out(out)
    crossing = cross(asked)
    runs = {run.folder: run for run in crossing.runs}
    machine = None if device is None else find_machine(device)
    times, unknown = run_spans(crossing, machine)
    scoring, cells, untimed = score_seconds(asked, crossing, timed=machine is None)
    lines = [f"skipped   {line.removeprefix('skipped ')}" for line in crossing.skipped]
    spans, size = [Span(scoring, scoring)], sum(one.bytes for one in crossing.shared.values())
    for one in crossing.shared.values():
        made = crossing.plans[first_of(one.maker, crossing)]
        found = [making_span(waiting, made, machine) for waiting in made.to_make() if waiting.kind == one.flag]
        spans.append(together(span for span in found if span))
        lines.append(f"input     {one.place}: {one.about}; {spoken(spans[-1])}")
    for name, made in crossing.plans.items():
        run, held = runs[name], bytes_of(made)
        span = times.get(name)
        took = "not estimated" if span is None else f"{spoken(span)} each"
        spans += [] if span is None else [span] * asked.draws
        size += (held or 0) * asked.draws
        budget = "" if run.budget is None else f" {run.budget[0]} {run.budget[1]}"
        sized = "" if held is None else f", {held:,} bytes each"
        lines.append(f"run       {run.label} on {run.data}{budget}: {asked.draws} draws, {took}{sized}")
    if folder is not None:
        done = sum(finished(folder / name) for name in runs)
        lines.append(f"folder    {folder}: {done} of {len(runs)} runs are done there")
    lines.append(f"runs      {len(runs)}, of which {unknown * asked.draws} are not timed; inputs and sets: {megabytes(size)}")
    taught = {way["teachers"] for ways in crossing.scorings.values() for way in ways if asks_teachers(way)}
    answers = f", without the time that teachers take to answer ({', '.join(sorted(taught))})" if taught else ""
    lines.append(f"scorings  {cells} networks, of which {untimed} are not timed; about {duration(scoring)}{answers}")
    least, most = (seconds / 3600 for seconds in together(spans))
    hours = (
        f"about {least:.2f} hours in one process" if machine is None else f"{least:.2f} to {most:.2f} hours on {machine}, a run at a time"
    )
    lines.append(f"estimate  {hours}, without what is not timed, and without what is done already")
    return lines if machine is None else [*lines, f"estimate  {caution(machine)}"]


def making_span(waiting: ToMake, made: Plan, machine: Machine | None) -> Span | None:
    """How long it takes to make an input of a plan: as measured here, or as estimated for a machine; None where that is not known."""
    if machine is not None:
        return input_span(waiting, made.data, machine)
    seconds = seconds_to_make(waiting, made.data)
    return Span(seconds, seconds)


def first_of(maker: SuiteRun, crossing: Crossing) -> str:
    """The folder of the run in the crossing that has the label, data and budget of `maker`, its first draw: the key of its plan."""
    return next(run.folder for run in crossing.runs if (run.label, run.data, run.budget) == (maker.label, maker.data, maker.budget))


def finished(folder: Path) -> bool:
    """Whether a run's folder holds a finished run. Raises BadInput where its record is damaged."""
    if not (folder / RECORD).is_file():
        return False
    return read_record(folder / RECORD, Table(), what="is not a run's record", remedy="remove the folder").get("state") == "done"


def bytes_of(made: Plan) -> int | None:
    """Payload bytes of a plan's set, content and labels; None where they are not known before the end."""
    if not made.modality.starts or not made.matcher.counts_bytes:
        return None
    return count_bytes(stand_in_set(made))["total"]


def run_spans(crossing: Crossing, machine: Machine | None) -> tuple[dict[str, Span], int]:
    """How long each run takes by folder, of first draws alone, and how many of these could not be timed. Methods that work in one step on
    the host are not timed. Steps are compiled and timed at a method's largest budget on each data, or estimated for a machine."""
    by_method: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for run in crossing.runs:
        if run.folder in crossing.plans:
            by_method[run.label, run.data].append(run.folder)
    times: dict[str, Span] = {}
    with progress(len(by_method), "timing") as bar:
        for names in by_method.values():
            largest = crossing.plans[max(names, key=lambda name: crossing.plans[name].per_class or 0)]
            if not largest.matcher.host:
                try:
                    cost = step_cost(largest) if machine is None else None
                    each = step_span(largest, machine) if cost is None else Span(cost.seconds, cost.seconds)
                    first = 0.0 if cost is None else cost.compiling
                    for name in names:
                        minutes, steps = crossing.plans[name].minutes, crossing.plans[name].schedule.steps
                        spans = (first + seconds * steps if minutes is None else 60 * minutes for seconds in each)
                        times[name] = Span(*spans)
                except (BadInput, RunFailed) as error:
                    note(f"{largest.method.name} is not timed: {error}")
            bar.advance(1)
    return times, len(crossing.plans) - len(times)


def score_seconds(asked: Suite, crossing: Crossing, *, timed: bool) -> tuple[float, int, int]:
    """Seconds of all scorings, how many networks they train, and how many of these could not be timed and are not in the seconds; none is
    without `timed`. The set of one run of a data set, budget and scoring stands for the others."""
    total, cells, untimed = 0.0, 0, 0
    by_size: defaultdict[tuple, list[Plan]] = defaultdict(list)
    for run in crossing.runs:
        if run.folder in crossing.plans:
            by_size[run.data, run.budget].append(crossing.plans[run.folder])
    for (data, _), plans in by_size.items():
        rows = crossing.rows[data]
        for way in crossing.scorings[data]:
            nets, seeds = crossing.nets[data], asked.seeds or plans[0].modality.seeds
            baselines = EVALUATORS[plans[0].modality.name].baselines
            real = sum(trainings(way, seeds, whole=bool(baselines[kind].recipe)) for kind in rows if kind != "distilled")
            made = trainings(way, seeds, whole=False) * len(plans) * asked.draws * ("distilled" in rows)
            count = (real + made) * len(nets or (None,))
            cells += count
            cost = time_network(plans, nets, way) if timed else None
            total += 0.0 if cost is None else cost.compiling + cost.seconds * count
            untimed += count if cost is None else 0
    return total, cells, untimed


def time_network(plans: list[Plan], nets: tuple[str, ...] | None, way: dict[str, Any]) -> Cost | None:
    """What scoring takes: seconds to compile all networks, and seconds of one network, the mean over them. The first of the plans whose set
    can be timed before it is there is measured, with random images; None where there is none.

    Args:
      nets: that score it; None for what the set names. way: how, a scoring of the suite; its labels are timed as the set's own, without
        what teachers take to answer.
    """
    for made in plans:
        if made.modality.starts and made.matcher.counts_bytes:
            length = {name: way[name] for name in ("steps", "precision") if name in way}
            common = (made.data, nets, 1, way.get("recipe"), way.get("epochs"), ("distilled",), "test", None, False, None, 0, "none")
            choices = Choices(*common, **length)
            try:
                given = stand_in_set(made)
                rows = prepare(without_answers(given) if "regimes" in way else given, Common(choices)).rows
                began = time.perf_counter()
                seconds = estimate([(row, (0,)) for row in rows]) / len(rows)
                return Cost(time.perf_counter() - began, seconds, 0, seconds)
            except (BadInput, RunFailed):
                continue
    return None
