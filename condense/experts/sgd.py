"""Experts of trajectory matching (Cazenavette et al., CVPR 2022): plain SGD."""

from typing import Annotated

from condense.experts.base import ExpertRecipe
from synth.options import Positive


def sgd(*, lr: Annotated[float, Positive] = 0.01, batch: int = 256) -> ExpertRecipe:
    """Plain SGD on augmented mini-batches, without momentum, decay or schedule.

    theta <- theta - lr grad l(A(x); theta), l the mean cross entropy and A one operation of DSA with parameters drawn for every image.

    Args:
      lr: step size (> 0).
      batch: examples a step.
    """
    return ExpertRecipe(lr, batch=batch)
