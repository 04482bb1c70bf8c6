"""Reads the folders of runs, and draws sets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from PIL import Image
from rich.table import Table

from condense.data.for_set import find_set
from condense.plots.modalities import TABLES, draw_set
from condense.runtime.checks import check_whole
from condense.runtime.run_folder import RECORD
from synth.errors import BadInput
from synth.files import records
from synth.files.format import load_set
from synth.files.owned import read_owned
from synth.files.records import MOST, Maybe, Real, parse_record, read_record
from synth.set import SyntheticSet

METRICS = "metrics.jsonl"


@dataclass(frozen=True, eq=False)
class SavedRun:
    """The contents of a run's folder: of a distillation, or of a training of experts or teachers.

    Args:
      folder: where it is.
      record: what `run.json` says: command, configuration, versions, seed, state, time and memory.
      metrics: what `metrics.jsonl` says, a column a name and a row a line of it; NaN where a line has no such number.
      set: the set after the last step; None where there is none, or not yet.
      best: the set that scored best on validation examples on the way; None where nothing was scored.
    """

    folder: Path
    record: dict[str, Any] = field(repr=False)
    metrics: dict[str, Float[np.ndarray, " rows"]] = field(repr=False)
    set: SyntheticSet | None = field(repr=False)
    best: SyntheticSet | None = field(repr=False)


def load_run(folder: str | Path) -> SavedRun:
    """Opens the folder of a run, finished or not. Nothing in it changes.

    Example:
      >>> import condense, tempfile
      >>> folder = tempfile.mkdtemp()
      >>> synth = condense.distill("random", "digits", ipc=1, out=folder)
      >>> run = condense.load_run(folder)
      >>> run.record["config"]["method"], run.record["state"], len(run.set)
      ('random', 'done', 10)

    Raises BadInput, naming the file, where there is no run, or one of its files is damaged.
    """
    folder = Path(folder)
    if not (folder / RECORD).is_file():
        raise BadInput(f"{folder}: no {RECORD} there; give the folder of a run")
    record = read_record(folder / RECORD, records.Table(), what="cannot be read", remedy="give the folder of a run")
    synth, best = (load_set(place) if place.is_file() else None for place in (folder / "set.npz", folder / "best.npz"))
    return SavedRun(folder, record, read_metrics(folder / METRICS), synth, best)


def read_metrics(path: Path) -> dict[str, Float[np.ndarray, " rows"]]:
    """Reads the columns of a log; none if there is no file. A last line that was cut off while it was written is left out.

    Raises BadInput where another line is none of a log.
    """
    lines = read_owned(path, most=MOST).splitlines() if path.is_file() else []
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            held = parse_record(line, records.Table(rest=Maybe(Real())))
            rows.append({name: np.nan if value is None else float(value) for name, value in held.items()})
        except ValueError as error:
            if number < len(lines):
                raise BadInput(f"{path}: line {number} is no JSON object of numbers ({error}); remove the line") from error
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in dict.fromkeys(name for row in rows for name in row)}


def show(what: SyntheticSet | SavedRun | str | Path, *, per_class: int = 10, stretch: bool = False) -> Image.Image:
    """Draws a set, a row for every class. Jupyter displays the picture where the call ends a cell.

    Args:
      what: a set, its file, a run's folder, or an opened run.
      per_class: images, trees or graphs a row (>= 1).
      stretch: whether every image uses its own range, from black to white; shows faint ones.

    Example:
      >>> import condense
      >>> condense.show(condense.distill("random", "digits", ipc=2)).mode
      'RGB'

    Raises BadInput where there is no set to draw, and for `stretch` on graphs.
    """
    return draw_set(set_of(what), per_class=check_whole("per_class", per_class), stretch=stretch)


def show_table(what: SyntheticSet | SavedRun | str | Path, *, per_class: int = 10) -> Table:
    """Tabulates a set of vectors: the first ones of every class in their own units. Jupyter displays the table where the call ends a cell.

    Args:
      what: a set, its file, a run's folder, or an opened run.
      per_class: vectors a class (>= 1).

    Raises BadInput where there is no set, and for one that holds no vectors.
    """
    synth = set_of(what)
    if synth.x.modality not in TABLES:
        raise BadInput(f"the set holds {synth.x.modality}, which make no table; `show` draws them")
    return TABLES[synth.x.modality](synth, per_class=check_whole("per_class", per_class))


def set_of(what: SyntheticSet | SavedRun | str | Path) -> SyntheticSet:
    """Returns a set. `what` is the set itself, a file, a run's folder or an opened run. Raises BadInput if there is no set."""
    if isinstance(what, str | Path):
        return load_set(find_set(what))
    if isinstance(what, SavedRun):
        if what.set is None:
            raise BadInput(f"{what.folder}: the run has no set; give the folder of a finished distillation")
        return what.set
    return what
