"""Accuracy against optimiser steps: networks that are scored many times during their training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int


def curve_of(rights: Sequence[Int[np.ndarray, " seeds"]], examples: int, steps: tuple[int, ...]) -> dict[str, tuple]:
    """The fields of a report that hold scorings during training, by name: `curve`, the accuracies of every seed in the order of scoring,
    `best_on_test`, the highest of each seed, and `curve_steps`, the given steps. Accuracies are fractions.

    Args:
      rights: how many examples each network classifies right, scoring by scoring.
      examples: on which they are scored. steps: of the optimiser, before each scoring.
    """
    shares = np.stack(rights).T / examples
    return {"best_on_test": tuple(shares.max(1).tolist()), "curve": tuple(map(tuple, shares.tolist())), "curve_steps": steps}
