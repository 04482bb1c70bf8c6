"""What it costs to ask: lists and help pages come at once, in processor time of a program of their own."""

import pytest

from condense.workflows.lists import LISTS
from tests.support.costs import cpu_seconds

NOISE = 1.5  # how much slower a busy machine may be than the bounds that are kept on an idle one


@pytest.mark.slow
@pytest.mark.parametrize("name", LISTS)
def test_a_list_takes_at_most_six_tenths_of_a_second(name):
    assert cpu_seconds("-m", "condense", "list", name) < NOISE * 0.6


@pytest.mark.slow
@pytest.mark.parametrize("method", ["dm", "cvdd", "mirage"])
def test_a_method_explains_itself_in_at_most_eight_tenths_of_a_second(method):
    assert cpu_seconds("-m", "condense", "distill", method, "--help") < NOISE * 0.8
