"""The result of an evaluation, as JSON and as a table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from rich.text import Text

from condense.evaluation.summaries import caption, dd_ranking, over_augmentations
from condense.nets import brief
from condense.plots.charts import Plot, bars
from condense.plots.tables import WholeTable
from evals.listed import LISTED
from evals.report import Report

MEASURES = {"accuracy": "accuracy", "auc": "ROC-AUC"}  # by which recipes choose an epoch, as tables name it


class Evaluation(NamedTuple):
    """The scores of one set: a report for every network and row, and the data and budget that they belong to.

    Args:
      set: the set's file; empty for a value.
      spec, digest: of the data, and of its contents. split: the part that networks are scored on, `test` or `val`.
      ipc: examples a class; None where the budget was another.
      bytes: of the set: `content`, `labels`, their `total`, `preprocessing` and `file`, as `evals.storage.count_bytes` counts them.
      reports: network by network, row by row.
      seed: of the networks and draws.
      modality: what the examples are: `images`, `graphs` or `vectors`.
      majority: for graphs, the fraction of the scored examples that are of the commonest training class; else None.
      drawn: how the test split was drawn, where the data came without one; else empty.
      classes: their names.
    """

    set: str
    spec: str
    digest: str
    split: str
    ipc: int | None
    bytes: dict[str, int | None]
    reports: tuple[Report, ...]
    seed: int = 0
    modality: str = "images"
    majority: float | None = None
    drawn: str = ""
    classes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Evaluation({shown_set(self.set) or 'a set'} on {self.spec}, recipe {self.reports[0].recipe}: {self.in_short()})"

    def in_short(self) -> str:
        """The mean accuracies of the rows of the first network, as in `distilled 92.4 %, random 66.6 %`; dots stand for more networks."""
        first, nets = self.reports[0], len({report.net for report in self.reports})
        scores = ", ".join(f"{report.set_kind} {100 * report.mean:.1f} %" for report in self.reports if report.net == first.net)
        return scores + " ..." * (nets > 1)

    def plot(self) -> Plot:
        """A chart of all rows by network, with their spread over seeds. Raises BadInput where the extra `report` is not installed."""
        return Plot(bars(bar_rows(self.reports), title=self.title([self.budget_text()])))

    def budget_text(self) -> str:
        """The set's size in words, as in `10 a class` where that is its budget, else as in `12,345 bytes`, labels included."""
        return f"{self.ipc} a class" if self.ipc else f"{self.bytes['total']:,} bytes"

    @property
    def chosen(self) -> str:
        """The examples by which the epoch of every network was chosen, in words, as in `validation graphs`; empty if all networks are
        scored at the last epoch."""
        return f"validation {self.modality}" if any(report.epochs for report in self.reports) else ""

    @property
    def chosen_by(self) -> str:
        """By which measure of validation examples epochs were chosen: `accuracy`, `ROC-AUC`, or both joined by `or`, as the recipes of the
        rows say; empty if all networks are scored at the last epoch."""
        plain = [LISTED.get(report.recipe.partition(":")[0]) for report in self.reports if report.epochs]
        return " or ".join(dict.fromkeys(MEASURES[listed.settings.get("choose", "accuracy") if listed else "accuracy"] for listed in plain))

    def as_json(self, *, per_class: bool = False) -> dict[str, Any]:
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std the population's; scores on val say so.

        With `per_class`, as of `evaluate --per-class`, it names the `classes`, and rows hold `per_class` and `confusion`.

        Where epochs are chosen on validation examples, `selection` says it, and every row holds `epochs`, the epoch of each seed, and `auc`
        of each seed with its mean and std.
        """
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest, **({"test": self.drawn} if self.drawn else {})},
            **({} if self.split == "test" else {"split": self.split}),
            "seed": self.seed,
            "ipc": self.ipc,
            "bytes": self.bytes,
            **({"selection": f"epoch with the best {self.chosen_by} on {self.chosen}"} if self.chosen else {}),
            **({} if self.majority is None else {"majority": self.majority}),
            **({"classes": list(self.classes)} if per_class else {}),
            "results": [report.as_json(per_class=per_class) for report in self.reports],
            **({"dd_ranking": found} if (found := dd_ranking(self.reports)) else {}),
            **({"over_augmentations": found} if (found := over_augmentations(self.reports)) else {}),
        }

    def table(self) -> WholeTable:
        """Rows by set kind, a column a network: accuracy, and area under the ROC curve where there is one, in per cent with the
        population's standard deviation."""
        budget = f"{self.ipc} a class" if self.ipc else ""
        columns = _labels_head(self.reports)
        table, names = _empty_table(self, self.reports, [budget, f"{self.bytes['total']:,} bytes"], columns)
        for line in self.lines():
            table.add_row(_kind(line, self.reports[0].recipe), *_labels(line, columns), *_cells(line, names))
        table.caption = caption(self.reports)
        return table

    def per_class(self) -> WholeTable:
        """A line for every class, a column for every network and row: accuracy in per cent, the mean over seeds, empty for a class without
        examples. Rows of which no confusion matrix is kept are left out."""
        known = [report for report in self.reports if report.confusion]
        table = WholeTable("class", title=f"{self.spec}, {self.split} accuracy of every class in %, recipe {self.reports[0].recipe}")
        for report in known:
            table.add_column(Text(f"{_row(report)}, {brief(report.net)}"), justify="right")
        each = [report.per_class() for report in known]
        for number, name in enumerate(self.classes):
            table.add_row(Text(name), *("" if np.isnan(one[number]) else f"{100 * one[number]:.1f}" for one in each))
        return table

    def lines(self) -> list[tuple[Report, ...]]:
        """The reports of each row of the table, one tuple a row with a report for every network. A row is one kind of examples under one
        label regime and augmentation."""
        rows: dict[tuple, list[Report]] = {}
        for report in self.reports:
            rows.setdefault((report.set_kind, report.labelling and report.labelling.regime, report.augmentation), []).append(report)
        return [tuple(row) for row in rows.values()]

    def title(self, sizes: Sequence[str]) -> str:
        """The heading of a table: the data and what is measured, how many seeds, the recipe of the first report, sizes, and notes.

        Args:
          sizes: texts about the set's size, at least one; empty ones are left out. Where epochs were chosen, words about that replace the
            first.
        """
        first = self.reports[0]
        measured = "accuracy" if first.auc is None else "accuracy / ROC-AUC"
        parts = [
            f"{self.spec}, {self.split} {measured} in %",
            f"{len(first.accuracy)} seed{'s' * (len(first.accuracy) > 1)}",
            f"recipe {first.recipe}",
        ]
        parts += [f"epoch chosen on {self.chosen}" if self.chosen else sizes[0], *sizes[1:]]
        notes = [", ".join(part for part in parts if part)]
        if self.majority is not None:
            notes.append(f"commonest training class {100 * self.majority:.1f}")
        if first.best_on_test is not None:
            notes.append(f"best: the highest of all scorings on the test {self.modality}, chosen on them")
        if asked := next((report.labelling for report in self.reports if report.labelling and report.labelling.alpha is not None), None):
            notes.append("alpha chosen on validation" if asked.alpha_chosen else f"alpha {asked.alpha:g}")
        scored = {report.set_kind: report.score for report in self.reports if report.score}
        notes += [f"{' and '.join(scored)} by {' and '.join(dict.fromkeys(scored.values()))}"] if scored else []
        notes += ["step sizes chosen on validation"] if any(report.step_size is not None for report in self.reports) else []
        notes += [f"test: {self.drawn}"] if self.drawn else []
        return "; ".join(notes)


