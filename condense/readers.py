"""Readers of raw data: a place becomes a `Source`. Raw images are u8[n h w c] in 0..255 or f32[n h w c] in [0, 1], labels i32 in 0..C-1.

Nothing here trusts a file: sizes that it declares are checked against the bytes that are there before memory is spent.
"""

import gzip
import math
import os
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from jaxtyping import Float32, Int, Int32, Integer, UInt8

from synth.errors import BadInput
from synth.file import printable
from synth.npz import Member, opened

Raw = UInt8[np.ndarray, "_ _ _ _"] | Float32[np.ndarray, "_ _ _ _"]  # n h w c, compared by `Source`
IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
NPZ = ("x_train", "y_train", "x_test", "y_test")
LARGEST = 16 << 30  # bytes of one array
AGAIN = "fetch the file again"


class Named(NamedTuple):
    """A data set that is known by name: the kind that reads it, and one line that says what it is."""

    kind: str
    about: str
    flips: bool = True
    classes: tuple[str, ...] | None = None


FASHION = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
NAMED = {
    "digits": Named("digits", "1,797 handwritten digits 8x8x1, 10 classes; comes with scikit-learn", flips=False),
    "mnist": Named("idx", "70,000 handwritten digits 28x28x1, 10 classes; four IDX files, from you or by tensorflow_datasets", flips=False),
    "fashion_mnist": Named(
        "idx", "70,000 pieces of clothing 28x28x1, 10 classes; four IDX files, from you or by tensorflow_datasets", classes=FASHION
    ),
    "cifar10": Named("tfds", "60,000 photographs 32x32x3, 10 classes; prepared with tensorflow_datasets"),
    "cifar100": Named("tfds", "60,000 photographs 32x32x3, 100 classes; prepared with tensorflow_datasets"),
    "toy_graphs": Named("toy_graphs", "300 molecule-like graphs of 8 to 16 nodes, 2 classes; embedded", flips=False),
    "svhn_cropped": Named("tfds", "99,289 house-number digits 32x32x3, 10 classes; prepared with tensorflow_datasets", flips=False),
}


@dataclass(frozen=True, eq=False)
class Source:
    """Raw data, checked.

    Args:
      name, spec: a short name, and what the user asked for (messages begin with it).
      x_train, x_test: raw images of one size. y_train, y_test: class indices.
      classes: C >= 2 names, in the order of the class indices; kept as sets store them, with U+FFFD for what cannot be printed.
      flips: whether a mirrored image keeps its label.

    Raises:
      BadInput: sizes that differ, labels outside 0..C-1, classes with fewer than two training images, values out of range or NaN.
    """

    name: str
    spec: str
    x_train: Raw
    y_train: Int32[np.ndarray, " _"]
    x_test: Raw
    y_test: Int32[np.ndarray, " _"]
    classes: tuple[str, ...]
    flips: bool = True

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))
        if len(set(self.classes)) < len(self.classes):
            raise BadInput(f"{self.spec}: two classes have the same name, as it can be printed; every class needs its own")
        demand_alike(self.spec, self.x_train, self.y_train, self.x_test, self.y_test)
        for part, x, y in (("train", self.x_train, self.y_train), ("test", self.x_test, self.y_test)):
            if y.min() < 0 or y.max() >= len(self.classes):
                last = len(self.classes) - 1
                raise BadInput(f"{self.spec}: {part} labels run from {y.min()} to {y.max()}; {last + 1} classes have 0..{last}")
            low, high = x.min(), x.max()
            if x.dtype != np.uint8 and not (low >= 0 and high <= 1):
                what = "NaN" if np.isnan(low) else f"values from {low:g} to {high:g}"
                raise BadInput(f"{self.spec}: {part} images hold {what}; float images must lie in [0, 1], or store bytes (uint8) 0..255")
        counts = np.bincount(self.y_train, minlength=len(self.classes))
        if len(self.classes) < 2 or counts.min() < 2:
            rare = int(counts.argmin())
            raise BadInput(
                f"{self.spec}: class {rare} ('{self.classes[rare]}') of {len(self.classes)} has {counts[rare]} training images; "
                "there must be two or more classes 0..C-1, each with two or more"
            )


