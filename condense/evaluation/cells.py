"""Finished cells of evaluations on disk: a stopped evaluation goes on where it stopped, and the next one trains nothing twice.

A cell is the networks of a row that were trained at one time and their scores: one network on a CPU, a group of seeds on an accelerator,
where the arithmetic of a network may depend on what runs beside it. Its file is a JSON object with the cell's facts in full, all that its
scores depend on. A cell is found where all facts are the same, and by nothing less. It lies in the folder of the run that was evaluated,
beside the file of a set that is in none, or in the folder that a call names; several calls may use one folder at the same time.
"""

import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from condense.evaluation.facts import SOURCE, Facts, source_now
from condense.runtime.log import note
from condense.runtime.processes import is_first
from condense.runtime.run_folder import RECORD
from evals.report import Report
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.records import ListOf, Maybe, Real, Table, Whole, read_record

FOLDER, FORMAT = "cells", 1
SCORES = (
    "accuracy",
    "seconds",
    "auc",
    "epochs",
    "best_on_test",
    "confusion",
    "curve",
    "curve_steps",
)  # fields of a report that a cell holds


def place_of_cells(cache: str | Path | None, path: Path | None) -> Path | None:
    """Where the cells of a set lie: in the folder `cache`; by default in `cells` of the run that holds the set's file `path`, and for a
    file outside of runs beside it, in NAME.cells. None for `none`, and for a set without a file."""
    if cache is not None:
        return None if str(cache) == "none" else Path(cache)
    if path is None:
        return None
    return path.parent / FOLDER if (path.parent / RECORD).is_file() else path.with_suffix(f".{FOLDER}")


def check_cache(cache: str | Path | None) -> None:
    """Makes the folder `cache` that a call names for finished scores; nothing for None and `none`. Raises BadInput where it cannot be
    made."""
    if cache is None or (place := place_of_cells(cache, None)) is None:
        return
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"--cache {cache}: cannot be a folder ({error.strerror}); give another, or none") from error


class Cells:
    """The finished cells of one call, in memory. A cell is the scores of the networks of a row that were trained at one time. What the
    evaluation of one set finds or adds serves the others."""

    def __init__(self) -> None:
        self._held: dict[str, dict[str, Any]] = {}  # scores by the name of the cell
        self._good: set[Path] = set()  # files that hold what they should
        self._bad: set[Path] = set()  # files that do not, and folders that cannot be written
        self._stale = source_now() != SOURCE  # parts of it may be loaded yet, so nobody knows whose scores they would be

    def find(self, facts: Facts, report: Report, places: Sequence[Path]) -> Report | None:
        """`report` with the scores and seconds of a cell in place of its own; None where there is no such cell in memory or in `places`.

        Args:
          facts: all that the scores depend on; those of the cell must be the same. Under `networks` they list its seeds.
          report: says what a cell does not hold, such as the names of network and row.
          places: folders to look in.

        A damaged file counts as none, and a note says so. No file is read where the source has changed since it was loaded.
        """
        name = _name(facts)
        for path in (place / name for place in places):
            if name not in self._held and not self._stale and path not in self._bad and path.exists():
                self._read(path, facts)
        held = self._held.get(name)
        return None if held is None else with_scores(report, held)

    def keep(self, facts: Facts, report: Report, place: Path | None) -> None:
        """Keeps the scores and seconds of a report in memory, under its facts, and in the folder `place` unless that is None."""
        self._held[_name(facts)] = scores_of(report)
        self.copy(facts, place)

    def copy(self, facts: Facts, place: Path | None) -> None:
        """Writes the cell of these facts, which must be in memory, to the folder `place`, if it is not there; nothing for None, and of
        several processes the first one does. Where that fails, or the source has changed since it was loaded, a note says so once, and
        nothing more is written to that folder."""
        if place is None or not is_first() or place in self._bad or place / _name(facts) in self._good:
            return
        document = {"format": FORMAT, "facts": facts, "scores": self._held[_name(facts)]}
        try:
            if source_now() != SOURCE:
                raise BadInput("the source of condense has changed since it was loaded")
            place.mkdir(parents=True, exist_ok=True)
            write_bytes(place / _name(facts), (json.dumps(document, sort_keys=True, allow_nan=False) + "\n").encode())
            self._good.add(place / _name(facts))
        except (OSError, BadInput, RunFailed) as error:
            self._bad.add(place)
            note(f"finished cells are not kept in {place}: {error}")

    def _read(self, path: Path, facts: Facts) -> None:
        """Takes the file of a cell into memory if its facts are these. A note says what is wrong with it otherwise."""
        what, remedy = "is no finished cell of an evaluation", "it is computed again"
        try:
            found = read_record(path, _kind(len(facts["networks"])), what=what, remedy=remedy)
            if found["facts"] != json.loads(json.dumps(facts)):
                raise BadInput(f"{path}: {what} with the facts that its name stands for; {remedy}")
        except BadInput as error:
            self._bad.add(path)
            note(str(error))
            return
        self._held[path.name] = found["scores"]
        self._good.add(path)


def scores_of(report: Report) -> dict[str, Any]:
    """The fields of a report that a cell holds, by name, as values of JSON."""
    return {field: _to_json(getattr(report, field)) for field in SCORES if getattr(report, field) is not None}


def with_scores(report: Report, scores: dict[str, Any]) -> Report:
    """`report` with these fields, which are as `scores_of` gives them, in place of its own."""
    return report._replace(**{field: _of_json(value) for field, value in scores.items()})


def _kind(seeds: int) -> Table:
    """What the file of a cell must hold."""
    share = {"least": seeds, "most": seeds}
    scores = {"accuracy": ListOf(Real(0, 1), **share), "seconds": Real(0)}
    others = {"auc": ListOf(Maybe(Real(0, 1)), **share), "epochs": ListOf(Whole(), **share), "best_on_test": ListOf(Real(0, 1), **share)}
    others |= {
        "confusion": ListOf(ListOf(ListOf(Whole())), **share),
        "curve": ListOf(ListOf(Real(0, 1)), **share),
        "curve_steps": ListOf(Whole()),
    }
    return Table({"format": Whole(FORMAT, FORMAT), "facts": Table(), "scores": Table(scores, others, rest=None)}, rest=None)


def _name(facts: Facts) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32] + ".json"


def _to_json(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_to_json(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _of_json(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_of_json(one) for one in value)
    return math.nan if value is None else value
