"""What an evaluation on graphs says, as JSON and as a table."""

from typing import Any, NamedTuple

import numpy as np
from rich.table import Table
from rich.text import Text

from evals.report import Report


class GraphEvaluation(NamedTuple):
    """Reports of one set, one a network and row, with what they were measured on and how often the commonest training class is right."""

    set: str
    spec: str
    digest: str
    split: str
    ipc: int | None
    bytes: dict[str, int | None]
    reports: tuple[Report, ...]
    majority: float
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`: as for images, and of every row `auc` a seed with its mean and std, and `epochs`, the epoch
        of each seed that was best on validation graphs."""
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            **({} if self.split == "test" else {"split": self.split}),
            "seed": self.seed,
            "ipc": self.ipc,
            "bytes": self.bytes,
            "selection": "epoch with the best accuracy on validation graphs",
            "majority": self.majority,
            "results": [report.as_json() for report in self.reports],
        }

    def table(self) -> Table:
        """Rows by set kind, a column a network: accuracy and area under the ROC curve in per cent, mean ± population std."""
        names = list(dict.fromkeys(report.net for report in self.reports))
        at = {(report.set_kind, report.net): report for report in self.reports}
        first = self.reports[0]
        title = f"{self.spec}, {self.split} accuracy / ROC-AUC in %, {len(first.accuracy)} seeds, recipe {first.recipe}"
        title += f", epoch chosen on validation graphs, {self.bytes['total']:,} bytes; commonest training class {100 * self.majority:.1f}"
        table = Table(title=Text(title))
        table.add_column("graphs")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for kind in dict.fromkeys(report.set_kind for report in self.reports):
            cells = [at[kind, name] for name in names]
            label = kind if cells[0].recipe == first.recipe else f"{kind} (recipe {cells[0].recipe})"
            table.add_row(label, *(f"{_per_cent(cell.mean, cell.std)} / {_per_cent(*cell.area())}" for cell in cells))
        return table


def _per_cent(mean: float, std: float) -> str:
    return f"{100 * mean:.1f} ± {100 * std:.1f}"


class Evaluation(NamedTuple):
    """Reports of one set, one a network and row, with what they were measured on."""

    set: str
    spec: str
    digest: str
    split: str
    ipc: int | None
    bytes: dict[str, int | None]
    reports: tuple[Report, ...]
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std the population's; scores on val say so. `seed` is of
        the networks and draws."""
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            **({} if self.split == "test" else {"split": self.split}),
            "seed": self.seed,
            "ipc": self.ipc,
            "bytes": self.bytes,
            "results": [report.as_json() for report in self.reports],
        }

    def table(self) -> Table:
        """Rows by set kind, a column a network, accuracies in per cent with the population's standard deviation."""
        names = list(dict.fromkeys(report.net for report in self.reports))
        kinds = list(dict.fromkeys(report.set_kind for report in self.reports))
        at = {(report.set_kind, report.net): report for report in self.reports}
        first = self.reports[0]
        title = f"{self.spec}, {self.split} accuracy in %, {len(first.accuracy)} seeds, recipe {first.recipe}"
        title += (f", {self.ipc} a class" if self.ipc else "") + f", {self.bytes['total']:,} bytes"
        title += "" if first.best_on_test is None else "; best: the highest of all scorings on the test images, chosen on them"
        table = Table(title=Text(title))  # as text, because a path may hold what rich takes for markup
        table.add_column("images")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for kind in kinds:
            cells = [at[kind, name] for name in names]
            label = kind if cells[0].recipe == first.recipe else f"{kind} (recipe {cells[0].recipe})"
            table.add_row(label, *map(_cell, cells))
        return table


def _cell(report: Report) -> str:
    said = f"{100 * report.mean:.1f} ± {100 * report.std:.1f}"
    best = report.best_on_test
    return said if best is None else f"{said} (best {100 * np.mean(best):.1f} ± {100 * np.std(best):.1f})"
