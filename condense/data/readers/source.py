"""The return type of image readers, and functions that they share: checks of sizes, labels and values, and draws in proportion to classes.

Raw images are u8[n h w c] in 0..255 or floats [n h w c] in [0, 1], labels i32 in 0..C-1. Nothing here trusts a file: sizes that it declares
are checked against the bytes that are there before memory is spent.
"""

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Int, Int32, UInt8

from condense.data.named import STATED
from condense.data.readers.base import TRUTH, Choice, Number, Share, Spec
from condense.data.readers.kept import Kept
from condense.data.rows import InMemory, Part, Rows, pieces
from synth.errors import BadInput
from synth.files.format import printable
from synth.files.npz import Member
from synth.images.preprocess import FITS

Raw = UInt8[np.ndarray, "_ _ _ _"] | Float32[np.ndarray, "_ _ _ _"]  # n h w c, compared by `check_alike`
LARGEST = 16 << 30  # bytes of one array
MODEL_SPACE = 4  # bytes that a number of an image takes once it is normalised, beside what it takes raw
AGAIN = "fetch the file again"
NO_SPLIT = {"validation": Choice({"0": 0.0})}  # of every reader of arrays: no training example is held out
OPTIONS = {"normalise": Choice({kind: kind for kind in (*FITS, *STATED)}), "flip": TRUTH, "limit": Number()} | NO_SPLIT  # of images
STREAM = {"stream": TRUTH}  # of readers whose rows may stay in their files
DRAWN = {"test": Share(), "split": Number(least=0, most=10**6)}  # of every reader of images that may be without a test split


@dataclass(frozen=True, eq=False)
class ArraySource:
    """Raw examples that are arrays of one shape, checked; what images and vectors share.

    Args:
      name, spec: a short name, and what the user asked for (messages begin with it).
      train, test: raw examples of one shape and type.
      classes: C >= 2 names, in the order of the class indices; kept as sets store them, with U+FFFD for what cannot be printed.
      drawn: says how the test split was drawn, for tables of scores; empty where the data came with one.
      files: the files that hold the rows, where rows stay there; none where rows lie in memory.
    """

    name: str
    spec: str
    train: Rows
    test: Rows
    classes: tuple[str, ...]
    drawn: str = field(default="", kw_only=True)
    files: tuple[Path, ...] = field(default=(), kw_only=True, repr=False)
    modality: ClassVar[str]
    axes: ClassVar[str]

    def __post_init__(self):
        object.__setattr__(self, "classes", tuple(map(printable, self.classes)))
        check_alike(self.spec, self.train, self.train.y, self.test, self.test.y, examples=self.modality, axes=self.axes)
        check_classes(self.spec, self.train.y, self.test.y, self.classes, self.modality)

    def check_once(self, check: Callable[[str, Rows], object]) -> None:
        """Calls `check`, which raises BadInput for numbers out of range, with `train` and `test` and the rows of each. It may look at all
        of them. That it found nothing in files is kept in a file beside these."""
        kept = Kept(self.files, self.spec) if self.files and self.dtype != np.uint8 else None
        name = "checked/" + "x".join(map(str, (len(self.train.y), *self.test.shape)))
        if kept and kept.get(name) is not None:
            return
        check("train", self.train)
        check("test", self.test)
        if kept:
            kept.put({name: np.ones(1, np.uint8)})

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of an example: height, width and channels of an image, or the one length of vectors."""
        return self.train.shape[1:]

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the raw examples."""
        return self.train.dtype


@dataclass(frozen=True, eq=False)
class Source(ArraySource):
    """Raw images, checked. `arrays` makes one of arrays in memory.

    Args:
      name, spec, train, test, classes: as `ArraySource` has them.
      flips: whether a mirrored image keeps its label.

    Raises:
      BadInput: sizes that differ, labels outside 0..C-1, classes with fewer than two training images, values out of range or NaN.
    """

    flips: bool = True
    modality: ClassVar[str] = "images"
    axes: ClassVar[str] = "n height width channels"

    def __post_init__(self):
        super().__post_init__()
        self.check_once(lambda part, rows: rows.dtype == np.uint8 or check_unit(self.spec, part, rows))


def drawn_rows(spec: Spec, y: Int[np.ndarray, " n"], *, usual: float | None = None) -> tuple[Int[np.ndarray, " m"], str]:
    """Draws test rows from data that have none: their numbers among the rows with the class indices `y`, ascending, and a text that says
    how they were drawn. Every class gives as much in proportion.

    The option `test` of the spec is the fraction of all rows that is drawn, `split` the seed (0); `usual` is the fraction where `test` is
    not given. Raises BadInput where neither says how much, and where the test would be empty.
    """
    share, seed = spec.options.get("test", usual), spec.options.get("split", 0)
    if share is None:
        raise BadInput(f"{spec.text}: there is no test split; add {spec.how('test', 0.2)} to draw one, a fifth of every class")
    index = stratified(y, round(share * len(y)), seed=seed)
    if not len(index):
        raise BadInput(f"{spec.text}: {len(y)} rows are too few to draw test rows from; give test rows of their own, or more rows")
    return index, f"{100 * share:g} % of the rows, drawn by split={seed}"