class Evaluations(NamedTuple):
    """The scores of several sets, an `Evaluation` each, in the order of the call."""

    sets: tuple[Evaluation, ...]

    def __repr__(self) -> str:
        return f"Evaluations({', '.join(map(repr, self.sets))})"

    def plot(self) -> Plot:
        """A chart of all sets and rows by network. Raises BadInput where the extra `report` is not installed."""
        rows = []
        for number, one in enumerate(self.sets, 1):
            name = shown_set(one.set) or f"set {number}"
            rows += [{**row, "row": f"{name}, {row['row']}"} for row in bar_rows(one.reports)]
        return Plot(bars(rows, title=self.sets[0].title([""])))

    @property
    def reports(self) -> tuple[Report, ...]:
        """The reports of all sets in one sequence; real rows stand there once for every set."""
        return tuple(report for one in self.sets for report in one.reports)

    def as_json(self, *, per_class: bool = False) -> list[dict[str, Any]]:
        """The documents of the sets, each as if that set had been evaluated alone."""
        return [one.as_json(per_class=per_class) for one in self.sets]

    def table(self) -> WholeTable:
        """Rows by set, each with its bytes, then the rows of real examples with the set or sets that they stand beside; a column a network.

        Real examples whose scores are the same trainings for several sets are one row."""
        columns = _labels_head(self.reports)
        table, names = _empty_table(self.sets[0], self.reports, [""], ["set", "bytes", *columns])
        beside: dict[str, tuple[tuple[Report, ...], list[str]]] = {}
        recipe = self.reports[0].recipe
        for number, one in enumerate(self.sets, 1):
            name = shown_set(one.set) or f"set {number}"
            for line in one.lines():
                if line[0].set_kind == "distilled":
                    table.add_row(_kind(line, recipe), Text(name), f"{one.bytes['total']:,}", *_labels(line, columns), *_cells(line, names))
                else:  # the same trainings agree even in their seconds
                    beside.setdefault(repr(line), (line, []))[1].append(name)
        for line, sets in beside.values():
            which = "beside all" if len(sets) == len(self.sets) else f"beside {', '.join(sets)}"
            table.add_row(_kind(line, recipe), Text(which), "", *_labels(line, columns), *_cells(line, names))
        return table


