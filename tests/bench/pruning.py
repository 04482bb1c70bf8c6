"""Knowledge distillation on pruned data: `python -m tests.bench.pruning --out DIR [--data digits] [--dry-run]`.

With `--record FILE` a finished grid becomes a table of accuracies and paired comparisons.

Fractions of the data x ways to choose them x the weight alpha of a teacher's answers x teachers of three sizes. Sets, teachers and trained
networks stay in DIR, so that the same command goes on where it was stopped. `--dry-run` counts the trainings, times one of each length, and
writes nothing.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from condense.data.load import load_data
from condense.evaluation.regimes import TEMPERATURES
from condense.evaluation.scoring import Choices, Common
from condense.evaluation.scoring import prepare as scoring
from condense.ranking.train import rank
from condense.runtime.log import duration
from condense.teachers.train import train_teachers
from condense.workflows.distill import distill
from condense.workflows.evaluate import evaluate

FRACTIONS = (0.01, 0.05, 0.1, 0.3, 0.5)
CHOICES: dict[str, dict[str, Any]] = {
    "random": {"rule": "random"},
    "el2n_hard": {"by": "el2n", "rule": "hard"},
    "el2n_easy": {"by": "el2n", "rule": "easy"},
    "forgetting": {"by": "forgetting", "rule": "hard"},
    "aum": {"by": "aum", "rule": "hard"},
    "aum_strata": {"by": "aum", "rule": "ccs"},  # nothing is dropped, so it is not CCS, which drops the hardest first
    "moderate": {"by": "moderate", "rule": "moderate"},
}
ALPHAS = (0.0, 0.5, 0.9, 1.0)
NETS = {"smaller": "convnet:width=8,depth=2", "same": "convnet:width=16,depth=2", "larger": "convnet:width=32,depth=2"}
STUDENT, SEEDS, EPOCHS, RECIPE = NETS["same"], 3, 60, "quick"


class Cell(NamedTuple):
    """One row of the grid: which set, which teacher, and its weight; without weight there is no teacher."""

    fraction: float
    choice: str
    alpha: float
    teacher: str | None

    def trainings(self, seeds: int) -> int:
        """How many networks are trained: one for each temperature that is tried, and the seeds."""
        return seeds + (len(TEMPERATURES) if self.teacher else 0)


def grid() -> Iterator[Cell]:
    """All rows; those without weight once for all teachers."""
    for fraction, choice in product(FRACTIONS, CHOICES):
        yield Cell(fraction, choice, 0.0, None)
        for alpha, teacher in product(ALPHAS[1:], NETS):
            yield Cell(fraction, choice, alpha, teacher)


def make_set(cell: Cell, data: Any, out: Path) -> Path:
    """The folder of the cell's set, made if it is not there."""
    place = out / "sets" / f"{cell.choice}-{cell.fraction:g}"
    distill("select", data, fraction=cell.fraction, net=STUDENT, ranks=out / "ranks", out=place, **CHOICES[cell.choice])
    return place


def score(cell: Cell, data: Any, out: Path, seeds: int, *, epochs: int = EPOCHS, cache: str | Path | None = None) -> dict[str, Any]:
    """Scores a set under the regime of the cell; the result is a row of `evaluate --json` with the cell's names."""
    way = {"data": data, "net": STUDENT, "recipe": RECIPE, "epochs": epochs, "seeds": seeds, "rows": "distilled"}
    taught = (
        {"regimes": "online", "alpha": cell.alpha, "teachers": out / f"teacher-{cell.teacher}"} if cell.teacher else {"regimes": "hard"}
    )
    (row,) = evaluate(make_set(cell, data, out), **way, **taught, cache=cache or out / "cells").as_json()["results"]
    return {**cell._asdict(), **row}


def prepare(data: Any, out: Path) -> None:
    """Ranks the data and trains the teachers, as far as that is not done."""
    rank(data, out / "ranks", net=STUDENT, epochs=8)
    for name, net in NETS.items():
        train_teachers(data, out / f"teacher-{name}", net=[net], epochs=15)


