"""A linear classifier."""

import math
from functools import partial

from flax import nnx

from condense.nets.layers import Linear, Tape, flatten


class LinearClassifier(nnx.Module):
    """One linear layer on the numbers of an example."""

    def __init__(self, image, classes, draw):
        self.head = Linear(math.prod(image), classes, draw)

    def features(self, x, tape: Tape):
        """The example itself, flattened: f32[b ...] -> f32[b d]."""
        return flatten(x)


def linear():
    """Linear: one linear layer on the flattened image or the vector.

    Returns the network's constructor: (shape of an example, classes, `Draw`) -> module.
    """
    return partial(LinearClassifier)
