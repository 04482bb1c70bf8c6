"""The pieces of work of a suite: an input to be made, a run, the scoring of its set. Each can be done again, and then does what is missing.

Work is plain JSON, so that a process of its own can do it.
"""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from condense.inputs.registry import PROVIDERS
from condense.runtime.processes import on_first
from condense.runtime.programs import release_programs
from condense.runtime.run_folder import RECORD
from condense.studies.crossing import SPLIT, SharedInput, SuiteRun, load
from condense.workflows.distill import execute
from condense.workflows.evaluate import evaluate
from condense.workflows.lengths import measure_length, with_length
from condense.workflows.plan import Length, plan
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.format import load_set
from synth.files.records import Real, Table, Whole, read_record

CELLS = "cells"  # folder of a suite that keeps the trainings of its evaluations


def input_work(one: SharedInput, out: Path) -> dict[str, Any]:
    """The work of making a shared input, as JSON values that `carry_out` takes. `out` is the suite's folder."""
    how = {"method": one.maker.method, "data": one.maker.data, "arguments": one.maker.arguments(), "flag": one.flag}
    return {"kind": "input", "name": one.place, "alone": "", **how, "place": str(out / one.place)}


def run_work(run: SuiteRun, out: Path) -> dict[str, Any]:
    """The work of a run, as JSON values that `carry_out` takes. `out` is the suite's folder."""
    inputs = {flag: str(out / place) for flag, place in run.inputs.items()}
    how = {"method": run.method, "data": run.data, "arguments": {**run.arguments(), **inputs}, "place": str(out / run.folder)}
    length = str(out / run.length) if run.length else ""
    return {"kind": "run", "name": run.folder, "alone": run.alone, "length": length, **how}


def length_work(run: SuiteRun, out: Path) -> dict[str, Any]:
    """The work of measuring what a run's minutes come to, as JSON values that `carry_out` takes; its name is the place where the length is
    kept. `out` is the suite's folder."""
    return {**run_work(run, out), "kind": "length", "name": run.length, "place": str(out / run.length), "needs": [*run.inputs.values()]}


def score_work(run: SuiteRun, out: Path, choices: dict[str, Any]) -> dict[str, Any]:
    """The work of scoring a run's set, as JSON values that `carry_out` takes. It leaves the scores in the suite's folder of finished ones
    and gives none back. `out` is the suite's folder, `choices` are keyword arguments of `condense.evaluate`."""
    return {"kind": "score", "name": run.folder, "alone": "", "sets": [str(out / run.folder)], "choices": choices}


def carry_out(work: dict[str, Any]) -> None:
    """Does a piece of work, a dict of one of four kinds: makes an input, measures a length, distils, or scores. Returns nothing: results
    are files. What is done already is not done again, but a length is measured anew. Raises BadInput and RunFailed as the work does."""
    release_programs()
    if work["kind"] == "score":
        evaluate(work["sets"], **work["choices"])
        return
    data, place = load(work["data"], seed=SPLIT), Path(work["place"])
    if work["kind"] == "input":
        context = plan(work["method"], data, **work["arguments"]).context
        flag = work["flag"]
        PROVIDERS[flag].make(context._replace(out=place.parent))  # the provider keeps it in a folder of the flag's name
        return
    if work["kind"] == "length":
        length = measure_length(plan(work["method"], data, **work["arguments"]))
        on_first(lambda: keep_length(place, length))
        return
    made = replace(plan(work["method"], data, **work["arguments"], out=place), remarks=())  # said where one run alone is asked for
    execute(with_length(made, kept_length(Path(work["length"]))) if work.get("length") else made)


def keep_length(place: Path, length: Length) -> None:
    """Writes a length to a file, whole or not at all."""
    place.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(place, (json.dumps(length._asdict()) + "\n").encode())


def kept_length(place: Path) -> Length:
    """The length of a run (steps, and the options that suit them) in a file. Raises BadInput, naming the file, where there is none."""
    kind = Table({"steps": Whole(1), "options": Table(rest=Real())}, rest=None)
    return Length(**read_record(place, kind, what="is no length of a run", remedy="remove the file, and it is measured anew"))


def reason_of(error: Exception) -> str:
    """Why a piece of work failed, in one line: the message, behind the error's type unless that is BadInput or RunFailed."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if isinstance(error, BadInput | RunFailed) else f"{type(error).__name__}: {text}"[:500]


def teachers_of(run: SuiteRun, out: Path) -> str | None:
    """The folder of the teachers that labelled the set of a finished run; None where none did. `out` is the suite's folder."""
    given = run.inputs.get("teachers")
    place = str(out / given) if given else run.call.get("teachers")
    return place if place and load_set(out / run.folder / "set.npz").y.taught else None


def remove_unfinished(folder: Path) -> None:
    """Removes the folder of a run that was refused before it began, with all in it: one without a record. Does nothing where there is
    none."""
    if folder.is_dir() and not (folder / RECORD).exists():
        shutil.rmtree(folder, ignore_errors=True)
