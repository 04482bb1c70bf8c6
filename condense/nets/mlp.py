"""A multi-layer perceptron on vectors, or on flattened images."""

import math
from functools import partial

from flax import nnx

from condense.nets.layers import ACTIVATIONS, GROUPS, Activation, Linear, NormKind, Tape, flatten
from condense.nets.layers import norm as norm_layer
from synth.errors import BadInput


class MLP(nnx.Module):
    """Two hidden layers with norm and activation, then one linear layer."""

    def __init__(self, image, classes, draw, *, width: int, norm: NormKind, act: Activation):
        self.hidden = nnx.List([Linear(math.prod(image), width, draw), Linear(width, width, draw)])
        self.norms = nnx.List([norm_layer(norm, width) for _ in self.hidden])
        self.head = Linear(width, classes, draw)
        self.act = ACTIVATIONS[act]

    def features(self, x, tape: Tape):
        """Examples to the input of `head`, f32[b ...] -> f32[b d]."""
        x = flatten(x)
        for layer, norm in zip(self.hidden, self.norms, strict=True):
            x = self.act(norm(layer(x), tape))
        return x


def mlp(*, width: int = 128, norm: NormKind = "none", act: Activation = "relu"):
    """MLP: three linear layers on the flattened image or the vector, two of them hidden.

    `width` is the number of units of a hidden layer. Returns the network's constructor: (shape of an example, classes, `Draw`) -> module.

    Raises:
      BadInput: a norm that averages each hidden unit by itself, which leaves nothing of it.
    """
    if norm == "instance" or (norm == "group" and GROUPS % width == 0):
        raise BadInput(f"--net mlp:width={width},norm={norm} erases every hidden unit: use norm=batch, none, or group with width above 4")
    return partial(MLP, width=width, norm=norm, act=act)
