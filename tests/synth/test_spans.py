"""Where a tuner looks for the value of an option."""

import math
from typing import Annotated, Literal

import pytest

from synth.errors import BadInput
from synth.options import AtLeastTwo, BelowOne, NonNegative, Positive, Share, Span, span_of


@pytest.mark.parametrize(
    ("value", "kind", "span"),
    [
        (0.5, Annotated[float, Positive], Span(0, math.inf, True, False)),
        (10.0, Annotated[float, NonNegative], Span(0, math.inf, True, False)),
        (0.9, Annotated[float, BelowOne], Span(0, 0.99, False, False)),
        (0.9, Annotated[float, Share], Span(0.01, 1, False, False)),
        (20, int, Span(1, math.inf, True, True)),
        (20, Annotated[int, AtLeastTwo] | None, Span(2, math.inf, True, True)),
    ],
)
def test_a_span_stays_in_the_range(value, kind, span):
    assert span_of("some", value, kind) == span


def test_a_value_has_three_digits_and_never_leaves_the_range():
    by_factors = span_of("some", 0.3, Annotated[float, Positive])
    assert [by_factors.at(share, centre=0.3) for share in (0, 0.5, 0.75, 1)] == [0.003, 0.3, 3.0, 30.0]
    assert by_factors.at(1, centre=3.0) == 300.0 and by_factors.at(1 / 3, centre=0.3) == 0.0646
    whole = span_of("some", 20, int)
    assert [whole.at(share, centre=20) for share in (0, 0.5, 1)] == [1, 20, 2000] and type(whole.at(0.4, centre=20)) is int


@pytest.mark.parametrize(
    ("value", "kind", "words"),
    [
        (0.5, float, "--vary some: it is no number with a range"),
        ("a", Literal["a", "b"], "--vary some: it is no number with a range"),
        ((30,), tuple[int, ...], "--vary some: it is no number with a range"),
        (0.0, Annotated[float, NonNegative], "--vary some: its range has no end and --some is 0.0; give --some a value above 0"),
        (None, int | None, "its range has no end and --some is None"),
    ],
)
def test_what_has_no_span_is_refused(value, kind, words):
    with pytest.raises(BadInput, match=words):
        span_of("some", value, kind)
