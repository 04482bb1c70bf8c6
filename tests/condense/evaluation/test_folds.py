"""The paired test of a method over published folds: against scipy's, a fold-aware one by hand, and rows of real scores."""

import numpy as np
import pytest
from scipy import stats

from tests.bench import folds
from tests.bench.folds import compare, record


def test_folds_are_paired_and_their_shared_training_graphs_make_a_claim_weaker():
    """Two numbers a fold, of which one is 3 larger than the other up to little, on folds that differ by much more."""
    rng = np.random.default_rng(0)
    hard = rng.normal(60, 10, 10)
    first, second = hard + 3 + rng.normal(0, 1, 10), hard + rng.normal(0, 1, 10)
    found, known = compare(first, second, 1 / 9), stats.ttest_rel(first, second)
    assert found["p if folds were independent"] == pytest.approx(known.pvalue) and known.pvalue < 0.01
    assert stats.ttest_ind(first, second).pvalue > 0.3, "which pairing is for"
    d = first - second
    t = d.mean() / np.sqrt(d.var(ddof=1) * (1 / 10 + 1 / 9))
    assert found["p"] == pytest.approx(2 * stats.t.cdf(-t, 9)) and found["p"] > known.pvalue
    assert compare(first, second, 0)["p"] == pytest.approx(known.pvalue)
    low, high = known.confidence_interval(0.95)
    assert compare(first, second, 0)["half"] == pytest.approx((high - low) / 2, abs=0.01)
    assert compare(second, first, 1 / 9)["mean"] == pytest.approx(-found["mean"])


def test_a_record_tests_every_network_at_every_budget():
    rows = [
        {"budget": budget, "net": net, "fold": fold, "bytes": 300, "tested": 1 / 9, "mirage": [60 + gain + 0.1 * fold, 1], "size": 60.0}
        for budget, net, gain in ((318, "gcn", -4), (1000, "gcn", 2))
        for fold in range(1, 11)
    ]
    found = record(rows)["mirage minus size"]
    assert list(found) == ["gcn, at most 318 bytes", "gcn, at most 1000 bytes"]
    assert [one["mean"] for one in found.values()] == [pytest.approx(-3.45), pytest.approx(2.55)]
    assert found["gcn, at most 318 bytes"]["mirage"] == pytest.approx(56.55, abs=0.06) and found["gcn, at most 318 bytes"]["folds"] == 10


def test_a_fold_is_scored_by_a_set_of_its_own_graphs(tmp_path, monkeypatch):
    """Graphs of class 1 are the larger ones on two published folds, so that their size alone says the class."""
    monkeypatch.setattr(folds, "NETS", ("gin",))
    around = {count: "".join(f"0 2 {(at - 1) % count} {(at + 1) % count}\n" for at in range(count)) for count in (3, 4)}
    (tmp_path / "G.txt").write_text("40\n" + f"3 0\n{around[3]}4 1\n{around[4]}" * 20)
    (tmp_path / "G_folds").mkdir()
    for fold in (1, 2):
        (tmp_path / "G_folds" / f"test-{fold}.txt").write_text("\n".join(map(str, range(10 * fold, 10 * fold + 10))))
    found = [row for fold in (1, 2) for row in folds.score(f"tu:{tmp_path / 'G.txt'}", fold, 200, tmp_path / "out", seeds=2, epochs=2)]
    assert [(row["fold"], row["net"], row["size"]) for row in found] == [(1, "gin", 100.0), (2, "gin", 100.0)]
    assert all(0 < row["bytes"] <= 200 and row["tested"] == pytest.approx(10 / 30) and 0 <= row["mirage"][0] <= 100 for row in found)
