"""Scores that evaluations left in cells, read back: rows that choose by a score are apart for every score and log."""

import pytest

from condense import evaluate
from condense.evaluation.kept import kept_evaluations
from condense.studies.compare import compare_rows
from condense.studies.sources import evaluated_rows
from evals import retrain as training
from evals.report import Report
from synth.files.format import save_set
from tests.support.three_classes import NET, make_set, three_classes
from tests.support.toy_ranks import toy_ranks, write_ranks

WAY = {"net": NET, "recipe": "quick", "epochs": 2, "rows": ("random", "easy")}


@pytest.fixture
def stubbed(monkeypatch):
    """Nothing is trained: every training gets scores that no other has."""
    seen = []

    def score_at_once(key, trainer, recipe, draw, test, *, numbers, net_name, set_kind, **more):
        seen.append(set_kind)
        return Report(net_name, recipe.name, set_kind, tuple((10 * len(seen) + number) / 1000 for number in numbers), 1.0)

    monkeypatch.setattr(training, "retrain_group", score_at_once)
    monkeypatch.setattr(training, "seconds_a_group", lambda *args, **more: 1.0)
    return seen


@pytest.fixture
def scored(stubbed, tmp_path):
    """The file of a set, its data, and two evaluations, whose rows two logs of proxies chose."""
    data = three_classes(tmp_path)
    save_set(tmp_path / "set.npz", make_set(data))
    found = []
    for name, epochs in (("one", 4), ("other", 3)):
        (tmp_path / name).mkdir()
        write_ranks(tmp_path / name, toy_ranks(data.train.y, epochs=epochs, digest=data.digest))
        found.append(evaluate(tmp_path / "set.npz", ranks=tmp_path / name, seeds=3, cache=tmp_path / "cells", **WAY))
    return tmp_path / "set.npz", data, found


def test_rows_by_two_logs_are_two_rows_with_the_full_names_of_their_scores(scored):
    path, data, made = scored
    (found,) = kept_evaluations(make_set(data), path)
    assert [(one.set_kind, one.score, one.accuracy) for one in found.reports] == [
        ("random", None, made[0].reports[0].accuracy),
        *(("easy", f"el2n:first=1,last={last},networks=2", each.reports[1].accuracy) for last, each in zip((4, 3), made, strict=True)),
    ]
    assert made[0].reports[1].accuracy != made[1].reports[1].accuracy


def test_a_table_names_the_score_of_a_row_and_keeps_two_apart(scored):
    """Of two logs of the same length too, whatever their networks reached."""
    path, data, _ = scored
    (found,) = kept_evaluations(make_set(data), path)
    rows = evaluated_rows(found.as_json())
    names = ["random (real)", "easy by el2n:first=1,last=4,networks=2 (real)", "easy by el2n:first=1,last=3,networks=2 (real)"]
    assert [line.name for line in compare_rows(rows, []).lines] == names
    alike = [{**row, "accuracy": [0.5]} for row in rows]
    assert [line.name for line in compare_rows(alike, []).lines] == names
