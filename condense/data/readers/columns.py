"""Tables, whatever holds them: rows of cells become labels and vectors.

A column whose training rows all hold numbers is one number of a vector. Any other is text: one number a category, in the order of the
alphabet, 1 where a row holds it. The categories are those of the training rows, so a row that holds another one has 0 in all of them.

A table is read row by row, three times: for the labels, by which a test split is drawn, for what the columns of the training rows hold, and
for the rows themselves. So memory holds numbers and distinct texts, and never the table.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Int32

from condense.data.readers.base import Spec
from condense.data.readers.in_order import InOrder
from condense.data.readers.source import LARGEST, MODEL_SPACE, drawn_rows
from condense.data.readers.vector_source import VectorSource
from condense.data.rows import InMemory
from condense.runtime.log import note, progress
from synth.errors import BadInput, nearest
from synth.files.format import printable
from synth.files.memory import MemoryBudget
from synth.vectors import width_of, write_columns

LABELS = ("label", "labels", "class", "target", "y", "fine_label", "coarse_label", "category", "species")  # where nobody says which
USUAL = 0.2  # of the rows are the test, where none are given and nothing says how many
MOST_CLASSES, MOST_CATEGORIES = 10_000, 1000
FEW_CATEGORIES = 10  # as many are no reason to doubt a column, however few rows there are
LARGEST_NUMBER = float(np.finfo(np.float32).max)
LONG = 20_000  # rows that take long enough for a progress bar
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
MISSING = re.compile(r"|[+-]?(nan|inf|infinity)", re.IGNORECASE)  # what is no value of any column


@runtime_checkable
class Table(Protocol):
    """Rows of cells as text, and the names of their columns.

    `spec` begins messages, `shown` is what they call the table, and `stored` how many bytes hold it (None where none do).
    """

    spec: str
    shown: str
    names: tuple[str, ...]
    stored: int | None

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The number of every row, as messages of this table count (lines of a file from 1, or rows from 0), and its cells; names of
        columns are no row. Raises BadInput for a row with more or fewer cells than columns, and for a cell that is empty, NaN or
        infinite."""
        ...

    def refuse(self, line: int, what: str) -> BadInput:
        """Returns the BadInput that refuses a row: `line` is its number as `rows` counts, `what` says what is wrong with it."""
        ...


def check_cells(table: Table, line: int, row: list[str]) -> list[str]:
    """Returns the row. Raises BadInput for one with more or fewer cells than columns, and for a cell that is empty, NaN or infinite. `line`
    is the row's number, for messages."""
    if len(row) != len(table.names):
        raise table.refuse(line, f"has {len(row)} cells where {len(table.names)} columns are named; quote cells that hold separators")
    for name, cell in zip(table.names, row, strict=True):
        if MISSING.fullmatch(cell):
            held = f"holds {cell}" if cell else "is empty"
            raise table.refuse(line, f"column '{name}' {held}; give every cell a value, or remove the row")
    return row


def check_names(spec: str, shown: str, names: list[str], label: str) -> tuple[str, ...]:
    """The names of columns, as they are. Raises BadInput for names that are missing or there twice, where none is `label`, and where there
    is no other. `shown` is what messages call the table."""
    if not names or not all(names) or len(set(names)) < len(names):
        raise BadInput(f"{spec}: the first line of {shown} must name every column, each by another name; it is {','.join(names)[:80]!r}")
    if label not in names:
        there = f"(there: {', '.join(names)[:400]})"
        raise BadInput(f"{spec}: {shown} has no column '{label}' {there}; use label=COLUMN{nearest(label, names)}")
    if len(names) == 1:
        raise BadInput(f"{spec}: {shown} has no column beside '{label}'; a row needs one or more")
    return tuple(names)


@dataclass
class Column:
    """What the training rows hold in one column.

    Args:
      stray: line and text of the first cell that is no number; None where all are numbers.
      numbers: whether any cell is a number.
      texts: the different texts of the cells; None where they are more than 1,000.
    """

    name: str
    stray: tuple[int, str] | None = None
    numbers: bool = False
    texts: set[str] | None = field(default_factory=set)

    def see(self, line: int, cell: str) -> None:
        """Records one cell of the column; `line` is the number of its row."""
        if not NUMBER.fullmatch(cell):
            self.stray = self.stray or (line, cell)
        else:
            self.numbers = True
        if self.texts is not None:
            self.texts.add(cell)
            self.texts = self.texts if len(self.texts) <= MOST_CATEGORIES else None

    def names(self) -> list[str]:
        """The name of the column, and behind it, if any cell is no number, its categories: all different texts, by the alphabet."""
        return [self.name, *(sorted(self.texts) if self.stray else ())]


