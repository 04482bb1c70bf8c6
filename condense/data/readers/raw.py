"""Arrays that somebody holds or a file gave become a source: images or vectors, with labels in any usual form, with or without a test."""

import mmap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from condense.data.readers.base import Spec
from condense.data.readers.class_labels import number_labels
from condense.data.readers.pixels import as_floats, as_images, conversion
from condense.data.readers.source import Source, check_not_drawn, draw_test
from condense.data.readers.vector_source import VECTORS, VectorSource
from condense.data.rows import InMemory, Rows
from synth.errors import BadInput

PART = 1 << 24  # bytes of a mapped array that are looked at together
SHAPES = "images [n h w], [n h w c] or [n c h w], or vectors [n d]"


def source_of(
    spec: Spec,
    train: tuple[np.ndarray, Any],
    test: tuple[np.ndarray, Any] | None,
    *,
    names: Any = (),
    flips: bool = True,
    columns: str = "",
    usual: float | None = None,
) -> Source | VectorSource:
    """Makes the source of arrays: vectors where they have two axes, images where they have three or four.

    Args:
      spec: its text begins messages, its options say the layout, and the test split where there is none.
      train, test: examples and their labels, these whole numbers, text, bytes or one-hot rows; None where there is no test.
      names: of the classes, in their order.
      flips: whether a mirrored image keeps its label.
      columns: what the numbers of vectors are called, as `synth.vectors.write_columns` writes it.
      usual: the fraction that is drawn for the test where neither data nor options name one; by default that is refused.

    Raises BadInput for what is neither images nor vectors, and for lengths, labels or numbers that cannot be.
    """
    (x_train, y_train), (x_test, y_test) = train, test or (train[0][:0], ())
    vectors = x_train.ndim == 2
    if x_train.ndim not in (2, 3, 4) or (len(x_test) and x_test.ndim != x_train.ndim):
        raise BadInput(f"{spec.text}: train examples have shape {x_train.shape}, test examples {x_test.shape}; needed are {SHAPES}")
    check_lengths(spec.text, x_train, y_train, x_test, y_test)
    examples = VECTORS["examples"] if vectors else "images"
    y_train, y_test, classes = number_labels(spec.text, y_train, y_test, names=names, examples=examples)
    x_train, x_test = (
        as_vectors(spec.text, x_train, x_test) if vectors else as_images(spec.text, [x_train, x_test], spec.options.get("layout"))
    )
    return assemble(spec, (x_train, y_train), test and (x_test, y_test), classes, flips=flips, columns=columns, usual=usual)


def assemble(
    spec: Spec,
    train: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray] | None,
    classes: tuple[str, ...],
    *,
    flips: bool = True,
    columns: str = "",
    usual: float | None = None,
    drawn: str = "",
) -> Source | VectorSource:
    """Makes the source of examples in memory whose numbers and labels are as a source has them: vectors where they have two axes, else
    images.

    Args:
      train, test: examples, u8 or f32, and their class indices; None where there is no test: then one is drawn.
      classes: their names, in the order of the indices. flips: whether a mirrored image keeps its label.
      columns: what the numbers of vectors are called, as `synth.vectors.write_columns` writes it.
      usual: the fraction that is drawn for the test where the option `test` names none; by default that is refused.
      drawn: says how the test was drawn, where the caller has drawn it; else the options `test` and `split` are refused beside a test.
    """
    return assemble_rows(
        spec, InMemory(*train), None if test is None else InMemory(*test), classes, flips=flips, columns=columns, usual=usual, drawn=drawn
    )


