"""Scores of DD-Ranking of five methods on one data set, each computed twice: `python -m tests.bench.dd_ranking --out DIR --record FILE`.

Once by the project's code, as `condense evaluate --json` writes them, and once here, from the accuracies in the same file. Sets, teachers
and trained networks stay in DIR, so that the same command goes on where it was stopped.
"""

import argparse
import json
import math
import platform
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import fmean
from typing import Any

import condense

METHODS = ("dm", "dsa", "mtt", "frepo", "rded")
NET, TEACHER = "convnet:width=16,depth=2", "convnet:width=16,depth=2,norm=batch"
ROWS, REGIMES, AUGMENTATIONS = ("distilled", "random", "full"), ("hard", "soft"), ("none", "dsa")


def score(method: str, data: str, ipc: int, out: Path) -> dict[str, Any]:
    """What `condense evaluate --json` writes of a method's set, which is made if it is not there."""
    teachers = out / "teachers"
    condense.train_teachers(data, teachers, net=[TEACHER], epochs=15)
    given = {"teachers": teachers} if method == "rded" else {}
    condense.distill(method, data, ipc=ipc, net=NET, out=out / method, **given)
    ways = {"rows": ROWS, "regimes": REGIMES, "augmentations": AUGMENTATIONS, "tune_lr": True}
    run = out / method
    return condense.evaluate(run, net=NET, recipe="quick", seeds=3, teachers=teachers, cache=out / "cells", **ways).as_json()


def by_hand(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Scores of DD-Ranking from the accuracies of rows, in the order of the set's rows. With s(a) = (e^a - 1/e) / (e - 1/e):

    HLR = full - hard, IOR = set - random, LRS = s((IOR - HLR) / 2), and ARS = s((IOR with the augmentation + IOR without) / 2).
    """
    mean = {(row["set_kind"], row["labels"], row.get("augmentation")): fmean(row["accuracy"]) for row in rows}
    squash = lambda a: (math.exp(a) - math.exp(-1)) / (math.exp(1) - math.exp(-1))  # noqa: E731
    found = []
    for kind, labels, way in mean:
        if kind != "distilled":
            continue
        hlr = mean["full", "hard", None] - mean["distilled", "hard", way]
        ior, plain = (mean["distilled", labels, at] - mean["random", labels, at] for at in (way, "none"))
        scores = {"labels": labels, "augmentation": way, "hlr": hlr, "ior": ior, "lrs": squash((ior - hlr) / 2)}
        found.append(scores if way == "none" else {**scores, "ars": squash((ior + plain) / 2)})
    return found


def table_rows(method: str, made: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of the record, a row a label regime and augmentation. Raises AssertionError where the two computations differ."""
    rows = []
    for ours, hand in zip(made["dd_ranking"], by_hand(made["results"]), strict=True):
        for name, value in hand.items():
            same = ours[name] == value if isinstance(value, str) else math.isclose(ours[name], value, abs_tol=1e-12)
            assert same, (method, name, ours[name], value)
        of = {"distilled": "set", "random": "random"}
        mean = {
            of[row["set_kind"]]: round(100 * fmean(row["accuracy"]), 1)
            for row in made["results"]
            if row["set_kind"] in of and (row["labels"], row["augmentation"]) == (hand["labels"], hand["augmentation"])
        }
        scores = {name: round(value, 4) for name, value in hand.items() if not isinstance(value, str)}
        rows.append({"method": method, "labels": hand["labels"], "augmentation": hand["augmentation"], **mean, **scores})
    return rows


def record(rows: list[dict[str, Any]], full: float, data: str, ipc: int) -> dict[str, Any]:
    """The experiment's document."""
    return {
        "what": f"Scores of DD-Ranking of five methods on {data}, {ipc} a class, by label regime and augmentation. Every row is "
        "trained at the step size that is the best of five on validation images. Labels are those of the regime, in place of what a set "
        "has of its own (frepo's learned ones, rded's online ones). HLR, IOR, LRS and ARS are from fractions; every number was "
        "computed twice, by condense and from the accuracies in its JSON, and the two agree to 1e-12.",
        "commands": ["python -m tests.bench.dd_ranking --out DIR --record FILE"],
        "device": f"{platform.machine()} CPU",
        "date": date.today().isoformat(),
        "net": NET,
        "teacher": f"{TEACHER}, 15 epochs",
        "recipe": "quick, 3 networks a row",
        "all training images, hard labels, per cent": round(100 * full, 1),
        "rows": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of sets, teachers and trained networks")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--record", type=Path, help="write the table there")
    args = parser.parse_args()
    rows, full = [], math.nan
    for method in METHODS:
        made = score(method, args.data, args.ipc, args.out)
        (all_images,) = (row for row in made["results"] if row["set_kind"] == "full" and row["labels"] == "hard")
        rows, full = rows + table_rows(method, made), fmean(all_images["accuracy"])
        print(*map(json.dumps, rows[-4:]), sep="\n", flush=True)
    if args.record:
        args.record.write_text(json.dumps(record(rows, full, args.data, args.ipc), indent=1) + "\n")


if __name__ == "__main__":
    main()