def read_labels(table: Table, label: str, known: tuple[str, ...] | None) -> tuple[Int32[np.ndarray, " n"], tuple[str, ...]]:
    """Class index of every row, and the names of the classes: whole numbers by size, anything else by the alphabet.

    Args:
      label: the column of the labels.
      known: the names of the classes in their order, where they are those of other rows; None finds them.

    Raises BadInput for numbers that are not whole, more than 10,000 classes, no rows, and a label that is none of the `known`.
    """
    at, first, codes = table.names.index(label), {}, []
    for line, row in table.rows():
        codes.append(first.setdefault(row[at], (len(first), line))[0])
        if len(first) > MOST_CLASSES:
            raise table.refuse(line, f"column '{label}' holds more than {MOST_CLASSES} different labels; use label=COLUMN for another one")
    numeric = all(map(NUMBER.fullmatch, first)) and bool(first)
    if numeric and known is None and (broken := [text for text in first if not float(text).is_integer()]):
        what = f"column '{label}' holds {broken[0]}, which is no whole number; labels are text or whole numbers"
        raise table.refuse(first[broken[0]][1], what)
    called = [str(int(float(text))) if numeric and float(text).is_integer() else printable(text) for text in first]
    classes = known or tuple(sorted(set(called), key=int if numeric else str))
    index = {name: at for at, name in enumerate(classes)}
    for text, name in zip(first, called, strict=True):
        if name not in index:
            raise table.refuse(first[text][1], f"label '{name}' is none of the training rows' ({', '.join(classes)[:200]}); correct it")
    if not codes:
        raise BadInput(f"{table.spec}: {table.shown} holds no rows below the names of its columns; add some")
    return np.array([index[name] for name in called], np.int32)[codes], classes


