"""The map of methods by data, budget and minutes: the cells of the suites `map_*`, with the results in docs/experiments/map.json.

What has no row there is printed as not measured.
"""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from condense.plots.charts import Plot, bars
from condense.studies.shipped import list_suites
from condense.studies.suite_file import Suite, read_suite
from pages.text import plain, table

MISSING = "not measured"
OF_METHOD, OF_LABELS = ("method", "minutes", "steps"), ("accuracy in %", "bytes", "label bytes")
WORDS = {"hard": "class indices", "soft": "stored answers", "online": "teachers' answers"}
PLACE = "/generated/parts"


class Cell(NamedTuple):
    """One cell of the map: a method's `label` in its suite, on `data` at `ipc` images a class, under a regime of `labels`."""

    data: str
    ipc: int
    label: str
    labels: str


def pages(root: Path) -> dict[str, str]:
    """The tables as a part of the page on choosing a method, and a drawing for each table with a result."""
    record = json.loads((root / "docs" / "experiments" / "map.json").read_text())
    return parts([read_suite(name) for name in list_suites() if name.startswith("map_")], record["rows"])


def parts(suites: Iterable[Suite], rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    """A table for each data set and budget of the suites, a row a method and length, under `parts/hours.md`; and of what was measured a
    drawing, as an SVG file beside it.

    Args:
      rows: of a record as `tests.bench.hours` writes them.

    Raises ValueError for a row that belongs to no cell of the suites, and for a second one of the same cell.
    """
    minutes = {cell: length for suite in suites for cell, length in cells(suite)}
    found: dict[Cell, dict[str, Any]] = {}
    for row in rows:
        cell = Cell(*(row[name] for name in Cell._fields))
        if cell not in minutes:
            raise ValueError(f"docs/experiments/map.json: {in_words(cell)}: the suites of the map have no such cell; remove the row")
        if cell in found:
            raise ValueError(f"docs/experiments/map.json: {in_words(cell)}: stands there twice; remove a row")
        found[cell] = row
    made, texts = {}, []
    for data, ipc in dict.fromkeys((cell.data, cell.ipc) for cell in minutes):
        mine = [cell for cell in minutes if (cell.data, cell.ipc) == (data, ipc)]
        title, name = f"{data}, {ipc} {'image' if ipc == 1 else 'images'} a class", f"hours_{data}_{ipc}.svg"
        texts += [f"**{plain(title)}**: {sum(cell in found for cell in mine)} of {len(mine)} cells measured."]
        texts += [table_of(mine, minutes, found)]
        if measured := [point(cell, found[cell]) for cell in mine if cell in found]:
            made[f"parts/{name}"] = Plot(bars(measured, title=f"accuracy on {title}")).svg()
            texts += [f"![Accuracy of the measured methods on {plain(title)}, with their spread]({PLACE}/{name})"]
    return {"parts/hours.md": "\n\n".join(texts) + "\n", **made}


def cells(suite: Suite) -> Iterator[tuple[Cell, float | None]]:
    """Every cell of a suite with the minutes of its runs; None for methods that name none, as those that choose."""
    for data in suite.data:
        for entry in suite.methods:
            for budget in entry.budgets or suite.budgets:
                for way in suite.scorings:
                    yield Cell(data, budget[1], entry.label, way["regimes"]), entry.options.get("minutes")


def in_words(cell: Cell) -> str:
    """A cell as messages call it."""
    return f"{cell.label} on {cell.data} at {cell.ipc} a class, labels {cell.labels}"


def table_of(mine: list[Cell], minutes: dict[Cell, float | None], found: dict[Cell, dict[str, Any]]) -> str:
    """The table of the cells of one data set and budget, `mine`, a row a method and length; `minutes` and results (`found`) by cell."""
    kinds = list(dict.fromkeys(cell.labels for cell in mine))
    rows = []
    for label in dict.fromkeys(cell.label for cell in mine):
        own = [cell for kind in kinds for cell in mine if (cell.label, cell.labels) == (label, kind)]
        length = "" if minutes[own[0]] is None else f"{minutes[own[0]]:g}"
        steps = {f"{found[cell]['steps']:,}" for cell in own if cell in found}
        texts = [text for cell in own for text in scored(found.get(cell))]
        rows.append((f"`{label.removesuffix(' ' + length)}`", length, ", ".join(sorted(steps)), *texts))
    return table((*OF_METHOD, *(f"{WORDS[kind]}: {head}" for kind in kinds for head in OF_LABELS)), rows)


def scored(row: dict[str, Any] | None) -> tuple[str, str, str]:
    """Accuracy, bytes and label bytes of a cell by its row in the record; without one it is not measured."""
    if row is None:
        return MISSING, "", ""
    teachers = f" + teachers {row['teacher_bytes']:,}" if row["teacher_bytes"] else ""
    return f"{row['mean']:.1f} ± {row['spread']:.1f}", f"{row['bytes']:,}", f"{row['label_bytes']:,}{teachers}"


def point(cell: Cell, row: dict[str, Any]) -> dict[str, Any]:
    """A measured cell as a row of a chart."""
    mean, spread = row["mean"] / 100, row["spread"] / 100
    return {"row": cell.label, "net": WORDS[cell.labels], "mean": mean, "low": mean - spread, "high": mean + spread}
