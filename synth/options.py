"""Ranges of options, written in the annotation: `lr: Annotated[float, Positive] = 0.1`. Programs can read them: the command line checks
them, and a tuner may search within them."""

import math
from functools import reduce
from numbers import Integral, Real
from operator import or_
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

from synth.errors import BadInput

Precision = Literal["f32", "bf16"]  # of the products in a network


class Range(NamedTuple):
    """Finite numbers from `low` to `high`. An end that is named in `opened` does not belong to the range.

    Args:
      low, high: the ends; infinite where there is none.
      opened: which ends are left out: `low`, `high`, both or none.
      words: how messages call it.
    """

    low: float
    high: float
    opened: tuple[str, ...]
    words: str

    def holds(self, value: Real) -> bool:
        """Whether a number is in the range; NaN never is."""
        above = value > self.low if "low" in self.opened else value >= self.low
        below = value < self.high if "high" in self.opened else value <= self.high
        return bool(above and below)  # NaN is neither


ANY = Range(-math.inf, math.inf, ("low", "high"), "that is finite")
Positive = Range(0, math.inf, ("low", "high"), "above 0")
NonNegative = Range(0, math.inf, ("high",), "of at least 0")
BelowOne = Range(0, 1, ("high",), "in [0, 1)")
Share = Range(0, 1, ("low",), "in (0, 1]")
ZeroToOne = Range(0, 1, (), "in [0, 1]")
AtLeastOne = Range(1, math.inf, ("high",), "of at least 1")
AtLeastTwo = Range(2, math.inf, ("high",), "of at least 2")
FAR = 100.0  # times less and more than a value, as far as a tuner looks where a range has no end


def flag_of(name: str) -> str:
    """The flag of a keyword argument: `eval_every` becomes `--eval-every`. Underscores at its ends are left out."""
    return "--" + name.strip("_").replace("_", "-")


def alternatives(kind: Any) -> list[tuple[Any, Range]]:
    """The types that an annotation allows, each with its range, in their order. Without a range of its own an int starts at 1, and any
    other type has `ANY`, all finite numbers, also where it is no number."""
    if get_origin(kind) in (Union, UnionType):
        return [found for part in get_args(kind) for found in alternatives(part)]
    if get_origin(kind) is Annotated:
        base, *notes = get_args(kind)
        given = next((note for note in notes if isinstance(note, Range)), None)
        return [(base, given or known) for base, known in alternatives(base)]
    return [(kind, AtLeastOne if kind is int else ANY)]


def plain_type(kind: Any) -> Any:
    """The annotation without its ranges. The parts of a union are cleared of theirs too, the items of a tuple are not."""
    if get_origin(kind) is Annotated:
        return plain_type(get_args(kind)[0])
    if get_origin(kind) in (Union, UnionType):
        return reduce(or_, map(plain_type, get_args(kind)))
    return kind


def check_option(name: str, value: Any, kind: Any) -> Any:
    """Checks the value of an option against its annotation `kind`: a number against its type and range, a word against the list of a
    `Literal`. Of other types, such as text and flags, only None is refused, where it is not among the types.

    Returns the value: a number as int or float, as the annotation says; for a tuple annotation a tuple, also of one value alone. Raises
    BadInput with the flag, what was given and what would be right.
    """
    known = dict(alternatives(kind))
    if value is None and NoneType in known:
        return None
    for base, limits in known.items():
        if get_origin(base) is Literal:
            if value not in get_args(base):
                raise BadInput(f"{flag_of(name)} {value}: give one of {', '.join(map(str, get_args(base)))}")
            return value
        if get_origin(base) is tuple:  # one value alone stands for itself
            each = value if isinstance(value, tuple | list) else (value,)
            return tuple(check_option(name, one, get_args(base)[0]) for one in each)
        if base in (int, float):
            return _number(name, value, base, limits)
    if value is None:
        raise BadInput(f"{flag_of(name)} None: give a value, or leave it out")
    return value


def _number(name: str, value: Any, kind: type, limits: Range) -> int | float:
    right = not isinstance(value, bool) and isinstance(value, Integral if kind is int else Real)
    if not right or not limits.holds(value):
        whole = "whole number" if kind is int else "number"
        raise BadInput(f"{flag_of(name)} {value}: give a {whole} {limits.words}")
    return kind(value)


class Span(NamedTuple):
    """Where a tuner looks for the value of an option: evenly from `low` to `high`, or by factors around a centre where `log`; for whole
    numbers where `whole`."""

    low: float
    high: float
    log: bool
    whole: bool

    def at(self, share: float, *, centre: float) -> int | float:
        """The value at a share in [0, 1] of the span, to three significant digits, or rounded to a whole number. By factors, a half is
        `centre`, and the ends are FAR (100) times less and more, as far as the range goes; else `centre` is not read."""
        value = centre * FAR ** (2 * share - 1) if self.log else self.low + share * (self.high - self.low)
        value = min(self.high, max(self.low, value))
        return round(value) if self.whole else float(f"{value:.3g}")


def span_of(name: str, value: Any, kind: Any) -> Span:
    """The span of an option, whose annotation is `kind`, around a value. A range without an upper end is searched by factors of FAR (100)
    each way, one with an upper end evenly from end to end; an end that does not belong to it moves inwards by a hundredth of its width.

    Raises BadInput for an option that is no number, or declares no range, or whose value leaves open where to look.
    """
    flag = flag_of(name)
    found = [(base, limits) for base, limits in alternatives(kind) if base in (int, float)]
    if not found or isinstance(value, tuple | list | bool) or found[0][1] is ANY:
        raise BadInput(f"--vary {name}: it is no number with a range; name options that have one")
    base, limits = found[0]
    whole = base is int
    if math.isfinite(limits.high):
        edge = (limits.high - limits.low) / 100
        low, high = (limits.low + edge * ("low" in limits.opened), limits.high - edge * ("high" in limits.opened))
        return Span(low, high, False, whole)
    if value is None or value <= 0:
        raise BadInput(f"--vary {name}: its range has no end and {flag} is {value}; give {flag} a value above 0 to look around")
    return Span(limits.low, limits.high, True, whole)
