"""Sets that tensorflow_datasets prepared as array_record, opened without TensorFlow: what they declare, and their records one by one."""

import hashlib
import io
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Int64

from condense.data.readers.base import Spec
from condense.data.readers.encoded import LONG, Item, why
from condense.data.readers.kept import Kept
from condense.data.readers.source import regular
from condense.runtime.log import progress
from synth.errors import BadInput, nearest
from synth.files.records import ANY, MOST, parse_record

FEATURES = "tensorflow_datasets.core.features."
TESTS = ("test", "validation")  # splits that networks are scored on, the first that is there
LOOKED_AT = 1000  # records between two steps of a progress bar


def prepared(folder: Path) -> Path | None:
    """`folder` or its newest VERSION, whichever is a prepared TFDS directory; None if neither is."""
    versions = [path for path in (folder.iterdir() if folder.is_dir() else ()) if all(part.isdigit() for part in path.name.split("."))]
    versions.sort(key=lambda path: tuple(map(int, path.name.split("."))))
    return next((path for path in (folder, *reversed(versions)) if (path / "dataset_info.json").is_file()), None)


@dataclass(frozen=True, eq=False)
class Records(Sequence):
    """The encoded pictures of a part of a prepared set, read one by one.

    Args:
      source: the records by number. part: its name, such as `train`. place: the folder.
      image, label: the names of picture and class in a record.
      spec: begins messages. kept: what is kept beside the set.
    """

    source: Any
    part: str
    place: Path
    image: str
    label: str
    spec: str
    kept: Kept

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> Item:
        if not 0 <= row < len(self):
            raise IndexError(row)
        try:
            record = self.source[row]
            return Item(io.BytesIO(record[self.image]), np.int32(int(record[self.label])), f"{self.part} example {row} of {self.place}")
        except Exception as error:
            what = f"{self.place} is damaged at {self.part} example {row} ({why(error)})"
            raise BadInput(f"{self.spec}: {what}; prepare it again") from error

    @cached_property
    def y(self) -> Int64[np.ndarray, " n"]:
        """The label of every record: as it is kept beside the set, or by a pass over all, after which it is kept."""
        name = label_key(self.part, self.label)
        held = self.kept.get(name)
        if held is None or held.shape != (len(self),) or held.dtype.kind not in "iu":
            held = self.labels()
            self.kept.put({name: held})
        return held.astype(np.int64)

    def labels(self) -> Int64[np.ndarray, " n"]:
        """The label of every record, by a pass over all."""
        ends = range(0, len(self), LOOKED_AT)
        with progress(len(self), f"reading labels of {self.spec}") if len(self) >= LONG else nullcontext() as bar:
            found = []
            for at in ends:
                found += [self[row].label for row in range(at, min(at + LOOKED_AT, len(self)))]
                if bar:
                    bar.advance(min(LOOKED_AT, len(self) - at))
        return np.asarray(found, np.int64)


@dataclass(frozen=True, eq=False)
class Some:
    """The records that `index` names, in its order."""

    records: Records
    index: Int[np.ndarray, " m"]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, row: int) -> Item:
        if not 0 <= row < len(self):
            raise IndexError(row)
        return self.records[int(self.index[row])]


def label_key(part: str, label: str) -> str:
    """The name under which the labels of a part are kept beside a set; `part` is such as `train`, `label` their name in a record."""
    return f"labels/{hashlib.sha256(f'{part} {label}'.encode()).hexdigest()[:16]}"


class Prepared(NamedTuple):
    """A prepared set that is open: its folder, the bytes of its files, class names, channels (None where pictures say them), parts, the one
    for training first, and the files that hold it."""

    place: Path
    weight: int
    classes: tuple[str, ...]
    channels: int | None
    parts: tuple[Records, ...]
    files: tuple[Path, ...]


def open_prepared(folder: Path, spec: Spec, *, remedy: str) -> Prepared:
    """Opens a set that tensorflow_datasets prepared as array_record. Nothing of its records is read.

    Args:
      folder: the directory with dataset_info.json, or the one above it.
      spec: its options say which feature is the label, and whether pictures become grey.
      remedy: what to do where there is no set.

    Raises BadInput for no prepared set, another file format, other features, or more examples than its bytes can hold.
    """
    place = prepared(folder)
    if place is None:
        raise BadInput(f"{spec.text}: there is no prepared set in {folder}; {remedy}")
    weight = sum(regular(path, spec.text, remedy="prepare the set again").stat().st_size for path in place.iterdir())
    trusted(place, spec.text)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(place)
        image, label = _keys(builder.info.features, tfds, spec, place)
        names = [*filter(None, ("train", next((name for name in TESTS if name in builder.info.splits), None)))]
        sources = builder.as_data_source(names, decoders={image: tfds.decode.SkipDecoding()})
    except BadInput:
        raise
    except Exception as error:  # the library names no exceptions of its own for a directory that it cannot read
        raise BadInput(f"{spec.text}: {place} cannot be read ({why(error)}); prepare it again as array_record") from error
    for part, source in zip(names, sources, strict=True):
        if not 0 < len(source) <= weight:
            raise BadInput(f"{spec.text}: {place} declares {len(source)} {part} examples in {weight} bytes; prepare it again")
    files = tuple(sorted(path for path in place.iterdir() if not path.name.startswith(".")))
    kept = Kept(files, spec.text)
    parts = tuple(Records(source, part, place, image, label, spec.text, kept) for part, source in zip(names, sources, strict=True))
    channels = 1 if spec.options.get("grey") else builder.info.features[image].shape[-1]
    return Prepared(place, weight, tuple(builder.info.features[label].names), channels, parts, files)


def trusted(place: Path, spec: str) -> None:
    """Raises BadInput where features.json of a prepared set in `place` names a class that is not the library's own, as this would import
    it, or cannot be read."""
    try:
        path = regular(place / "features.json", spec, remedy="prepare the set again")
        with path.open("rb") as file:
            features = parse_record(file.read(min(path.stat().st_size, MOST) + 1), ANY)
    except (ValueError, OSError) as error:
        raise BadInput(f"{spec}: {place}/features.json is not readable ({error}); prepare the set again") from error
    todo = [features]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            names = [node[key] for key in ("type", "pythonClassName") if isinstance(node.get(key), str)]
            if any(not name.startswith(FEATURES) for name in names):
                raise BadInput(f"{spec}: {place}/features.json asks for {names[0]}; only features of tensorflow_datasets are read")
        todo += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _keys(features, tfds, spec: Spec, place: Path) -> tuple[str, str]:
    """Names of the picture and the class in a record: those of several that are called so, and the label that the spec names."""
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes]
    if not images or not labels:
        raise BadInput(f"{spec.text}: {place} has the features {', '.join(features)}; needed are an 8-bit Image and a ClassLabel")
    asked = spec.options.get("label")
    if asked is not None and asked not in labels:
        raise BadInput(f"{spec.text}: label={asked} is no ClassLabel (there: {', '.join(labels)}){nearest(asked, labels)}")
    return "image" if "image" in images else images[0], asked or ("label" if "label" in labels else labels[0])
