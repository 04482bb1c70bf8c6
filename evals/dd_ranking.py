"""Scores of DD-Ranking (Li et al., arXiv 2505.13300), from accuracies that are fractions in [0, 1].

The formulae are those of its documentation. Its published code puts per cent into the exponent, chooses step sizes and epochs on the test
images, and does not mix labels where images are mixed; nothing of that is done here.

`condense evaluate` takes IOR under one label regime at a time, in which the set and the random images have labels made the same way. Labels
that a method has learned with its images, or that it stores, do not enter: the published score counts them on the set's side.
"""

import math

from synth.errors import BadInput


def hard_label_recovery(full: float, distilled: float) -> float:
    """HLR = Acc(full data, classes) - Acc(set, classes): what the set loses without its labels, in [-1, 1]. Lower is better.

    Raises BadInput for an accuracy outside [0, 1].
    """
    return _fraction("full", full) - _fraction("distilled", distilled)


def improvement_over_random(distilled: float, random: float) -> float:
    """IOR = Acc(set, labels) - Acc(random images, labels of the same kind): what its images are worth, in [-1, 1]. Higher is better.

    Raises BadInput for an accuracy outside [0, 1].
    """
    return _fraction("distilled", distilled) - _fraction("random", random)


def label_robust_score(improvement: float, recovery: float, *, weight: float = 0.5) -> float:
    """LRS = (e^a - 1/e) / (e - 1/e) with a = w IOR - (1 - w) HLR, in [0, 1]; 0.2689 at a = 0.

    Args:
      improvement, recovery: IOR and HLR, in [-1, 1].
      weight: w of IOR, in [0, 1].

    Raises BadInput for a weight outside [0, 1] and where a is outside [-1, 1].
    """
    weight = _fraction("weight", weight)
    return _squashed(weight * improvement - (1 - weight) * recovery)


def augmentation_robust_score(with_augmentation: float, without: float, *, weight: float = 0.5) -> float:
    """ARS = (e^b - 1/e) / (e - 1/e) with b = w IOR with augmentation + (1 - w) IOR without, in [0, 1].

    Args:
      with_augmentation, without: improvements over random images (IOR), in [-1, 1].
      weight: w of the first, in [0, 1].

    Raises BadInput for a weight outside [0, 1] and where b is outside [-1, 1].
    """
    weight = _fraction("weight", weight)
    return _squashed(weight * with_augmentation + (1 - weight) * without)


def _squashed(value: float) -> float:
    if not -1 <= value <= 1:
        raise BadInput(f"DD-Ranking: {value:g} is no difference of accuracies; give fractions in [0, 1], not per cent")
    return (math.exp(value) - math.exp(-1)) / (math.e - math.exp(-1))


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise BadInput(f"DD-Ranking: {name} {value:g}: give a fraction in [0, 1], not per cent")
    return value
