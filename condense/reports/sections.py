"""The sections of a report, as plain values for its template. A section that cannot be there is a sentence that says why."""

from functools import cache
from typing import Any

import numpy as np

from condense.data.for_set import take_data
from condense.data.load import load_data
from condense.evaluation.report import head
from condense.nets import brief
from condense.plots import charts
from condense.plots.modalities import draw_set
from condense.plots.vectors import principal, table_rows
from condense.reports.commands import commands_of
from condense.reports.material import Material, Subject
from condense.reports.pictures import evolution_of, images_of, uri
from condense.runtime.log import duration
from condense.studies.compare import Comparison, Line, point_of
from condense.workflows.describe import describe
from synth.base import Split
from synth.errors import BadInput
from synth.files.memory import megabytes

LETTERS = 6_500_000  # of all pictures of a report
REAL = 500  # real vectors beside the synthetic ones
GRAPHS = 5  # graphs of a class that are drawn
MATRICES = 4  # confusion matrices of a set
HEADS = ("data", "budget", "network", "recipe", "method", "labels", "sets", "seeds", "accuracy in %", "bytes", "label bytes", "steps")
HEADS += ("seconds", "front", "better than")
Section = dict[str, Any]


def overview(found: Comparison) -> Section:
    """The table of all scores under `heads` and `rows`, the claims under `notes`, and the charts of accuracies (see `accuracy_charts` and
    `architectures`); a sentence under `missing` alone where nothing was scored."""
    if not found.lines:
        return {"missing": "No set of this report has been scored; `condense evaluate RUN` does it."}
    rows = [row_of(line) for line in found.lines]
    points = [point_of(line) for line in found.lines]
    return {"heads": HEADS, "rows": rows, "notes": found.notes(), **accuracy_charts(points), **architectures(found)}


def row_of(line: Line) -> list[tuple[Any, str]]:
    """A line of the table, a cell for each of HEADS: (value that sorts it, its text). A number that is not known is -1 with no text."""
    spread = "" if line.spread is None else f" ± {100 * line.spread:.1f}"
    sets = "fresh" if line.real else str(line.sets)
    texts = [line.data, line.budget, head(brief(line.net)), line.recipe_text(), line.name, line.labels]
    counts = [(line.sets, sets), (line.seeds, str(line.seeds)), (line.mean, f"{100 * line.mean:.1f}{spread}")]
    numbers = [line.bytes, line.label_bytes, line.steps, None if line.seconds is None else round(line.seconds, 1)]
    ends = [(int(bool(line.front)), "yes" if line.front else ""), (len(line.better), ", ".join(line.better))]
    return [*((text, text) for text in texts), *counts, *((-1 if n is None else n, "" if n is None else f"{n:,}") for n in numbers), *ends]


def accuracy_charts(points: list[dict[str, Any]]) -> Section:
    """Charts of accuracy against bytes and against steps, under `by_bytes` and `by_steps`; where no point has that number, a sentence under
    the same name with `_missing` behind. `points` are as `condense.studies.compare.point_of` gives them."""
    made: Section = {}
    for size, axis in (("bytes", "bytes of the set, labels included"), ("steps", "steps of the distillation")):
        known = [point for point in points if point[size]]
        if known:
            made[f"by_{size}"] = charts.accuracies(known, x=size, title=f"accuracy against {size}", axis=axis)
        else:
            made[f"by_{size}_missing"] = f"No scored set has known {size}, so there is no chart of accuracy against them."
    return made


def architectures(found: Comparison) -> Section:
    """The heat map of accuracies, a row a set and a column a network, under `architectures`; a sentence under `architectures_missing` where
    one network scored all."""
    if len({line.net for line in found.lines}) < 2:
        return {"architectures_missing": "One network scored the sets; `condense evaluate RUN --net NET NET` compares several."}
    several = len({line.data for line in found.lines}) > 1 or len({line.recipe_text() for line in found.lines}) > 1
    rows = [
        {
            "row": ", ".join([line.name, line.budget, *([line.data, line.recipe_text()] if several else [])]),
            "column": brief(line.net),
            "value": line.mean,
        }
        for line in found.lines
    ]
    return {"architectures": charts.heat_map(rows, title="accuracy by network", below="network", beside="set", per_cent=True)}