def draw_test(spec: Spec, rows: Rows, *, usual: float | None = None) -> tuple[Part, Part, str]:
    """Cuts a test split off rows that have none: training rows, test rows, and a text that says how they were drawn. The option `test` of
    the spec is the fraction that is drawn, of every class in proportion, `split` the seed (0); `usual` is the fraction where `test` is not
    given.

    Raises BadInput where neither says how much, and where the test would be empty.
    """
    index, said = drawn_rows(spec, rows.y, usual=usual)
    return Part(rows, np.setdiff1d(np.arange(len(rows.y)), index)), Part(rows, index), said


def check_not_drawn(spec: Spec) -> None:
    """Raises BadInput where the spec asks to draw a test split from data that have one."""
    for name in DRAWN:
        if name in spec.options:
            raise BadInput(f"{spec.text}: {name}={spec.options[name]:g} is for data without a test split, and these have one; leave it out")


def arrays(
    name: str,
    spec: str,
    x_train: Raw,
    y_train: Int32[np.ndarray, " _"],
    x_test: Raw,
    y_test: Int32[np.ndarray, " _"],
    classes: tuple[str, ...],
    *,
    flips: bool = True,
) -> Source:
    """Makes a `Source` from raw images u8 or f32 [n h w c] and class indices in memory. `classes` are the names, `flips` says whether a
    mirrored image keeps its label.

    Raises BadInput for sizes that differ, labels outside 0..C-1, a class with fewer than two training images, and floats outside [0, 1] or
    NaN.
    """
    return Source(name, spec, InMemory(x_train, y_train), InMemory(x_test, y_test), classes, flips)


def check_classes(
    spec: str, y_train: Int32[np.ndarray, " _"], y_test: Int32[np.ndarray, " _"], classes: tuple[str, ...], examples: str
) -> None:
    """Raises BadInput for a class name that appears twice, labels outside 0..C-1, fewer than two classes, and a class with fewer than two
    training examples. Messages call the examples by the word `examples`."""
    if len(set(classes)) < len(classes):
        raise BadInput(f"{spec}: two classes have the same name, as it can be printed; every class needs its own")
    for part, y in (("train", y_train), ("test", y_test)):
        if y.min() < 0 or y.max() >= len(classes):
            last = len(classes) - 1
            raise BadInput(f"{spec}: {part} labels run from {y.min()} to {y.max()}; {last + 1} classes have 0..{last}")
    counts = np.bincount(y_train, minlength=len(classes))
    if len(classes) < 2 or counts.min() < 2:
        rare = int(counts.argmin())
        raise BadInput(
            f"{spec}: class {rare} ('{classes[rare]}') of {len(classes)} has {counts[rare]} training {examples}; "
            "there must be two or more classes 0..C-1, each with two or more"
        )


def check_unit(spec: str, part: str, rows: Rows) -> None:
    """Raises BadInput where float images do not lie in [0, 1], or are NaN. `part`, `train` or `test`, is for the message."""
    spans = np.array([(piece.min(), piece.max()) for piece in pieces(rows)])
    low, high = spans[:, 0].min(), spans[:, 1].max()
    if not (low >= 0 and high <= 1):
        what = "NaN" if np.isnan(low) else f"values from {low:g} to {high:g}"
        raise BadInput(f"{spec}: {part} images hold {what}; float images must lie in [0, 1], or store bytes (uint8) 0..255")


def check_alike(spec: str, x_train, y_train, x_test, y_test, *, examples: str = "images", axes: str = "n height width channels") -> None:
    """Compares rows, arrays, or what files declare of them, by dtype and shape: labels [n], and examples of these axes, which
    messages call `examples`.

    Raises BadInput for no examples, for another number of labels, and for test examples of another size or type than those of train.
    """
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x.shape) != len(axes.split()) or 0 in x.shape:
            raise BadInput(f"{spec}: {part} {examples} have shape {x.shape}; needed are one or more of [{axes}]")
        if x.shape[0] != y.shape[0]:
            raise BadInput(f"{spec}: {x.shape[0]} {part} {examples} but {y.shape[0]} {part} labels; there must be as many")
    if x_train.shape[1:] != x_test.shape[1:] or x_train.dtype != x_test.dtype:
        raise BadInput(f"{spec}: train {examples} are {_look(x_train)} but test {examples} {_look(x_test)}; they must be alike")


def _look(x: Rows | np.ndarray | Member) -> str:
    return "x".join(map(str, x.shape[1:])) + f" {x.dtype}"


def regular(path: Path, spec: str, *, remedy: str) -> Path:
    """Returns `path` if it is an ordinary file. Links are followed; devices and pipes are refused. The message of BadInput ends in
    `remedy`."""
    try:
        if stat.S_ISREG(os.stat(path).st_mode):
            return path
    except OSError as error:
        raise BadInput(f"{spec}: cannot read {path} ({error.strerror}); {remedy}") from None
    raise BadInput(f"{spec}: {path} is not an ordinary file; {remedy}")


def numbered(y: Int[np.ndarray, " n"]) -> tuple[str, ...]:
    """Class names '0', '1', ... up to the largest label."""
    return tuple(str(index) for index in range(int(y.max(initial=0)) + 1))


def stratified(y: Int[np.ndarray, " n"], count: int, *, seed: int | None = None) -> Int[np.ndarray, " count"]:
    """The numbers, ascending, of `count` examples with the classes in proportion (largest remainders): drawn by `seed`, or for None the
    first of every class."""
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
