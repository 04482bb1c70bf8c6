"""Data that somebody holds in Python: arrays, data frames, and data sets of other libraries, none of which is imported here."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from condense.data.named import Named
from condense.data.readers.base import HELD, Spec
from condense.data.readers.columnar import IMAGES, LABELS, source_of_columns
from condense.data.readers.columns import USUAL
from condense.data.readers.frames import Frame, is_frame
from condense.data.readers.hf import TESTS, is_dataset, read_datasets
from condense.data.readers.indexed import is_indexed, read_indexed
from condense.data.readers.raw import source_of
from condense.data.readers.source import Source
from condense.data.readers.vector_source import VectorSource
from synth.errors import BadInput

FORMS = "(x, y), (x_train, y_train, x_test, y_test), a data frame, or a data set of `datasets` or PyTorch"


def read_given(given: Any, options: dict[str, Any], *, name: str = "", classes: tuple[str, ...] = ()) -> tuple[Spec, Source | VectorSource]:
    """A specification that describes something handed over in Python, and the source that this is. Without test examples, a fifth is drawn,
    or what the option `test` says.

    Args:
      given: arrays in a tuple, a mapping with `train` and `test`, a data frame, or a data set of `datasets` or PyTorch.
      options: the values of options by name, as `condense.data.spec.parse_options` gives them.
      name: what messages and tables call the data; by default what the thing is.
      classes: names of the classes of arrays, in their order.

    Raises BadInput for anything else, and as the readers do.
    """
    name = name or type(given).__name__.lower()
    spec = Spec(f"{HELD}:{name}", name, HELD, "", options, Named(HELD, ""))
    train, test = take_apart(spec, given)
    if is_frame(train):
        parts = [None if part is None else Frame(part, f"the {word} frame") for part, word in ((train, "train"), (test, "test"))]
        return spec, source_of_columns(spec, *parts, usual=USUAL)
    if is_dataset(train):
        return spec, read_datasets(spec, train, test, usual=USUAL)
    if isinstance(train, tuple):
        pairs = [None if part is None else (as_array(spec, part[0]), as_labels(part[1])) for part in (train, test)]
        return spec, source_of(spec, *pairs, names=classes, usual=USUAL)
    return spec, read_indexed(spec, train, test, usual=USUAL)


def take_apart(spec: Spec, given: Any) -> tuple[Any, Any]:
    """The training part and the test part of what is given, each a pair (x, y) or a data set; None where there is no test part. Four arrays
    are x_train, y_train, x_test, y_test, or x_train, x_test, y_train, y_test where their shapes show that.

    Raises BadInput for what is no data.
    """
    if isinstance(given, Mapping):
        if {"x_train", "y_train"} <= set(given):
            given = tuple(given[key] for key in ("x_train", "y_train", "x_test", "y_test") if key in given)
            return take_apart(spec, given)
        test = next((given[name] for name in TESTS if name in given), None)
        keys = [next((key for key in known if key in given), None) for known in (("x", *IMAGES), LABELS)]
        if None not in keys and all(is_array_or_list(given[key]) for key in keys):
            return tuple(given[key] for key in keys), None
        if "train" not in given and len(given) == 1:
            return pair(spec, next(iter(given.values()))), None
        if "train" not in given:
            raise BadInput(f"{spec.text}: has the parts {', '.join(map(str, given))[:200]}; one must be called train")
        return pair(spec, given["train"]), None if test is None else pair(spec, test)
    if not isinstance(given, tuple | list):
        return pair(spec, given), None
    if len(given) == 2:
        if all(map(is_frame, given)) and list(given[0].columns) == list(given[1].columns):
            return tuple(given)
        parts = [isinstance(part, tuple | list) and len(part) == 2 and all(map(is_array, part)) for part in given]
        if all(parts) or not any(map(is_array_or_list, given)):
            return pair(spec, given[0]), pair(spec, given[1])
        return tuple(given), None
    if len(given) == 4 and all(map(is_array_or_list, given)):
        a, b, c, d = given
        if (np.ndim(b) > 1 and np.ndim(c) == 1) or len(a) == len(c) != len(b):  # the order of scikit-learn's train_test_split
            b, c = c, b
        return (a, b), (c, d)
    raise BadInput(f"{spec.text}: {len(given)} things are no data; give {FORMS}")


def pair(spec: Spec, part: Any) -> Any:
    """One part of the data: a pair (x, y) as a tuple, or a data frame or data set as it is. Raises BadInput for anything else, such as an
    array without labels."""
    if isinstance(part, tuple | list) and len(part) == 2:
        return tuple(part)
    if is_array(part) and not is_frame(part):
        raise BadInput(f"{spec.text}: an array has no labels; give (x, y)")
    if is_frame(part) or is_dataset(part) or is_indexed(part):
        return part
    raise BadInput(f"{spec.text}: {type(part).__name__} is no data that can be read in any order; give {FORMS}")


def is_array(thing: Any) -> bool:
    """Whether something is an array: of numpy, JAX or PyTorch, or a column of a frame. A whole frame passes too."""
    return hasattr(thing, "__array__") and hasattr(thing, "shape")


def is_array_or_list(thing: Any) -> bool:
    """Whether something is an array or a list of numbers or names."""
    return is_array(thing) or isinstance(thing, list)


def as_array(spec: Spec, x: Any) -> np.ndarray:
    """Examples as one array of numbers. Raises BadInput where they are none."""
    try:
        x = np.asarray(x)
    except (ValueError, TypeError, RuntimeError) as error:
        raise BadInput(f"{spec.text}: examples are no array ({error}); give them in one shape") from None
    if x.dtype.kind not in "biuf":
        raise BadInput(f"{spec.text}: examples are {x.dtype}; they must be numbers, uint8 0..255 or float in [0, 1] for images")
    return x


def as_labels(y: Any) -> Any:
    """Labels as a numpy array, unchecked."""
    return np.asarray(y)
