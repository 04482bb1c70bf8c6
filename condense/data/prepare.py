"""`condense data NAME`: puts a named set under $CONDENSE_DATA, whole or not at all, from files that the user has or by tensorflow_datasets.

IDX sets are copied as they are; others become a TFDS array_record directory of PNGs, in the order of the files. No pickle is ever read.
"""

import gzip
import io
import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from condense.data.readers.encoded import read_folder, read_tfds, why
from condense.data.readers.idx import IDX, find_idx, read_idx_folder
from condense.data.readers.source import Source, regular
from condense.data.spec import NAMED, home
from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL


class Binary(NamedTuple):
    """The binary version of a CIFAR set: records of `labels` label bytes (the last counts) and 3072 bytes: channels, rows, columns."""

    folder: str
    labels: int
    train: tuple[str, ...]
    test: str
    names: str
    pickles: tuple[str, ...]


CIFAR = {
    "cifar10": Binary(
        "cifar-10-batches-bin",
        1,
        tuple(f"data_batch_{i}.bin" for i in range(1, 6)),
        "test_batch.bin",
        "batches.meta.txt",
        ("data_batch_1", "cifar-10-batches-py/data_batch_1"),
    ),
    "cifar100": Binary("cifar-100-binary", 2, ("train.bin",), "test.bin", "fine_label_names.txt", ("train", "cifar-100-python/train")),
}


