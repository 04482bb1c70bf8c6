"""Scores of one set under one recipe and network."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from evals.spread import Spread

MOST_CLASSES = 100  # of a confusion matrix that is kept
Confusion = tuple[tuple[int, ...], ...]


class Labelling(NamedTuple):
    """How a row was labelled, where a table compares label regimes, and for how long networks learned from it.

    Args:
      regime: its name. steps: of the optimiser. bytes: of the labels.
      alpha, temperature: weight and temperature of the teachers' answers; None where no teacher takes part, and the weight where the
        recipe has a loss of its own on them.
      teacher_bytes: of the teachers, where networks cannot train without them.
      alpha_chosen: whether validation examples chose the weight.
    """

    regime: str
    steps: int
    bytes: int
    alpha: float | None = None
    temperature: float | None = None
    teacher_bytes: int = 0
    alpha_chosen: bool = False

    def as_json(self) -> dict:
        """The fields of a result row of `evaluate --json`: `labels` (the regime), `alpha`, `temperature`, `steps`, `label_bytes` and
        `teacher_bytes`; and `alpha_chosen`, true, where validation examples chose the weight."""
        fields = {"labels": self.regime, "alpha": self.alpha, "temperature": self.temperature, "steps": self.steps}
        chosen = {"alpha_chosen": True} if self.alpha_chosen and self.alpha is not None else {}
        return {**fields, **chosen, "label_bytes": self.bytes, "teacher_bytes": self.teacher_bytes}


class Report(NamedTuple):
    """Scores of one set under one recipe and network: accuracy at the LAST step, one value a seed in [0, 1], never a maximum over epochs.

    `set_kind` is the row of a table that the set is in, such as `distilled`, and `seconds` is what all seeds took together.

    Reports on graphs say otherwise: there `epochs` holds the epoch of each seed, chosen on validation graphs, and `auc` areas under the ROC
    curve. `best_on_test` is for comparison with papers that report the best of several scorings on the test images: the highest accuracy of
    each seed. Nothing is chosen by it. `confusion` says for each seed how many examples of each class (rows) were taken for each class.
    `labelling` says how the row was labelled, `augmentation` what mini-batches went through, and `step_size` which one validation chose,
    where a table compares these. `curve` holds for each seed the accuracies of the scorings that `best_on_test` is the highest of, and
    `curve_steps` the optimiser steps before each. `spread` holds coverage and diversity of the row's examples, where a call asks for them.
    `waited` is how many of the seconds networks waited for examples that are read block by block. `score` is the full name of the score of
    examples by which the row chooses, where it reads one.
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
    curve: tuple[tuple[float, ...], ...] | None = None
    curve_steps: tuple[int, ...] | None = None
    labelling: Labelling | None = None
    augmentation: str | None = None
    step_size: float | None = None
    spread: Spread | None = None
    waited: float | None = None
    score: str | None = None

    @property
    def mean(self) -> float:
        """Mean of `accuracy` over seeds, a fraction."""
        return float(np.mean(self.accuracy))

    @property
    def std(self) -> float:
        """Population standard deviation of `accuracy` over seeds, a fraction."""
        return float(np.std(self.accuracy))

    def per_class(self) -> Float[np.ndarray, " c"] | None:
        """The fraction of the examples of every class that networks classify right, the mean over seeds; None where no confusion matrix is
        kept, NaN for a class without examples."""
        return None if self.confusion is None else class_accuracies(np.asarray(self.confusion))

    def classes_as_json(self) -> dict:
        """`per_class` and `confusion` for JSON; call it where a confusion matrix is kept."""
        mean = class_accuracies(np.asarray(self.confusion)).tolist()
        matrices = [[list(row) for row in matrix] for matrix in self.confusion or ()]
        return {"per_class": [None if np.isnan(one) else one for one in mean], "confusion": matrices}

    def area(self) -> tuple[float, float]:
        """Mean and population standard deviation of the area under the ROC curve, over seeds; NaN if areas were not measured."""
        return (float(np.mean(self.auc)), float(np.std(self.auc))) if self.auc else (float("nan"), float("nan"))

    def as_json(self, *, per_class: bool = False) -> dict:
        """One result row of `evaluate --json`. Fields that are None are left out, and an area that is not defined is None.

        With `per_class` it holds `per_class`, the mean accuracy of every class, None for one without examples, and `confusion`, a matrix
        for each seed; both are left out where no matrix is kept.
        """

        def known(areas):
            return [None if np.isnan(area) else area for area in areas]

        return {
            "net": self.net,
            "recipe": self.recipe,
            "set_kind": self.set_kind,
            **({} if self.labelling is None else self.labelling.as_json()),
            **{name: value for name in ("score", "augmentation", "step_size") if (value := getattr(self, name)) is not None},
            **({} if self.spread is None else known_numbers(self.spread._asdict())),
            "accuracy": list(self.accuracy),
            "mean": self.mean,
            "std": self.std,
            "seconds": round(self.seconds, 3),
            **({} if self.auc is None else dict(zip(("auc_mean", "auc_std"), known(self.area()), strict=True), auc=known(self.auc))),
            **({} if self.epochs is None else {"epochs": list(self.epochs)}),
            **({} if self.best_on_test is None else {"best_on_test": list(self.best_on_test)}),
            **(self.classes_as_json() if per_class and self.confusion is not None else {}),
            **({} if self.curve is None else {"curve": {"steps": list(self.curve_steps), "accuracy": [list(one) for one in self.curve]}}),
        }


def known_numbers(values: dict[str, float]) -> dict[str, float | None]:
    """Numbers by name for JSON, which has no NaN: None stands in its place."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}


def class_accuracies(taken: Int[np.ndarray, "seeds c c"]) -> Float[np.ndarray, " c"]:
    """The share of every class (row) that is on the diagonal, the mean over the matrices of all seeds; NaN for a class without examples.
    `taken` says how many examples of each class (rows) were taken for each class (columns)."""
    sizes, right = taken.sum(-1), np.diagonal(taken, axis1=-2, axis2=-1)
    return np.where(sizes > 0, right / np.maximum(sizes, 1), np.nan).mean(0)


def confusion_of(taken: Int[np.ndarray, "seeds c c"]) -> tuple[Confusion, ...] | None:
    """Confusion matrices as a report holds them: tuples of tuples, one matrix a seed; None where there are more than 100 classes, too many
    to keep them."""
    if taken.shape[1] > MOST_CLASSES:
        return None
    return tuple(tuple(map(tuple, matrix)) for matrix in taken.tolist())


def join(reports: Sequence[Report], seeds: int) -> Report:
    """One report on the first `seeds` networks of several reports, whose networks follow each other. The seconds are sums over all; what
    is not told network by network is that of the first report."""

    def all_of(name: str) -> tuple | None:
        values = [getattr(report, name) for report in reports]
        return None if values[0] is None else tuple(value for part in values for value in part)[:seeds]

    each = {name: all_of(name) for name in ("accuracy", "auc", "epochs", "best_on_test", "confusion", "curve")}
    waited = None if reports[0].waited is None else sum(report.waited or 0.0 for report in reports)
    return reports[0]._replace(**each, seconds=sum(report.seconds for report in reports), waited=waited)
