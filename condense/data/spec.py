"""Specifications of data: a name, or `kind:location`, with options."""

import os
import re
from pathlib import Path
from typing import NamedTuple

from condense.data import graphs as graph_data
from synth.errors import BadInput

COMMON = ("normalise", "flip", "limit")
KINDS = {"idx": COMMON, "npz": COMMON, "folder": (*COMMON, "size", "grey"), "tfds": COMMON}
KINDS |= {kind: options for kind, options in graph_data.KINDS.items() if kind != "toy_graphs"}
TRUTH = {"true": True, "false": False}


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