def prepare(name: str, *, from_dir: Path | None = None) -> Path:
    """Makes `--data NAME` work and returns the folder that holds the set.

    Args:
      name: a name of `NAMED`, or a new one of a-z, 0-9 and _.
      from_dir: for mnist and fashion_mnist the four IDX files; for cifar10 and cifar100 the unpacked binary version; for any but the IDX
        sets class folders train/CLASS/*.png|jpg and test/CLASS. Without it, a set that is there already is left alone, and another one is
        downloaded by tensorflow_datasets where tensorflow is installed.

    Raises:
      BadInput: a wrong name; files that are missing or refused; a set that is there already; no tensorflow and no `from_dir`.
      RunFailed: the disk is full, or the download failed.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name):
        raise BadInput(f"data {name}: names are made of a-z, 0-9 and _, as in {', '.join(NAMED)}")
    kind = NAMED[name].kind if name in NAMED else "tfds"
    if kind == "digits":
        raise BadInput(f"data {name}: comes with scikit-learn and needs no files; use --data {name}")
    if kind == "toy_graphs":
        raise BadInput(f"data {name}: is embedded and needs no files; use --data {name}")
    place = home() / name if kind == "idx" else home() / "tfds" / name
    there = place.is_dir() and any(place.iterdir())
    if from_dir is None:
        return place if there else _download(name, kind, place)
    if there:
        raise BadInput(f"data {name}: {place} is there already; remove it to prepare the set again")
    from_dir = Path(from_dir).expanduser()
    spec = f"data {name} --from {from_dir}"
    if not from_dir.is_dir():
        raise BadInput(f"{spec}: there is no such folder; unpack archives first and name the folder that holds the files")
    if kind == "idx":
        remedy = "fetch the four IDX files"
        read_idx_folder(from_dir, spec, name=name, remedy=remedy)
        with _whole(place) as fresh:
            for path in find_idx(from_dir, spec, remedy=remedy):
                shutil.copyfile(path, fresh / path.name)
        return place
    binary = name in CIFAR and not (from_dir / "train").is_dir()
    source = read_cifar(from_dir, spec, name) if binary else read_folder(from_dir, spec, name=name)
    with _whole(place) as fresh:
        write_tfds(source, fresh)
    return place


def read_cifar(folder: Path, spec: str, name: str) -> Source:
    """The binary version of cifar10 or cifar100 (fine labels), in the folder or in the one its archive unpacks to.

    Raises:
      BadInput: the python version (pickles), a missing file, or a size that is no whole number of records.
    """
    layout = CIFAR[name]
    here = next((path for path in (folder / layout.folder, folder) if path.is_dir()), folder)
    files = ", ".join((*layout.train, layout.test, layout.names))
    remedy = f"use the binary version ({files}) or class folders train/CLASS/*.png and test/CLASS"
    if not (here / layout.train[0]).exists():
        pickled = any((folder / path).is_file() for path in layout.pickles)
        what = "holds the python version, whose pickles are never read" if pickled else f"has no {layout.train[0]}"
        raise BadInput(f"{spec}: the folder {what}; {remedy}")
    with regular(here / layout.names, spec, remedy=remedy).open(errors="replace") as file:
        text = file.read(1 << 16)
    classes = tuple(line.strip() for line in text.splitlines() if line.strip())
    parts = []
    for files in (layout.train, (layout.test,)):
        records = np.concatenate([_records(here / file, layout.labels + 3072, spec, remedy) for file in files])
        x = records[:, layout.labels :].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        parts += [np.ascontiguousarray(x), records[:, layout.labels - 1].astype(np.int32)]
    return Source(name, spec, *parts, classes)


def _records(path: Path, width: int, spec: str, remedy: str) -> np.ndarray:
    size = regular(path, spec, remedy=remedy).stat().st_size
    if size == 0 or size % width or size > 1 << 30:
        raise BadInput(f"{spec}: {path} has {size} bytes, which is no whole number of {width}-byte records; fetch it again")
    return np.fromfile(path, np.uint8).reshape(-1, width)


def write_tfds(source: Source, folder: Path) -> None:
    """Writes `folder`/1.0.0 as array_record with PNG images and the class names, in order; needs no tensorflow. Images must be bytes."""
    import tensorflow_datasets as tfds

    class Prepared(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name = source.name
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            image = tfds.features.Image(shape=source.x_train.shape[1:], encoding_format="png")
            features = tfds.features.FeaturesDict({"image": image, "label": tfds.features.ClassLabel(names=list(source.classes))})
            # examples are shuffled by a hash of their key otherwise
            return tfds.core.DatasetInfo(builder=self, features=features, supervised_keys=("image", "label"), disable_shuffling=True)

        def _split_generators(self, dl_manager):
            parts = {"train": (source.x_train, source.y_train), "test": (source.x_test, source.y_test)}
            return {part: self._generate_examples(*arrays) for part, arrays in parts.items()}

        def _generate_examples(self, x, y):
            for row in range(len(x)):
                # an array would be encoded by tensorflow, a PIL image is not
                yield row, {"image": Image.fromarray(x[row].squeeze(-1) if x.shape[-1] == 1 else x[row]), "label": int(y[row])}

    _build(Prepared(data_dir=folder / "data", file_format="array_record"), folder)


def _build(builder, folder: Path) -> None:
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


def _download(name: str, kind: str, place: Path) -> Path:
    folders = "class folders train/CLASS and test/CLASS"
    files = "the four IDX files" if kind == "idx" else "the unpacked binary version" if name in CIFAR else folders
    if find_spec("tensorflow") is None:
        other = "or install the extra [tensorflow] and run this again to download it"
        raise BadInput(f"data {name}: not in {place}; run `condense data {name} --from DIR` where DIR holds {files}; {other}")
    import tensorflow_datasets as tfds

    try:
        with _whole(place) as fresh:
            _build(tfds.builder(name, data_dir=fresh / "data", file_format="array_record"), fresh)
            if kind == "idx":
                _as_idx(fresh, name)
    except tfds.core.DatasetNotFoundError:
        raise BadInput(f"data {name}: tensorflow_datasets knows no such set; use --from DIR with {folders}") from None
    return place


def _as_idx(folder: Path, name: str) -> None:
    """Puts the four IDX files where a prepared directory was. Images keep its order, which is not that of the files of the set's makers:
    a set made from theirs names another digest."""
    source = read_tfds(folder, f"data {name}", name=name, remedy="download it again")
    for path in folder.iterdir():
        shutil.rmtree(path)
    for file, array in zip(IDX, (source.x_train[..., 0], source.y_train, source.x_test[..., 0], source.y_test), strict=True):
        write_idx(folder / f"{file}.gz", array.astype(np.uint8))


def write_idx(path: Path, array: UInt8[np.ndarray, "..."]) -> None:
    """Writes bytes as a compressed IDX file: magic 0, 0, 8, ndim, then big-endian sizes, then row-major bytes."""
    head = bytes((0, 0, 8, array.ndim)) + np.asarray(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))


@contextmanager
def _whole(place: Path) -> Iterator[Path]:
    """A new folder that becomes `place` when the block ends well and vanishes when it does not."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
    except OSError as error:
        if error.errno in FULL:
            raise RunFailed(f"cannot write {place.parent} ({error.strerror}); make room and run again") from error
        raise BadInput(f"$CONDENSE_DATA: cannot write {place.parent} ({error.strerror}); name a folder that can be written") from error
    try:
        yield fresh
        fresh.chmod(0o755)
        os.replace(fresh, place)
    except OSError as error:
        raise RunFailed(f"cannot write {place} ({error.strerror or error}); make room or remove what is there") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
