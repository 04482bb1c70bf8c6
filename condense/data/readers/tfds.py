"""The reader of sets that tensorflow_datasets prepared, and how named sets are kept as such. TensorFlow is never imported to read one."""

import io
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from condense.data.named import NAMED, home
from condense.data.readers.base import TRUTH, Number, Reader, Spec, Store, Word
from condense.data.readers.cifar import CIFAR, read_cifar
from condense.data.readers.class_labels import number_labels
from condense.data.readers.encoded import Item, gather, same_channels, scanned, why
from condense.data.readers.folder import read_folder
from condense.data.readers.raw import assemble, assemble_rows
from condense.data.readers.source import DRAWN, OPTIONS, Source, regular
from condense.data.rows import pieces
from synth.errors import BadInput, RunFailed, nearest
from synth.files.memory import MemoryBudget
from synth.files.records import ANY, MOST, parse_record

FEATURES = "tensorflow_datasets.core.features."
TESTS = ("test", "validation")  # splits that networks are scored on, the first that is there


def prepared(folder: Path) -> Path | None:
    """`folder` or its newest VERSION, whichever is a prepared TFDS directory; None if neither is."""
    versions = [path for path in (folder.iterdir() if folder.is_dir() else ()) if all(part.isdigit() for part in path.name.split("."))]
    versions.sort(key=lambda path: tuple(map(int, path.name.split("."))))
    return next((path for path in (folder, *reversed(versions)) if (path / "dataset_info.json").is_file()), None)


