"""JSON that this project wrote, and that may have been changed since: read as one of a few plain kinds, or refused.

A record is UTF-8 text of at most MOST bytes, no deeper than DEEPEST, whose numbers are finite and fit 64 bits. What it must hold is said by
a kind: `Whole`, `Real`, `Text`, `Flag`, `ListOf`, `Table`, `Maybe`, `Either`, `ANY`.
"""

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from synth.errors import BadInput
from synth.files.owned import read_owned

MOST = 1 << 26  # bytes: accuracies of ten thousand experts and more
DEEPEST = 32
STRINGS = re.compile(r'"(?:[^"\\]|\\.)*"')


@runtime_checkable
class Kind(Protocol):
    """What a value of a record may be."""

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, whose message calls the value `at`, where it is none of this kind. Otherwise returns nothing."""


class Whole(NamedTuple):
    """A whole number in [least, most]."""

    least: int = 0
    most: int = (1 << 63) - 1

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, for anything but an int (and no bool) in [least, most]."""
        if type(value) is not int or not self.least <= value <= self.most:
            raise ValueError(f"{at} must be a whole number of at least {self.least}" + f" and at most {self.most}" * (self.most < 1 << 60))


class Real(NamedTuple):
    """A number in [least, most], an int or a float, but no bool and not NaN."""

    least: float = -math.inf
    most: float = math.inf

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, for anything but an int or float in [least, most]; NaN is in none."""
        if type(value) not in (int, float) or not self.least <= value <= self.most:
            raise ValueError(f"{at} must be a number from {self.least:g} to {self.most:g}")


class Text(NamedTuple):
    """Text of at most `most` letters, one of `words` where there are some."""

    words: tuple[str, ...] = ()
    most: int = 1 << 16

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, for anything but text of at most `most` letters, one of `words` if there are
        some."""
        if not isinstance(value, str) or len(value) > self.most or (self.words and value not in self.words):
            raise ValueError(f"{at} must be " + (f"one of {', '.join(self.words)}" if self.words else "text"))


class Flag(NamedTuple):
    """True or false."""

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, for anything but True and False."""
        if not isinstance(value, bool):
            raise ValueError(f"{at} must be true or false")


class Anything(NamedTuple):
    """Whatever JSON holds."""

    def check(self, value: Any, at: str) -> None:
        """Accepts every value."""


ANY = Anything()


class Maybe(NamedTuple):
    """A kind, or null."""

    kind: Any

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, where it is neither None nor of the kind."""
        if value is not None:
            self.kind.check(value, at)


class Either(NamedTuple):
    """One of several kinds."""

    kinds: tuple[Any, ...]

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, where it is of none of the kinds."""
        wrong = []
        for kind in self.kinds:
            try:
                return kind.check(value, at)
            except ValueError as error:
                wrong.append(str(error))
        raise ValueError(" or ".join(wrong))


class ListOf(NamedTuple):
    """A list of at least `least` and at most `most` values of a kind."""

    kind: Any
    least: int = 0
    most: int = 1 << 24

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, where it is no list, has too few or too many values, or one not of the kind."""
        if not isinstance(value, list) or not self.least <= len(value) <= self.most:
            size = f"{self.least}" if self.least == self.most else f"{self.least} or more"
            raise ValueError(f"{at} must be a list of {size} values")
        for number, one in enumerate(value):
            self.kind.check(one, f"{at}[{number}]")


class Table(NamedTuple):
    """An object with these fields.

    Args:
      fields: the kinds of those that must be there, by name. optional: of those that may be.
      rest: the kind of all others; None where there may be no others.
    """

    fields: Mapping[str, Any] = {}
    optional: Mapping[str, Any] = {}
    rest: Any = ANY

    def check(self, value: Any, at: str) -> None:
        """Raises ValueError, which calls the value `at`, where it is no dict, lacks a field, has one that may not be there, or one whose
        value is not of its kind."""
        if not isinstance(value, dict):
            raise ValueError(f"{at} must hold {', '.join(self.fields) or 'values by name'}, in an object")
        if missing := [name for name in self.fields if name not in value]:
            raise ValueError(f"{missing[0]} is missing; it must hold {', '.join(self.fields)}")
        for name, one in value.items():
            kind = self.fields.get(name, self.optional.get(name, self.rest))
            if kind is None:
                raise ValueError(f"{at} has a field '{name[:80]}', which is not known; known: {', '.join([*self.fields, *self.optional])}")
            kind.check(one, name[:80])


def parse_record(data: bytes | str, kind: Kind, *, most: int = MOST, nan_is_null: bool = False) -> Any:
    """The value that a JSON text holds. Raises ValueError, whose message calls the text "it", where it has more than `most`
    bytes, is nested more than 32 deep, is no JSON, holds a number that is not finite or has more than 64 bits, or is of another kind.

    With `nan_is_null`, NaN stands for null, as some older files have it.
    """
    if len(data) > most:
        raise ValueError(f"it has {len(data)} bytes, more than {most}")
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    _check_depth(text)
    value = json.loads(text, parse_constant=lambda word: _constant(word, nan_is_null), parse_float=_real, parse_int=_whole)
    kind.check(value, "it")
    return value


def read_record(path: Path, kind: Kind, *, remedy: str, what: str, nan_is_null: bool = False) -> Any:
    """The value in a JSON file of a run's folder. Raises BadInput where the file is missing, cannot be read, is no such JSON or of another
    kind. `what` and `remedy` are parts of the message, as in "PATH: is no record of ranks (WHY); make it again"."""
    try:
        return parse_record(read_owned(path, most=MOST), kind, nan_is_null=nan_is_null)
    except BadInput:
        raise
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: {what} ({getattr(error, 'strerror', None) or error}); {remedy}") from error


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", STRINGS.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")


def _constant(word: str, nan_is_null: bool) -> None:
    if word == "NaN" and nan_is_null:
        return
    raise ValueError(f"it holds {word}")


def _real(word: str) -> float:
    if not math.isfinite(value := float(word)):
        raise ValueError(f"it holds {word[:20]}, which is no finite number")
    return value


def _whole(word: str) -> int:
    if len(word) > 20 or not -(1 << 63) <= int(word) < 1 << 64:
        raise ValueError(f"it holds {word[:20]}..., a number of more than 64 bits")
    return int(word)
