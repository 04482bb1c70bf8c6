"""The binary version of the CIFAR sets, as its makers offer it. No pickle is ever read."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from condense.data.readers.source import Source, arrays, regular
from synth.errors import BadInput


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
    return arrays(name, spec, *parts, classes)


def _records(path: Path, width: int, spec: str, remedy: str) -> np.ndarray:
    size = regular(path, spec, remedy=remedy).stat().st_size
    if size == 0 or size % width or size > 1 << 30:
        raise BadInput(f"{spec}: {path} has {size} bytes, which is no whole number of {width}-byte records; fetch it again")
    return np.fromfile(path, np.uint8).reshape(-1, width)
