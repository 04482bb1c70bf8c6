"""A squared distance to the teachers' logits, and cross entropy to the true classes beside it (G-VBSM, CVPR 2024; EDC, NeurIPS 2024)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from synth.errors import BadInput
from synth.images.views import BatchView
from synth.labels.blend import BlendedTargets
from synth.labels.contract import label_kind, targets_of


@label_kind
class Logits(NamedTuple):
    """Loss: mean over the classes of (z - t)^2, plus `share` CE(y, z), for a network's logits z, the answers' logits t and true classes y.

    Of t the mean over classes is taken away, which the released code leaves there: labels here say nothing of it. Classes are those of the
    examples themselves, also where images are mixed, as released. Networks can be trained on these labels; files do not store them.

    Args:
      answers: labels of a kind that teachers make, ready for training.
      index: the class of every example.
      share: the weight of the true classes, >= 0.
    """

    answers: Any
    index: Int[Array, " n"]
    share: Float[Array, ""]
    kind = "logits"
    sees = True
    leaves = ("answers", "index", "share")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.answers.classes

    def targets(self, index: Int[Array, " b"], view: BatchView) -> BlendedTargets:
        """The labels' targets under the view, and one-hot rows of the examples, whatever they are mixed with."""
        return BlendedTargets(targets_of(self.answers, index, view, mixes=True), jax.nn.one_hot(self.index[index], self.classes))

    def loss(self, logits: Float[Array, "b c"], targets: BlendedTargets) -> Float[Array, " b"]:
        """The loss of every example."""
        answers, rows = (part.astype(logits.dtype) for part in (self.answers.direction(targets.answers), targets.classes))
        hard = optax.softmax_cross_entropy(logits, rows)
        return jnp.mean((logits - answers) ** 2, -1) + self.share.astype(logits.dtype) * hard

    def nbytes(self) -> int:
        """Payload bytes of the labels, whose indices are the same classes."""
        return self.answers.nbytes()


def as_logits(labels: Any, share: float) -> Any:
    """These labels under the loss on logits. Labels that hold no teachers' logits keep their own loss and come back as they are: classes
    and learned ones, distances, and those that record their views. Raises BadInput for labels that blend a loss of their own."""
    if labels.kind == "blended":
        raise BadInput(
            "the recipe has a loss of its own on teachers' logits, and labels of kind blended too; take another, or other labels"
        )
    if labels.records or labels.kind == "distances" or not (labels.taught or labels.kind == "online"):
        return labels
    return Logits(labels, jnp.argmax(labels.probs(), -1).astype(jnp.int32), jnp.float32(share))
