"""Hugging Face data sets of images as released sets: parquet files, or what `datasets` saved."""

from pathlib import Path

import numpy as np

from condense.data.images import Data
from condense.data.places import kind_of
from condense.data.readers.columnar import CLASS, LABEL, LABELS, PICTURE, PLAIN, PictureColumn
from condense.data.readers.encoded import gather
from condense.data.readers.hf import Held, saved_bytes
from condense.data.readers.parquet import Files, parquet_files
from condense.data.readers.streamed import Columns
from condense.exchange.released import Found
from condense.runtime.extras import needed
from synth.errors import BadInput, nearest
from synth.files.memory import MemoryBudget


def is_table(path: Path) -> bool:
    """Whether a path holds parquet files, or a data set that `datasets` saved."""
    try:
        return kind_of(path, str(path)) in ("hf", "parquet")
    except BadInput:
        return False


def columns_of(path: Path) -> Columns:
    """The columns of parquet files whose names do not begin with `test` or `val` (of all files where all names do), or of the train split
    of a set that `datasets` saved. Raises BadInput where the library is missing, or the files are damaged."""
    if kind_of(path, str(path)) == "parquet":
        every = parquet_files(path)
        files = [file for file in every if not file.name.lower().startswith(("test", "val"))]
        return Files(files or every, str(path))
    datasets, stored = needed("datasets", str(path), extra="interop"), saved_bytes(path, str(path))
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever its files and formats raise
        raise BadInput(f"{path}: cannot be read by datasets ({' '.join(str(error).split())[:100]}); save it again") from error
    return Held(found["train"] if isinstance(found, dict) and "train" in found else found, str(path), stored=stored)


def read_table(path: Path, data: Data) -> Found:
    """Pictures and classes of all rows for training. Classes are told by name; they are in the data's order where names differ, or are
    plain numbers. Raises BadInput where there are no such columns, other classes than the data's, or a row without one."""
    columns = columns_of(path)
    image, label = (next((name for name, kind in columns.kinds.items() if kind == wanted), None) for wanted in (PICTURE, CLASS))
    label = label or next((name for word in LABELS for name, kind in columns.kinds.items() if kind == PLAIN and name.lower() == word), None)
    if image is None or label is None:
        raise BadInput(f"{path}: needs a column of pictures and one of classes, such as label, and has {', '.join(columns.kinds)}")
    classes = data.classes
    names = columns.classes(label) or classes
    if len(names) != len(classes):
        raise BadInput(f"{path}: has {len(names)} classes, and --data {data.spec} {len(classes)}; they must be as many")
    number = [classes.index(name) for name in names] if set(names) == set(classes) else range(len(classes))
    memory = MemoryBudget(str(path), remedy="give fewer pictures")
    memory.take(LABEL * len(columns), stored=columns.stored)
    held = [value for batch in columns.batches([label]) for value in batch[label]]
    if held and all(isinstance(value, str) for value in held):
        if stray := sorted({*held} - {*names}):
            raise BadInput(f"{path}: class '{stray[0]}' is none of --data {data.spec}{nearest(stray[0], names)}; correct it")
        held = [names.index(value) for value in held]
    if not held or not all(isinstance(value, int) and 0 <= value < len(classes) for value in held):
        raise BadInput(f"{path}: has rows without a class; give a set of labelled pictures")
    y = np.array(held, np.int32)
    how = {"memory": memory, "stored": columns.stored, "channels": data.image[-1], "resize": "make them alike"}
    images, _ = gather(PictureColumn(str(path), columns, image, y), len(y), str(path), **how)
    return Found(images, np.asarray(number, np.int32)[y], "released")
