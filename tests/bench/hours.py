"""The record of the map: `python -m tests.bench.hours SUITE... [--record FILE]`, where SUITE is the folder of a finished suite `map_*`.

Rows of other data stay in the record; those of the suites' data are replaced. `docs/pages/hours.py` makes tables and drawings of it.
"""

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from condense.runtime.run_folder import RECORD
from condense.studies.compare import compare_rows
from condense.studies.results import FILE, read_results
from condense.studies.sources import read_rows
from tests.bench.runner import processor

PLACE = Path(__file__).parents[2] / "docs" / "experiments" / "map.json"


def record_rows(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows of the record from those of suites, as `condense.studies.sources.read_rows` gives them: a row a method, data, budget and
    kind of labels, over all its sets. Accuracies are in per cent. `bytes` have the labels; of the sets of a method the largest counts."""
    made = []
    for ipc in dict.fromkeys(row["ipc"] for row in rows):
        for line in compare_rows([row for row in rows if row["ipc"] == ipc], []).lines:
            score = {"mean": round(100 * line.mean, 1), "spread": round(100 * (line.spread or 0.0), 1)}
            size = {"bytes": line.bytes, "label_bytes": line.label_bytes, "teacher_bytes": line.teacher_bytes}
            sets = {"sets": line.sets, "networks": line.seeds, "steps": line.steps, "seconds": round(line.seconds or 0.0, 1)}
            made.append({"data": line.data, "ipc": ipc, "label": line.name, "labels": line.labels, **score, **size, **sets})
    return made


def merged(record: dict[str, Any], rows: Sequence[dict[str, Any]], commits: Sequence[str]) -> dict[str, Any]:
    """A record with these rows in place of those on the same data, and with what they were measured by; `commits` are those of the runs."""
    fresh = {row["data"] for row in rows}
    facts = {data: {"commits": list(commits), "device": processor(), "recorded": date.today().isoformat()} for data in sorted(fresh)}
    kept = [row for row in record["rows"] if row["data"] not in fresh]
    return {**record, "measured": {**record.get("measured", {}), **facts}, "rows": [*kept, *rows]}


def main() -> None:
    """Takes finished suites into the record, one after another."""
    flags = argparse.ArgumentParser(description=__doc__)
    flags.add_argument("suites", type=Path, nargs="+", metavar="SUITE")
    flags.add_argument("--record", type=Path, default=PLACE)
    call = flags.parse_args()
    for folder in call.suites:
        rows, failed = read_rows(folder)
        print("\n".join(failed) or f"{folder}: all runs have scores")
        done = [run["run"] for run in read_results(folder / FILE).runs if run["state"] == "done"]
        commits = sorted({str(json.loads((folder / run / RECORD).read_text())["revision"]) for run in done})
        made = merged(json.loads(call.record.read_text()), record_rows(rows), commits)
        call.record.write_text(json.dumps(made, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
