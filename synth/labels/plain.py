"""Label kinds that need no teachers, and plain class indices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.labels.contract import check_index, label_kind


@label_kind
class Hard(NamedTuple):
    """Class indices i32[n] in [0, classes). The loss is cross entropy; targets are one-hot so that they can be mixed."""

    index: Int[Array, " n"]
    classes: int
    kind = "hard"

    @classmethod
    def make(cls, asker) -> "Hard":
        """Makes the labels from the classes alone. No teacher is asked."""
        return cls(asker.index, asker.classes)

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """One-hot rows of the classes of the examples `index`. `view` is not read."""
        return jax.nn.one_hot(self.index[index], self.classes)

    def check(self) -> None:
        """Raises ValueError if an index is not a class."""
        check_index(self.index, self.classes)


@label_kind
class Soft(NamedTuple):
    """Learned logits f32[n c], at temperature 1. The loss is cross entropy against their softmax."""

    logits: Float[Array, "n classes"]
    kind = "soft"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.logits.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """softmax(logits) of the examples `index`. `view` is not read."""
        return jax.nn.softmax(self.logits[index])

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example: softmax(logits)."""
        return jax.nn.softmax(self.logits)


@label_kind
class Target(NamedTuple):
    """Regression values f32[n d], unbounded: class scores that sum to about zero, or a teacher's representations.

    The loss is half the squared distance. Values of class scores are no probabilities: `probs` says which is largest.
    """

    values: Float[Array, "n d"]
    kind = "target"

    @property
    def classes(self) -> int:
        """The length of an example's target: the number of classes, or the width of the representation."""
        return self.values.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b d"]:
        """The values of the examples `index`. `view` is not read."""
        return self.values[index]

    def loss(self, logits: Float[Array, "b d"], targets: Float[Array, "b d"]) -> Float[Array, " b"]:
        """1/2 sum_i (logits_i - t_i)^2 of every example."""
        return jnp.sum((logits - targets.astype(logits.dtype)) ** 2, -1) / 2

    def probs(self) -> Float[Array, "n d"]:
        """One-hot rows of the largest value of every example."""
        return jax.nn.one_hot(self.values.argmax(-1), self.classes)

    def regressed(self) -> Float[Array, "n d"]:
        """The values, unchanged."""
        return self.values


@label_kind
class Runs(NamedTuple):
    """Hard labels of examples sorted by class, and for each class how many real examples they stand for.

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
        """The class of every example: `counts[0]` times 0, then `counts[1]` times 1, and so on."""
        return np.repeat(np.arange(self.classes, dtype=np.int32), np.asarray(self.counts))

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """One-hot rows of the classes of the examples `index`. `view` is not read."""
        return jax.nn.one_hot(jnp.searchsorted(jnp.cumsum(self.counts), index, side="right"), self.classes)

    def probs(self) -> Float[Array, "n c"]:
        """One-hot rows of the class of every example."""
        return jax.nn.one_hot(self.index(), self.classes)

    def check(self) -> None:
        """Raises ValueError if there are no examples, or if a number is negative."""
        counts, sizes = np.asarray(self.counts), np.asarray(self.sizes)
        if min(counts.min(), sizes.min()) < 0 or not counts.any() or not sizes.any():
            raise ValueError("counts and sizes of classes must be 0 or more, and not all 0")
