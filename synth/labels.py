"""Label kinds. A kind owns its loss; `view = (epoch, batch)` is there for kinds that label an augmented view.

Every kind offers `targets(index, view)`, `mix(a, b, lam)`, `loss(logits, targets) -> f32[b]`, `probs() -> f32[n c]` and `nbytes()`.
"""

from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int


class Hard(NamedTuple):
    """Class indices i32[n] in [0, classes). The loss is cross entropy; targets are one-hot so that they can be mixed."""

    index: Int[Array, " n"]
    classes: int
    kind: ClassVar[str] = "hard"

    def targets(self, index: Int[Array, " b"], view=None) -> Float[Array, "b c"]:
        """One-hot rows of the chosen examples."""
        return jax.nn.one_hot(self.index[index], self.classes)

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """Cross entropy of every example, in nats."""
        return optax.softmax_cross_entropy(logits, targets)

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example."""
        return jax.nn.one_hot(self.index, self.classes)

    def nbytes(self) -> int:
        """Payload bytes: the indices."""
        return self.index.nbytes


class Soft(NamedTuple):
    """Learned logits f32[n c], at temperature 1. The loss is cross entropy against their softmax."""

    logits: Float[Array, "n c"]
    kind: ClassVar[str] = "soft"

    def targets(self, index: Int[Array, " b"], view=None) -> Float[Array, "b c"]:
        """Softmax rows of the chosen examples."""
        return jax.nn.softmax(self.logits[index])

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """- sum_c t_c log softmax(logits)_c of every example, in nats."""
        return optax.softmax_cross_entropy(logits, targets)

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example."""
        return jax.nn.softmax(self.logits)

    def nbytes(self) -> int:
        """Payload bytes: the logits."""
        return self.logits.nbytes


jax.tree_util.register_pytree_node(Hard, lambda h: ((h.index,), h.classes), lambda classes, leaves: Hard(*leaves, classes))

Labels = Hard | Soft
KINDS = {kind.kind: kind for kind in (Hard, Soft)}