def demand_alike(spec: str, x_train, y_train, x_test, y_test) -> None:
    """Compares arrays, or what files declare of them, by dtype and shape: images [n h w c] and labels [n].

    Raises BadInput for no images, for another number of labels, and for test images of another size or type than those of train.
    """
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x.shape) != 4 or 0 in x.shape:
            raise BadInput(f"{spec}: {part} images have shape {x.shape}; needed are one or more of [n height width channels]")
        if x.shape[0] != y.shape[0]:
            raise BadInput(f"{spec}: {x.shape[0]} {part} images but {y.shape[0]} {part} labels; there must be as many")
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise BadInput(f"{spec}: train images are {_look(x_train)} but test images {_look(x_test)}; they must be alike")


def _look(x: np.ndarray | Member) -> str:
    return "x".join(map(str, x.shape[1:])) + f" {x.dtype}"


def regular(path: Path, spec: str, *, remedy: str) -> Path:
    """`path` if it is an ordinary file (links are followed; devices and pipes are refused). Raises BadInput that ends in `remedy`."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return path
    except OSError as error:
        raise BadInput(f"{spec}: cannot read {path} ({error.strerror}); {remedy}") from None
    raise BadInput(f"{spec}: {path} is not an ordinary file; {remedy}")


def class_indices(y: Integer[np.ndarray, " n"] | Integer[np.ndarray, "n 1"], where: str, *, most: int) -> Int32[np.ndarray, " n"]:
    """Labels of any integer type as i32[n]. Raises BadInput for a negative index, or one of `most` or more."""
    y = y.ravel()
    if len(y) and (y.min() < 0 or y.max() >= most):
        raise BadInput(f"{where} holds labels from {y.min()} to {y.max()}; they must be 0..C-1 with two or more training images each")
    return y.astype(np.int32)


def numbered(y: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    """Names '0', '1', ... up to the largest label."""
    return tuple(str(index) for index in range(int(y.max(initial=0)) + 1))


def stratified(y: Int[np.ndarray, " n"], count: int, *, seed: int | None = None) -> Int[np.ndarray, " count"]:
    """Sorted rows of `count` examples with the classes in proportion (largest remainders): drawn by `seed`, or the first of every class."""
    sizes = np.bincount(y)
    quota = sizes * count / max(len(y), 1)
    take = np.floor(quota).astype(int)
    take[np.argsort(take - quota, kind="stable")[: count - take.sum()]] += 1
    rng = None if seed is None else np.random.default_rng(seed)
    rows = []
    for index, number in enumerate(take):
        mine = np.flatnonzero(y == index)
        rows.append((mine if rng is None else rng.permutation(mine))[:number])
    return np.sort(np.concatenate(rows))


def read_digits(spec: str) -> Source:
    """scikit-learn's 8x8x1 digits, 16 becoming 1.0; always the same 360 of them are the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)[..., None]
    y = digits.target.astype(np.int32)
    test = stratified(y, 360, seed=0)
    train = np.setdiff1d(np.arange(len(y)), test)
    return Source("digits", spec, x[train], y[train], x[test], y[test], numbered(y), flips=False)


def find_idx(folder: Path, spec: str, *, remedy: str = "it must hold the four IDX files") -> list[Path]:
    """The four IDX files of a folder, plain or .gz: images and labels of train, then of test. Raises BadInput if one is missing."""
    found = []
    for name in IDX:
        plain = folder / name
        zipped = folder / f"{name}.gz"
        if not plain.exists() and not zipped.exists():
            raise BadInput(f"{spec}: there is no {name} or {name}.gz in {folder}; {remedy}")
        found.append(regular(plain if plain.exists() else zipped, spec, remedy=remedy))
    return found