def read_tfds(folder: Path, spec: Spec, *, remedy: str, scan: bool = False) -> Source:
    """A set that tensorflow_datasets prepared as array_record: its Image and ClassLabel features, splits train and test (or validation), or
    train alone, of which the option `test` draws a part.

    Args:
      folder: the directory with dataset_info.json, or the one above it.
      spec: its options say whether pictures are cut to one size, and which part is the test.
      remedy: what to do where there is no set.
      scan: whether pictures stay in the records and are decoded when they are taken.

    Raises:
      BadInput: no prepared set, another file format or other features, damaged records.
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
    records = [Records(source, part, place, (image, label), spec.text) for part, source in zip(names, sources, strict=True)]
    declared = tuple(builder.info.features[label].names)
    if scan:
        rows = scanned(records, spec)
        y_train, y_test, classes = number_labels(spec.text, rows[0].y, () if rows[1] is None else rows[1].y, names=declared)
        rows = [None if part is None else replace(part, y=y) for part, y in zip(rows, (y_train, y_test), strict=True)]
        return assemble_rows(spec, *rows, classes, flips=spec.named.flips)
    found, like, memory = [], None, MemoryBudget(spec.text, remedy="prepare a smaller set")
    channels = 1 if spec.options.get("grey") else builder.info.features[image].shape[-1]
    how = {"channels": channels, "size": spec.options.get("size"), "resize": f"add {spec.how('size', 'N')} to cut all to one size"}
    for part in records:
        found.append(gather(part, len(part), spec.text, memory=memory, stored=weight, like=like, **how))
        like = found[0][0].shape[1:]
    y_train, y_test, classes = number_labels(spec.text, found[0][1], found[1][1] if len(found) > 1 else (), names=declared)
    x = same_channels(*(part[0] for part in found))
    return assemble(spec, (x[0], y_train), (x[1], y_test) if len(x) > 1 else None, classes, flips=spec.named.flips)


class Records:
    """The records of a split as pictures with their class indices. `keys` names the picture and the class in a record."""

    def __init__(self, source: Any, part: str, place: Path, keys: tuple[str, str], spec: str):
        self.source, self.part, self.place, self.keys, self.spec = source, part, place, keys, spec

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, row: int) -> Item:
        if not 0 <= row < len(self):
            raise IndexError(row)
        try:
            record = self.source[row]
            image, label = (record[key] for key in self.keys)
            return Item(io.BytesIO(image), np.int32(int(label)), f"{self.part} example {row} of {self.place}")
        except Exception as error:
            raise BadInput(f"{self.spec}: {self.place} is damaged at {self.part} example {row} ({why(error)}); prepare it again") from error


def trusted(place: Path, spec: str) -> None:
    """features.json names classes that the library would import; only its own are let through."""
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


def read(spec: Spec, *, scan: bool = False) -> Source:
    """The set in the folder that the spec names, or the one that `condense data` prepared under that name. Raises BadInput as `read_tfds`
    does."""
    place = spec.place()
    remedy, stored = "give a folder that tensorflow_datasets prepared as array_record", spec.location or spec.name
    if not spec.location or (stored.isidentifier() and not place.is_dir()):
        place, spec = home() / "tfds" / stored, spec._replace(name=stored, named=NAMED.get(stored, spec.named))
        made = f"`condense data {stored} --from DIR` prepares it from files"
        remedy = f"{made}; with tensorflow installed, `condense data {stored}` downloads it"
    return read_tfds(place, spec, remedy=remedy, scan=scan)


def write_tfds(source: Source, folder: Path) -> None:
    """Writes `folder`/1.0.0 as array_record with PNG images and the class names, in order; needs no tensorflow. Images must be bytes."""
    import tensorflow_datasets as tfds

    class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = source.name
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=source.shape, encoding_format="png")
            features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(names=list(source.classes))})
            # examples are shuffled by a hash of their key otherwise
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"), disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {part: self._generate_examples(rows) for part, rows in (("train", source.train), ("test", source.test))}

        def _generate_examples(self, rows):
            for row, picture in enumerate(chain.from_iterable(pieces(rows))):
                # an array would be encoded by tensorflow, a PIL image is not
                shown = Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture)
                yield row, {"image": shown, "label": int(rows.y[row])}

    build(Prepared(data_dir=folder / "data", file_format="array_record"), folder)


def build(builder, folder: Path) -> None:
    """Prepares a set under `folder`/data, moves its version up into `folder` and drops the rest."""
    try:
        with redirect_stdout(io.StringIO()):  # it announces the folder that vanishes; its progress bars go to stderr
            builder.download_and_prepare()
    except Exception as error:  # it passes on whatever its network, file and encoding libraries raise
        reason = f"tensorflow_datasets could not prepare it ({why(error)}); check network and disk, then run the same again"
        raise RunFailed(f"data {builder.name}: {reason}") from error
    made = Path(builder.data_dir)
    os.replace(made, folder / made.name)
    shutil.rmtree(folder / "data")


def load_files(folder: Path, spec: Spec) -> Callable[[Path], None]:
    """Reads the binary version of a CIFAR set, or class folders, and returns a function that writes them as a prepared set."""
    binary = spec.name in CIFAR and not (folder / "train").is_dir()
    source = read_cifar(folder, spec.text, spec.name) if binary else read_folder(folder, spec)
    check_known(source, spec.name, spec.text)
    return partial(write_tfds, source)


class KnownSet(NamedTuple):
    """What tensorflow_datasets says of one configuration of a set: the names of the classes, and the shape of an image, in which None
    stands for any number."""

    classes: tuple[str, ...]
    image: tuple[int | None, ...]


def check_known(source: Source, name: str, spec: str) -> None:
    """Raises BadInput where a set known by this name to tensorflow_datasets has another number of classes, other images or other names of
    classes in all its configurations. Numbers are no names: classes that are numbered on either side may be called anything."""
    known, remedy = known_sets(name), "prepare the files under another name"
    if known and not (fit := [one for one in known if len(one.classes) == len(source.classes)]):
        wanted = " or ".join(map(str, sorted({len(one.classes) for one in known})))
        raise BadInput(f"{spec}: {name} has {wanted} classes, and there are {len(source.classes)}; {remedy}")
    if known and not (fit := [one for one in fit if all(side in (None, own) for side, own in zip(one.image, source.shape, strict=True))]):
        wanted = " or ".join(sorted({"x".join("?" if side is None else str(side) for side in one.image) for one in known}))
        raise BadInput(f"{spec}: {name} has images of {wanted}, and these are {'x'.join(map(str, source.shape))}; {remedy}")
    own = spelled(source.classes)
    if known and all(own and (theirs := spelled(one.classes)) and own != theirs for one in fit):
        strange = next(called for called in source.classes if spelled((called,)) - spelled(fit[0].classes))
        raise BadInput(f"{spec}: {name} has no class '{strange}' (there: {', '.join(fit[0].classes)[:200]}); {remedy}")


def spelled(classes: tuple[str, ...]) -> set[str]:
    """Names of classes without what differs from one spelling to another; none where all are numbers."""
    names = {"".join(filter(str.isalnum, one.casefold())) for one in classes}
    return set() if all(one.isdecimal() for one in names) else names


def known_sets(name: str) -> list[KnownSet]:
    """What tensorflow_datasets says of a set that it knows by this name, for every configuration; nothing for other names."""
    import tensorflow_datasets as tfds

    try:
        configurations = [config.name for config in tfds.builder_cls(name).BUILDER_CONFIGS] or [None]
        known = [tfds.builder(name, config=config, data_dir=home() / "nowhere").info.features for config in configurations[:20]]
        images, labels = (
            [[feature for feature in features.values() if isinstance(feature, kind)] for features in known]
            for kind in (tfds.features.Image, tfds.features.ClassLabel)
        )
    except Exception:  # unknown, or its description needs what is not installed
        return []
    pairs = [(image, label) for here, there in zip(images, labels, strict=True) for image in here for label in there if label.num_classes]
    return [KnownSet(tuple(label.names), tuple(image.shape)) for image, label in pairs]


STORE = Store(
    lambda name: home() / "tfds" / name,
    lambda name: "the unpacked binary version" if name in CIFAR else "class folders train/CLASS and test/CLASS",
    load_files,
    lambda folder, name: None,
)
CHOICES = OPTIONS | {"size": Number(most=4096), "grey": TRUTH, "label": Word()} | DRAWN
READER = Reader(
    "tfds", "a folder that tensorflow_datasets prepared as array_record", read, CHOICES, store=STORE, scan=partial(read, scan=True)
)
