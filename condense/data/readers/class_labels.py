"""Labels in any usual form become class indices 0..C-1 and the names of the classes.

Labels may be whole numbers (from 0, from 1, with gaps, stored as floats or booleans), text, bytes, or one-hot rows. What a file says of its
classes and what its labels say must agree; where there is one way to read both, a line says which, and otherwise they are refused.
"""

from typing import Any

import numpy as np
from jaxtyping import Int, Int32

from condense.runtime.log import note
from synth.errors import BadInput, nearest

SHOWN = 12  # names that a message lists
SIGNS = {-1, 1}  # the only labels below 0 that are not taken for "no label"


def number_labels(
    spec: str, y_train: Any, y_test: Any, *, names: Any = (), examples: str = "images"
) -> tuple[Int32[np.ndarray, " n"], Int32[np.ndarray, " m"], tuple[str, ...]]:
    """Class indices 0..C-1 of the training and of the test examples, and the names of the classes. Without `names`, classes are ordered by
    size where all labels are whole numbers, else by the alphabet. Names of no training example are left out, with a note.

    Args:
      spec: what messages begin with.
      y_train, y_test: labels, one an example: whole numbers (floats and booleans too), text, bytes, or one-hot rows. y_test may be empty.
      names: names of the classes in their order, of labels from 0, or from 1 to the last; without them classes are called by their labels.
      examples: what messages call the examples.

    Raises BadInput for labels that are missing, not whole, below 0 (other than -1 and 1), beyond the named classes, or in no training
    example.
    """
    train, test = (_plain(spec, part, y) for part, y in (("train", y_train), ("test", y_test)))
    names = tuple(str(name) for name in _plain(spec, "class names", names).tolist()) if len(names) else ()
    if not len(test):
        test = test.astype(train.dtype)
    if (train.dtype.kind == "U") != (test.dtype.kind == "U"):
        raise BadInput(f"{spec}: some labels are text and others numbers; make them alike")
    known = np.unique(train)
    if known.dtype.kind != "U":
        check_signs(spec, known)
    strange = np.setdiff1d(test, known)
    if len(strange) and not names:
        listed = _listed(known.tolist())
        raise BadInput(f"{spec}: test holds label {strange[0]}, which no training {examples[:-1]} has; those have {listed}")
    values, classes = (_by_text if train.dtype.kind == "U" else _by_number)(spec, known, test, names)
    if len(strange):
        raise BadInput(f"{spec}: test holds label {strange[0]}, which no training {examples[:-1]} has; give {examples} of it, or drop it")
    if unused := [name for name in names if name not in classes]:
        note(f"{spec}: no {examples} are of {_listed(unused)}; {'these classes are' if len(unused) > 1 else 'this class is'} left out")
    order = np.argsort(values)
    train, test = (order[np.searchsorted(values[order], y)].astype(np.int32) for y in (train, test))
    return train, test, classes


def _by_text(spec: str, known: np.ndarray, test: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, tuple[str, ...]]:
    """The labels in the order of their classes, and the names of these: as they are listed, by size, or by the alphabet."""
    found = [str(text) for text in known]
    if names:
        if stray := [text for text in [*found, *map(str, test)] if text not in names]:
            raise BadInput(f"{spec}: label '{stray[0]}' is none of the classes {_listed(names)}{nearest(stray[0], names)}; correct it")
        ordered = [name for name in names if name in found]
    else:
        whole = all(text.lstrip("-").isdecimal() for text in found)
        ordered = sorted(found, key=int) if whole else sorted(found)
    return np.array(ordered), tuple(ordered)


