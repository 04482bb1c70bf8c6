"""Data by specification: what the rest of the program trains and scores on.

A SPEC is NAME or `kind:location`, either with `?key=value&...`. `train`, `val` and `test` hold f32[n h w c] in model space (normalised or
whitened by what was fitted on `train`) and i32 class indices in 0..C-1.
"""

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np

from condense.data.readers import source as readers
from condense.data.readers.source import Source, stratified
from condense.runtime.log import progress
from synth.base import Examples
from synth.errors import BadInput
from synth.images import preprocess as pre
from synth.images.preprocess import Preprocess
from synth.set import SyntheticSet


def digest(source: Source) -> str:
    """sha256 of the contents, in hexadecimal: every array with its dtype and shape, and the class names in order."""
    whole = hashlib.sha256("\0".join(source.classes).encode())
    for array in (source.x_train, source.y_train, source.x_test, source.y_test):
        whole.update(f"{array.dtype.str}{array.shape}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in model space, with a validation split cut from its training images.

    Args:
      spec, name: what was asked for, and a short name.
      classes: class names in the order of the labels. image: h, w, c. flips: whether a mirrored image keeps its label.
      digest: of the raw contents, before any split.
      seed: of the validation split.
      preprocess: from raw to model space; fitted on the images of `train`, or another set's (see `under`).
    """

    spec: str
    name: str
    classes: tuple[str, ...]
    image: tuple[int, int, int]
    flips: bool
    digest: str
    seed: int
    preprocess: Preprocess = field(repr=False)
    source: Source = field(repr=False)
    rows: tuple[np.ndarray, np.ndarray] = field(repr=False)
    modality: ClassVar[str] = "images"

    @cached_property
    def train(self) -> Examples:
        """Training images without the validation split."""
        return Examples(self._model_space(self.source.x_train, self.rows[0]), self.source.y_train[self.rows[0]])

    @cached_property
    def val(self) -> Examples:
        """The validation split: all selection happens here."""
        return Examples(self._model_space(self.source.x_train, self.rows[1]), self.source.y_train[self.rows[1]])

    @cached_property
    def test(self) -> Examples:
        """The test split: scored once."""
        return Examples(self._model_space(self.source.x_test, np.arange(len(self.source.x_test))), self.source.y_test)

    @property
    def trained_on(self) -> str:
        """Which training images the split leaves, and the model space they are in, in words that tell one from another."""
        rows = hashlib.sha256(np.asarray(self.rows[0], np.int64).tobytes()).hexdigest()[:8]
        return f"{len(self.rows[0])} images ({rows}), {self.preprocess.kind} around {np.mean(self.preprocess.mean):.3f}"

    def under(self, preprocess: Preprocess) -> "Data":
        """The same data in the model space of another set's preprocessing. Raises BadInput where that is made for other images."""
        if not preprocess.fits(self.image):
            size = "x".join(map(str, self.image))
            raise BadInput(
                f"--data {self.spec}: its {size} images do not fit a {preprocess.kind} preprocessing of {len(preprocess.mean)} numbers; "
                "use data like that which the set was made from"
            )
        return replace(self, preprocess=preprocess)

    def _model_space(self, raw, rows):
        out = np.empty((len(rows), *self.image), np.float32)
        for at in range(0, len(rows), pre.CHUNK):
            out[at : at + pre.CHUNK] = self.preprocess.apply(pre.unit(raw[rows[at : at + pre.CHUNK]]))
        return out


def limited(source: Source, count: int | None) -> Source:
    """The first `count` training images, classes in proportion; all for None or more than there are. Raises BadInput if too few."""
    if count is None or count >= len(source.y_train):
        return source
    rows = stratified(source.y_train, count)
    return replace(source, x_train=source.x_train[rows], y_train=source.y_train[rows])


def fitted(kind: str, x: readers.Raw, spec: str) -> Preprocess:
    """A preprocessing fitted on raw images; whitening, which takes minutes on large ones, behind a progress bar."""
    if kind != "zca":
        return pre.fit(kind, x)
    parts = -(-len(x) // pre.CHUNK) + 1
    with progress(parts, f"{spec}: fitting the whitening of {'x'.join(map(str, x.shape[1:]))} images on {len(x):,}") as bar:
        made = pre.fit(kind, x, done=bar.advance)
        bar.advance()
    return made


def check_examples(synth: SyntheticSet, data: Data) -> str:
    """How the set's images differ in shape from the data's; empty where they do not."""
    shape = synth.x.decode().shape[1:]
    return "" if shape == data.image else f"its images are {_size(data.image)}, the set's {_size(shape)}"


def _size(shape) -> str:
    return "x".join(map(str, shape))
