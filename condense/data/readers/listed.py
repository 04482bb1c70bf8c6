"""Pictures whose classes stand in a table beside them: labels.csv, metadata.csv as imagefolder of datasets has it, val_annotations.txt as
Tiny ImageNet has it, or LOC_val_solution.csv as ImageNet's contest has it."""

import os
from collections.abc import Sequence
from itertools import chain, islice
from pathlib import Path

from condense.data.readers.base import Spec
from condense.data.readers.encoded import SUFFIXES
from condense.data.readers.source import regular
from condense.data.readers.table import read_cells
from condense.runtime.log import note
from synth.errors import BadInput, nearest
from synth.files.format import printable

TABLES = ("labels.csv", "metadata.csv", "train.csv", "test.csv", "annotations.csv", "labels.tsv", "val_annotations.txt")
TABLES += (SOLUTION := "loc_val_solution.csv",)  # its classes have boxes behind them, in the same column
NAMELESS = ("val_annotations.txt",)  # tables whose lines are a file, its class and other things, without a line of names
OF_ONE_PART = (SOLUTION, *NAMELESS)  # tables that tell of validation pictures and of no others
LOOKED_AT = 100  # rows that decide whether a table tells of a part
FILES = ("file_name", "filename", "file", "image", "image_name", "image_id", "path", "id", "name", "imageid")
LABELS = ("label", "labels", "class", "category", "target", "y", "predictionstring")
ENDINGS = tuple(end for suffix in SUFFIXES for end in (suffix, suffix.upper()))


def find_table(entries: Sequence[Path]) -> list[Path]:
    """The table of labels among what a folder holds: a list of none or one."""
    found = {path.name.lower(): path for path in reversed(entries) if path.is_file()}
    return [found[name] for name in TABLES if name in found][:1]


def read_listing(table: Path, part: Path, root: Path, spec: Spec) -> dict[str, list[Path]]:
    """Picture files by class, both sorted (classes that are all numbers by size), of those rows of a table whose pictures lie in this part.

    Args:
      table: a CSV file with a line of names, or val_annotations.txt without one.
      part: the folder of the pictures. root: the folder that they must not leave.
      spec: its option `label` names the column of the classes.

    A table beside the parts may tell of several. How many of its rows name no picture of any is said.

    Raises BadInput for a table without such columns, for a picture that is named twice or lies outside, and for one that is not there,
    where the table lies in the part or is known to tell of nothing else.
    """
    cells, kind = read_cells(table, spec.text), table.name.lower()
    line, names = next(cells, (1, []))
    if kind in NAMELESS and len(names) > 1:
        cells, columns = chain([(line, names)], cells), [1, 0]
    else:
        columns = [_column(spec, table, names, "label", LABELS), _column(spec, table, names, "", FILES)]
    listing, seen, missing = {}, set(), []
    for line, row in cells:
        if len(row) != len(names):
            raise BadInput(
                f"{spec.text}: line {line} of {table.name} has {len(row)} cells where {len(names)} columns are named; correct it"
            )
        label, name = (row[column] for column in columns)
        if kind == SOLUTION:
            label = label.partition(" ")[0]
        path = _picture(part, table.parent, name)
        if path is None:
            missing.append((line, name))
            continue
        if not label or path in seen or not path.resolve().is_relative_to(root):
            wrong = "has no label" if not label else "is named twice" if path in seen else f"lies outside of {root}"
            raise BadInput(f"{spec.text}: line {line} of {table.name}: {name} {wrong}; correct it")
        seen.add(path)
        listing.setdefault(printable(label), []).append(regular(path, spec.text, remedy="remove it from the table"))
    if missing and (table.parent == part or kind in OF_ONE_PART or not seen):
        line, name = missing[0]
        raise BadInput(f"{spec.text}: line {line} of {table.name} names {name[:100]}, which is not in {part}; correct it")
    others = [path for path in part.parent.iterdir() if path.is_dir() and path != part]
    if lost := [one for one in missing if not any(_picture(other, table.parent, one[1]) for other in others)]:
        line, name = lost[0]
        note(f"{spec.text}: {len(lost)} of the rows of {table.name} name no picture, such as line {line} with {name[:100]}")
    order = sorted(listing, key=int) if all(label.isdecimal() for label in listing) else sorted(listing)
    return {label: sorted(listing[label]) for label in order}


def tells_of(tables: Sequence[Path], part: Path, spec: Spec) -> bool:
    """Whether one of the first 100 rows of the table, where there is one, names a picture of the part. A table that cannot be read, or has
    no column of files, tells of none: it may belong to something else."""
    try:
        for table in tables:
            cells = read_cells(table, spec.text)
            _, names = next(cells, (1, []))
            rows = [row for _, row in islice(cells, LOOKED_AT)]
            if table.name.lower() in NAMELESS:
                rows, column = [names, *rows], 0
            else:
                column = _column(spec, table, names, "", FILES)
            return any(len(row) > column and _picture(part, table.parent, row[column]) is not None for row in rows)
    except BadInput:
        return False
    return False


def _picture(part: Path, beside: Path, name: str) -> Path | None:
    """The picture of this name, its ending left out or not, in the part or beside the table."""
    for folder in (part, part / "images", *([beside] if beside != part else [])):
        for path in (folder / name, *(folder / f"{name}{end}" for end in ENDINGS)):
            if os.path.isfile(path) and path.suffix.lower() in SUFFIXES and path.resolve().is_relative_to(part.resolve()):
                return path
    return None


def _column(spec: Spec, table: Path, names: list[str], option: str, usual: tuple[str, ...]) -> int:
    """Which column holds something: that of the option's name, or one of a usual name."""
    asked, lower = spec.options.get(option), [name.lower() for name in names]
    if asked is not None and asked not in names:
        raise BadInput(f"{spec.text}: {table.name} has no column '{asked}' (there: {', '.join(names)[:400]}){nearest(asked, names)}")
    found = asked or next((names[lower.index(word)] for word in usual if word in lower), None)
    if found is None:
        wanted = f"label=COLUMN, or call one {', '.join(usual[:3])}" if option else f"a column {usual[0]} with the pictures' names"
        raise BadInput(f"{spec.text}: {table.name} has the columns {', '.join(names)[:400]}; needed is {wanted}")
    return names.index(found)