def seconds_of(fraction: float, data: Any) -> float:
    """How long the training of one network on a fraction takes, the compilation apart, at the classes' labels."""
    choices = Choices(data, STUDENT, 1, RECIPE, EPOCHS, "distilled", "test", None, False, None, 0, "none")
    (row,) = scoring(distill("random", data, fraction=fraction), Common(choices)).rows
    return row.worker.seconds(row.draw()(0), 1)


def preview(data: Any, seeds: int) -> list[str]:
    """What the grid takes. Teachers that answer to every view add a forward pass to a step, about half as much again."""
    cells, total, lines = list(grid()), 0.0, []
    for fraction in FRACTIONS:
        mine, one = [cell for cell in cells if cell.fraction == fraction], seconds_of(fraction, data)
        took = sum(cell.trainings(seeds) * one * (1.5 if cell.teacher else 1.0) for cell in mine)
        trainings, total = sum(cell.trainings(seeds) for cell in mine), total + took
        lines.append(f"{100 * fraction:g} %: {len(mine)} rows, {trainings:,} trainings of {one:.2f} s and more: {duration(took)}")
    return [*lines, f"{len(cells)} rows: about {duration(total)} without compilations; one ranking and {len(NETS)} teachers come before"]


def paired(differences: Iterable[float]) -> str:
    """The mean of paired differences, half the width of its 95 % interval by Student's t, the p of a two-sided t test, and how many."""
    d = np.asarray(list(differences), float)
    half = stats.sem(d) * stats.t.ppf(0.975, len(d) - 1)
    return f"{d.mean():+.1f} ± {half:.1f}, p = {stats.ttest_1samp(d, 0).pvalue:.2g}, n = {len(d)}"


def record(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Tables of a grid: accuracies in % by choice, alpha and teacher, fractions across; and paired comparisons at every fraction. Choices
    are compared seed by seed; what answers add, and teachers, over all choices."""
    found = {(r["fraction"], r["choice"], r["alpha"] or 0.0, r["teacher"]): 100 * np.asarray(r["accuracy"]) for r in rows}
    shares, taught = {f: f"{100 * f:g} %" for f in FRACTIONS}, [(a, "same") for a in ALPHAS[1:]]
    ways = [(0.0, None), *product(ALPHAS[1:], NETS)]

    def spread(accuracies):
        return [round(float(accuracies.mean()), 1), round(float(accuracies.std()), 1)]

    def across(differences):
        return {shares[f]: paired(differences(f)) for f in FRACTIONS}

    def gains(way):
        return across(lambda f: [found[f, c, *way].mean() - found[f, c, 0.0, None].mean() for c in CHOICES])

    def beside(choice, way):
        return across(lambda f: found[f, "random", *way] - found[f, choice, *way])

    def sizes(net, choices):
        return across(lambda f: [found[f, c, a, net].mean() - found[f, c, a, "same"].mean() for c in choices for a in ALPHAS[1:]])

    return {
        "answers of the teacher, against classes alone": {f"alpha {way[0]:g}": gains(way) for way in taught},
        "random against a score, without a teacher": {c: beside(c, (0.0, None)) for c in CHOICES if c != "random"},
        "random against a score, alpha 0.9": {c: beside(c, (0.9, "same")) for c in CHOICES if c != "random"},
        "another teacher, against the same network": {net: sizes(net, CHOICES) for net in NETS if net != "same"},
        "seconds of training": round(sum(r["seconds"] for r in rows)),
        "rows": [
            {"choice": c, "alpha": a, "teacher": t, **{shares[f]: spread(found[f, c, a, t]) for f in FRACTIONS}}
            for c in CHOICES
            for a, t in ways
        ],
    }


def main() -> None:
    """Runs the grid, or says what it takes."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--data", default="digits")
    flags.add_argument("--seeds", type=int, default=SEEDS)
    flags.add_argument("--dry-run", action="store_true")
    flags.add_argument("--record", type=Path)
    call = flags.parse_args()
    if call.record:
        head = json.loads(call.record.read_text()) if call.record.exists() else {}
        call.record.write_text(json.dumps(head | record(json.loads((call.out / "grid.json").read_text())), indent=1) + "\n")
        return
    data = load_data(call.data)
    if call.dry_run:
        print("\n".join(preview(data, call.seeds)))
        return
    prepare(data, call.out)
    rows = [score(cell, data, call.out, call.seeds) for cell in grid()]
    (call.out / "grid.json").write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
