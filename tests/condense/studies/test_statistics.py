"""Statistics of comparisons against hand computation, another library and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from condense.studies.statistics import holm, paired_p, unbeaten


def test_the_paired_test_is_that_of_a_hand_computation():
    """Differences 1, 2, 3: mean 2, s 1, t = 2 sqrt(3) on 2 degrees of freedom, whose distribution has the closed form
    P(|T| > t) = 1 - t / sqrt(2 + t^2)."""
    t = 2 * np.sqrt(3)
    found = paired_p(np.array([0.51, 0.72, 0.93]), np.array([0.5, 0.7, 0.9]))
    assert found == pytest.approx(1 - t / np.sqrt(2 + t**2)) and 0.074 < found < 0.075


def test_the_paired_test_is_that_of_scipy():
    rng = np.random.default_rng(0)
    for count in (3, 4, 10):
        first = rng.normal(size=count)
        second = first + rng.normal(0.3, 0.5, size=count)
        assert paired_p(first, second) == pytest.approx(stats.ttest_rel(first, second).pvalue)
        assert paired_p(second, first) == pytest.approx(paired_p(first, second))
        assert paired_p(first, second) != pytest.approx(stats.ttest_ind(first, second).pvalue)


def test_nothing_is_claimed_from_two_pairs_or_from_sets_that_do_not_vary():
    assert paired_p(np.array([0.5, 0.6]), np.array([0.1, 0.3])) is None
    assert paired_p(np.array([0.7, 0.6, 0.5]), np.array([0.6, 0.5, 0.4])) is None  # apart by 0.1, up to rounding
    assert paired_p(np.full(3, 0.5), np.full(3, 0.5)) is None


def test_holm_is_that_of_a_hand_computation():
    """Sorted 0.01, 0.015, 0.03, 0.04 of four: times 4, 3, 2, 1 they are 0.04, 0.045, 0.06, 0.04, and the last may not fall."""
    assert holm([0.03, 0.01, 0.04, 0.015]) == pytest.approx([0.06, 0.04, 0.06, 0.045])
    assert holm([0.4, 0.5, 0.9]) == pytest.approx([1.0, 1.0, 1.0])
    assert holm([0.02]) == [0.02] and holm([]) == []


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 5)), min_size=1, max_size=12))
def test_the_front_is_that_of_brute_force(points):
    size, accuracy = np.array(points, np.float64).T
    found = unbeaten(size, accuracy)
    for at in range(len(points)):
        beaten = any(
            (size[other] <= size[at] and accuracy[other] > accuracy[at]) or (size[other] < size[at] and accuracy[other] == accuracy[at])
            for other in range(len(points))
        )
        assert found[at] == (not beaten)
