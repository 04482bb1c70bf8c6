"""A linear network, and its gradient written by hand in numpy."""

import jax
import jax.numpy as jnp
import numpy as np

from synth.base import Net, Out, Vars


def linear_net(inputs: int = 16, classes: int = 3) -> Net:
    def init(key):
        return Vars({"w": jax.random.normal(key, (inputs, classes)) / 4, "b": jnp.zeros(classes)})

    def apply(vars, x, *, train=False, key=None):
        flat = x.reshape(len(x), -1)
        return Out(flat @ vars.params["w"] + vars.params["b"][None], flat, {})

    return Net(init, apply)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def linear_gradient(w, b, x, p, counts):
    """Of sum_i counts_i CE_i / sum_i counts_i for logits x w + b and target probabilities p, in float64."""
    delta = (softmax(x @ w + b) - p) * counts[:, None] / counts.sum()
    return x.T @ delta, delta.sum(0)
