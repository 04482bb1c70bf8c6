"""Data sets of images, and of other rows of arrays such as vectors.

`Data.train`, `val` and `test` are views of the reader's raw rows in model space (`condense.data.rows.View`): f32[n h w c], normalised or
whitened by what was fitted on the rows of `train`, with i32 class indices in 0..C-1.
"""

import hashlib
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from condense.data.digests import digest_of, shaping
from condense.data.named import IMAGENET, PUBLISHED, STATED
from condense.data.readers.base import Spec
from condense.data.readers.kept import Kept
from condense.data.readers.source import MODEL_SPACE, ArraySource, stratified
from condense.data.rows import Part, Rows, Slices, View, view
from condense.data.spec import absolute
from condense.runtime.log import note, progress
from synth.base import Split
from synth.errors import BadInput
from synth.files.memory import megabytes
from synth.images import preprocess as pre
from synth.images.preprocess import Preprocess, Standard
from synth.set import SyntheticSet


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in model space, with a validation split cut from its training images.

    Args:
      spec, name: what was asked for, and a short name.
      classes: class names in the order of the labels. image: the shape of an example. flips: whether a mirrored image keeps its label.
      digest: of the raw contents, before any split.
      seed: of the validation split.
      preprocess: from raw to model space; fitted on the images of `train`, or another set's (see `under`).
      source: the raw rows.
      rows: which of the raw training rows are for training, and which are for validation.
      located: `spec` with absolute paths, where it has relative ones.
    """

    spec: str
    name: str
    classes: tuple[str, ...]
    image: tuple[int, ...]
    flips: bool
    digest: str
    seed: int
    preprocess: Preprocess = field(repr=False)
    source: ArraySource = field(repr=False)
    rows: tuple[np.ndarray, np.ndarray] = field(repr=False)
    located: str = ""

    def __repr__(self) -> str:
        shape, sizes = "x".join(map(str, self.image)), [len(rows) for rows in (*self.rows, self.source.test.y)]
        counts = "{:,} for training, {:,} for validation, {:,} for the test".format(*sizes)
        return f"Data({self.spec}: {self.modality} of {shape}, {len(self.classes)} classes; {counts})"

    @property
    def modality(self) -> str:
        """The modality of the raw data, `images` or `vectors`."""
        return self.source.modality

    @property
    def drawn(self) -> str:
        """Says in words how the test split was drawn; empty where the data came with one."""
        return self.source.drawn

    @cached_property
    def train(self) -> View:
        """The training examples that the validation split leaves, in model space."""
        return view(Part(self.source.train, self.rows[0]), self.preprocess)

    @cached_property
    def val(self) -> View:
        """The validation examples, cut from the training examples, in model space: options and epochs are chosen by scores on these."""
        return view(Part(self.source.train, self.rows[1]), self.preprocess)

    @cached_property
    def test(self) -> View:
        """The test examples, in model space, for the final score only."""
        return view(self.source.test, self.preprocess)

    @property
    def trained_on(self) -> str:
        """A text with the number of training examples after the validation split, a digest of their row numbers, the kind of the
        preprocessing and the average of its mean, to three decimals. A different split gives a different text."""
        rows = hashlib.sha256(np.asarray(self.rows[0], np.int64).tobytes()).hexdigest()[:8]
        return f"{len(self.rows[0])} {self.modality} ({rows}), {self.preprocess.kind} around {np.mean(self.preprocess.mean):.3f}"

    def with_fraction(self, fraction: float) -> "Data":
        """Returns the same data with a fraction of its training examples, in (0, 1], drawn by the seed of the validation split: so much of
        every class, rounded to the nearest number. Preprocessing, validation and test stay. Of two fractions the examples of the smaller
        one are among those of the larger one.

        Raises BadInput where a class would be left without examples.
        """
        y = self.source.train.y[self.rows[0]]
        sizes, rng = np.bincount(y, minlength=len(self.classes)), np.random.default_rng(self.seed)
        counts = np.floor(fraction * sizes + 0.5).astype(int)
        if not counts.all():
            where = f"leaves class {self.classes[int(counts.argmin())]} without training {self.modality}"
            raise BadInput(f"--fraction {fraction:g}: {where}; give at least {0.5 / sizes.min():.2g}")
        kept = [rng.permutation(np.flatnonzero(y == label))[:count] for label, count in enumerate(counts)]
        return replace(self, rows=(self.rows[0][np.sort(np.concatenate(kept))], self.rows[1]))

    def under(self, preprocess: Preprocess) -> "Data":
        """Returns the same data, normalised by another set's preprocessing. Raises BadInput if that preprocessing does not fit images of
        this shape."""
        if not preprocess.fits(self.image):
            size = "x".join(map(str, self.image))
            raise BadInput(
                f"--data {self.spec}: its {size} {self.modality} do not fit a {preprocess.kind} preprocessing of {len(preprocess.mean)} "
                "numbers; use data like that which the set was made from"
            )
        return replace(self, preprocess=preprocess)


def build(
    spec: Spec, source: ArraySource, *, seed: int, validation: float, fit: Callable[[str, Rows, str], Preprocess] | None = None
) -> Data:
    """Splits the examples of a source and fits their preprocessing.

    Args:
      spec: what was asked for; its options say how to normalise, whether a mirrored image keeps its label, and how many images to take.
      seed: draws the validation split.
      validation: fraction of the training examples that go there, every class in proportion.
      fit: (kind of normalisation, raw training rows, what was asked for) -> preprocessing; by default that of images.

    Raises BadInput where the fraction, or a limit, leaves a class with too few training images.
    """
    source = limited(source, spec.options.get("limit"))
    y = source.train.y
    val = stratified(y, round(validation * len(y)), seed=seed)
    train = np.setdiff1d(np.arange(len(y)), val)
    if len(np.unique(y[train])) < len(source.classes):
        remedy = f"use a smaller fraction or more {source.modality}"
        raise BadInput(f"{spec.text}: validation={validation} leaves a class without training {source.modality}; {remedy}")
    return Data(
        spec=spec.text,
        name=spec.name,
        classes=source.classes,
        image=source.shape,
        flips=spec.options.get("flip", source.flips),
        digest=whole_digest(digest_of(source, spec)) if "validation" in spec.options else digest_of(source, spec),
        seed=seed,
        preprocess=kept_fit(spec, source, train, fit or fitted),
        source=source,
        rows=(train, val),
        located=absolute(spec),
    )


def whole_digest(digest: str) -> str:
    """The digest of data with the option `validation=0`. It is another one than that of the same contents with a validation split, so that
    whoever learned from all of them is not taken for one who never saw that split."""
    return hashlib.sha256(f"{digest}\0all for training".encode()).hexdigest()


def limited(source: ArraySource, count: int | None) -> ArraySource:
    """The source with `count` training examples only: the first of every class, classes in proportion. The test stays. None, or a count
    that is not below what there are, changes nothing. Raises BadInput where a class is left with fewer than two."""
    if count is None or count >= len(source.train.y):
        return source
    return replace(source, train=Part(source.train, stratified(source.train.y, count)))


def room_of(data: Any) -> str:
    """Says in words where the rows of data lie, and what they take in memory, raw and in model space: `42.4 MB in memory` or `in their
    files`. Empty for data whose rows are no arrays, such as graphs."""
    rows = getattr(getattr(data, "source", None), "train", None), getattr(getattr(data, "source", None), "test", None)
    if not all(isinstance(part, Rows) for part in rows):
        return ""
    if not rows[0].in_memory:
        return "in their files"
    numbers = sum(math.prod(part.shape) for part in rows)
    return f"{megabytes(numbers * (rows[0].dtype.itemsize + MODEL_SPACE))} in memory"


def say_whole(train: Split, what: str) -> None:
    """Says that `what` is made of whole pictures, where the option `crops` of the data asks for random parts: teachers alone get these."""
    if getattr(train, "crops", False):
        note(f"crops=true: {what} learn from whole pictures, scaled and cut to their size; only `condense teachers` takes random parts")


def kept_fit(spec: Spec, source: ArraySource, train: np.ndarray, fit: Callable[[str, Rows, str], Preprocess]) -> Preprocess:
    """The preprocessing of the kind that the option `normalise` names (`standard` without it), made by `fit` from the training rows with
    the numbers `train`. Where rows stay in their files, mean and deviation of kind `standard` are kept in a file beside these, and read
    from there the next time."""
    kind, rows = spec.options.get("normalise", "standard"), Part(source.train, train)
    if not source.files or kind != "standard":
        return fit(kind, rows, spec.text)
    kept, name = Kept(source.files, spec.text), f"{shaping(spec)}/{hashlib.sha256(train.tobytes()).hexdigest()[:16]}"
    found = kept.get(name)
    if found is None or found.dtype != np.float32 or found.shape != (2, source.shape[-1]) or not (found[1] > 0).all():
        found = np.stack(fit(kind, rows, spec.text))
        kept.put({name: found})
    return Standard(*found)


def fitted(kind: str, rows: Rows, spec: str) -> Preprocess:
    """A preprocessing of this kind: fitted on the raw images (`standard`, `zca`, `zca_relative`), or of numbers that releases state
    (`published`, `imagenet`). Whitening takes minutes on large images, so it shows a progress bar.

    Raises BadInput where no numbers are stated for the data, and where images are too large to be whitened. `spec` begins messages, and
    names the set of `published`.
    """
    if kind in STATED:
        return stated(kind, rows.shape[-1], spec)
    if not kind.startswith("zca"):
        return pre.fit(kind, Slices(rows))
    count, *image = rows.shape
    parts = -(-count // pre.CHUNK) + 1
    with progress(parts, f"{spec}: fitting the whitening of {_size(image)} images on {count:,}") as bar:
        made = pre.fit(kind, Slices(rows), done=bar.advance)
        bar.advance()
    return made


def has_published(spec: str, channels: int) -> bool:
    """Whether releases state a mean and a deviation for the named set with which `spec` begins, and so many channels."""
    return _numbers("published", channels, spec) is not None


def _numbers(kind: str, channels: int, spec: str) -> tuple | None:
    numbers = IMAGENET if kind == "imagenet" else PUBLISHED.get(spec.partition("?")[0])
    return numbers if numbers is not None and len(numbers[0]) == channels else None


def stated(kind: str, channels: int, spec: str) -> Standard:
    """The mean and deviation of every channel that releases state for the named set with which `spec` begins (`published`), or ImageNet's
    (`imagenet`).

    Raises BadInput where none are known for this set or for so many channels.
    """
    numbers = _numbers(kind, channels, spec)
    if numbers is None:
        known = "three channels" if kind == "imagenet" else ", ".join(PUBLISHED)
        raise BadInput(f"{spec}: normalise={kind} is known for {known}; use normalise=standard")
    mean, std = (np.array(part, np.float32) for part in numbers)
    return Standard(mean, std)


def check_examples(synth: SyntheticSet, data: Data) -> str:
    """Says in words how the shape of the set's images differs from the data's; an empty text if it does not differ."""
    shape = synth.x.decode().shape[1:]
    return "" if shape == data.image else f"its {data.modality} are {_size(data.image)}, the set's {_size(shape)}"


def _size(shape) -> str:
    return "x".join(map(str, shape))
