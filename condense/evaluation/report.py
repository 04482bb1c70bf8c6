"""The result of an evaluation, as JSON and as a table."""

from typing import Any, NamedTuple

import numpy as np
from rich.table import Table
from rich.text import Text

from evals.report import Report


class Evaluation(NamedTuple):
    """The scores of one set: a report for every network and row, and the data and budget that they belong to.

    Args:
      set, spec, digest, split: the set's file, the data and its part that networks are scored on.
      ipc: examples a class; None where the budget was another.
      bytes: as `evals.storage.count_bytes` counts them.
      reports: network by network, row by row.
      seed: of the networks and draws.
      modality: what the examples are.
      majority: how often the commonest training class is right, where reports say that.
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

    @property
    def chosen(self) -> str:
        """The split that chose the epoch of every network; empty if all networks are scored at the last epoch."""
        return f"validation {self.modality}" if any(report.epochs for report in self.reports) else ""

    def as_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std the population's; scores on val say so.

        Where epochs are chosen on validation examples, `selection` says it, and every row holds `epochs`, the epoch of each seed, and `auc`
        of each seed with its mean and std.
        """
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            **({} if self.split == "test" else {"split": self.split}),
            "seed": self.seed,
            "ipc": self.ipc,
            "bytes": self.bytes,
            **({"selection": f"epoch with the best accuracy on {self.chosen}"} if self.chosen else {}),
            **({} if self.majority is None else {"majority": self.majority}),
            "results": [report.as_json() for report in self.reports],
        }

    def table(self) -> Table:
        """Rows by set kind, a column a network: accuracy, and area under the ROC curve where there is one, in per cent with the
        population's standard deviation."""
        names = list(dict.fromkeys(report.net for report in self.reports))
        at = {(report.set_kind, report.net): report for report in self.reports}
        first = self.reports[0]
        table = Table(title=Text(self._title(first)))  # as text, because a path may hold what rich takes for markup
        table.add_column(self.modality)
        for name in names:
            table.add_column(Text(head(name)), justify="right", overflow="fold")
        for kind in dict.fromkeys(report.set_kind for report in self.reports):
            cells = [at[kind, name] for name in names]
            label = kind if cells[0].recipe == first.recipe else f"{kind} (recipe {cells[0].recipe})"
            table.add_row(label, *map(_cell, cells))
        return table

    def _title(self, first: Report) -> str:
        """What is measured, on how many seeds under which recipe, what chose the epoch or else the budget, bytes, and notes."""
        measured = "accuracy" if first.auc is None else "accuracy / ROC-AUC"
        parts = [
            f"{self.spec}, {self.split} {measured} in %",
            f"{len(first.accuracy)} seed{'s' * (len(first.accuracy) > 1)}",
            f"recipe {first.recipe}",
        ]
        budget = f"{self.ipc} a class" if self.ipc else ""
        parts += [f"epoch chosen on {self.chosen}" if self.chosen else budget, f"{self.bytes['total']:,} bytes"]
        notes = [", ".join(part for part in parts if part)]
        if self.majority is not None:
            notes.append(f"commonest training class {100 * self.majority:.1f}")
        if first.best_on_test is not None:
            notes.append(f"best: the highest of all scorings on the test {self.modality}, chosen on them")
        return "; ".join(notes)


def _cell(report: Report) -> str:
    scores = len(report.accuracy)
    text = per_cent(report.mean, report.std, scores)
    text += "" if report.auc is None else f" / {per_cent(*report.area(), scores)}"
    best = report.best_on_test
    return text if best is None else f"{text} (best {per_cent(np.mean(best), np.std(best), scores)})"


def per_cent(mean: float, std: float, scores: int) -> str:
    """A mean with its deviation, which one score alone has not."""
    return f"{100 * mean:.1f}" + f" ± {100 * std:.1f}" * (scores > 1)


def head(name: str) -> str:
    """A specification as the head of a column: it breaks behind commas, not within an option."""
    return ", ".join(name.split(","))
