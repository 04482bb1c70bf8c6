"""The record that describes a reader, and the specification that it gets.

A reader is a record in its own file, beside its parser; `condense.data.readers.READERS` lists it. A parser trusts nothing that it reads.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from condense.data.named import Named
from synth.errors import BadInput

HELD = "arrays"  # the kind of what Python holds, which no specification can read again


class Spec(NamedTuple):
    """A parsed specification of data.

    Args:
      text: as it was given; messages of a reader begin with it.
      name: a short name.
      kind: the key of the reader.
      location: the file or folder; empty for a set that is known by name.
      options: the values of the options that were given.
      named: what is known of a set with a name, and of any other location, that a mirrored example keeps its label.
      flags: whether the options are flags of `condense data`, for messages.
    """

    text: str
    name: str
    kind: str
    location: str
    options: dict[str, Any]
    named: Named
    flags: bool = False

    def how(self, name: str, value: Any) -> str:
        """How a user writes that the option `name` has this value, for messages: `?name=value`, or `&name=value` behind other options;
        `--name value` where options are flags; `options="name=value"` for what Python holds."""
        if self.kind == HELD:
            return f'options="{name}={value}"'
        return f"--{name} {value}" if self.flags else f"{'&' if '?' in self.text else '?'}{name}={value}"

    def to_one_size(self) -> str:
        """What a user does about pictures of several sizes, for messages."""
        return f"add {self.how('size', 'N')} to cut all to one size: the shorter side becomes N, of the longer one the middle is taken"

    def refuse_options(self, files: str) -> None:
        """Raises BadInput where there are options, which `files` (in words) do not take."""
        if self.options:
            given = " and ".join(self.how(name, value) for name, value in self.options.items())
            raise BadInput(f"{self.text}: {files} take no {given}, which are for class folders; leave them out")

    def place(self) -> Path:
        """The location as a path, with ~ replaced; nothing need be there. Raises BadInput where the system refuses to look there."""
        path = Path(self.location)
        try:
            path = path.expanduser()
            path.exists()
        except (OSError, RuntimeError) as error:  # the latter for ~NAME without such a user
            why = getattr(error, "strerror", error)
            raise BadInput(f"{self.text}: cannot use {str(path)[:200]} ({why}); name a file or folder that can be read") from None
        return path


class Choice(NamedTuple):
    """An option whose value is one of several words. Each word stands for a value."""

    values: dict[str, Any]

    def parse(self, spec: str, name: str, word: str) -> Any:
        """The value that a word stands for. Raises BadInput, naming the known words, for any other. `spec` begins messages, `name` is the
        option's."""
        if word not in self.values:
            raise BadInput(f"{spec}: {name}={word} is not known; use {' or '.join(f'{name}={known}' for known in self.values)}")
        return self.values[word]


class Number(NamedTuple):
    """An option that is a whole number in [least, most]."""

    least: int = 1
    most: int = 10**9

    def parse(self, spec: str, name: str, word: str) -> int:
        """The number. Raises BadInput for anything but a whole number from `least` to `most` in plain digits."""
        if not (re.fullmatch(r"0|[1-9][0-9]{0,9}", word) and self.least <= int(word) <= self.most):
            wanted = f"use {name}=N with a whole N from {self.least} to {self.most}"
            raise BadInput(f"{spec[:200]}: {name}={word[:20]} is not possible; {wanted}")
        return int(word)


class Share(NamedTuple):
    """An option that is a fraction between 0 and 1, such as 0.2."""

    def parse(self, spec: str, name: str, word: str) -> float:
        """The fraction. Raises BadInput for anything but a decimal fraction such as 0.2 or .2, above 0 and below 1."""
        if not (re.fullmatch(r"0?\.[0-9]{1,9}", word) and float(word) > 0):
            raise BadInput(f"{spec[:200]}: {name}={word[:20]} is not possible; use {name}=F with a fraction such as 0.2")
        return float(word)


class FileOrShare(NamedTuple):
    """An option that is a fraction, such as 0.2, or else the name of a file."""

    def parse(self, spec: str, name: str, word: str) -> float | str:
        """The fraction, for a word of digits and points; any other word as it is, the name of a file. Raises BadInput for digits and points
        that are no fraction between 0 and 1."""
        return Share().parse(spec, name, word) if re.fullmatch(r"[0-9.]+", word) else word


class Word(NamedTuple):
    """An option whose value is any word, such as the name of a column."""

    def parse(self, spec: str, name: str, word: str) -> str:
        """Returns the word."""
        return word


TRUTH = Choice({"true": True, "false": False})


class Store(NamedTuple):
    """How `condense data NAME` keeps a named set of a kind.

    Args:
      place: name -> the folder of the set.
      needs: name -> what the user's folder must hold, in words.
      load: (folder, spec) -> write. It checks the user's files and raises BadInput; `write(folder)` then fills the set's new folder.
      keep: (folder, name), makes of a folder that tensorflow_datasets prepared one of this kind, in its place.
    """

    place: Callable[[str], Path]
    needs: Callable[[str], str]
    load: Callable[[Path, Spec], Callable[[Path], None]]
    keep: Callable[[Path, str], None]


class Reader(NamedTuple):
    """Describes how one kind of data is read.

    Args:
      kind: the word before the colon of `kind:location?key=value&...`.
      about: what lies at the location, in one line.
      read: spec -> the data there, a record with a `modality` (`condense.data.readers.source.Source` holds images). It raises BadInput that
        begins with the spec's text.
      options: what may stand behind the question mark, by name, in the order in which messages show it.
      embedded: for data that come without files, the words that say so; such a kind has no location.
      store: how named sets of this kind are kept; None where there are none, or where they need no files.
      scan: as `read`, but rows stay in their files and are read when they are taken; None for a kind that has no such way.
      weigh: spec -> about how many bytes all rows take in memory, raw and normalised, and no more than that, without reading them; 0 where
        nothing is there. None as `scan`.
    """

    kind: str
    about: str
    read: Callable[[Spec], Any]
    options: dict[str, Choice | Number | Share | FileOrShare | Word]
    embedded: str = ""
    store: Store | None = None
    scan: Callable[[Spec], Any] | None = None
    weigh: Callable[[Spec], int] | None = None
