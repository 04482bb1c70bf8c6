"""Labels for a while, classes for a while: the loss changes kind in the middle of a training (HALD, ICML 2026)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int

from synth.errors import BadInput
from synth.images.views import BatchView
from synth.labels.blend import BlendedTargets, blended_targets
from synth.labels.contract import label_kind

SMOOTHING = 0.8  # the share of a class's row that is spread over all classes, in the released code


class PhasedTargets(NamedTuple):
    """Targets of a mini-batch, and of every row whether its loss is that of the labels, and not that of the classes."""

    both: BlendedTargets
    soft: Bool[Array, " b"]


@label_kind
class Phased(NamedTuple):
    """Labels whose own loss counts in the first and the last epochs. Between these it is the cross entropy to the true classes, mixed as
    the images are, 0.8 of every row spread evenly over all classes.

    Networks can be trained on these labels; files do not store them.

    Args:
      answers: labels of any kind, ready for training.
      index: the class of every example.
      first, last: the first epoch, from 0, of the classes' phase, and the epoch that ends it.
    """

    answers: Any
    index: Int[Array, " n"]
    first: Int[Array, ""]
    last: Int[Array, ""]
    kind = "phased"
    sees = True
    leaves = ("answers", "index", "first", "last")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.answers.classes

    def targets(self, index: Int[Array, " b"], view: BatchView) -> PhasedTargets:
        """The labels' targets under the view, one-hot rows mixed as its images are, and which of both count in its epoch."""
        soft = (view.epoch < self.first) | (view.epoch >= self.last)
        return PhasedTargets(blended_targets(self, index, view), jnp.broadcast_to(soft, index.shape))

    def loss(self, logits: Float[Array, "b c"], targets: PhasedTargets) -> Float[Array, " b"]:
        """The loss of every example, in nats: the labels' own, or the cross entropy to smoothed classes."""
        rows = (1 - SMOOTHING) * targets.both.classes.astype(logits.dtype) + SMOOTHING / self.classes
        hard = optax.softmax_cross_entropy(logits, rows)
        return jnp.where(targets.soft, self.answers.loss(logits, targets.both.answers), hard)

    def nbytes(self) -> int:
        """Payload bytes of the labels, whose indices are the same classes."""
        return self.answers.nbytes()


def in_phases(labels: Any, epochs: Int[Array, ""]) -> Phased:
    """The labels in three phases of a training of E `epochs`: n = E // 2 are the labels', n // 2 of them before the E - n of the classes
    and the others after. Raises BadInput for labels that record their views."""
    if labels.records:
        raise BadInput(f"--recipe hald: labels of kind {labels.kind} have views of their own; take another recipe")
    soft = epochs // 2
    first = soft // 2
    return Phased(labels, labels.probs().argmax(-1).astype(jnp.int32), first, first + epochs - soft)
