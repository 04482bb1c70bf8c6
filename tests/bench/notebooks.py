"""Every notebook at its full length, as a reader runs it: what it takes, and the scores that it prints, a row each.

    python -m tests.bench.notebooks --out docs/experiments/notebooks.json [01_distill_digits ...]

The rows of the notebooks that are named, all where none is, take the place of earlier ones in the file. The kernel is this interpreter.
"""

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import jupytext
import nbclient
from ipykernel.kernelspec import install

ROOT = Path(__file__).parents[2]


def printed(cell) -> str:
    """What a cell wrote as plain text."""
    texts = (one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell.outputs if one.get("name") != "stderr")
    return "".join(texts).strip()


def scores(text: str) -> list[dict[str, str]]:
    """The rows of the tables in what a cell printed: what was scored, and in the last column how well; in all columns of numbers where a
    table is so wide that it has no lines between columns."""
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).strip() for line in text.splitlines()]
    cells = ([one.strip() for one in line.strip("│").split("│")] for line in lines if line.startswith("│"))
    ruled = [{"scored": ", ".join(filter(None, row[:-1])), "result": row[-1]} for row in cells]
    wide = (re.fullmatch(r"(\S.*?)((?:\s+[0-9.]+ ± [0-9.]+)+)", line) for line in lines)
    return ruled or [{"scored": row[1], "result": " / ".join(re.findall(r"[0-9.]+ ± [0-9.]+", row[2]))} for row in wide if row]


def measure(path: Path) -> list[dict]:
    """Runs one notebook in an empty folder: a row a score, or its cost alone. Raises nbclient's CellExecutionError where a cell fails."""
    book, before = jupytext.read(path), resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as home:
        nbclient.NotebookClient(book, timeout=None, kernel_name="this", resources={"metadata": {"path": home}}).execute()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    found = [row for cell in book.cells if cell.cell_type == "code" and ".table()" in cell.source for row in scores(printed(cell))]
    return [{"notebook": path.stem, "processor_seconds": round(took, 1), **row} for row in found or [{}]]


def main() -> None:
    """Measures the notebooks that are named and writes their records after each."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT).stdout.strip()
    facts = {"commit": commit, "date": date.today().isoformat()}
    facts |= {"device": f"cpu, {len(os.sched_getaffinity(0))} cores, {platform.machine()}"}
    with tempfile.TemporaryDirectory() as place:
        install(kernel_name="this", prefix=place)
        os.environ |= {"JUPYTER_PATH": f"{place}/share/jupyter", "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
        for path in sorted((ROOT / "notebooks").glob("*.py")):
            if not asked.names or path.stem in asked.names:
                rows = [row | facts for row in measure(path)]
                known = json.loads(asked.out.read_text()) if asked.out.exists() else []
                kept = [one for one in known if one["notebook"] != path.stem]
                asked.out.write_text(json.dumps(sorted([*kept, *rows], key=lambda one: one["notebook"]), indent=1) + "\n")
                print(json.dumps(rows), flush=True)


if __name__ == "__main__":
    main()
