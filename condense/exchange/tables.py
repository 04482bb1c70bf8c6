"""Hugging Face data sets of images as released sets: parquet files, or what `datasets` saved."""

from pathlib import Path

import numpy as np

from condense.data.images import Data
from condense.data.places import kind_of
from condense.data.readers.columnar import CLASS, PICTURE, PictureColumn
from condense.data.readers.encoded import decode
from condense.data.readers.hf import Held
from condense.data.readers.parquet import Files, parquet_files
from condense.data.readers.streamed import Columns
from condense.exchange.base import needed
from condense.exchange.pictures import stack
from condense.exchange.released import Found
from synth.errors import BadInput


def is_table(path: Path) -> bool:
    """Whether a path holds parquet files, or a data set that `datasets` saved."""
    try:
        return kind_of(path, str(path)) in ("hf", "parquet")
    except BadInput:
        return False


def columns_of(path: Path) -> Columns:
    """The columns of the train split. Raises BadInput where the library is missing, or the files are damaged."""
    if kind_of(path, str(path)) == "parquet":
        files = [file for file in parquet_files(path) if not file.name.startswith(("test", "valid"))]
        return Files(files, str(path))
    datasets = needed("datasets", str(path))
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:  # whatever its files and formats raise
        raise BadInput(f"{path}: cannot be read by datasets ({' '.join(str(error).split())[:100]}); save it again") from error
    return Held(found["train"] if isinstance(found, dict) and "train" in found else found, str(path))


def read_table(path: Path, data: Data) -> Found:
    """Pictures and classes of all rows; classes are told by name, or are in the data's order where names differ."""
    columns = columns_of(path)
    image, label = (next((name for name, kind in columns.kinds.items() if kind == wanted), None) for wanted in (PICTURE, CLASS))
    if image is None or label is None:
        raise BadInput(f"{path}: needs a column of pictures and one of classes, and has {', '.join(columns.kinds)}")
    names, classes = columns.classes(label), data.classes
    if len(names) != len(classes):
        raise BadInput(f"{path}: has {len(names)} classes, and --data {data.spec} {len(classes)}; they must be as many")
    number = [classes.index(name) for name in names] if set(names) == set(classes) else range(len(classes))
    y = np.array([value for batch in columns.batches([label]) for value in batch[label]], np.int64)
    if not len(y) or y.min() < 0 or y.max() >= len(classes):
        raise BadInput(f"{path}: has rows without a class; give a set of labelled pictures")
    items = PictureColumn(str(path), columns, image, y)
    images = stack([decode(item.file, item.shown, channels=data.image[-1]) for item in items], str(path))
    return Found(images, np.asarray(number, np.int32)[y], "released")