@contextmanager
def idx_file(path: Path, spec: str, *, ndim: int) -> Iterator[tuple[BinaryIO, tuple[int, ...]]]:
    """An IDX file of bytes (plain or .gz), open where its body begins, and the shape that it declares.

    Its head is the magic 0, 0, 8, ndim, then big-endian sizes.

    Raises:
      BadInput: another magic, more bytes declared than the file can hold, or damage, also where it shows only while the body is read.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            head = file.read(4 + 4 * ndim)
            if len(head) < 4 + 4 * ndim or head[:4] != bytes((0, 0, 8, ndim)):
                raise BadInput(f"{spec}: {path} does not begin as an IDX file of {ndim}-dimensional bytes; {AGAIN}")
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
            # gzip packs at most 1032 to 1, so a larger claim is false whatever follows
            reach = path.stat().st_size * (1032 if path.suffix == ".gz" else 1)
            if math.prod(shape) > min(LARGEST, reach):
                raise BadInput(f"{spec}: {path} declares {'x'.join(map(str, shape))} bytes, more than it can hold; {AGAIN}")
            yield file, shape
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{spec}: {path} is damaged ({error}); {AGAIN}") from None


def read_idx(path: Path, spec: str, *, ndim: int) -> UInt8[np.ndarray, "..."]:
    """One IDX file of row-major bytes.

    Raises:
      BadInput: as `idx_file`, and where there are not exactly as many bytes as declared; never more than that is read.
    """
    with idx_file(path, spec, ndim=ndim) as (file, shape):
        size = math.prod(shape)
        body = file.read(size + 1)
    if len(body) != size:
        have = "more" if len(body) > size else len(body)
        raise BadInput(f"{spec}: {path} declares {'x'.join(map(str, shape))} = {size} bytes but holds {have}; {AGAIN}")
    return np.frombuffer(body, np.uint8).reshape(shape)


def read_idx_folder(
    folder: Path, spec: str, *, name: str, remedy: str, classes: tuple[str, ...] | None = None, flips: bool = True
) -> Source:
    """The four IDX files of MNIST's layout in one folder.

    Raises:
      BadInput: what `find_idx` and `read_idx` refuse, and files that do not fit each other; that is known before any body is read.
    """
    files, declared = list(zip(find_idx(folder, spec, remedy=remedy), (3, 1, 3, 1), strict=True)), []
    for path, ndim in files:
        with idx_file(path, spec, ndim=ndim) as (_, shape):
            declared.append(Member(np.dtype(np.uint8), (*shape, 1) if ndim == 3 else shape))
    demand_alike(spec, *declared)
    x_train, y_train, x_test, y_test = (read_idx(path, spec, ndim=ndim) for path, ndim in files)
    y_train, y_test = y_train.astype(np.int32), y_test.astype(np.int32)
    return Source(name, spec, x_train[..., None], y_train, x_test[..., None], y_test, classes or numbered(y_train), flips)


def read_npz(path: Path, spec: str, *, name: str) -> Source:
    """An .npz with x_train, y_train, x_test, y_test and maybe class_names; images NHWC or NHW, u8 0..255 or floats in [0, 1].

    Raises:
      BadInput: arrays that are missing, of another type or shape, that do not fit each other or take more than 16 GiB, known before any is
        read; labels that no class has, known before the images are; and damage.
    """
    arrays = {}
    with opened(path, text=("class_names",), limit=LARGEST) as archive:
        wanted = {key: _wanted(archive.members, key, spec) for key in NPZ}
        demand_alike(spec, *wanted.values())
        for key in ("y_train", "y_test"):
            arrays[key] = class_indices(archive.read(key), f"{spec}: {key}", most=max(2, wanted["x_train"].shape[0]))
        for key in ("x_train", "x_test"):
            arrays[key] = archive.read(key).astype(wanted[key].dtype, copy=False).reshape(wanted[key].shape)
        given = archive.read("class_names").ravel() if "class_names" in archive.members else None
        names = numbered(arrays["y_train"]) if given is None else tuple(map(str, given))
    return Source(name, spec, *(arrays[key] for key in NPZ), names)


def _wanted(members: dict[str, Member], key: str, spec: str) -> Member:
    """What an array of the archive is to be once it is read: images u8 or f32[n h w c], labels integers [n] or [n 1]."""
    if key not in members:
        raise BadInput(f"{spec}: there is no array {key} (there: {', '.join(members)}); needed are {', '.join(NPZ)}")
    dtype, shape = members[key]
    if key.startswith("y"):
        if dtype.kind not in "iu" or (len(shape) != 1 and shape[1:] != (1,)):
            raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; labels must be integers of shape [n]")
        return members[key]
    if not (dtype == np.uint8 or dtype.kind == "f") or len(shape) not in (3, 4):
        raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; needed is uint8 0..255 or float in [0, 1], [n h w] or [n h w c]")
    return Member(dtype if dtype == np.uint8 else np.dtype(np.float32), (*shape, *[1] * (4 - len(shape))))
