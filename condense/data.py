"""Data by specification: what the rest of the program trains and scores on.

A SPEC is NAME or `kind:location`, either with `?key=value&...`. `train`, `val` and `test` hold f32[n h w c] in model space (normalised or
whitened by what was fitted on `train`) and i32 class indices in 0..C-1.
"""

import hashlib
import os
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from condense import graph_data, pictures, readers
from condense.graph_data import GraphData
from condense.log import progress
from condense.readers import NAMED, Named, Source, stratified
from synth import preprocess as pre
from synth.base import Examples
from synth.errors import BadInput
from synth.preprocess import Preprocess

COMMON = ("normalise", "flip", "limit")
KINDS = {"idx": COMMON, "npz": COMMON, "folder": (*COMMON, "size", "grey"), "tfds": COMMON}
KINDS |= {kind: options for kind, options in graph_data.KINDS.items() if kind != "toy_graphs"}
TRUTH = {"true": True, "false": False}


def demand_images(data: "Data | GraphData", flag: str) -> "Data":
    """The data. Raises BadInput where they are graphs."""
    if isinstance(data, GraphData):
        raise BadInput(f"{flag} {data.spec}: holds graphs, and this takes images; `condense list data` shows sets of images")
    return data


def home() -> Path:
    """Where named sets lie: $CONDENSE_DATA, or ~/.cache/condense/data."""
    return Path(os.environ.get("CONDENSE_DATA") or "~/.cache/condense/data").expanduser()


class Spec(NamedTuple):
    """A parsed specification; `location` is empty for a set that needs none."""

    text: str
    name: str
    kind: str
    location: str
    options: dict[str, str]

    def choice(self, key: str, known: dict, default):
        """The value that option `key` stands for. Raises BadInput naming the known ones."""
        if key not in self.options:
            return default
        if self.options[key] not in known:
            raise BadInput(f"{self.text}: {key}={self.options[key]} is not known; use {' or '.join(f'{key}={word}' for word in known)}")
        return known[self.options[key]]

    def number(self, key: str, *, least: int = 1, most: int = 10**9) -> int | None:
        """The integer in [least, most] of option `key`, or None where it is not given. Raises BadInput for anything else."""
        text = self.options.get(key)
        if text is not None and not (re.fullmatch(r"0|[1-9][0-9]{0,9}", text) and least <= int(text) <= most):
            raise BadInput(f"{self.text[:200]}: {key}={text[:20]} is not possible; use {key}=N with a whole N from {least} to {most}")
        return None if text is None else int(text)


def parse_spec(text: str) -> Spec:
    """NAME or `kind:location`, with `?key=value&...`. Raises BadInput naming the known sets, kinds or options."""
    head, mark, query = text.partition("?")
    kind, colon, location = head.partition(":")
    if colon:
        name = Path(location).stem
        if kind not in KINDS or not location:
            raise BadInput(f"data '{text}': not a specification; use a name or KIND:LOCATION with one of the kinds {', '.join(KINDS)}")
    else:
        name, location = head, ""
        prepared = head in NAMED or (head.isidentifier() and (home() / "tfds" / head).is_dir())
        if not prepared:
            raise BadInput(f"data '{text}': unknown set; use one of {', '.join(NAMED)}, or KIND:LOCATION of {', '.join(KINDS)}")
        kind = NAMED[head].kind if head in NAMED else "tfds"
    known, options = (KINDS | graph_data.KINDS).get(kind, COMMON), {}
    for part in query.split("&") if mark else ():
        key, _, value = part.partition("=")
        if key not in known or key in options or not value:
            raise BadInput(f"data '{text}': no option '{part}'; use each of {', '.join(f'{key}=...' for key in known)} at most once")
        options[key] = value
    return Spec(text, name, kind, location, options)