def read_columns(table: Table, label: str, training: Bool[np.ndarray, " n"], tick) -> list[list[str]]:
    """The name of every column but the label's, and behind it its categories where it holds text in the training rows.

    Args:
      training: which rows of the table are for training.
      tick: is called after every row that is read.

    Raises BadInput for a column of text with more than 1,000 different texts.
    """
    columns = [Column(name) for name in table.names]
    for (line, row), taken in zip(table.rows(), training, strict=False):
        if taken:
            for column, cell in zip(columns, row, strict=True):
                column.see(line, cell)
        tick()
    columns = [column for column in columns if column.name != label]
    for column in columns:
        if column.stray is None:
            continue
        line, text = column.stray
        if column.texts is None:
            what = f"column '{column.name}' holds {text[:40]!r}, which is no number, and more than {MOST_CATEGORIES} different texts"
            raise table.refuse(line, f"{what}; make it numbers, or remove the column")
        read = f"column '{column.name}' is read as text of {len(column.texts)} categories"
        if column.numbers:
            note(f"{table.spec}: {read}, because line {line} holds {text[:40]!r}")
        elif len(column.texts) > max(FEW_CATEGORIES, training.sum() // 2):
            advice = "remove it if it only names rows, and write numbers with a point and no spaces"
            note(f"warning: {table.spec}: {read}, such as {text[:40]!r}, in {training.sum()} training rows; {advice}")
    return [column.names() for column in columns]


class Encoder:
    """Turns rows of cells into rows of `width` numbers. `columns` has the name of every column, and behind it its categories where it is
    text. `unseen` counts cells whose category is none of them."""

    def __init__(self, table: Table, columns: list[list[str]]):
        self.table, self.unseen, self.width = table, 0, sum(map(width_of, columns))
        starts = np.cumsum([0, *map(width_of, columns)]).tolist()
        self.parts = []
        for (name, *categories), start in zip(columns, starts, strict=False):
            self.parts.append((name, table.names.index(name), start, {text: start + i for i, text in enumerate(categories)}))

    def write(self, line: int, row: list[str], out: np.ndarray) -> None:
        """Writes one row of cells as numbers into `out` f32[d], which holds zeros. An unknown category leaves zeros and is counted in
        `unseen`. Raises BadInput for a cell that is not a number in a column of numbers, or that is beyond float32."""
        for name, at, start, categories in self.parts:
            cell = row[at]
            if categories:
                self.unseen += cell not in categories
                if cell in categories:
                    out[categories[cell]] = 1
            elif not NUMBER.fullmatch(cell) or abs(float(cell)) > LARGEST_NUMBER:
                raise self.table.refuse(line, f"column '{name}' holds {cell[:40]!r}; the training rows hold numbers there, within float32")
            else:
                out[start] = float(cell)


def read_rows(table: Table, encoder: Encoder, training: Bool[np.ndarray, " n"], tick) -> tuple[np.ndarray, np.ndarray]:
    """Reads all rows of a table: f32[n d] of those where `training` is True, and f32[m d] of the others. `tick` is called after every row.
    Raises BadInput before reading if they would need more memory than an array may, and if the file has changed meanwhile."""
    count = len(training)
    if 4 * count * encoder.width > LARGEST:
        raise BadInput(f"{table.spec}: {count} rows of {encoder.width} numbers take more than {LARGEST} bytes; take fewer rows or columns")
    remedy = "take fewer rows, or columns of fewer categories"
    MemoryBudget(f"{table.spec}: {count} rows of {encoder.width} numbers", remedy=remedy).take(
        (4 + MODEL_SPACE) * count * encoder.width, stored=table.stored
    )
    taken, others = (np.zeros((int(which.sum()), encoder.width), np.float32) for which in (training, ~training))
    rows, number = (iter(others), iter(taken)), 0
    for line, row in table.rows():
        if number < count:
            encoder.write(line, row, next(rows[int(training[number])]))
        number += 1
        tick()
    if number != count:
        raise BadInput(f"{table.spec}: {table.shown} was changed while it was read; read it again")
    return taken, others


def rows_of(table: Table, columns: list[list[str]], chosen: Bool[np.ndarray, " n"], y: Int32[np.ndarray, " m"]) -> InOrder:
    """The rows of a table where `chosen` is True, with their class indices `y`, read again and turned into numbers whenever somebody takes
    them. `columns` has the name of every column, and behind it its categories where it is text."""

    def begin() -> Iterator[np.ndarray]:
        encoder = Encoder(table, columns)
        for (line, row), taken in zip(table.rows(), chosen, strict=False):
            if taken:
                encoder.write(line, row, numbers := np.zeros(encoder.width, np.float32))
                yield numbers[None]

    return InOrder(begin, y, (sum(map(width_of, columns)),), np.dtype(np.float32), table.spec)


def source_of_table(spec: Spec, table: Table, other: Table | None, label: str, *, scanned: bool = False) -> VectorSource:
    """The vectors of a table, and of the table `other` of test rows. Without one, test rows are drawn as the options `test` and `split`
    say, by default a fifth. A test row with a category that no training row has holds 0 for all of them. `label` names the column of the
    labels. Where `scanned`, rows stay in the table.

    Raises BadInput, naming the line, where a table does not hold such rows.
    """
    y, classes = read_labels(table, label, None)
    index, drawn = drawn_rows(spec, y, usual=USUAL) if other is None else (np.zeros(0, np.int64), "")
    training = ~np.isin(np.arange(len(y)), index)
    if other and (differ := set(table.names) ^ set(other.names)):
        raise BadInput(f"{spec.text}: column '{min(differ)}' is in one of {table.shown} and {other.shown} alone; give both the same")
    with progress(2 * len(y), f"reading {spec.text}") if len(y) >= LONG else nullcontext() as bar:
        tick = bar.advance if bar else lambda: None
        columns = read_columns(table, label, training, tick)
        named = write_columns([[printable(text) for text in column] for column in columns])
        if scanned:
            y_test = y[~training] if other is None else read_labels(other, label, classes)[0]
            beside = (table, ~training) if other is None else (other, np.ones(len(y_test), bool))
            parts = ((table, training, y[training]), (*beside, y_test))
            rows = (rows_of(whose, columns, chosen, labels) for whose, chosen, labels in parts)
            return VectorSource(spec.name, spec.text, *rows, classes, named, drawn=drawn)
        encoder = Encoder(table, columns)
        x_train, x_test = read_rows(table, encoder, training, tick)
    y_train, y_test = y[training], y[~training]
    if other:
        encoder = Encoder(other, columns)
        y_test, _ = read_labels(other, label, classes)
        x_test, _ = read_rows(other, encoder, np.ones(len(y_test), bool), lambda: None)
    if encoder.unseen:
        note(f"{spec.text}: {encoder.unseen} cells of the test rows hold categories that no training row does; they are 0 in all of them")
    train, test = InMemory(x_train, y_train), InMemory(x_test, y_test)
    return VectorSource(spec.name, spec.text, train, test, classes, named, drawn=drawn)
