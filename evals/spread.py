"""Coverage and diversity of examples among real ones of the same class, in an embedding that stays as it is.

Embeddings are f32[n d]; distances are Euclidean. Both numbers are of one class; `spread` is their mean over classes, which all count alike.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

Rows = Float[np.ndarray, "n d"]
PIECE = 1024  # rows whose distances to all others are in memory at a time


class Spread(NamedTuple):
    """Means over the classes of which a set has examples: coverage in [0, 1], and diversity, which is 1 for real examples. Diversity is NaN
    where every class has one example."""

    coverage: float
    diversity: float


def coverage(real: Float[np.ndarray, "n d"], chosen: Float[np.ndarray, "m d"], *, neighbours: int = 5) -> float:
    """The fraction of real examples that have a chosen one no farther away than their k-th nearest real neighbour. Both are embeddings of
    one class.

    Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML 2020, equation 9. Chosen examples may be among the
    real ones. Where there are fewer than k other real examples, the farthest counts; a single real example is covered by any chosen one.

    Args:
      neighbours: k (>= 1).
    """
    if len(real) < 2:
        return float(len(real) == 1 and len(chosen) > 0)
    place = min(neighbours, len(real) - 1)
    inside = 0
    for first in range(0, len(real), PIECE):
        part = real[first : first + PIECE]
        own = squared_distances(part, real)
        own[np.arange(len(part)), first + np.arange(len(part))] = np.inf  # nobody is its own neighbour
        radius = np.partition(own, place - 1, axis=1)[:, place - 1]
        inside += int((squared_distances(part, chosen).min(1) <= radius).sum())
    return inside / len(real)


def diversity(real: Float[np.ndarray, "n d"], chosen: Float[np.ndarray, "m d"]) -> float:
    """The root mean square distance of two chosen examples over that of two real ones, embeddings of one class. NaN where either has fewer
    than two, and where all real ones are the same."""
    if min(len(real), len(chosen)) < 2 or not (whole := mean_square(real)):
        return float("nan")
    return (mean_square(chosen) / whole) ** 0.5


def mean_square(rows: Float[np.ndarray, "n d"]) -> float:
    """The mean squared Euclidean distance of two different rows (at least two are needed): twice the trace of their covariance."""
    return float(2 * np.asarray(rows, np.float64).var(0, ddof=1).sum())


def squared_distances(a: Float[np.ndarray, "n d"], b: Float[np.ndarray, "m d"]) -> Float[np.ndarray, "n m"]:
    """Squared Euclidean distances of all pairs, in double precision."""
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return np.maximum((a**2).sum(1)[:, None] - 2 * a @ b.T + (b**2).sum(1)[None, :], 0)


def spread(
    real: Float[np.ndarray, "n d"],
    labels: Int[np.ndarray, " n"],
    chosen: Float[np.ndarray, "m d"],
    chosen_labels: Int[np.ndarray, " m"],
    *,
    neighbours: int = 5,
) -> Spread:
    """The means of coverage and diversity over the classes of which there are chosen examples; both are taken class by class. Classes whose
    diversity is NaN are left out of its mean, which is NaN where all are.

    Args:
      real, labels: embeddings of the real examples, and their class indices.
      chosen, chosen_labels: of the examples that are judged.
      neighbours: k of the coverage (>= 1).
    """
    pairs = [(real[labels == c], chosen[chosen_labels == c]) for c in np.unique(chosen_labels)]
    diversities = np.array([diversity(*pair) for pair in pairs])
    covered = float(np.mean([coverage(*pair, neighbours=neighbours) for pair in pairs]))
    return Spread(covered, float(np.nanmean(diversities)) if np.isfinite(diversities).any() else float("nan"))