def _by_number(
    spec: str, known: Int[np.ndarray, " k"], test: np.ndarray, names: tuple[str, ...]
) -> tuple[Int[np.ndarray, " k"], tuple[str, ...]]:
    """The labels in the order of their classes, and the names of these. What is read otherwise than 0..C-1 is said."""
    low, high = int(known[0]), int(known[-1])
    if not names:
        if (low, high) != (0, len(known) - 1):
            note(f"{spec}: labels run from {low} to {high}, {len(known)} of them; classes are numbered from 0 and called by their labels")
        return known, tuple(map(str, known.tolist()))
    first, last = min(low, int(test.min(initial=low))), max(high, int(test.max(initial=high)))
    shift = int(last == len(names) and first >= 1)
    if not 0 <= first <= last < len(names) + shift:
        raise BadInput(f"{spec}: train labels run from {low} to {high}; {len(names)} classes have 0..{len(names) - 1}")
    if shift:
        note(f"{spec}: labels run from {first} to {last} for {len(names)} classes, so label 1 is the first of them")
    return known, tuple(names[label - shift] for label in known.tolist())


def check_signs(spec: str, known: Int[np.ndarray, " k"]) -> None:
    """Raises BadInput for labels below 0, which often stand for "no label", unless they are -1 and 1. `known` are the different labels,
    ascending."""
    if known[0] < 0 and set(known.tolist()) != SIGNS:
        run = f"train labels run from {known[0]} to {known[-1]}"
        raise BadInput(f"{spec}: {run}; labels are whole numbers from 0, or -1 and 1: drop the examples without a label")


def _plain(spec: str, part: str, y: Any) -> np.ndarray:
    """Labels as int64[n] or text[n]. Raises BadInput for other things."""
    y = np.asarray(y)
    shown = f"{y.dtype} of shape {y.shape}"
    if y.dtype.kind == "O":
        y = _objects(spec, part, y)
    if y.dtype.kind == "S":
        try:
            y = np.char.decode(y, "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"{spec}: {part} labels are bytes that are no text in UTF-8; store them as text") from None
    y = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    if y.ndim == 2 and y.dtype.kind in "iufb" and len(y) and ((y == 0) | (y == 1)).all() and (y.sum(1) == 1).all():
        return y.argmax(1).astype(np.int64)
    if y.ndim != 1 or y.dtype.kind not in "iufbU":
        raise BadInput(f"{spec}: {part} labels are {shown}; they must be whole numbers or text of shape [n], or one-hot rows [n classes]")
    if y.dtype.kind == "U":
        return _trimmed(spec, part, y)
    if y.dtype.kind == "f" and not (y == np.floor(y)).all():
        missing = int(np.isnan(y).sum())
        wrong = f"{missing} of the {len(y)} {part} labels are missing (NaN)" if missing else f"{part} labels are no whole numbers"
        raise BadInput(f"{spec}: {wrong}; drop those examples, or give classes as whole numbers or text")
    if len(y) and not -(2**62) <= float(y.min()) <= float(y.max()) <= 2**62:
        raise BadInput(f"{spec}: {part} labels run from {y.min()} to {y.max()}; give classes as smaller numbers")
    return y.astype(np.int64)


def _objects(spec: str, part: str, y: np.ndarray) -> np.ndarray:
    """Python objects as an array of numbers or text. Raises BadInput for missing ones and for a mixture."""
    held = y.ravel().tolist()
    missing = sum(one is None or one != one for one in held)
    if missing:
        raise BadInput(f"{spec}: {missing} of the {len(held)} {part} labels are missing; drop those examples")
    for kinds in ((str, np.str_), (bytes, np.bytes_), (int, np.integer, bool, np.bool_, float, np.floating)):
        if all(isinstance(one, kinds) for one in held):
            return np.array(held).reshape(y.shape)
    raise BadInput(f"{spec}: {part} labels are objects of several kinds; make them whole numbers or text")


def _trimmed(spec: str, part: str, y: np.ndarray) -> np.ndarray:
    y = np.char.strip(y)
    if (y == "").any():
        raise BadInput(f"{spec}: {int((y == '').sum())} of the {len(y)} {part} labels are empty; drop those examples")
    return y


def _listed(names) -> str:
    shown = ", ".join(str(name) for name in names[:SHOWN])
    return shown + (f" ... ({len(names)})" if len(names) > SHOWN else "")