def read(spec: Spec) -> Source:
    """The raw data of a specification, of a folder with a limit a part of them. Raises BadInput as its reader does."""
    text, name = spec.text, spec.name
    named = NAMED.get(name, Named(spec.kind, "")) if not spec.location else Named(spec.kind, "")
    place = Path(spec.location)
    try:
        place = place.expanduser()
        place.exists()
    except (OSError, RuntimeError) as error:  # the latter for ~NAME without such a user
        why = getattr(error, "strerror", error)
        raise BadInput(f"{text}: cannot use {str(place)[:200]} ({why}); name a file or folder that can be read") from None
    if spec.kind == "digits":
        return readers.read_digits(text)
    if spec.kind == "idx":
        files = f"the four files {', '.join(readers.IDX)}, each plain or .gz"
        remedy = f"it must hold {files}" if spec.location else f"`condense data {name} --from DIR` copies there {files}"
        place = place if spec.location else home() / name
        return readers.read_idx_folder(place, text, name=name, classes=named.classes, flips=named.flips, remedy=remedy)
    if spec.kind == "npz":
        return readers.read_npz(place, text, name=name)
    if spec.kind == "folder":
        grey = spec.choice("grey", TRUTH, False)
        limit = spec.number("limit")  # a part of what could not be held whole
        return pictures.read_folder(place, text, name=name, size=spec.number("size", most=4096), grey=grey, limit=limit)
    stored, remedy = spec.location or name, "give a folder that tensorflow_datasets prepared as array_record"
    if not spec.location or (stored.isidentifier() and not place.is_dir()):
        place, named, name = home() / "tfds" / stored, NAMED.get(stored, named), stored
        remedy = f"`condense data {name} --from DIR` prepares it from files; with tensorflow installed, `condense data {name}` downloads it"
    return pictures.read_tfds(place, text, name=name, remedy=remedy, flips=named.flips)


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


def load_data(spec: str, *, seed: int = 0, validation: float = 0.1) -> Data | GraphData:
    """Reads, checks, splits and normalises.

    Args:
      spec: NAME or `kind:location`, with options `?key=value&...`: normalise=standard|zca (standard), flip=true|false, limit=N (the first N
        training images with the classes in proportion), and for folders size=N (shorter side, then centre crop) and grey=true;
        for graphs fold=K or split=N, and degree=true|false.
      seed: draws the validation split.
      validation: fraction of the training images in [0, 1) that go there, every class in proportion and none emptied.

    Raises:
      BadInput: an unknown name, kind or option; files that are missing, damaged or hostile; contents that `Source` refuses.
    """
    parsed = parse_spec(spec)
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    if not 0 <= validation < 1:
        raise BadInput(f"validation={validation}: must be a fraction in [0, 1)")
    if parsed.kind in graph_data.KINDS:
        return graph_data.load(parsed, seed=seed, validation=validation)
    kind = parsed.choice("normalise", {name: name for name in pre.KINDS}, "standard")
    flips, limit = parsed.choice("flip", TRUTH, None), parsed.number("limit")
    source = limited(read(parsed), limit)
    held = stratified(source.y_train, round(validation * len(source.y_train)), seed=seed)
    rest = np.setdiff1d(np.arange(len(source.y_train)), held)
    if len(np.unique(source.y_train[rest])) < len(source.classes):
        raise BadInput(f"{spec}: validation={validation} leaves a class without training images; use a smaller fraction or more images")
    return Data(
        spec=spec,
        name=parsed.name,
        classes=source.classes,
        image=source.x_train.shape[1:],
        flips=source.flips if flips is None else flips,
        digest=digest(source),
        seed=seed,
        preprocess=fitted(kind, source.x_train[rest], spec),
        source=source,
        rows=(rest, held),
    )


def fitted(kind: str, x: readers.Raw, spec: str) -> Preprocess:
    """A preprocessing fitted on raw images; whitening, which takes minutes on large ones, behind a progress bar."""
    if kind != "zca":
        return pre.fit(kind, x)
    parts = -(-len(x) // pre.CHUNK) + 1
    with progress(parts, f"{spec}: fitting the whitening of {'x'.join(map(str, x.shape[1:]))} images on {len(x):,}") as bar:
        made = pre.fit(kind, x, done=bar.advance)
        bar.advance()
    return made
