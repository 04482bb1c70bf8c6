"""Label kinds. A kind owns its loss; `view`, a `synth.views.Seen`, is there for kinds that label an augmented view.

Every kind offers `classes`, `targets(index, view)`, `mix(a, b, lam)`, `loss(logits, targets) -> f32[b]`, `probs() -> f32[n c]` and
`nbytes()`.
A kind whose values have a range offers `check()` too, which raises ValueError; `synth.file` stores every array field by its annotation.
"""

from typing import NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from synth.teacher_asked import Present
from synth.teacher_kinds import TEACHER_KINDS, Committee, Distances, Interpolated, Online, Static


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


jax.tree_util.register_pytree_node(Hard, lambda h: ((h.index,), h.classes), lambda classes, leaves: Hard(*leaves, classes))

Labels = Hard | Soft | Static | Interpolated | Committee | Online | Distances | Present
KINDS = {kind.kind: kind for kind in (Hard, Soft, *TEACHER_KINDS)}