def assemble_rows(
    spec: Spec,
    train: Rows,
    test: Rows | None,
    classes: tuple[str, ...],
    *,
    flips: bool = True,
    columns: str = "",
    usual: float | None = None,
    drawn: str = "",
    files: tuple[Path, ...] = (),
) -> Source | VectorSource:
    """Makes the source of rows, wherever they lie: vectors where a row has one axis, else images.

    Args:
      train, test: rows with class indices; None where there is no test: then one is drawn.
      classes: their names, in the order of the indices. flips: whether a mirrored image keeps its label.
      columns: what the numbers of vectors are called, as `synth.vectors.write_columns` writes it.
      usual: the fraction that is drawn for the test where the option `test` names none; by default that is refused.
      drawn: says how the test was drawn, where the caller has drawn it; else the options `test` and `split` are refused beside a test.
      files: those that hold the rows, where rows stay there.
    """
    if test is None:
        *parts, drawn = draw_test(spec, train, usual=usual)
    else:
        if not drawn:
            check_not_drawn(spec)
        parts = [train, test]
    held = {"drawn": drawn, "files": files}
    if len(train.shape) == 2:
        return VectorSource(spec.name, spec.text, *parts, classes, columns, **held)
    return Source(spec.name, spec.text, *parts, classes, flips, **held)


@dataclass(frozen=True, eq=False)
class InFile:
    """Rows that are an array mapped from a file: what was taken of it leaves memory at once.

    Args:
      x: the array. y: the class index of every row. convert: turns rows [m ...] of the array into rows as a source has them.
    """

    x: np.memmap
    y: Int32[np.ndarray, " n"]
    convert: Callable[[np.ndarray], np.ndarray]
    in_memory = False

    @cached_property
    def one(self) -> np.ndarray:
        """One converted row of zeros, [1 ...], which tells the shape and the type of all."""
        return self.convert(np.zeros((1, *self.x.shape[1:]), self.x.dtype))

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of rows, then the shape of one."""
        return (len(self.x), *self.one.shape[1:])

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the rows."""
        return self.one.dtype

    def take(self, index: Int[np.ndarray, " m"]) -> np.ndarray:
        """A copy of the rows that `index` names, in its order, converted."""
        index = np.asarray(index, np.int64)
        following = len(index) > 1 and bool((np.diff(index) == 1).all())  # else the system reads far around every row, which nobody wants
        self.x._mmap.madvise(mmap.MADV_NORMAL if following else mmap.MADV_RANDOM)
        taken = np.asarray(self.x[index])  # a copy
        self.x._mmap.madvise(mmap.MADV_DONTNEED)
        return self.convert(taken)

    def spans(self) -> Iterator[tuple[int, int]]:
        """The lowest and the highest number of the array, which holds integers and is not converted, for one part of its rows after
        another."""
        many = max(1, PART // max(1, self.x[:1].nbytes))
        self.x._mmap.madvise(mmap.MADV_NORMAL)
        for at in range(0, len(self.x), many):
            part = self.x[at : at + many]
            yield int(part.min()), int(part.max())
            self.x._mmap.madvise(mmap.MADV_DONTNEED)


def map_rows(spec: Spec, parts: list[tuple[np.memmap, np.ndarray]]) -> list[InFile]:
    """Arrays that are mapped from files, each with its class indices and those of training first, as rows: vectors, which become f32, or
    images, which become u8 or f32 [n h w c], all by the same rule (`conversion`). Raises BadInput for numbers or a shape of images that
    this refuses."""
    held = [InFile(x, y, as_floats) for x, y in parts]
    if parts[0][0].ndim == 2:
        return held
    wide = [rows for rows in held if rows.x.dtype.kind in "iu" and rows.x.dtype != np.uint8]
    spans = [span for rows in wide for span in rows.spans()]
    convert = conversion(spec.text, parts[0][0].shape, {x.dtype for x, _ in parts}, spans, spec.options.get("layout"))
    return [replace(rows, convert=convert) for rows in held]


def check_lengths(spec: str, x_train, y_train, x_test, y_test) -> None:
    """Raises BadInput where there are no training examples, or not as many labels as examples."""
    for part, x, y in (("train", x_train, y_train), ("test", x_test, y_test)):
        if len(x) != len(y):
            raise BadInput(f"{spec}: {len(x)} {part} examples but {len(y)} {part} labels; there must be as many")
    if not len(x_train):
        raise BadInput(f"{spec}: there are no training examples; give some")


def as_vectors(spec: str, *parts: np.ndarray) -> list[np.ndarray]:
    """Numbers of any kind as f32. Raises BadInput for what are none."""
    for x in parts:
        if x.dtype.kind not in "iufb":
            raise BadInput(f"{spec}: vectors are {x.dtype}; they must be numbers")
    return [as_floats(x) for x in parts]
