"""A network that the workbench does not have: all of it is here, as a new network would be in a file of its own."""

from functools import partial

import jax.numpy as jnp
from flax import nnx

from condense.nets.layers import Linear, Tape, flatten


class Sums(nnx.Module):
    """Sums over rows and over columns, through one hidden layer."""

    def __init__(self, image, classes, draw, *, width: int):
        h, w, c = image
        self.hidden = Linear((h + w) * c, width, draw)
        self.head = Linear(width, classes, draw)

    def features(self, x, tape: Tape):
        """Images to the input of `head`, f32[b h w c] -> f32[b d]."""
        return jnp.tanh(self.hidden(jnp.concatenate([flatten(x.sum(1)), flatten(x.sum(2))], 1)))


def sums(*, width: int = 8):
    """Sums: rows and columns of an image, added up, then two linear layers."""
    return partial(Sums, width=width)
