"""Whether trees say more of graphs than their number of nodes, over published folds: mirage beside the row `size`. Run by hand:

python -m tests.bench.folds tu:NCI1.txt --out DIR [--record FILE]

Sets and scores stay in DIR, so that the same command goes on where it was stopped.
"""

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from condense.data.load import load_data
from condense.workflows.distill import distill
from condense.workflows.evaluate import evaluate

FOLDS, SEEDS = 10, 5
BUDGETS = (318, 1000)  # bytes
NETS = ("gcn", "gcn:readout=sum")  # the mean over nodes hides their number, the sum shows it


def score(spec: str, fold: int, budget: int, out: Path, *, seeds: int = SEEDS, epochs: int | None = None) -> list[dict[str, Any]]:
    """A row for every network: ROC-AUC in % of `mirage` (mean and spread over seeds) and of `size` on one fold."""
    data, place = load_data(f"{spec}?fold={fold}"), out / f"{fold}-{budget}"
    distill("mirage", data, bytes=budget, out=place)
    found = evaluate(place, data=data, net=list(NETS), seeds=seeds, epochs=epochs, rows=["distilled", "size"]).as_json()
    area = {(row["net"], row["set_kind"]): (row["auc_mean"], row["auc_std"]) for row in found["results"]}
    mined = [net for net, kind in area if kind == "distilled"]
    return [
        {
            "budget": budget,
            "net": short,
            "fold": fold,
            "bytes": found["bytes"]["total"],
            "tested": len(data.test.y) / (len(data.train.y) + len(data.val.y)),
            "mirage": [100 * number for number in area[net, "distilled"]],
            "size": 100 * area[net, "size"][0],
        }
        for short, net in zip(NETS, mined, strict=True)
    ]


def compare(first: Sequence[float], second: Sequence[float], tested: float) -> dict[str, float]:
    """Paired t-tests over n folds: the mean of d = first - second, half of its 95 % interval, and two-sided values of p:

      t = mean(d) / sqrt(s^2 / n),    t_c = mean(d) / sqrt(s^2 (1 / n + q)),    s^2 = sum (d - mean(d))^2 / (n - 1).

    The first one takes folds for independent, which they are not, because most training graphs of two folds are the same. The second one
    (Nadeau and Bengio, Machine Learning 2003), of which the interval is, allows for that.

    Args:
      first, second: a score on every fold.
      tested: q, test graphs for every graph that is not for the test.
    """
    d = np.asarray(first, float) - np.asarray(second, float)
    n, ratio = len(d), math.sqrt(1 + len(d) * tested)
    plain = stats.ttest_rel(first, second)
    half = ratio * stats.sem(d) * stats.t.ppf(0.975, n - 1)
    p = 2 * stats.t.sf(abs(plain.statistic) / ratio, n - 1)
    return {"mean": round(d.mean(), 2), "half": round(half, 2), "p": p, "p if folds were independent": plain.pvalue, "folds": n}


def record(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The paired test of every network and budget, and the rows, all ROC-AUC in %."""
    tests = {}
    for net, budget in dict.fromkeys((row["net"], row["budget"]) for row in rows):
        mine = [row for row in rows if (row["net"], row["budget"]) == (net, budget)]
        scores = [row["mirage"][0] for row in mine], [row["size"] for row in mine]
        found = compare(*scores, float(np.mean([row["tested"] for row in mine])))
        means = {name: round(float(np.mean(each)), 1) for name, each in zip(("mirage", "size"), scores, strict=True)}
        tests[f"{net}, at most {budget} bytes"] = means | {
            name: float(f"{value:.2g}") if name.startswith("p") else value for name, value in found.items()
        }
    shown = [
        {name: value for name, value in row.items() if name != "tested"}
        | {"mirage": [round(value, 1) for value in row["mirage"]], "size": round(row["size"], 1)}
        for row in rows
    ]
    return {"mirage minus size": tests, "rows": shown}


def main() -> None:
    """Scores every fold that is not scored yet, and prints the tests; with `--record FILE` they and the rows are put there."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("data", help="tu:FILE")
    flags.add_argument("--out", type=Path, required=True)
    flags.add_argument("--record", type=Path)
    call = flags.parse_args()
    rows = [row for budget in BUDGETS for fold in range(1, FOLDS + 1) for row in score(call.data, fold, budget, call.out)]
    found = record(rows)
    print(json.dumps(found["mirage minus size"], indent=1))
    if call.record:
        head = json.loads(call.record.read_text()) if call.record.exists() else {}
        call.record.write_text(json.dumps(head | found, indent=1) + "\n")


if __name__ == "__main__":
    main()
