"""A comparison as text: Markdown, CSV, LaTeX, JSON, and a table for terminals."""

import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.text import Text

from condense.plots.tables import WholeTable
from synth.errors import BadInput
from synth.files.atomic import write_bytes

HEAD = ("method", "labels", "sets", "seeds", "accuracy", "bytes", "label bytes", "steps", "seconds", "front", "better than")
LEFT = {"method", "labels", "sets", "better than"}
CSV_FIELDS = ("data", "digest", "split", "budget", "net", "recipe", "variant", "name", "labels", "real", "sets", "seeds", "mean", "spread")
CSV_FIELDS += ("bytes", "label_bytes", "steps", "seconds", "front", "better", "drawn", "teacher_bytes")
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "±": r"$\pm$", "<": r"\textless{}"}
LATEX |= {">": r"\textgreater{}", "|": r"\textbar{}"} | {letter: "\\" + letter for letter in "&%$#_{}"}


def cells(line: Any) -> tuple[str, ...]:
    """A line of a comparison, a `condense.studies.compare.Line`, as the texts below HEAD; accuracies are in per cent."""
    spread = "" if line.spread is None else f" ± {100 * line.spread:.1f}"
    sets = "fresh" if line.real else "one set" if line.sets == 1 else str(line.sets)
    numbers = ["" if value is None else f"{value:,}" for value in (line.bytes, line.label_bytes, line.steps)]
    numbers[1] += f" + teachers {line.teacher_bytes:,}" if line.teacher_bytes else ""
    seconds = "" if line.seconds is None else f"{line.seconds:,.0f}"
    front = "yes" if line.front else ""
    return line.name, line.labels, sets, str(line.seeds), f"{100 * line.mean:.1f}{spread}", *numbers, seconds, front, ", ".join(line.better)


def as_markdown(found: Any) -> str:
    """A `condense.studies.compare.Comparison` as Markdown: a heading and a table for each of its tables, then its notes as a list."""
    parts = []
    for lines in found.tables():
        rule = ["---" if name in LEFT else "---:" for name in HEAD]
        rows = [HEAD, rule, *([markdown(cell) for cell in cells(line)] for line in lines)]
        parts.append(f"### {markdown(lines[0].title())}\n\n" + "\n".join(f"| {' | '.join(row)} |" for row in rows))
    return "\n\n".join([*parts, "\n".join(f"- {markdown(note)}" for note in found.notes())]) + "\n"


def as_latex(found: Any) -> str:
    """A `condense.studies.compare.Comparison` as LaTeX: a `tabular` for each of its tables under a line of text, which needs no package,
    then its notes as text."""
    columns = "".join("l" if name in LEFT else "r" for name in HEAD)
    parts = []
    for lines in found.tables():
        rows = [" & ".join(map(latex, row)) + r" \\" for row in (HEAD, *map(cells, lines))]
        body = "\n".join([rows[0], r"\hline", *rows[1:]])
        parts.append(f"{latex(lines[0].title())}\n\n\\begin{{tabular}}{{{columns}}}\n\\hline\n{body}\n\\hline\n\\end{{tabular}}")
    return "\n\n".join([*parts, *map(latex, found.notes())]) + "\n"


def as_csv(found: Any) -> str:
    """A `condense.studies.compare.Comparison` as CSV: a head, then a row for each of its lines, with full numbers; accuracies are
    fractions, and an empty field is unknown. Notes are left out."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(CSV_FIELDS)
    for line in found.lines:
        values = [getattr(line, name) for name in CSV_FIELDS]
        rows.writerow(["" if value is None else ", ".join(value) if isinstance(value, tuple) else value for value in values])
    return text.getvalue()


def as_json_text(found: Any) -> str:
    """A `condense.studies.compare.Comparison` as JSON, with its tests and notes; accuracies are fractions."""
    return json.dumps(found.as_json(), indent=1) + "\n"


WRITERS: dict[str, Callable[[Any], str]] = {".md": as_markdown, ".csv": as_csv, ".tex": as_latex, ".json": as_json_text}


def check_file(to: str | Path) -> None:
    """Raises BadInput for a file whose ending is not one of `.md`, `.csv`, `.tex` and `.json`."""
    if Path(to).suffix not in WRITERS:
        raise BadInput(f"--to {to}: unknown ending; give a file of {', '.join(WRITERS)}")


def write_comparison(found: Any, to: str | Path) -> None:
    """Writes a `condense.studies.compare.Comparison` to a file, whole or not at all, as its ending says: .md, .csv, .tex or .json."""
    write_bytes(to, WRITERS[Path(to).suffix](found).encode())


def markdown(text: str) -> str:
    """Text with what Markdown would read as marks behind backslashes, also for a cell of a table; white space becomes single spaces."""
    return re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", " ".join(text.split()))


def latex(text: str) -> str:
    """Text with what LaTeX would read as commands replaced by what shows it; white space becomes single spaces."""
    return "".join(LATEX.get(letter, letter) for letter in " ".join(text.split()))


def rich_tables(found: Any) -> Group:
    """A comparison for a terminal: each of its tables, with a line "A is better than B, C" below it for every method that is better than
    others, and at the end the comparison's notes.

    `found` is a `condense.studies.compare.Comparison`. Numbers are never cut: texts fold first, and then the table is wider than the
    terminal. Nothing is printed here; `condense.plots.tables.print_table` does that.
    """
    made: list[Any] = []
    for lines in found.tables():
        table = WholeTable(title=lines[0].title(), ruled=False)
        for name in HEAD[:-1]:
            table.add_column(name, justify="left" if name in LEFT else "right")
        for line in lines:
            table.add_row(*map(Text, cells(line)[:-1]))
        made += [table, *(Text(f"{line.name} is better than {', '.join(line.better)}") for line in lines if line.better)]
    return Group(*made, *map(Text, found.notes()))
