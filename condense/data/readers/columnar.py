"""Rows in named columns, as parquet files, data frames and data sets of `datasets` hold them: pictures, arrays or single numbers and text.

Whoever reads such a thing says what kinds its columns are of and hands out their values; what is made of them is written here once.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from condense.data.readers.base import TRUTH, FileOrShare, Number, Spec, Word
from condense.data.readers.class_labels import number_labels
from condense.data.readers.columns import LABELS, check_cells, check_names, source_of_table
from condense.data.readers.encoded import Item, gather, same_channels
from condense.data.readers.pixels import LAYOUT, as_floats, conversion
from condense.data.readers.raw import assemble, assemble_rows, source_of
from condense.data.readers.scanned import scanned
from condense.data.readers.source import DRAWN, MODEL_SPACE, OPTIONS, Source, regular
from condense.data.readers.streamed import Arrays, Column, Columns
from condense.data.readers.vector_source import VectorSource
from synth.errors import BadInput, nearest
from synth.files.format import printable
from synth.files.memory import MemoryBudget

IMAGES = ("image", "img", "picture", "images", "pixels")
LABEL = 64  # bytes that a label takes while it is a value of Python
PICTURE, ARRAY, CLASS, PLAIN = "picture", "array", "class", "plain"  # kinds of columns; any other is not read
CHOICES = OPTIONS | {"size": Number(most=4096), "grey": TRUTH, "layout": LAYOUT, "label": Word(), "image": Word()} | DRAWN
WITH_FILE = CHOICES | {"test": FileOrShare()}


def source_of_columns(
    spec: Spec, train: Columns, test: Columns | None, *, usual: float | None = None, scan: bool = False
) -> Source | VectorSource:
    """The source that columns are: pictures where one holds pictures, else arrays where one holds arrays, else a table of numbers and text.

    The options `label` and `image` name columns; without them columns of usual names or kinds are taken. Where `test` is None, the fraction
    of the option `test` is drawn, else `usual`. With `scan` pictures and arrays stay where they are and are read when they are taken.

    Raises BadInput where there are no such columns or no rows, and as other readers of such things do.
    """
    if not len(train) or (test is not None and not len(test)):
        raise BadInput(f"{spec.text}: {train.shown if not len(train) else test.shown} holds no rows; give some")
    label = label_of(spec, train.kinds)
    for part in filter(None, (test,)):
        if differ := [name for name in train.kinds if part.kinds.get(name) != train.kinds[name]]:
            raise BadInput(f"{spec.text}: column '{differ[0]}' of {train.shown} is none, or another, in {part.shown}; make them alike")
    pictures, arrays = ([name for name, kind in train.kinds.items() if kind == wanted and name != label] for wanted in (PICTURE, ARRAY))
    asked = spec.options.get("image")
    if asked is not None and asked not in pictures + arrays:
        there = ", ".join(pictures + arrays) or "none"
        raise BadInput(f"{spec.text}: image={asked} is no column of pictures or arrays (there: {there}){nearest(asked, pictures + arrays)}")
    found = asked or usual_of(pictures, IMAGES) or usual_of(arrays, IMAGES)
    if found is not None:
        how = {
            (True, False): read_pictures,
            (True, True): scan_pictures,
            (False, False): read_arrays,
            (False, True): scan_arrays,
        }[found in pictures, scan]
        return how(spec, [part for part in (train, test) if part is not None], found, label, usual)
    parts = [None if part is None else Cells(spec.text, part, label) for part in (train, test)]
    return source_of_table(spec, *parts, label, scanned=scan)


def label_of(spec: Spec, kinds: dict[str, str]) -> str:
    """The name of the column of the labels, of these kinds by name: the one that the option `label` names; else, of columns of kind `class`
    if there are any, one of a usual name or the first; else one of a usual name. Raises BadInput where the named one is not there, or none
    can be told."""
    asked = spec.options.get("label")
    usable = [name for name, kind in kinds.items() if kind in (CLASS, PLAIN, ARRAY)]
    classes = [name for name, kind in kinds.items() if kind == CLASS]
    named = next((name for word in LABELS for name in usable if name.lower() == word), None)
    found = asked or (named if named in classes or not classes else classes[0]) or named
    if found not in usable:
        which = f"no column '{found}'" if asked else "no column that is surely that of the labels"
        raise BadInput(f"{spec.text}: there is {which} (there: {', '.join(kinds)[:400]}); use label=COLUMN{nearest(found or '', usable)}")
    return found


def usual_of(names: list[str], usual: Sequence[str]) -> str | None:
    """The column with the first of the usual names that is there, else the first column; None where there is no column."""
    return next((name for word in usual for name in names if name.lower() == word), names[0] if names else None)


def read_pictures(spec: Spec, parts: list[Columns], image: str, label: str, usual: float | None) -> Source:
    """The source of the pictures in the column `image`, decoded, with the labels in the column `label`. `parts` are the training rows and,
    if there are some, those of the test; else the fraction of the option `test` is drawn, or `usual`."""
    y_train, y_test, classes = labels_of(spec, parts, label)
    channels = 1 if spec.options.get("grey") else None
    how = {"channels": channels, "size": spec.options.get("size"), "resize": spec.to_one_size()}
    memory, like, found = MemoryBudget(spec.text, remedy="use fewer pictures, or size=N"), None, []
    for part, y in zip(parts, (y_train, y_test), strict=False):
        items = PictureColumn(spec.text, part, image, y)
        found.append(gather(items, len(part), spec.text, memory=memory, stored=part.stored, like=like, **how))
        like = found[0][0].shape[1:]
    x = same_channels(*(pixels for pixels, _ in found))
    return assemble(spec, (x[0], y_train), (x[1], y_test) if len(parts) > 1 else None, classes, usual=usual)


def scan_pictures(spec: Spec, parts: list[Columns], image: str, label: str, usual: float | None) -> Source:
    """The source of the pictures in the column `image`, which are decoded whenever they are taken, with the labels in the column `label`.
    `parts` are the training rows and, if there are some, those of the test; else the fraction of the option `test` is drawn, or `usual`."""
    y_train, y_test, classes = labels_of(spec, parts, label)
    items = [PictureColumn(spec.text, part, image, y) for part, y in zip(parts, (y_train, y_test), strict=False)]
    return assemble_rows(spec, *scanned(items, spec), classes, usual=usual)


def labels_of(spec: Spec, parts: list[Columns], label: str) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """The class indices of the training rows and of those of the test (none where `parts` has no test), and the names of the classes.
    `label` is the name of a column."""
    memory = MemoryBudget(spec.text, remedy="use fewer rows")
    memory.take(LABEL * sum(map(len, parts)), stored=None if parts[0].stored is None else sum(part.stored for part in parts))
    labels = [[value for batch in part.batches([label]) for value in batch[label]] for part in parts]
    return number_labels(spec.text, labels[0], labels[1] if len(parts) > 1 else (), names=parts[0].classes(label))


class PictureColumn:
    """The encoded pictures of a column with their class indices `y`: bytes, or the path of a file."""

    def __init__(self, spec: str, part: Columns, image: str, y: np.ndarray):
        self.spec, self.shown, self.values, self.y = spec, part.shown, Column(spec, part, image), y

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, row: int) -> Item:
        value = self.values[row]
        held = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
        if isinstance(held, bytes | bytearray | memoryview):
            return Item(io.BytesIO(held), int(self.y[row]), f"row {row} of {self.shown}")
        place = regular(Path(str(held or "no picture")), f"{self.spec}: row {row} of {self.shown}", remedy="store the picture's bytes")
        return Item(place, int(self.y[row]), f"row {row} of {self.shown}")


def array_pieces(spec: Spec, part: Columns, image: str) -> Iterator[np.ndarray]:
    """A column of arrays, stacked [m ...], a batch of rows after another. Raises BadInput for what are no numbers of one shape."""
    shape = None
    for batch in part.batches([image]):
        try:
            piece = np.asarray([np.asarray(value) for value in batch[image]])
        except ValueError:
            raise BadInput(f"{spec.text}: column '{image}' of {part.shown} holds arrays of several shapes; make all alike") from None
        shape = shape or piece.shape[1:]
        if piece.dtype.kind not in "biuf" or piece.shape[1:] != shape:
            raise BadInput(f"{spec.text}: column '{image}' of {part.shown} holds no numbers of one shape; make all alike")
        yield piece


def read_arrays(spec: Spec, parts: list[Columns], image: str, label: str, usual: float | None) -> Source | VectorSource:
    """The source of the arrays in the column `image`, stacked: images, or vectors where each has one axis, with the labels in the column
    `label`. `parts` are the training rows and, if there are some, those of the test; else the fraction of the option `test` is drawn, or
    `usual`."""
    memory, found = MemoryBudget(spec.text, remedy="give fewer or smaller rows"), []
    for part in parts:
        pieces = []
        for piece in array_pieces(spec, part, image):
            if not pieces:
                memory.take((1 + MODEL_SPACE) * len(part) * piece[0].nbytes, stored=part.stored)
            pieces.append(piece)
        found.append((np.concatenate(pieces), [value for batch in part.batches([label]) for value in batch[label]]))
    return source_of(spec, found[0], found[1] if len(parts) > 1 else None, names=parts[0].classes(label), usual=usual)


def scan_arrays(spec: Spec, parts: list[Columns], image: str, label: str, usual: float | None) -> Source | VectorSource:
    """The source of the arrays in the column `image`, read whenever they are taken: images, or vectors where each has one axis, with the
    labels in the column `label`. They are looked at once here, to know how they are to be read. `parts` are the training rows and, if there
    are some, those of the test; else the fraction of the option `test` is drawn, or `usual`."""
    y_train, y_test, classes = labels_of(spec, parts, label)
    rows, spans, kinds, shapes = [], [], [], []
    for part in parts:
        found = set()
        for piece in array_pieces(spec, part, image):
            found.add(piece.dtype)
            shapes.append(piece.shape[1:])
            if piece.dtype.kind in "iu":
                spans.append((int(piece.min()), int(piece.max())))
        kinds.append(np.result_type(*found))  # as the rows of a part have it where they lie in memory together
    kind, shape = np.result_type(*kinds), (sum(map(len, parts)), *shapes[0])
    if len(set(shapes)) > 1 or not 1 <= len(shapes[0]) <= 3:
        raise BadInput(f"{spec.text}: column '{image}' holds arrays of shape {shapes[0]} and {shapes[-1]}; make all alike, of 1 to 3 axes")
    finish = as_floats if len(shape) == 2 else conversion(spec.text, shape, set(kinds), spans, spec.options.get("layout"))

    def convert(x: np.ndarray) -> np.ndarray:
        return finish(x.astype(kind, copy=False))

    one = convert(np.zeros((1, *shape[1:]), kind))
    for part, y in zip(parts, (y_train, y_test), strict=False):
        rows.append(Arrays(Column(spec.text, part, image), y, one.shape[1:], one.dtype, convert))
    return assemble_rows(spec, rows[0], rows[1] if len(rows) > 1 else None, classes, usual=usual)


class Cells:
    """Columns as a table of text, for the reader of tables: numbers as Python writes them, a class by its name."""

    def __init__(self, spec: str, part: Columns, label: str):
        self.spec, self.part, self.shown, self.stored = spec, part, part.shown, part.stored
        self.columns = [name for name, kind in part.kinds.items() if kind in (CLASS, PLAIN)]
        self.names = check_names(spec, self.shown, [printable(name) for name in self.columns], printable(label))

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number, from 0, and cells of every row, as text. Raises BadInput for a cell that is missing, NaN or infinite."""
        line = 0
        for batch in self.part.batches(self.columns):
            names = [self.part.classes(name) for name in self.columns]
            for values in zip(*(batch[name] for name in self.columns), strict=True):
                row = [
                    known[value] if known and 0 <= value < len(known) else cell(value) for value, known in zip(values, names, strict=True)
                ]
                yield line, check_cells(self, line, row)
                line += 1

    def refuse(self, line: int, what: str) -> BadInput:
        """Returns the BadInput that refuses a row; `what` says what is wrong with it."""
        return BadInput(f"{self.spec}: row {line} of {self.shown}: {what}")


def cell(value: Any) -> str:
    """A value as the text of a cell, True as 1; an empty text for a missing one."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return "" if value is None or str(value) in ("<NA>", "NaT", "nan") else str(value).strip()
