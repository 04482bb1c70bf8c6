"""The grid of knowledge distillation on pruned data: what it holds, counted by hand."""

import numpy as np
import pytest
from scipy import stats

from tests.bench.pruning import ALPHAS, CHOICES, FRACTIONS, NETS, grid, paired, record


def test_the_grid_holds_every_row_once_and_those_without_weight_once_for_all_teachers():
    cells = list(grid())
    assert (len(FRACTIONS), len(CHOICES), len(ALPHAS), len(NETS)) == (5, 7, 4, 3)
    assert len(cells) == len(set(cells)) == 5 * 7 * (1 + 3 * 3)
    assert sum(cell.trainings(3) for cell in cells) == 5 * 7 * (3 + 9 * (3 + 3)), "three temperatures are tried first"
    assert {cell.teacher for cell in cells if cell.alpha == 0} == {None}


def test_a_paired_comparison_is_the_textbooks():
    """Against the test of two related samples."""
    a, b = np.random.default_rng(0).normal(((0.5,), (0.0,)), 1, (2, 9))
    known = stats.ttest_rel(a, b)
    low, high = known.confidence_interval(0.95)
    assert paired(a - b) == f"{(a - b).mean():+.1f} ± {(high - low) / 2:.1f}, p = {known.pvalue:.2g}, n = 9"


def test_a_record_compares_like_with_like():
    """Accuracies that are sums of what each choice, weight and teacher is worth give these differences."""
    worth = {None: 0.0, "same": 0.0, "smaller": -0.02, "larger": 0.03}
    rows = []
    for number, cell in enumerate(grid()):
        base = 0.3 + cell.fraction / 2 + 0.1 * (cell.choice == "random") + 0.1 * cell.alpha + worth[cell.teacher]
        noise = np.random.default_rng(number).normal(0, 1e-4, 3)
        rows.append({**cell._asdict(), "alpha": cell.alpha or None, "accuracy": [*(base + noise)], "seconds": 1})
    found = record(rows)
    assert found["answers of the teacher, against classes alone"]["alpha 0.5"]["10 %"].startswith("+5.0 ±")
    assert found["random against a score, without a teacher"]["aum_strata"]["1 %"].startswith("+10.0 ±")
    assert found["another teacher, against the same network"]["larger"]["50 %"].startswith("+3.0 ±")
    assert found["another teacher, against the same network"]["smaller"]["5 %"].startswith("-2.0 ±")
    assert found["seconds of training"] == len(found["rows"]) * len(FRACTIONS) == 350
    (row,) = (row for row in found["rows"] if (row["choice"], row["alpha"], row["teacher"]) == ("random", 1.0, "larger"))
    assert row["30 %"] == [pytest.approx(68.0, abs=0.1), 0.0]
