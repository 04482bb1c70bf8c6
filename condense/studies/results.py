"""The results of a suite: its runs, and the rows of `evaluate --json` with the choices of the run that each belongs to."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from condense.evaluation.report import Evaluation
from condense.runtime.run_folder import RECORD
from condense.studies.crossing import SuiteRun
from synth.files import records
from synth.files.format import load_set
from synth.files.records import ListOf, Table, Whole, read_record
from synth.labels.plain import Target

FILE, FORMAT = "results.json", 1
UNSIZED = ("full", "size")  # rows whose bytes say nothing
HELD = Table({"format": Whole(FORMAT, FORMAT), "runs": ListOf(Table()), "results": ListOf(Table())})


class SuiteResults(NamedTuple):
    """What a suite gave.

    Args:
      folder: of the suite.
      runs: each with its choices, its folder under `run`, its `state` (`done` or `failed`), and the `reason` where it failed.
      results: rows of scores, one for every set or real examples, network and variant of a scoring, which stands under `scoring`, with the
        places of the teachers and the log of proxies that were read, in the suite's folder or absolute.
      skipped: a line for each reason why methods make no sets of some data.
    """

    folder: Path
    runs: tuple[dict[str, Any], ...]
    results: tuple[dict[str, Any], ...]
    skipped: tuple[str, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """A text for each run that failed: its folder in the suite's, and the reason."""
        return tuple(f"{run['run']}: {run['reason']}" for run in self.runs if run["state"] == "failed")

    def as_json(self) -> dict[str, Any]:
        """The document `results.json`: `format`, the name of the `suite`'s folder, `skipped`, `runs` and `results`."""
        held = {"format": FORMAT, "suite": str(self.folder.name), "skipped": list(self.skipped)}
        return {**held, "runs": list(self.runs), "results": list(self.results)}


def read_results(path: Path) -> SuiteResults:
    """The results in a suite's file `results.json`. Raises BadInput where it is missing or damaged."""
    held = read_record(path, HELD, what="holds no results of a suite", remedy="run the suite again")
    return SuiteResults(path.parent, tuple(held["runs"]), tuple(held["results"]), tuple(held.get("skipped", ())))


def run_facts(run: SuiteRun, out: Path, reason: str) -> dict[str, Any]:
    """What results say of a run: its choices, its folder under `run`, and its `state`: `failed` with the `reason`, or where that is empty
    `done` with what `set_facts` reads from its folder. `out` is the suite's folder."""
    facts = {**run.choices(), "run": run.folder}
    if reason:
        return {**facts, "state": "failed", "reason": reason}
    return {**facts, "state": "done", **set_facts(out / run.folder)}


def set_facts(folder: Path) -> dict[str, Any]:
    """What a finished run's folder says of its set: its kind of `labels`, that of real examples beside it (`real_labels`), the `steps` that
    were done, and `distill_seconds`."""
    record = read_record(folder / RECORD, records.Table(), what="cannot be read", remedy="give the folder of a run")
    y = load_set(folder / "set.npz").y
    real = y.kind if y.taught or type(y) is Target else "hard"
    kinds = {"labels": y.kind, "real_labels": real}
    return {**kinds, "steps": record["finished"], "distill_seconds": record["wall_seconds"]}


def result_rows(facts: dict[str, Any], scored: Evaluation) -> list[dict[str, Any]]:
    """The rows of one set's scores, one for each network and kind of examples, with the choices of its run. A row of real examples belongs
    to no method: what says how a set was made is None, and `labels` is the kind that real examples carry beside this set.

    Args:
      facts: of the run, as `run_facts` gives them.
    """
    document, rows = scored.as_json(), []
    common = {"split": scored.split, "test": scored.drawn, "digest": scored.digest, "modality": scored.modality, "bytes": scored.bytes}
    for row in document["results"]:
        own = {name: value for name, value in facts.items() if name not in ("state", "real_labels")}
        if row["set_kind"] != "distilled":
            own |= {"method": None, "label": row["set_kind"], "draw": None, "options": {}, "run": None, "steps": None}
            own |= {"distill_seconds": None, "labels": facts["real_labels"]}
        rows.append(scored_row({**own, **common}, row))
    return rows


def scored_row(facts: dict[str, Any], row: dict[str, Any]) -> dict[str, Any]:
    """A row of `evaluate --json` with the facts of the set that it is of or stands beside. Where a table compares label regimes, the row
    says which kind of labels it had and their bytes; its `steps`, which are of the training, become `training_steps`."""
    if "label_bytes" not in row:
        return {**facts, **row}
    own = {("training_steps" if name == "steps" else name): value for name, value in row.items()}
    if row["set_kind"] in UNSIZED:
        return {**facts, **own}
    size = {"labels": row["label_bytes"], "total": facts["bytes"]["total"] - facts["bytes"]["labels"] + row["label_bytes"]}
    return {**facts, **own, "bytes": facts["bytes"] | size}


def without_repeats(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The rows, of which those of real examples that are the same trainings beside several sets stand once, with the fewest bytes of
    these."""
    kept: dict[str, dict[str, Any]] = {}
    for row in rows:
        same = {name: value for name, value in row.items() if name != "bytes" and (name != "labels" or row["method"] is not None)}
        name = json.dumps(same, sort_keys=True, default=str)
        if name not in kept or row["bytes"]["total"] < kept[name]["bytes"]["total"]:
            kept[name] = row
    return tuple(kept.values())
