"""Small things that tests share: a smooth network written by hand, and data that a glance can check."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from synth.base import Examples, Net, Out, Vars
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import SyntheticSet


def smooth_net(image=(4, 4, 1), classes: int = 3, *, hidden: int = 5, dtype=jnp.float32) -> Net:
    """tanh layer and linear head: smooth, so that finite differences are accurate."""
    inputs = image[0] * image[1] * image[2]

    def init(key):
        a, b = jax.random.split(key)
        return Vars(
            {
                "w": jax.random.normal(a, (inputs, hidden), dtype) / np.sqrt(inputs).astype(dtype),
                "b": jnp.zeros(hidden, dtype),
                "v": jax.random.normal(b, (hidden, classes), dtype),
            }
        )

    def apply(vars, x, *, train=False, key=None):
        p = vars.params
        embed = jnp.tanh(x.reshape(len(x), -1) @ p["w"] + p["b"][None, :])
        return Out(embed @ p["v"], embed, {})

    return Net(init, apply)


def blobs(n: int = 12, classes: int = 3, image=(4, 4, 1), *, seed: int = 0, dtype=np.float32) -> Examples:
    """n examples of every class around class means of their own, class-major."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, 1, *image))
    x = (centres + 0.3 * rng.normal(size=(classes, n, *image))).reshape(-1, *image)
    return Examples(x.astype(dtype), np.repeat(np.arange(classes), n).astype(np.int32))


class ToyExperts:
    """Recorded trajectories of random steps from random starts, as `condense.experts` reads them."""

    def __init__(self, net: Net, *, count: int = 2, epochs: int = 4, spec: str | None = None):
        rng, starts = np.random.default_rng(7), [ravel_pytree(net.init(jax.random.key(i)).params)[0] for i in range(count)]
        steps = 0.05 * rng.normal(size=(count, epochs, len(starts[0])))
        steps = np.concatenate([np.stack(starts)[:, None], steps], 1)
        self.rows = np.cumsum(steps, 1).astype(np.float32)
        self.net, self.count, self.epochs, self.size, self.ends = spec, count, epochs, len(starts[0]), False

    def read(self, expert: int, epochs) -> np.ndarray:
        """f32[k P], the parameters of one network after each of the epochs."""
        return self.rows[expert, list(epochs)]

    def last(self, expert: int) -> np.ndarray:
        """f32[P], the parameters of one network at the end."""
        return self.rows[expert, -1]


def as_set(examples: Examples, classes: int = 3) -> SyntheticSet:
    """Examples as a synthetic set with hard labels."""
    return SyntheticSet(Pixels(jnp.asarray(examples.x)), Hard(jnp.asarray(examples.y), classes))


def central_differences(f, x, *, step: float = 1e-5) -> np.ndarray:
    """The gradient of f: f64[...] -> scalar, two evaluations an entry."""
    x = np.asarray(x, np.float64)
    grad = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        shift = np.zeros_like(x)
        shift[at] = step
        grad[at] = (float(f(x + shift)) - float(f(x - shift))) / (2 * step)
    return grad
