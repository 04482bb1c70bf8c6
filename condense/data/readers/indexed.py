"""Data sets whose examples are counted from 0, as PyTorch's map-style sets are: a length, and an example and its label by number."""

from typing import Any

import numpy as np

from condense.data.readers.base import Spec
from condense.data.readers.encoded import same_channels, shown_pixels
from condense.data.readers.raw import source_of
from condense.data.readers.source import MODEL_SPACE, Source
from condense.data.readers.vector_source import VectorSource
from condense.runtime.log import progress
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

IMAGES, LABELS = ("image", "img", "x", "pixel_values", "data", "features"), ("label", "labels", "y", "target", "class")
DEEP = 8  # sets within sets, as a part of a part is
LONG = 5000  # examples that take long enough for a progress bar


def is_indexed(thing: Any) -> bool:
    """Whether something hands out examples by number."""
    return hasattr(thing, "__getitem__") and hasattr(thing, "__len__") and not isinstance(thing, str | bytes)


def read_indexed(spec: Spec, train: Any, test: Any | None, *, usual: float | None) -> Source | VectorSource:
    """The source that such a set is. Every example is asked for once, in order, so what draws an augmentation is read as it was drawn.

    Args:
      train, test: sets whose examples are (x, y, ...), or mappings with an image and a label. x is an array, a tensor or a picture.
      usual: the fraction that is drawn for the test where there is none.

    Raises BadInput for other examples, and where they are not of one shape.
    """
    parts = [None if part is None else read_part(spec, part, word) for part, word in ((train, "train"), (test, "test"))]
    if parts[1] is not None and parts[0][0].ndim == 4 and parts[1][0].ndim == 4:
        x_train, x_test = same_channels(parts[0][0], parts[1][0])
        parts = [(x_train, parts[0][1]), (x_test, parts[1][1])]
    return source_of(spec, *parts, names=names_of(train), usual=usual)


def read_part(spec: Spec, part: Any, word: str) -> tuple[np.ndarray, np.ndarray]:
    """All examples of a set in one array, and their labels. `word`, `train` or `test`, is for messages. Raises BadInput where there are
    none, or not of one shape."""
    n, found, labels, memory = len(part), [], [], MemoryBudget(spec.text, remedy="give fewer or smaller examples")
    with progress(n, f"reading {spec.text}") if n >= LONG else _Quiet() as bar:
        for at in range(n):
            x, y = take_one(spec, part, at, word)
            if not found:
                memory.take((1 + MODEL_SPACE) * n * x.nbytes)
            found.append(x)
            labels.append(y)
            bar.advance()
    if not n:
        raise BadInput(f"{spec.text}: the {word} set is empty; give one with examples")
    if found[0].dtype == np.uint8 and found[0].ndim == 3:
        found = same_channels(*found) if len({x.shape[-1] for x in found}) > 1 else found
    if len(shapes := {x.shape for x in found}) > 1:
        a, b = ("x".join(map(str, shape)) for shape in sorted(shapes)[:2])
        raise BadInput(f"{spec.text}: {word} examples have several shapes, such as {a} and {b}; make all alike, as by a resize")
    return np.stack(found), np.asarray(labels)


def take_one(spec: Spec, part: Any, at: int, word: str) -> tuple[np.ndarray, Any]:
    """The example with the number `at` as an array, and its label as a plain value, or as an array where it is several numbers. Raises
    BadInput for anything that is not such a pair."""
    item = part[at]
    if hasattr(item, "keys"):
        keys = [next((key for key in known if key in item), None) for known in (IMAGES, LABELS)]
        item = tuple(item[key] for key in keys) if None not in keys else ()
    if not isinstance(item, tuple | list) or len(item) < 2:
        raise BadInput(f"{spec.text}: {word} example {at} is no pair of an example and its label; give a map-style set of such pairs")
    x, y = item[:2]
    x = shown_pixels(x, f"{spec.text}: {word} example {at}") if hasattr(x, "convert") else np.asarray(x)
    y = np.asarray(y)
    return x, y.item() if y.ndim == 0 else y


def names_of(part: Any) -> tuple[str, ...]:
    """The names of the classes that a set, or one that it is a part of, says; none where it says none."""
    for _ in range(DEEP):
        if isinstance(names := getattr(part, "classes", None), tuple | list) and all(isinstance(name, str) for name in names):
            return tuple(names)
        part = getattr(part, "dataset", None)
    return ()


class _Quiet:
    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def advance(self, n: int = 1) -> None:
        pass