def bar_rows(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Reports as the rows of a chart: dicts with `row` and `net` as texts, `mean`, and `low` and `high`, a standard deviation below and
    above it; all three are fractions."""
    of = {"mean": lambda one: one.mean, "low": lambda one: one.mean - one.std, "high": lambda one: one.mean + one.std}
    return [{"row": _row(one), "net": brief(one.net), **{name: value(one) for name, value in of.items()}} for one in reports]


def _row(report: Report) -> str:
    """The name of a row in a chart."""
    words = report.set_kind, report.labelling and report.labelling.regime, report.augmentation
    return ", ".join(word for word in words if word)


def _labels_head(reports: Sequence[Report]) -> list[str]:
    """The columns that a table of label regimes or augmentations has beside others."""
    labels = ["labels", "label bytes", "steps"] if any(report.labelling for report in reports) else []
    labels += ["alpha"] if any(report.labelling and report.labelling.alpha_chosen for report in reports) else []
    labels += ["augmentation"] if any(report.augmentation for report in reports) else []
    return labels + (["coverage", "diversity"] if any(report.spread for report in reports) else [])


def _labels(line: Sequence[Report], columns: Sequence[str]) -> list[str]:
    """The cells of a row in these columns. Teachers that must answer while networks train count apart."""
    how, cells = line[0].labelling, {"augmentation": line[0].augmentation or ""}
    if how is not None:
        teachers = f" + teachers {how.teacher_bytes:,}" if how.teacher_bytes else ""
        weights = dict.fromkeys(f"{one.labelling.alpha:g}" for one in line if one.labelling and one.labelling.alpha is not None)
        cells |= {"alpha": ", ".join(weights), "labels": how.regime, "label bytes": f"{how.bytes:,}{teachers}", "steps": f"{how.steps:,}"}
    if line[0].spread is not None:
        cells |= {"coverage": f"{100 * line[0].spread.coverage:.1f}", "diversity": f"{line[0].spread.diversity:.2f}"}
    return [cells.get(name, "") for name in columns]


def shown_set(path: str) -> str:
    """A short name of a set's file: the folder where the file is called `set.npz`, else the path as it is."""
    return str(Path(path).parent) if Path(path).name == "set.npz" and path != "set.npz" else path


def _empty_table(
    first: Evaluation, reports: Sequence[Report], sizes: Sequence[str], columns: Sequence[str]
) -> tuple[WholeTable, list[str]]:
    """A table without rows, with a column a network behind `columns`, and the networks' names."""
    names = list(dict.fromkeys(report.net for report in reports))
    table = WholeTable(first.modality, title=first.title(sizes))
    for column in columns:
        table.add_column(column, justify="left" if column in ("set", "labels", "augmentation") else "right")
    for name in names:
        table.add_column(Text(head(name)), justify="right")
    return table, names


def _kind(line: Sequence[Report], recipe: str) -> str:
    """The kind of a row, with its recipe where that is not the table's."""
    return line[0].set_kind if line[0].recipe == recipe else f"{line[0].set_kind} (recipe {line[0].recipe})"


def _cells(line: Sequence[Report], names: Sequence[str]) -> list[str]:
    """The cells of a row under the networks `names`; empty where a network did not score it."""
    at = {report.net: report for report in line}
    return [_cell(at[name]) if name in at else "" for name in names]


def _cell(report: Report) -> str:
    scores = len(report.accuracy)
    text = per_cent(report.mean, report.std, scores)
    text += "" if report.auc is None else f" / {per_cent(*report.area(), scores)}"
    best = report.best_on_test
    return text if best is None else f"{text} (best {per_cent(np.mean(best), np.std(best), scores)})"


def per_cent(mean: float, std: float, scores: int) -> str:
    """Fractions as text in per cent with one decimal, as in `71.3 ± 0.4`; without the deviation where there is one score (`scores`)."""
    return f"{100 * mean:.1f}" + f" ± {100 * std:.1f}" * (scores > 1)


def head(name: str) -> str:
    """A network's specification as the head of a column: with a space behind each comma, so that lines break there."""
    return ", ".join(name.split(","))
