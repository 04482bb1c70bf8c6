"""Reads the folders of runs, and draws sets."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from PIL import Image
from rich.table import Table

from condense.data.for_set import find_set, take_data
from condense.data.neighbours import find_nearest
from condense.plots import charts
from condense.plots.charts import Plot
from condense.plots.explorer import explorer
from condense.plots.frames import find_frames
from condense.plots.images import draw_grid
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

    def __repr__(self) -> str:
        config = self.record.get("config", {})
        method = config.get("method", "a training")
        return f"SavedRun({self.folder}: {method} of {config.get('data', 'data')}, {self.record.get('state', 'unknown')})"

    def plot(self) -> Plot:
        """Charts of the loss and of what was scored on validation examples, over steps.

        Raises BadInput where nothing was logged, and where the extra `report` is not installed.
        """
        curves = self.curves()
        if not curves:
            raise BadInput(f"{self.folder}: the run logged nothing that has a curve")
        specs = []
        for name, points in curves.items():
            share = name.startswith("val")
            specs.append(charts.curves({name: points}, title=name.replace("_", " "), measure=name, per_cent=share))
        return Plot(specs[0] if len(specs) == 1 else charts.side_by_side(specs))

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """The points (step, value) of the loss and of every measure on validation examples, by name: `loss`, and names that begin with
        `val`. Values that are not finite are left out, and so are names without any other."""
        steps = self.metrics.get("step", np.zeros(0))
        names = [name for name in self.metrics if name == "loss" or name.startswith("val")]
        found = {
            name: [(float(step), float(value)) for step, value in zip(steps, self.metrics[name], strict=True) if np.isfinite(value)]
            for name in names
        }
        return {name: points for name, points in found.items() if points}

    def explore(self) -> Any:
        """A widget for Jupyter: the set at each step under a slider, and the metrics there. Raises BadInput where the run has no frames,
        and where the extra `notebook` is not installed."""
        if not (frames := find_frames(self.folder)):
            raise BadInput(f"{self.folder}: the run has no frames of its way")
        made = self.set
        image = made.x.decode().shape[1:3] if made is not None and made.x.modality == "images" else None
        return explorer(frames, self.curves(), image=image)


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
    """Reads the columns of a log by name, a number for each line of the file in order; NaN where a line has no such number, or null. It is
    empty if there is no file. A last line that was cut off while it was written is left out.

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


def show(what: SyntheticSet | SavedRun | str | Path, *, per_class: int = 10, stretch: bool = False, nearest: bool = False) -> Image.Image:
    """Draws a set, a row for every class. Jupyter displays the picture where the call ends a cell.

    Args:
      what: a set, its file, a run's folder, or an opened run.
      per_class: images, trees or graphs a row (>= 1).
      stretch: whether every image uses its own range, from black to white; shows faint ones.
      nearest: whether the nearest real training image stands below every image, by distance in model space.

    Example:
      >>> import condense
      >>> condense.show(condense.distill("random", "digits", ipc=2)).mode
      'RGB'

    Raises BadInput where there is no set to draw, for `stretch` on graphs, and for `nearest` where the data are not there or are no images.
    """
    synth, per_class = set_of(what), check_whole("per_class", per_class)
    if not nearest:
        return draw_set(synth, per_class=per_class, stretch=stretch)
    if synth.x.modality != "images":
        raise BadInput(f"--nearest: is for images, and the set holds {synth.x.modality}; leave it out")
    train: Any = take_data(synth, None).train  # images, as the set is of images

    def find(index: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n h w c"]:
        found = find_nearest(np.asarray(synth.x.decode(), np.float32)[index], train, count=1)
        return np.asarray(train.take(found.index[:, 0]).x, np.float32)

    return draw_grid(synth, per_class=per_class, stretch=stretch, below=find)


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
