"""Rows in named columns, as parquet files, data frames and data sets of `datasets` hold them: pictures, arrays or single numbers and text.

Whoever reads such a thing says what kinds its columns are of and hands out their values; what is made of them is written here once.
"""

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from condense.data.readers.base import TRUTH, FileOrShare, Number, Spec, Word
from condense.data.readers.class_labels import number_labels
from condense.data.readers.columns import check_cells, check_names, source_of_table
from condense.data.readers.encoded import Item, gather, same_channels
from condense.data.readers.pixels import LAYOUT
from condense.data.readers.raw import assemble, source_of
from condense.data.readers.source import DRAWN, MODEL_SPACE, OPTIONS, Source
from condense.data.readers.vector_source import VectorSource
from synth.errors import BadInput, nearest
from synth.files.format import printable
from synth.files.memory import MemoryBudget

LABELS = ("label", "labels", "class", "target", "y", "fine_label", "coarse_label", "category", "species")  # where nobody says which
IMAGES = ("image", "img", "picture", "images", "pixels")
PICTURE, ARRAY, CLASS, PLAIN = "picture", "array", "class", "plain"  # kinds of columns; any other is not read
CHOICES = OPTIONS | {"size": Number(most=4096), "grey": TRUTH, "layout": LAYOUT, "label": Word(), "image": Word()} | DRAWN
WITH_FILE = CHOICES | {"test": FileOrShare()}


@runtime_checkable
class Columns(Protocol):
    """Rows in columns.

    `shown` is what messages call them, `stored` the bytes that hold them (None where that says nothing), `kinds` the kind of every column.
    """

    shown: str
    stored: int | None
    kinds: dict[str, str]

    def __len__(self) -> int: ...

    def batches(self, names: Sequence[str]) -> Iterator[dict[str, Sequence]]:
        """The values of these columns, so many rows at a time."""
        ...

    def classes(self, name: str) -> tuple[str, ...]:
        """The names of the classes in a column of kind CLASS."""
        ...


def source_of_columns(spec: Spec, train: Columns, test: Columns | None, *, usual: float | None = None) -> Source | VectorSource:
    """The source that columns are: pictures where one holds pictures, else arrays where one holds arrays, else a table of numbers and text.

    The options `label` and `image` name columns; without them columns of usual names or kinds are taken. Raises BadInput where there are
    none, and as other readers of such things do.
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
    if found in pictures:
        return read_pictures(spec, train, test, found, label, usual)
    if found is not None:
        return read_arrays(spec, train, test, found, label, usual)
    parts = [None if part is None else Cells(spec.text, part, label) for part in (train, test)]
    return source_of_table(spec, *parts, label)


def label_of(spec: Spec, kinds: dict[str, str]) -> str:
    """The column of the labels. Raises BadInput where the named one is not there, or none can be told."""
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
    """The column of a usual name, or the first one."""
    return next((name for word in usual for name in names if name.lower() == word), names[0] if names else None)


def read_pictures(spec: Spec, train: Columns, test: Columns | None, image: str, label: str, usual: float | None) -> Source | VectorSource:
    """Decodes the pictures of a column."""
    parts = [part for part in (train, test) if part is not None]
    labels = [[value for batch in part.batches([label]) for value in batch[label]] for part in parts]
    y_train, y_test, classes = number_labels(spec.text, labels[0], labels[1] if test is not None else (), names=train.classes(label))
    channels = 1 if spec.options.get("grey") else None
    how = {"channels": channels, "size": spec.options.get("size"), "resize": f"add {spec.how('size', 'N')} to cut all to one size"}
    memory, like, found = MemoryBudget(spec.text, remedy="use fewer pictures, or size=N"), None, []
    for part, y in zip(parts, (y_train, y_test), strict=False):
        items = picture_items(part, image, y)
        found.append(gather(items, len(part), spec.text, memory=memory, stored=part.stored, like=like, **how))
        like = found[0][0].shape[1:]
    x = same_channels(*(pixels for pixels, _ in found))
    return assemble(spec, (x[0], y_train), None if test is None else (x[1], y_test), classes, usual=usual)


def picture_items(part: Columns, image: str, y: np.ndarray) -> Iterator[Item]:
    """The encoded pictures of a column with their class indices: bytes, or the path of a file."""
    row = 0
    for batch in part.batches([image]):
        for value in batch[image]:
            held = value.get("bytes") or value.get("path") if isinstance(value, dict) else value
            file = io.BytesIO(held) if isinstance(held, bytes | bytearray | memoryview) else Path(str(held or "no picture"))
            yield Item(file, int(y[row]), f"row {row} of {part.shown}")
            row += 1


def read_arrays(spec: Spec, train: Columns, test: Columns | None, image: str, label: str, usual: float | None) -> Source | VectorSource:
    """Stacks the arrays of a column."""
    memory, found = MemoryBudget(spec.text, remedy="give fewer or smaller rows"), []
    for part in (part for part in (train, test) if part is not None):
        pieces, labels = [], []
        for batch in part.batches([image, label]):
            try:
                pieces.append(np.asarray([np.asarray(value) for value in batch[image]]))
            except ValueError:
                raise BadInput(f"{spec.text}: column '{image}' of {part.shown} holds arrays of several shapes; make all alike") from None
            if pieces[-1].dtype.kind not in "biuf" or pieces[-1].shape[1:] != pieces[0].shape[1:]:
                raise BadInput(f"{spec.text}: column '{image}' of {part.shown} holds no numbers of one shape; make all alike")
            if len(pieces) == 1:
                memory.take((1 + MODEL_SPACE) * len(part) * pieces[0][0].nbytes, stored=part.stored)
            labels += list(batch[label])
        found.append((np.concatenate(pieces), labels))
    return source_of(spec, found[0], found[1] if test is not None else None, names=train.classes(label), usual=usual)


class Cells:
    """Columns as a table of text, for the reader of tables: numbers as Python writes them, a class by its name."""

    def __init__(self, spec: str, part: Columns, label: str):
        self.spec, self.part, self.shown, self.stored = spec, part, part.shown, part.stored
        self.columns = [name for name, kind in part.kinds.items() if kind in (CLASS, PLAIN)]
        self.names = check_names(spec, self.shown, [printable(name) for name in self.columns], printable(label))

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """Number and cells of every row, counted from 0. Raises BadInput as `check_cells` does."""
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
        """Makes the BadInput that refuses a row."""
        return BadInput(f"{self.spec}: row {line} of {self.shown}: {what}")


def cell(value: Any) -> str:
    """A value as the text of a cell; nothing for a missing one."""
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return "" if np.isnan(value) else repr(float(value))
    return "" if value is None or str(value) in ("<NA>", "NaT", "nan") else str(value).strip()
