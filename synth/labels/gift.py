"""A cosine loss towards soft labels and smoothed classes, which reads directions alone (GIFT, ICLR 2025)."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.errors import BadInput
from synth.images.views import BatchView
from synth.labels.blend import BlendedTargets, blended_targets
from synth.labels.contract import label_kind
from synth.numerics.pytree import safe_norm

SMOOTHING, SHARE = 0.1, 0.1  # what a class gives to the others, and the weight of classes beside answers, as released
TINY = 1e-8  # the least length that a vector is divided by


@label_kind
class Gift(NamedTuple):
    """Loss: 1 - cos(z, t / ||t|| + 0.1 s / ||s||), for a network's logits z, the labels' answers t and smoothed classes s.

    s_y = 0.9 for the class y of an example and 0.1 / (C - 1) for the others; classes are mixed as images are. t are the teachers' logits
    where there are some, else what the labels are otherwise (`Labels.direction`). Of logits the mean over classes is taken away, which the
    released code (LINs-lab/GIFT) leaves there: labels here say nothing of it. Networks can be trained on these labels; files do not store
    them.

    Args:
      answers: labels of any kind that has a direction, ready for training.
      index: the class of every example.
    """

    answers: Any
    index: Int[Array, " n"]
    kind = "gift"
    sees = True
    leaves = ("answers", "index")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.answers.classes

    def targets(self, index: Int[Array, " b"], view: BatchView) -> BlendedTargets:
        """The labels' targets under the view, and one-hot rows mixed as its images are."""
        return blended_targets(self, index, view)

    def loss(self, logits: Float[Array, "b c"], targets: BlendedTargets) -> Float[Array, " b"]:
        """1 - cos of every example, in [0, 2]."""
        rows, answers = (part.astype(logits.dtype) for part in (targets.classes, self.answers.direction(targets.answers)))
        smoothed = (1 - SMOOTHING) * rows + SMOOTHING / (self.classes - 1) * (1 - rows)
        return 1 - jnp.sum(unit(logits) * unit(unit(answers) + SHARE * unit(smoothed)), -1)

    def nbytes(self) -> int:
        """Payload bytes of the labels, whose indices are the same classes."""
        return self.answers.nbytes()


def unit(x: Float[Array, "b c"]) -> Float[Array, "b c"]:
    """Rows divided by their Euclidean length, or by 1e-8 where that is more."""
    return x / jnp.maximum(safe_norm(x, axis=-1), TINY)[:, None]


def as_directions(labels: Any) -> Gift:
    """These labels under GIFT's loss. Raises BadInput for labels that record their views, that blend a loss of their own, or that keep no
    answer to every class."""
    if labels.records or labels.kind in ("blended", "distances"):
        raise BadInput(f"--recipe gift: has a loss of its own, and labels of kind {labels.kind} too; take another recipe, or other labels")
    return Gift(labels, labels.probs().argmax(-1).astype(jnp.int32))
