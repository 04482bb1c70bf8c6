"""Data by specification, or as somebody holds them in Python."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from condense.data import graphs, images, vectors
from condense.data.given import read_given
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.readers import READERS
from condense.data.readers.base import Spec
from condense.data.spec import parse_options, parse_spec
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.memory import fits, megabytes
from synth.set import SyntheticSet


class Builder(NamedTuple):
    """How data of one modality are made and compared.

    Args:
      build: (spec, source, *, seed, validation) -> data, split and normalised.
      differ: (set, data) -> in words, how the set's examples differ from the data's; empty if they do not.
    """

    build: Callable[..., Data | GraphData]
    differ: Callable[[SyntheticSet, Any], str]


BUILDERS = {
    "images": Builder(images.build, images.check_examples),
    "graphs": Builder(graphs.build, graphs.check_examples),
    "vectors": Builder(vectors.build, images.check_examples),
}  # by modality of what a reader returns


@runtime_checkable
class Indexed(Protocol):
    """What hands out its parts by number or name: arrays in a tuple, a mapping, a data frame, a data set of another library."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


Loaded = Data | GraphData  # what `load_data` gives, and takes as it is
Given = str | Path | Loaded | Indexed


def load_data(data: Given, *, seed: int = 0, validation: float = 0.1, options: str = "") -> Data | GraphData:
    """Reads, checks, splits and normalises data: images, vectors or graphs.

    Args:
      data: NAME, `kind:location` or the path of a file or folder, with options `?key=value&...`: normalise=KIND (standard),
        stream=true|false (whether rows stay in their files, as they do by themselves where memory cannot hold them), flip=true|false,
        limit=N (the first N training images, classes in proportion), validation=0 (all training images are trained on), for pictures
        size=N (shorter side, then centre crop), scale=N (of test pictures the shorter side before that crop), crops=true (teachers are
        trained on random parts of pictures in files) and grey=true, for arrays layout=nchw|nhwc, and test=F, a fraction drawn for the test
        where there is none, by split=N (not given: a fifth of tables and of what Python holds; others are refused); for graphs fold=K or
        split=N, degree=true|false, and unique=true|false; for tables label=COLUMN, and test=FILE, or test=F and split=N. Or what
        Python holds: (x, y), (x_train, y_train, x_test, y_test), a mapping with `train` and `test`, a data frame, a data set of
        `datasets`, or a map-style one of PyTorch. Data that were loaded already come back as they are, whatever the other arguments
        say.
      seed: draws the validation split.
      validation: fraction of the training examples in [0, 1) that go there, every class in proportion and none emptied; the option
        `validation=0` comes before it.
      options: for what Python holds, the options that would stand behind the question mark, as in `label=species&test=0.1`.

    Example:
      >>> import condense
      >>> data = condense.load_data("digits?limit=500")
      >>> len(data.train), len(data.val), data.image
      (450, 50, (8, 8, 1))

    Raises:
      BadInput: an unknown name, kind or option; files that are missing, damaged or hostile; contents that the source refuses.
    """
    if isinstance(data, Loaded):
        return data
    check_split(seed, validation)
    if isinstance(data, str | Path):
        spec = parse_spec(str(data))
        if options:
            raise BadInput(f"data '{spec.text}': options={options} is for what Python holds; write {spec.how('', '')[0]}{options} instead")
        source = open_source(spec)
    else:
        shown = f"a {type(data).__name__}"
        spec, source = read_given(data, parse_options(shown, READERS["hf"], options or None))
    return BUILDERS[source.modality].build(spec, source, seed=seed, validation=spec.options.get("validation", validation))


def open_source(spec: Spec) -> Any:
    """The raw data of a specification: a source of images, vectors or graphs. Rows stay in their files where the option `stream` says so,
    and where they are more than may be held in memory, which a line says; both only if the reader of their kind can leave them there.
    Otherwise they are held: a digest of rows in files is another one."""
    reader = READERS[spec.kind]
    if reader.scan is None or reader.weigh is None:
        return reader.read(spec)
    stream = spec.options.get("stream")
    if spec.options.get("crops"):
        whitened = spec.options.get("normalise", "").startswith("zca")
        if stream is False or "size" not in spec.options or whitened:
            wrong = "crops=true is for pictures that stay in their files, are cut by size=N and not whitened"
            raise BadInput(f"{spec.text}: {wrong}; leave it out, or change that")
        stream = True
    if stream is None and (stream := not fits(weight := reader.weigh(spec))):
        remedy = f"{spec.how('stream', 'false')} would hold them there"
        note(f"{spec.text}: rows stay in their files, as they would take {megabytes(weight)} of memory; {remedy}")
    source = (reader.scan if stream else reader.read)(spec)
    if spec.options.get("crops") and not getattr(source.train, "crops", False):
        raise BadInput(f"{spec.text}: crops=true is for pictures in files, and these are none; leave it out")
    return source


def from_arrays(
    x_train: np.ndarray,
    y_train: Any,
    *test: Any,
    x_test: np.ndarray | None = None,
    y_test: Any = None,
    classes: Any = None,
    name: str = "arrays",
    options: str = "",
    seed: int = 0,
    validation: float = 0.1,
) -> Data:
    """Makes data of arrays, to give wherever data are taken: images or vectors.

    Args:
      x_train: images u8 0..255 or floats in [0, 1], [n h w c], [n c h w] or [n h w]; or vectors [n d] of any numbers.
      y_train: their labels: whole numbers, text, or one-hot rows.
      test: x_test and y_test, where they are not given by name.
      x_test, y_test: the same of the test; without them a fifth of every class is drawn.
      classes: names of the classes in their order; by default they are called by their labels.
      name: what tables and files call the data.
      options: as `load_data` has them, as in `test=0.1&split=3` or `layout=nchw`.
      seed: draws the validation split.
      validation: fraction of the training examples that go there.

    Example:
      >>> import condense, numpy
      >>> x, y = numpy.random.rand(60, 8, 8), numpy.array(["cat", "dog"] * 30)
      >>> data = condense.from_arrays(x, y, name="pets")
      >>> data.spec, data.image, data.classes, len(data.test)
      ('arrays:pets', (8, 8, 1), ('cat', 'dog'), 12)

    Raises BadInput for arrays that do not fit each other, and labels or values that are none of the above.
    """
    check_split(seed, validation)
    if test:
        if len(test) != 2 or x_test is not None or y_test is not None:
            raise BadInput(f"arrays:{name}: give x_train, y_train, x_test, y_test, or the last two by name; the test is both or neither")
        x_test, y_test = test
    if (x_test is None) != (y_test is None):
        raise BadInput(f"arrays:{name}: x_test and y_test belong together; give both or neither")
    given = (x_train, y_train) if x_test is None else {"train": (x_train, y_train), "test": (x_test, y_test)}
    asked = parse_options(f"arrays:{name}", READERS["hf"], options or None)
    spec, source = read_given(given, asked, name=name, classes=() if classes is None else tuple(classes))
    return BUILDERS[source.modality].build(spec, source, seed=seed, validation=spec.options.get("validation", validation))


def check_split(seed: int, validation: float) -> None:
    """Raises BadInput for a seed below 0, and for a validation fraction outside [0, 1)."""
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    if not 0 <= validation < 1:
        raise BadInput(f"validation={validation}: must be a fraction in [0, 1)")
