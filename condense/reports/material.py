"""What a report is made from: runs, their sets and their kept scores. Nothing is trained."""

from pathlib import Path
from typing import Any, NamedTuple

from condense.evaluation.cells import FOLDER
from condense.evaluation.kept import kept_evaluations, read_cells
from condense.evaluation.report import Evaluation
from condense.runtime.run_folder import RECORD
from condense.studies import results, suite
from condense.studies.sources import evaluated_rows, suite_rows
from condense.workflows.runs import SavedRun, load_run
from synth.errors import BadInput
from synth.files.records import Table, read_record

PLACES = "give the folders of finished runs and suites"


class Subject(NamedTuple):
    """A run of a report, with the scores of its set.

    Args:
      name: what the report calls it, another for each.
      run: what its folder holds.
      evaluations: those whose scores are kept, one for each recipe, split and seed; empty where it was not scored.
      suite: the folder of the suite that it is of; None where it is of none.
      rows: the suite's results of its set, and of real examples at its budget on its data.
    """

    name: str
    run: SavedRun
    evaluations: tuple[Evaluation, ...]
    suite: Path | None = None
    rows: tuple[dict[str, Any], ...] = ()


class Material(NamedTuple):
    """All that a report shows.

    Args:
      rows: scores, as `condense.studies.compare.compare_rows` takes them. failed: a line for each run without a set.
      subjects: all runs that have a set.
      suites: the settings of each suite by its folder, as its suite.json holds them.
    """

    subjects: tuple[Subject, ...]
    rows: tuple[dict[str, Any], ...]
    failed: tuple[str, ...]
    suites: dict[str, dict[str, Any]]


def gather(places: list[str | Path]) -> Material:
    """Reads runs and suites from their folders. Raises BadInput for what is neither, for a run that has no set yet, and for a suite that is
    not done."""
    subjects, rows, failed, suites = [], [], [], {}
    for place in map(Path, places):
        if (place / suite.RECORD).is_file():
            if not (place / results.FILE).is_file():
                raise BadInput(f"{place}: the suite is not done, it has no {results.FILE} yet; run it to its end")
            found, lines = suite_rows(place / results.FILE)
            suites[str(place)] = read_record(place / suite.RECORD, Table(), what="is no suite", remedy=PLACES)
            rows += found
            failed += lines
            cells = read_cells(place / FOLDER)
            runs = [run for run in results.read_results(place / results.FILE).runs if run["state"] == "done"]
            for run in runs:
                one = subject_of(place / run["run"], cells)
                subjects.append(one._replace(suite=place, rows=tuple(row for row in found if is_beside(row, run))))
        elif (place / RECORD).is_file():
            subjects.append(one := subject_of(place, None))
            rows += [row for scored in one.evaluations for row in evaluated_rows(scored.as_json())]
        else:
            raise BadInput(f"{place}: no run or suite there; {PLACES}")
    return Material(tuple(with_own_names(subjects)), tuple(rows), tuple(failed), suites)


def is_beside(row: dict[str, Any], run: dict[str, Any]) -> bool:
    """Whether a row of a suite's results is of the set of one of its runs, or of real examples on the same data at the same budget."""
    real = row["set_kind"] != "distilled" and all(row.get(name) == run.get(name) for name in ("data", "ipc", "max_bytes"))
    return real or row.get("run") == run["run"]


def subject_of(folder: Path, cells: list[dict[str, Any]] | None) -> Subject:
    """The run in a folder with the scores that are kept of its set. `cells` are finished scores as `condense.evaluation.kept.read_cells`
    gives them; None reads those in the run's folder. Raises BadInput where the run has no set."""
    run = load_run(folder)
    if run.set is None:
        raise BadInput(f"{folder}: the run has no set; {PLACES}")
    return Subject(folder.name or str(folder), run, tuple(kept_evaluations(run.set, folder / "set.npz", cells=cells)))


def with_own_names(subjects: list[Subject]) -> list[Subject]:
    """The subjects in the same order, of which those that share a name are called by the path of their folder as it was given."""
    names = [one.name for one in subjects]
    return [one._replace(name=str(one.run.folder)) if names.count(one.name) > 1 else one for one in subjects]
