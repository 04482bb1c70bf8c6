"""Pictures whose classes stand in a table beside them: labels.csv, metadata.csv as imagefolder of datasets has it, val_annotations.txt as
Tiny ImageNet has it, or LOC_val_solution.csv as ImageNet's contest has it."""

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
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
FILES = ("file_name", "filename", "file", "image", "image_name", "image_id", "path", "id", "name", "imageid")
LABELS = ("label", "labels", "class", "category", "target", "y", "predictionstring")
ENDINGS = tuple(end for suffix in SUFFIXES for end in (suffix, suffix.upper()))


def find_tables(entries: Sequence[Path], *first: str) -> list[Path]:
    """The tables of labels among what a folder holds, those of the names `first` before others."""
    found = {path.name.lower(): path for path in reversed(entries) if path.is_file()}
    return [found[name] for name in dict.fromkeys((*first, *TABLES)) if name in found]


def find_table(entries: Sequence[Path], *first: str) -> list[Path]:
    """The first of the tables of `find_tables`: a list of none or one."""
    return find_tables(entries, *first)[:1]


class Pictures:
    """The pictures of a part by the names that a table may give them, found in it or in its folder `images`; a name that holds folders is
    found below the part or below the folder of the table.

    Args:
      part: the folder of the pictures.
    """

    def __init__(self, part: Path):
        self.part, self._named, self._begun = part, {}, {}
        for folder in (part / "images", part):
            entries = sorted(folder.iterdir(), reverse=True) if folder.is_dir() else []
            shown = (path for path in entries if path.suffix.lower() in SUFFIXES and not path.name.startswith("."))
            files = [path for path in shown if path.is_file()]
            self._named |= {path.name: path for path in files}
            # of several endings the first goes before others
            files.sort(key=lambda path: SUFFIXES.index(path.suffix.lower()), reverse=True)
            self._begun |= {path.stem: path for path in files}

    def count(self) -> int:
        """How many lie in the part, and in the folders below it."""
        names = (name for _, _, names in os.walk(self.part) for name in names if not name.startswith("."))
        return sum(os.path.splitext(name)[1].lower() in SUFFIXES for name in names)

    def find(self, name: str, *, beside: Path) -> Path | None:
        """The picture of this name, its ending left out or not, in a table that lies in the folder `beside`."""
        path = self._named.get(name) or self._begun.get(name)
        if path is None and "/" in name:
            below = [folder / f"{name}{end}" for folder in (self.part, self.part / "images", beside) for end in ("", *ENDINGS)]
            path = next((path for path in below if os.path.isfile(path) and path.suffix.lower() in SUFFIXES), None)
        return path if path is not None and Path(os.path.normpath(path)).is_relative_to(self.part) else None


def read_listing(table: Path, part: Path, root: Path, spec: Spec) -> dict[str, list[Path]]:
    """Picture files by class, both sorted (classes that are all numbers by size), of those rows of a table whose pictures lie in this part.
    How many pictures of the part have no row is said.

    Args:
      table: a CSV file with a line of names, or val_annotations.txt without one.
      part: the folder of the pictures. root: the folder that they must not leave.
      spec: its option `label` names the column of the classes.

    Raises BadInput for a table without such columns, for a picture that is named twice or lies outside, and for one that is not there,
    where the table lies in the part or is known to tell of nothing else.
    """
    listing, seen, missing, pictures = {}, set(), [], Pictures(part)
    for line, label, name in rows_of(table, spec):
        path = pictures.find(name, beside=table.parent)
        if path is None:
            missing.append((line, name))
            continue
        path = Path(os.path.normpath(path))  # a/../b.png is b.png
        if not label or path in seen or not path.resolve().is_relative_to(root):
            wrong = "has no label" if not label else "is named twice" if path in seen else f"lies outside of {root}"
            raise BadInput(f"{spec.text}: line {line} of {table.name}: {name} {wrong}; correct it")
        seen.add(path)
        listing.setdefault(printable(label), []).append(regular(path, spec.text, remedy="remove it from the table"))
    if missing and (table.parent == part or table.name.lower() in OF_ONE_PART or not seen):
        line, name = missing[0]
        raise BadInput(f"{spec.text}: line {line} of {table.name} names {name[:100]}, which is not in {part}; correct it")
    if (left := pictures.count() - len(seen)) > 0:
        note(f"{spec.text}: {left:,} of the pictures in {part} have no row in {table.name}, and are left out")
    order = sorted(listing, key=int) if all(label.isdecimal() for label in listing) else sorted(listing)
    return {label: sorted(listing[label]) for label in order}


def rows_of(table: Path, spec: Spec) -> Iterator[tuple[int, str, str]]:
    """Line, class and picture of every row of a table. Raises BadInput for one without such columns, and for a row of another length."""
    cells, kind = read_cells(table, spec.text), table.name.lower()
    line, names = next(cells, (1, []))
    if kind in NAMELESS and len(names) > 1:
        cells, columns = chain([(line, names)], cells), [1, 0]
    else:
        columns = [_column(spec, table, names, "label", LABELS), _column(spec, table, names, "", FILES)]
    for line, row in cells:
        if len(row) != len(names):
            raise BadInput(
                f"{spec.text}: line {line} of {table.name} has {len(row)} cells where {len(names)} columns are named; correct it"
            )
        label, name = (row[column] for column in columns)
        yield line, label.partition(" ")[0] if kind == SOLUTION else label, name


def check_shared(table: Path, parts: Mapping[Path, bool], spec: Spec) -> None:
    """Says how many rows of a table that lies beside these parts, and may tell of several, name a picture of none. Raises BadInput for one
    that names pictures of several of those that are true: their classes are read from it."""
    pictures, lost = [Pictures(part) for part in parts], []
    for line, _, name in rows_of(table, spec) if any(parts.values()) else ():
        found = [one.part for one in pictures if one.find(name, beside=table.parent)]
        where = [part.name for part in found if parts[part]]
        if len(where) > 1:
            several = f"names {name[:100]}, which is in {' and in '.join(where)}; write {where[0]}/{name[:100]}, or give each a table"
            raise BadInput(f"{spec.text}: line {line} of {table.name} {several}")
        lost += [] if found else [(line, name)]
    if lost:
        line, name = lost[0]
        note(f"{spec.text}: {len(lost):,} of the rows of {table.name} name no picture, such as line {line} with {name[:100]}")


def tells_of(tables: Sequence[Path], part: Path, spec: Spec) -> bool:
    """Whether a row of the table, where there is one, names a picture of the part. A table that cannot be read, or has
    no such columns, tells of none: it may belong to something else."""
    try:
        pictures = Pictures(part)
        return any(pictures.find(name, beside=table.parent) for table in tables for _, _, name in rows_of(table, spec))
    except BadInput:
        return False


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
