"""Carries out a suite: makes what its runs share, runs them, scores their sets."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from condense.evaluation.report import Evaluation
from condense.runtime.checks import check_whole
from condense.runtime.lock import LOCK, locked, sign
from condense.runtime.log import note, progress
from condense.runtime.processes import PROCESSES, count, in_step, is_loss, on_first
from condense.studies.crossing import Crossing, SuiteRun, cross
from condense.studies.results import FILE, SuiteResults, result_rows, run_facts, without_repeats
from condense.studies.scorings import in_words
from condense.studies.suite_file import Suite, read_suite
from condense.studies.work import CELLS, input_work, length_work, reason_of, remove_unfinished, run_work, score_work, teachers_of
from condense.studies.workers import do_all
from condense.workflows.evaluate import evaluate
from evals.recipes import recipe as find_recipe
from synth.errors import BadInput
from synth.files.atomic import write_bytes

RECORD, LOGS = "suite.json", "logs"


def suite(what: str | Path | Mapping[str, Any], out: str | Path, *, jobs: int = 1) -> SuiteResults:
    """Distils by methods x data x budgets x draws, and scores every set by networks x scorings x rows x seeds.

    All runs are planned before the first begins. Experts and teachers are made once for data and network and shared. The same call again
    does what is missing: unfinished runs go on, finished ones and trained networks stay. A run that fails is a row with its reason and
    stops nothing.

    Args:
      what: a file, the name of a suite of `condense.list_suites()`, or the contents of a file by key.
      out: folder of the suite: suite.json, results.json, a run folder a set in `runs`, what they share in `inputs`, trainings in `cells`.
      jobs: runs at a time (>= 1), each in a process of its own where there are several. Real examples are trained on after all runs.

    Of several processes that make the same call (`condense.runtime.processes`) all work on one run after another, and the first holds the
    folder.

    Example:
      >>> import condense, tempfile
      >>> file = {"data": "digits", "ipc": 1, "recipe": "krr-ntk", "rows": "distilled", "seeds": 1, "method": [{"name": "random"}]}
      >>> found = condense.suite(file, tempfile.mkdtemp())
      >>> found.failed, len(found.results), 0.3 < found.results[0]["mean"] < 0.9
      ((), 1, True)

    Raises BadInput for a wrong file, where a run of it would be a wrong call, where `out` holds something else, and for several jobs in
    several processes; RunFailed where a run failed on this process and not on the others.
    """
    jobs, asked = check_whole("jobs", jobs), read_suite(what)
    if jobs > 1 and count() > 1:
        raise BadInput(f"--jobs {jobs}: {count()} processes share every run already; leave it out, or unset {PROCESSES}")
    out = Path(on_first(lambda: str(check_out(out))))
    crossing = cross(asked)
    for line in crossing.skipped:
        note(line)
    record = {**asked.as_json(), "runs": [run.folder for run in crossing.runs], "skipped": list(crossing.skipped)}
    with ExitStack() as stack:

        def begin() -> None:
            sign(stack.enter_context(locked(out)))
            write_json(out / RECORD, record)

        on_first(begin)
        failed = carry_out_runs(asked, crossing, out, jobs)
        rows = score_all(asked, crossing, out, failed)
        facts = tuple(run_facts(run, out, failed.get(run.folder, "")) for run in crossing.runs)
        found = SuiteResults(out, facts, without_repeats(rows), crossing.skipped)
        on_first(lambda: write_json(out / FILE, found.as_json()))
    return found


def check_out(out: str | Path) -> Path:
    """The folder of a suite as a path; it need not be there yet, and is not made. Raises BadInput for an empty name, for a file, and where
    the folder holds files but no suite."""
    if not str(out):
        raise BadInput("--out: is empty; give the name of a folder")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--out {out}: is a file; give a folder that is new or holds a suite")
    there = [place.name for place in folder.iterdir() if place.name != LOCK] if folder.exists() else []
    if there and not (folder / RECORD).is_file():
        raise BadInput(f"--out {out}: holds files but no suite (such as {sorted(there)[0]}); give a folder that is new or holds a suite")
    return folder


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Writes a document as JSON, whole or not at all; what JSON has not, such as paths, as text."""
    write_bytes(path, (json.dumps(document, indent=1, default=str) + "\n").encode())


