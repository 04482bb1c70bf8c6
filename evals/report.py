"""Scores of one set under one recipe and network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

MOST_CLASSES = 100  # of a confusion matrix that is kept
Confusion = tuple[tuple[int, ...], ...]


class Report(NamedTuple):
    """Scores of one set under one recipe and network: accuracy at the LAST step, one value a seed, never a maximum over epochs.

    Reports on graphs say otherwise: there `epochs` holds the epoch of each seed, chosen on validation graphs, and `auc` areas under the ROC
    curve. `best_on_test` is for comparison with papers that report the best of several scorings on the test images: the highest accuracy of
    each seed. Nothing is chosen by it. `confusion` says for each seed how many examples of each class (rows) were taken for each class.
    """

    net: str
    recipe: str
    set_kind: str
    accuracy: tuple[float, ...]
    seconds: float
    auc: tuple[float, ...] | None = None
    epochs: tuple[int, ...] | None = None
    best_on_test: tuple[float, ...] | None = None
    confusion: tuple[Confusion, ...] | None = None

    @property
    def mean(self) -> float:
        """Mean over seeds, a fraction."""
        return float(np.mean(self.accuracy))

    @property
    def std(self) -> float:
        """Population standard deviation over seeds."""
        return float(np.std(self.accuracy))

    def area(self) -> tuple[float, float]:
        """Mean and population standard deviation of the area under the ROC curve, over seeds; NaN if areas were not measured."""
        return (float(np.mean(self.auc)), float(np.std(self.auc))) if self.auc else (float("nan"), float("nan"))

    def as_json(self) -> dict:
        """One result row of `evaluate --json`. An area that is not defined is None. Confusion matrices stay in cells."""

        def known(areas):
            return [None if np.isnan(area) else area for area in areas]

        return {
            "net": self.net,
            "recipe": self.recipe,
            "set_kind": self.set_kind,
            "accuracy": list(self.accuracy),
            "mean": self.mean,
            "std": self.std,
            "seconds": round(self.seconds, 3),
            **({} if self.auc is None else dict(zip(("auc_mean", "auc_std"), known(self.area()), strict=True), auc=known(self.auc))),
            **({} if self.epochs is None else {"epochs": list(self.epochs)}),
            **({} if self.best_on_test is None else {"best_on_test": list(self.best_on_test)}),
        }


def confusion_of(taken: Int[np.ndarray, "seeds c c"]) -> tuple[Confusion, ...] | None:
    """Confusion matrices as a report holds them; None where there are too many classes to keep them."""
    if taken.shape[1] > MOST_CLASSES:
        return None
    return tuple(tuple(map(tuple, matrix)) for matrix in taken.tolist())


def join(reports: Sequence[Report], seeds: int) -> Report:
    """One report on the first `seeds` networks of several reports, which follow each other; the seconds are those of all."""

    def all_of(name: str) -> tuple | None:
        values = [getattr(report, name) for report in reports]
        return None if values[0] is None else tuple(value for part in values for value in part)[:seeds]

    each = {name: all_of(name) for name in ("accuracy", "auc", "epochs", "best_on_test", "confusion")}
    return reports[0]._replace(**each, seconds=sum(report.seconds for report in reports))