def validation(subjects: tuple[Subject, ...]) -> Section:
    """The validation curves of all runs in one chart, a line for each measure of a run, under `chart`; a sentence under `missing` where
    there are none."""
    columns = {
        one.name if len(found) == 1 else f"{one.name}, {name}": points
        for one in subjects
        for found in [{name: points for name, points in validation_columns(one).items() if points}]
        for name, points in found.items()
    }
    if not columns:
        return {"missing": "No run was scored on the way; `condense distill ... --eval-every N` does it."}
    return {"chart": charts.curves(columns, title="validation accuracy against steps", measure="accuracy", per_cent=True)}


def validation_columns(one: Subject) -> dict[str, list[tuple[float, float]]]:
    """(step, score) of every measure on validation examples, by its name in the run's log (`val_...`); values that are not finite are left
    out."""
    steps = one.run.metrics.get("step", np.zeros(0))
    return {name: points_of(steps, column) for name, column in one.run.metrics.items() if name.startswith("val_")}


def points_of(steps: np.ndarray, column: np.ndarray) -> list[tuple[float, float]]:
    """(step, value) of the finite values of a column."""
    return [(float(step), float(value)) for step, value in zip(steps, column, strict=True) if np.isfinite(value)]


class Page:
    """Makes the sections of runs; data are loaded once for all of them."""

    def __init__(self, material: Material) -> None:
        self.material, self.load = material, cache(load_data)
        self.room = LETTERS // max(1, len(material.subjects))

    def subject(self, one: Subject) -> Section:
        """All sections of a run, by name: `name`, `about`, `curves`, `settings`, `commands`, `confusion`, `evolution`, and that of its
        modality: `images`, `graphs` or `vectors`."""
        data, why = self.data(one)
        made = {"name": one.name, "curves": curves_of(one), "settings": settings_of(one), "commands": commands_of(one)}
        made |= {"about": describe(one.run.set).rows, "confusion": confusion_of(one)}
        modality = one.run.set.x.modality
        made |= {"images": self.images(one, data, why)} if modality == "images" else {}
        made |= {"graphs": uri(draw_set(one.run.set, per_class=GRAPHS))} if modality == "graphs" else {}
        made |= {"vectors": vectors_of(one, data, why)} if modality == "vectors" else {}
        made |= {"evolution": self.evolution(one)}
        return made

    def data(self, one: Subject) -> tuple[Any, str]:
        """The data of a run and an empty text, or None and why they are not there."""
        try:
            return take_data(one.run.set, None, load=self.load), ""
        except BadInput as error:
            return None, str(error)

    def images(self, one: Subject, data: Any, why: str) -> Section:
        """The images of a run's set with the nearest real ones. `data` and `why` are as `Page.data` gives them.

        Keys are `rows` (cards by class), the sentences `few` and `beside`, and whether there are `real` images and `soft` labels.
        """
        found = images_of(one.run.set, data, room=int(0.6 * self.room))
        few = "" if found.shown == found.count else f"{found.shown} of {found.count} images are shown."
        beside = f"No real images stand beside these: {why}" if why else f"Nearest of {found.seen:,} training images, in model space."
        soft = any(card.label for _, row in found.rows for card in row)
        return {"rows": found.rows, "few": few, "beside": beside, "real": not why, "soft": soft}

    def evolution(self, one: Subject) -> Section:
        """The frames of a run for a slider, under `frames` as (step, picture), with the `names` of their rows and whether pixels are `raw`;
        a sentence under `missing` where there are none."""
        found = evolution_of(one.run, room=int(0.4 * self.room))
        if found is None:
            return {"missing": "The run has no frames of its way: methods that choose, graphs, and runs of earlier versions have none."}
        return {"frames": found.frames, "names": found.names, "raw": one.run.set.x.modality == "images"}