def carry_out_runs(asked: Suite, crossing: Crossing, out: Path, jobs: int) -> dict[str, str]:
    """Makes what runs share, measures the lengths of runs in minutes, then does the runs, each where it is missing. With several jobs,
    workers also score each set alone. Returns reasons by the folders of runs that failed; a note says each. `out` is the suite's folder."""
    broken: dict[str, str] = {}
    for name, reason in do_all([input_work(one, out) for one in crossing.shared.values()], jobs=jobs, logs=out / LOGS):
        if reason:
            broken[name] = reason
            note(f"{name}: {reason}")
    measured = on_first(lambda: [run.length for run in crossing.runs if run.length and (out / run.length).is_file()])
    lengths = {run.length: length_work(run, out) for run in reversed(crossing.runs) if run.length and run.length not in measured}
    lengths = [work for work in lengths.values() if not set(work["needs"]) & set(broken)]
    for name, reason in do_all(lengths, jobs=jobs, logs=out / LOGS):
        if reason:
            broken[name] = reason
            note(f"{name}: {reason}")
    needs = ((run.folder, place) for run in crossing.runs for place in (*run.inputs.values(), run.length))
    failed = {folder: f"{place}: {broken[place]}" for folder, place in needs if place in broken}
    runs = {run.folder: run for run in crossing.runs if run.folder not in failed}
    with progress(len(crossing.runs), "suite", done=len(failed)) as bar:
        for name, reason in do_all([run_work(run, out) for run in runs.values()], jobs=jobs, logs=out / LOGS):
            bar.advance(1)
            if reason:
                failed[name] = reason
                on_first(lambda: remove_unfinished(out / name))  # noqa: B023 (called at once)
                note(f"{name}: {reason}")
    if jobs > 1:
        works = []
        for run in runs.values():
            if run.folder not in failed and "distilled" in crossing.rows[run.data]:
                for way in crossing.scorings[run.data]:
                    choices = distilled_alone(choices_of(asked, crossing, run, way, out))
                    works.append(score_work(run, out, choices))
        with progress(len(works), "scores") as bar:
            for _ in do_all(works, jobs=jobs, logs=out / LOGS):  # what fails here fails again below, and says so there
                bar.advance(1)
    return failed


def choices_of(asked: Suite, crossing: Crossing, run: SuiteRun, way: dict[str, Any], out: Path) -> dict[str, Any]:
    """The keyword arguments of `condense.evaluate` for the set of a finished run in one of the suite's scorings. `out` is the suite's
    folder."""
    nets, rows, ranks = crossing.nets[run.data], crossing.rows[run.data], crossing.ranks.get(run.data)
    log = None if ranks is None else str(out / ranks)
    if "recipe" in way and find_recipe(way["recipe"]).own_net:
        nets = None
    if "teachers" in way:
        teachers = str(out / way["teachers"])
    else:
        teachers = None if "regimes" in way else teachers_of(run, out)
    given = {**way, "net": nets, "rows": rows, "seeds": asked.seeds, "teachers": teachers, "ranks": log, "cache": str(out / CELLS)}
    return {name: value for name, value in given.items() if value is not None}


def score_all(asked: Suite, crossing: Crossing, out: Path, failed: dict[str, str]) -> list[dict[str, Any]]:
    """The rows of scores of all finished runs, in the order of the runs. Sets that are scored alike are scored in one call, which loads
    data and compiles once. `failed` has reasons by the folders of runs; a run whose set cannot be scored is added to it. `out` is the
    suite's folder."""
    together: defaultdict[str, list[SuiteRun]] = defaultdict(list)
    choices: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}
    for run in crossing.runs:
        for way in crossing.scorings[run.data] if run.folder not in failed else ():
            one = choices_of(asked, crossing, run, way, out)
            name = json.dumps([run.data, one])
            choices[name] = one, way
            together[name].append(run)
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for name, runs in together.items():
        given, way = choices[name]
        for run, scored in score_together(runs, out, given):
            if isinstance(scored, str):
                reason = f"{in_words(way)}: {scored}" if len(asked.scorings) > 1 else scored
                failed[run.folder] = "; ".join(filter(None, [failed.get(run.folder), reason]))
                note(f"{run.folder}: {reason}")
            else:
                rows[run.folder] += result_rows({**run_facts(run, out, ""), "scoring": way | places_of(given, out)}, scored)
    return [row for run in crossing.runs for row in rows[run.folder]]


def places_of(choices: dict[str, Any], out: Path) -> dict[str, str]:
    """Where the teachers and the log of proxies lie that keyword arguments of `condense.evaluate` name, by their flags: relative to the
    suite's folder `out` where they lie in it."""
    places = {flag: Path(choices[flag]) for flag in ("teachers", "ranks") if flag in choices}
    return {flag: str(place.relative_to(out) if place.is_relative_to(out) else place.absolute()) for flag, place in places.items()}


def score_together(runs: Sequence[SuiteRun], out: Path, choices: dict[str, Any]) -> list[tuple[SuiteRun, Evaluation | str]]:
    """The scores of the sets of runs, or a text why they have none, for each run. Where one cannot be scored, each is scored by itself; a
    set beside which no real examples can stand, as where it is smaller than one of every class, is scored alone. Nothing is raised.

    Args:
      out: the suite's folder.
      choices: keyword arguments of `condense.evaluate`, `rows` among them.
    """
    scored: list[Evaluation] = []

    def score() -> str:
        try:
            scored.extend(evaluate([out / run.folder for run in runs], **choices).sets)
        except Exception as error:  # whatever it is, the other sets are scored
            if is_loss(error):
                raise
            return reason_of(error)
        return ""

    if not (reason := in_step(score)):
        return list(zip(runs, scored, strict=True))
    if len(runs) > 1:
        return [pair for run in runs for pair in score_together([run], out, choices)]
    if "distilled" not in choices["rows"] or len(choices["rows"]) == 1:
        return [(runs[0], reason)]
    note(f"{runs[0].folder}: scored without real examples beside it: {reason}")
    return score_together(runs, out, distilled_alone(choices))


def distilled_alone(choices: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments of `condense.evaluate`, of which `rows` becomes the set itself and `ranks`, which other rows need, is left out."""
    return {name: value for name, value in choices.items() if name != "ranks"} | {"rows": ("distilled",)}
