"""Teachers that are asked for every batch: the weighted sum of their logits, and labels that hold the teachers themselves.

Images are f32[b h w c] in model space.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.base import Net, Vars
from synth.labels.teacher import Online


def ask(nets: Sequence[Net], vars: Sequence[Vars], x: Float[Array, "b h w c"], weights: Sequence[float], statistics: str) -> Array:
    """sum_k w_k f_k(x), f32[b c].

    With `statistics` `batch`, batch norms normalise by the mean and biased variance of this batch and running ones stay as they are
    (batch-specific soft labels of CV-DD); with `batch/k` by those of each of k equal parts, as the released code does with k = 2.
    """
    parts = int(statistics.partition("/")[2] or 1)

    def logits(net: Net, vars: Vars):
        if statistics == "running":
            return net.apply(vars, x).logits
        return jnp.concatenate([net.apply(vars, part, train=True).logits for part in jnp.array_split(x, parts)])

    return sum(weight * logits(net, held) for net, held, weight in zip(nets, vars, weights, strict=True))


class OnlineWithTeachers(NamedTuple):
    """Labels of the kind `online` together with the teachers: not stored, trained on as they are."""

    online: Online
    vars: tuple[Vars, ...]
    nets: tuple[Net, ...]
    weights: tuple[float, ...]
    kind = "online"
    sees = True

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.online.classes

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """softmax(z / T) of the teachers' answers to the images of this step."""
        logits = ask(self.nets, self.vars, view.images, self.weights, self.online.statistics)
        return jax.lax.stop_gradient(jax.nn.softmax(logits / self.online.temperature))

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """As of the stored kind."""
        return self.online.loss(logits, targets)

    def probs(self) -> Float[Array, "n c"]:
        """As of the stored kind."""
        return self.online.probs()

    def nbytes(self) -> int:
        """As of the stored kind: the teachers are not counted."""
        return self.online.nbytes()


jax.tree_util.register_pytree_node(
    OnlineWithTeachers, lambda p: ((p.online, p.vars), (p.nets, p.weights)), lambda static, leaves: OnlineWithTeachers(*leaves, *static)
)
