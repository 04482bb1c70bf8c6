"""The second computation of DD-Ranking's scores, from the accuracies of a table: beside the first one, and a number by hand."""

import math
from itertools import product

import pytest

from condense.evaluation.summaries import dd_ranking
from evals.report import Labelling, Report
from tests.bench.dd_ranking import by_hand, table_rows


def reports() -> list[Report]:
    """Rows as a table has them, with accuracies that all differ."""
    rows = [("full", "hard", None), *product(("distilled", "random"), ("hard", "soft"), ("none", "dsa"))]
    means = (0.9, 0.6, 0.65, 0.7, 0.8, 0.45, 0.5, 0.55, 0.52)
    row = Report("convnet", "quick", "", (), 1.0)
    return [
        row._replace(set_kind=kind, labelling=Labelling(regime, steps=100, bytes=0), augmentation=way, accuracy=(mean - 0.01, mean + 0.01))
        for (kind, regime, way), mean in zip(rows, means, strict=True)
    ]


def test_the_two_computations_agree_and_the_table_has_their_numbers():
    made = {"results": [one.as_json() for one in reports()], "dd_ranking": dd_ranking(reports())}
    *_, last = table_rows("dm", made)
    s = lambda a: (math.exp(a) - math.exp(-1)) / (math.e - math.exp(-1))  # noqa: E731
    expected = {"set": 80.0, "random": 52.0, "hlr": 0.25, "ior": 0.28, "lrs": s(0.015), "ars": s((0.28 + 0.15) / 2)}
    assert last == {"method": "dm", "labels": "soft", "augmentation": "dsa"} | {k: pytest.approx(v, abs=5e-5) for k, v in expected.items()}
    assert [row["labels"] for row in by_hand(made["results"])] == ["hard", "hard", "soft", "soft"]


def test_a_number_that_differs_ends_the_record():
    made = {"results": [one.as_json() for one in reports()], "dd_ranking": dd_ranking(reports())}
    made["dd_ranking"][0]["hlr"] += 1e-9
    with pytest.raises(AssertionError, match="hlr"):
        table_rows("dm", made)
