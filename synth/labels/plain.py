"""Label kinds. A kind owns its loss; `view`, a `synth.images.views.BatchView`, is there for kinds that label an augmented view.

Every kind offers `classes`, `targets(index, view)`, `mix(a, b, lam)`, `loss(logits, targets) -> f32[b]`, `probs() -> f32[n c]` and
`nbytes()`.
A kind whose values have a range offers `check()` too, which raises ValueError; `synth.files.format` stores every array field by its
annotation.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int


class Hard(NamedTuple):
    """Class indices i32[n] in [0, classes). The loss is cross entropy; targets are one-hot so that they can be mixed."""

    index: Int[Array, " n"]
    classes: int
    kind = "hard"

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """One-hot rows of the chosen examples."""
        return jax.nn.one_hot(self.index[index], self.classes)

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """Cross entropy of every example, in nats."""
        return optax.softmax_cross_entropy(logits, targets.astype(logits.dtype))

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example."""
        return jax.nn.one_hot(self.index, self.classes)

    def check(self) -> None:
        """Raises ValueError where an index is no class."""
        low, high = np.min(self.index), np.max(self.index)
        if low < 0 or high >= self.classes:
            raise ValueError(f"labels run from {low} to {high}; 0 to {self.classes - 1} are right for {self.classes} classes")

    def nbytes(self) -> int:
        """Payload bytes: the indices."""
        return self.index.nbytes


class Soft(NamedTuple):
    """Learned logits f32[n c], at temperature 1. The loss is cross entropy against their softmax."""

    logits: Float[Array, "n classes"]
    kind = "soft"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.logits.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """Softmax rows of the chosen examples."""
        return jax.nn.softmax(self.logits[index])

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """- sum_c t_c log softmax(logits)_c of every example, in nats."""
        return optax.softmax_cross_entropy(logits, targets.astype(logits.dtype))

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example."""
        return jax.nn.softmax(self.logits)

    def nbytes(self) -> int:
        """Payload bytes: the logits."""
        return self.logits.nbytes


class Target(NamedTuple):
    """Regression values f32[n d], unbounded: class scores that sum to about zero, or a teacher's representations.

    The loss is half the squared distance. Values of class scores are no probabilities: `probs` says which is largest.
    """

    values: Float[Array, "n d"]
    kind = "target"

    @property
    def classes(self) -> int:
        """How many numbers an example is regressed on: the number of classes, or the width of the representation."""
        return self.values.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b d"]:
        """The values of the chosen examples."""
        return self.values[index]

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b d"], targets: Float[Array, "b d"]) -> Float[Array, " b"]:
        """1/2 sum_i (logits_i - t_i)^2 of every example."""
        return jnp.sum((logits - targets.astype(logits.dtype)) ** 2, -1) / 2

    def probs(self) -> Float[Array, "n d"]:
        """One-hot rows of the largest value of every example."""
        return jax.nn.one_hot(self.values.argmax(-1), self.classes)

    def nbytes(self) -> int:
        """Payload bytes: the values."""
        return self.values.nbytes


class Runs(NamedTuple):
    """Hard labels of examples that stand class after class, and how many real examples of each class they stand for.

    Args:
      counts: examples of every class, 0 or more.
      sizes: real examples of every class: what the classes weigh in a loss.
    """

    counts: Int[Array, " classes"]
    sizes: Int[Array, " classes"]
    kind = "runs"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.counts)

    def index(self) -> Int[np.ndarray, " n"]:
        """The class of every example."""
        return np.repeat(np.arange(self.classes, dtype=np.int32), np.asarray(self.counts))

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """One-hot rows of the chosen examples."""
        return jax.nn.one_hot(jnp.searchsorted(jnp.cumsum(self.counts), index, side="right"), self.classes)

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """Cross entropy of every example, in nats."""
        return optax.softmax_cross_entropy(logits, targets.astype(logits.dtype))

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example."""
        return jax.nn.one_hot(self.index(), self.classes)

    def check(self) -> None:
        """Raises ValueError where there is no example, or where a number is negative."""
        counts, sizes = np.asarray(self.counts), np.asarray(self.sizes)
        if min(counts.min(), sizes.min()) < 0 or not counts.any() or not sizes.any():
            raise ValueError("counts and sizes of classes must be 0 or more, and not all 0")

    def nbytes(self) -> int:
        """Payload bytes: both counts."""
        return self.counts.nbytes + self.sizes.nbytes


jax.tree_util.register_pytree_node(Hard, lambda h: ((h.index,), h.classes), lambda classes, leaves: Hard(*leaves, classes))