def curves_of(one: Subject) -> Section:
    """Charts of a run's loss and scores on validation examples, under `loss` and `val`; where one is not there, a sentence under
    `loss_missing` or `val_missing`."""
    steps = one.run.metrics.get("step", np.zeros(0))
    loss = points_of(steps, one.run.metrics["loss"]) if "loss" in one.run.metrics else []
    made: Section = {}
    if loss:
        made["loss"] = charts.curves({"loss": loss}, title="loss", measure="loss")
    else:
        made["loss_missing"] = "The run logged no loss: its method takes one step, or has none."
    if found := {name: points for name, points in validation_columns(one).items() if points}:
        made["val"] = charts.curves(found, title="validation", measure="accuracy", per_cent=True)
    else:
        made["val_missing"] = "The run was not scored on the way; --eval-every N does it."
    return made


def confusion_of(one: Subject) -> Section:
    """Heat maps, under `charts`, of which classes networks that were trained on the set take for which: numbers of examples, summed over
    the networks of a row; at most MATRICES of them. A sentence under `missing` where no confusion matrix is kept."""
    kept = [
        (scored, report) for scored in one.evaluations for report in scored.reports if report.set_kind == "distilled" and report.confusion
    ]
    if not kept:
        return {"missing": "No confusion matrix is kept of this set; `condense evaluate RUN` keeps one where it trains networks."}
    made = []
    for scored, report in kept[:MATRICES]:
        taken, names = np.sum(np.asarray(report.confusion), 0), short_names(one.run.set.info.classes)
        few = len(names) <= charts.TEXTED
        rows = [
            {"row": names[a], "column": names[b], "value": int(taken[a, b])}
            for a in range(len(names))
            for b in range(len(names))
            if few or taken[a, b] or a == b
        ]
        title = f"{brief(report.net)}, recipe {report.recipe}, {scored.split} split, {len(report.accuracy)} networks"
        made.append(charts.heat_map(rows, title=title, below="taken for", beside="class"))
    return {"charts": made}


def short_names(classes: tuple[str, ...]) -> list[str]:
    """The names of classes, of which those that are longer than 16 letters or not unique are cut to 12 letters with the class's number
    behind, so that all differ."""
    return [name if len(name) <= 16 and classes.count(name) == 1 else f"{name[:12]} {at}" for at, name in enumerate(classes)]


def vectors_of(one: Subject, data: Any, why: str) -> Section:
    """The table of a run's vectors in raw units (`title`, `heads`, `rows`) and their projection on two principal components among at most
    REAL real ones (`chart`), with a sentence `beside`. `data` and `why` are as `Page.data` gives them."""
    synth = one.run.set
    title, heads, rows = table_rows(synth)
    x, names = np.asarray(synth.x.decode(), np.float64), short_names(synth.info.classes)
    of, kinds = [names[c] for c in np.asarray(synth.y.probs()).argmax(1)], ["synthetic"] * len(x)
    if data is not None:
        some = take_some(data.train)
        x, of = np.concatenate([x, np.asarray(some.x, np.float64)]), of + [names[int(c)] for c in some.y]
        kinds += ["real"] * len(some.y)
    places, parts = principal(x)
    axes = tuple(f"component {at}: {100 * share:.0f} % of the variance" for at, share in enumerate(parts, 1))
    chart = charts.scatter(places, of, kinds, title="principal components in model space", axes=axes)
    return {
        "title": title,
        "heads": heads,
        "rows": rows,
        "chart": chart,
        "beside": f"No real vectors stand beside these: {why}" if why else "",
    }


def take_some(split: Split) -> Any:
    """At most REAL examples of a split, at equal steps from its first to its last."""
    return split.take(np.unique(np.linspace(0, len(split.y) - 1, min(REAL, len(split.y))).astype(int)))


def settings_of(one: Subject) -> Section:
    """What the record of a run says, three dicts: its `choices`, facts of the `run` such as time and memory, and `versions`."""
    record = one.run.record
    choices = {name: value for name, value in record.get("config", {}).items() if value is not None}
    took = duration(float(record.get("wall_seconds", 0)))
    run = {"state": record.get("state"), "steps": record.get("finished"), "seed": record.get("seed"), "took": took}
    run |= {
        "memory": megabytes(float(record.get("peak_memory_bytes", 0))),
        "backend": record.get("backend"),
        "devices": record.get("devices"),
    }
    run |= {"revision": record.get("revision"), "data digest": str(record.get("data_digest"))[:12], "digest": record.get("digest")}
    return {"choices": choices, "run": run, "versions": record.get("versions", {})}
