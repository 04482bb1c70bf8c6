"""The statistics of comparisons: a paired test, Holm's correction, and which sets are beaten by a smaller one.

Accuracies are fractions in [0, 1].
"""

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import stdtr

LEAST_SETS = 3  # of each method, below which nothing is claimed
LEVEL = 0.05


def paired_p(first: Float[np.ndarray, " n"], second: Float[np.ndarray, " n"]) -> float | None:
    """The two-sided p-value of the paired t-test on n pairs:

      t = mean(d) sqrt(n) / s,   d = first - second,   s^2 = sum (d - mean(d))^2 / (n - 1),

    against Student's distribution with n - 1 degrees of freedom. None for fewer than `LEAST_SETS` pairs, and where all differences are the
    same up to rounding: then the sets of neither method vary against the other's, and nothing is known of chance.
    """
    apart = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    count = len(apart)
    if count < LEAST_SETS or np.ptp(apart) < 1e-12:
        return None
    t = apart.mean() * math.sqrt(count) / apart.std(ddof=1)
    return float(2 * stdtr(count - 1, -abs(t)))


def holm(p: Sequence[float]) -> list[float]:
    """Holm's p-values, adjusted for all tests of a family, in the order of `p`: the k-th smallest of m is multiplied by m - k + 1, none is
    below that of a smaller one, and none above 1."""
    order, adjusted, before = sorted(range(len(p)), key=lambda at: p[at]), [0.0] * len(p), 0.0
    for rank, at in enumerate(order):
        before = adjusted[at] = max(before, min(1.0, (len(p) - rank) * p[at]))
    return adjusted


def unbeaten(size: Float[np.ndarray, " n"], accuracy: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    """Which of n sets, of `size` bytes each, are on the front: none of fewer or equal bytes has a higher accuracy, and none of fewer bytes
    an equal one."""
    size, accuracy = np.asarray(size, np.float64), np.asarray(accuracy, np.float64)
    smaller, better = size[None] < size[:, None], accuracy[None] > accuracy[:, None]
    beaten = (better & (size[None] <= size[:, None])) | (smaller & (accuracy[None] >= accuracy[:, None]))
    return ~beaten.any(1)
