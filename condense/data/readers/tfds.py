"""The reader of sets that tensorflow_datasets prepared, and how named sets are kept as such. TensorFlow is never imported to read one."""

import io
import os
import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from condense.data.named import NAMED, home
from condense.data.readers.base import TRUTH, Reader, Spec, Store, Word
from condense.data.readers.cifar import CIFAR, read_cifar
from condense.data.readers.class_labels import number_labels
from condense.data.readers.encoded import SIZES, gather, numbers_of, same_channels, why
from condense.data.readers.folder import scan as scan_folder
from condense.data.readers.prepared import Some, open_prepared
from condense.data.readers.raw import assemble, assemble_rows
from condense.data.readers.scanned import scale_of, scanned
from condense.data.readers.shards import write_tfds
from condense.data.readers.source import DRAWN, MODEL_SPACE, OPTIONS, STREAM, Source, stratified
from synth.errors import BadInput, RunFailed
from synth.files.memory import MemoryBudget


def read_tfds(folder: Path, spec: Spec, *, remedy: str) -> Source:
    """A set that tensorflow_datasets prepared as array_record: its Image and ClassLabel features, splits train and test (or validation), or
    train alone, of which the option `test` draws a part.

    Args:
      folder: the directory with dataset_info.json, or the one above it.
      spec: its options say whether pictures are cut to one size, and which part is the test.
      remedy: what to do where there is no set.

    Raises:
      BadInput: no prepared set, another file format or other features, damaged records.
    """
    opened = open_prepared(folder, spec, remedy=remedy)
    found, like, memory = [], None, MemoryBudget(spec.text, remedy="prepare a smaller set")
    how = {
        "channels": opened.channels,
        "size": spec.options.get("size"),
        "resize": spec.to_one_size(),
    }
    limit, parts = spec.options.get("limit"), list(opened.parts)
    if limit is not None and limit < len(parts[0]) and len(parts) > 1 and opened.channels:
        y, _, _ = number_labels(spec.text, parts[0].y, parts[1].y, names=opened.classes)
        rows = stratified(y, limit)
        if np.bincount(y[rows]).min() > 1:  # of fewer, what is refused is said after the limit
            parts[0] = Some(parts[0], rows)
    for part, scale in zip(parts, (None, scale_of(spec)), strict=False):
        found.append(gather(part, len(part), spec.text, memory=memory, stored=opened.weight, like=like, scale=scale, **how))
        like = found[0][0].shape[1:]
    y_train, y_test, classes = number_labels(spec.text, found[0][1], found[1][1] if len(found) > 1 else (), names=opened.classes)
    x = same_channels(*(part[0] for part in found))
    return assemble(spec, (x[0], y_train), (x[1], y_test) if len(x) > 1 else None, classes, flips=spec.named.flips)


def scan_tfds(folder: Path, spec: Spec, *, remedy: str) -> Source:
    """Opens a set that tensorflow_datasets prepared as array_record; its pictures stay in their files and are decoded whenever they are
    taken. Labels are kept beside the set.

    Args:
      folder: the directory with dataset_info.json, or the one above it.
      spec: its options say whether pictures are cut to one size, and which part is the test.
      remedy: what to do where there is no set.

    Raises BadInput for no prepared set, another file format or other features.
    """
    opened = open_prepared(folder, spec, remedy=remedy)
    rows = scanned(list(opened.parts), spec, channels=opened.channels)
    y_train, y_test, classes = number_labels(spec.text, rows[0].y, () if rows[1] is None else rows[1].y, names=opened.classes)
    rows = [None if part is None else replace(part, y=y) for part, y in zip(rows, (y_train, y_test), strict=True)]
    return assemble_rows(spec, *rows, classes, flips=spec.named.flips, files=opened.files)


def read(spec: Spec, *, scan: bool = False) -> Source:
    """The set in the folder that the spec names, or the one that `condense data` prepared under that name, decoded. Raises BadInput where
    there is no such set, or one that cannot be read."""
    place, spec, remedy = find(spec)
    return read_tfds(place, spec, remedy=remedy)


def scan(spec: Spec) -> Source:
    """The set in the folder that the spec names, or the one that `condense data` prepared under that name. Its pictures stay in their files
    and are decoded whenever they are taken. Raises BadInput where there is no such set, or one that cannot be read."""
    place, spec, remedy = find(spec)
    return scan_tfds(place, spec, remedy=remedy)


def weigh(spec: Spec) -> int:
    """About how many bytes all pictures take in memory, raw and normalised: as many as there are, for training no more than the limit, each
    as large as the first. 0 where there is no such set."""
    place, spec, remedy = find(spec)
    try:
        opened = open_prepared(place, spec, remedy=remedy)
        count = min(len(opened.parts[0]), spec.options.get("limit", len(opened.parts[0]))) + sum(map(len, opened.parts[1:]))
        return (1 + MODEL_SPACE) * count * numbers_of(opened.parts[0][0].file, spec.options.get("size"))
    except BadInput:
        return 0  # what is wrong with it is said when it is read


def find(spec: Spec) -> tuple[Path, Spec, str]:
    """The folder of the set that a spec names, the spec under the set's own name, and what to do where the set is not there."""
    place = spec.place()
    remedy, stored = "give a folder that tensorflow_datasets prepared as array_record", spec.location or spec.name
    if not spec.location or (stored.isidentifier() and not place.is_dir()):
        place, spec = home() / "tfds" / stored, spec._replace(name=stored, named=NAMED.get(stored, spec.named))
        made = f"`condense data {stored} --from DIR` prepares it from files"
        remedy = f"{made}; with tensorflow installed, `condense data {stored}` downloads it"
    return place, spec, remedy


def build(builder, folder: Path) -> None:
    """Prepares a set by its builder, whose folder is `folder`/data, moves its version up into `folder` and drops the rest. Raises RunFailed
    where that fails."""
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
    """Reads the binary version of a CIFAR set, or class folders, and returns a function that writes them as a prepared set into the folder
    that it is given. Raises BadInput where the files cannot be read, or are not the set known by the spec's name, and for options of class
    folders beside a binary version."""
    if binary := spec.name in CIFAR and not (folder / "train").is_dir():
        spec.refuse_options("binary files")
    source = read_cifar(folder, spec.text, spec.name) if binary else scan_folder(spec)
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
    """Names of classes without what differs from one spelling to another, in lower case with letters and digits alone; none where all are
    numbers."""
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


def stated_of(name: str) -> tuple[Any, Any, Any]:
    """Licence, home page and citation, as tensorflow_datasets states them of a set that it knows by this name; empty texts for other
    names."""
    import tensorflow_datasets as tfds

    try:
        info = tfds.builder(name, data_dir=home() / "nowhere").info
        return info.redistribution_info.license, info.homepage, info.citation
    except Exception:  # unknown, or its description needs what is not installed
        return "", "", ""


STORE = Store(
    lambda name: home() / "tfds" / name,
    lambda name: "the unpacked binary version" if name in CIFAR else "class folders train/CLASS and test/CLASS",
    load_files,
    lambda folder, name: None,
)
CHOICES = OPTIONS | SIZES | {"grey": TRUTH, "label": Word()} | DRAWN | STREAM
READER = Reader("tfds", "a folder that tensorflow_datasets prepared as array_record", read, CHOICES, store=STORE, scan=scan, weigh=weigh)
