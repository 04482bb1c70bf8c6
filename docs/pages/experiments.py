"""Tables of docs/experiments/*.json: what was run, on what, and what came out. Two are parts of the page on choosing a method."""

import json
from pathlib import Path
from typing import Any

from pages.text import plain, table

FIRST, LAST = ("what", "finding"), ("commands", "rows")
FIRST_CALLS = {"distill_processor_seconds": "processor seconds", "distilled": "distilled", "random": "random", "kmeans": "k-means"}
FIRST_CALLS |= {"recipe": "recipe", "flags": "defaults then", "failed": "failed"}


def pages(root: Path) -> dict[str, str]:
    """One page with a section for each file, and the parts."""
    found = {path.stem: json.loads(path.read_text()) for path in sorted((root / "docs" / "experiments").glob("*.json"))}
    parts = ["# Experiments: all files", *(section(name, one) for name, one in found.items())]
    made = {"experiments.md": "\n\n".join(parts) + "\n"}
    return made | {"parts/first_calls.md": first_calls(found["first_calls"]), "parts/suite_digits.md": by_budget(found["suite_digits"])}


def first_calls(found: list[dict[str, Any]]) -> str:
    """Methods at their defaults, data by data, the quickest first; a failed call with its reason."""
    heads = [key for key in FIRST_CALLS if filled(found, key)]
    data = list(dict.fromkeys(row["data"] for row in found))
    rows = sorted(found, key=lambda row: (data.index(row["data"]), row["distill_processor_seconds"]))
    return table(
        ("data", "method", *(FIRST_CALLS[key] for key in heads)),
        [
            (plain(row["data"]), f"[`{row['method']}`](/generated/methods/{row['method']}.md)", *(cell(key, row.get(key)) for key in heads))
            for row in rows
        ],
    )


def by_budget(found: dict[str, Any]) -> str:
    """The sets of a suite on one data set: a method a row, a budget a column, accuracies one a network."""
    made: dict[str, dict[int, dict]] = {}
    for row in found["rows"]:
        if row["set_kind"] == "distilled" and row["data"] == "digits":
            made.setdefault(row["label"], {})[row["ipc"]] = row
    scored = {label: [cell("accuracy", rows.get(ipc, {}).get("accuracy")) for ipc in (1, 10)] for label, rows in made.items()}
    steps = {label: cell("steps", next(iter(rows.values()))["steps"]) for label, rows in made.items()}
    return table(("method", "steps", "1 a class", "10 a class"), [(f"`{label}`", steps[label], *row) for label, row in scored.items()])


def section(name: str, found: Any) -> str:
    """One experiment: a record with rows, or rows alone."""
    found = found if isinstance(found, dict) else {"rows": found}
    parts = [f"## {name}", *(plain(found[key]) for key in FIRST if key in found)]
    if "commands" in found:
        parts.append("```text\n" + "\n".join(found["commands"]) + "\n```")
    rows = found.get("rows", [])
    same = alike(rows)
    rest = {key: value for key, value in (*found.items(), *same.items()) if key not in (*FIRST, *LAST)}
    if facts := [(plain(key), cell(key, value)) for key, value in rest.items() if not is_table(value)]:
        parts.append(table(("", ""), facts))
    for key, value in rest.items():
        if is_table(value):
            parts += [f"### {name}: {key}", table((plain(key), "result"), [(plain(row), cell(row, one)) for row, one in value.items()])]
    if rows:
        heads = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in same and filled(rows, key)]
        parts.append(table([plain(head.replace("_", " ")) for head in heads], [[cell(key, row.get(key)) for key in heads] for row in rows]))
    return "\n\n".join(parts)


def filled(rows: list[dict[str, Any]], key: str) -> bool:
    """Whether any row says something there."""
    return any(row.get(key) not in ("", None) for row in rows)


def alike(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What all of several rows say alike, which is said once."""
    found = {} if len(rows) < 2 else {key: value for key, value in rows[0].items() if all(row.get(key, ...) == value for row in rows)}
    return {key: value for key, value in found.items() if value not in ("", None)}


def is_table(value: Any) -> bool:
    """Whether a value is a table of results by name."""
    return isinstance(value, dict) and any(isinstance(one, dict | list) for one in value.values())


def cell(key: str, value: Any) -> str:
    """A value in a cell: two numbers are a mean and its spread, but of `accuracy` one number a network."""
    if isinstance(value, dict):
        return "; ".join(f"{plain(name)}: {cell(name, one)}" for name, one in value.items())
    if isinstance(value, list):
        numbers = len(value) == 2 and all(isinstance(one, int | float) for one in value)
        return f"{value[0]} ± {value[1]}" if numbers and key != "accuracy" else ", ".join(cell(key, one) for one in value)
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return "" if value in ("", None) else plain(str(value))
