"""Classes and answers of teachers in one loss: knowledge distillation on a set of examples."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from synth.images.views import BatchView
from synth.labels.contract import label_kind, targets_of


class BlendedTargets(NamedTuple):
    """Targets of a mini-batch: those of the teachers' answers, and the true classes f32[b c], one-hot and mixed as the images are."""

    answers: Any
    classes: Float[Array, "b c"]


def blended_targets(labels: Any, index: Int[Array, " b"], view: BatchView) -> BlendedTargets:
    """Targets of the examples `index` by labels that have `answers` and an `index` of classes: the answers' own under the view, and one-hot
    rows mixed as its images are."""
    own = jax.nn.one_hot(labels.index[index], labels.classes)
    classes = view.mixed.lam * own + (1 - view.mixed.lam) * own[view.mixed.partner]
    return BlendedTargets(targets_of(labels.answers, index, view, mixes=True), classes)


@label_kind
class Blended(NamedTuple):
    """Labels by teachers beside the true classes. Loss: (1 - alpha) CE(y, z) + alpha T^2 KL(p || softmax(z / T)).

    Hinton et al., Distilling the Knowledge in a Neural Network, arXiv 1503.02531; p are the answers at the temperature T of `answers`.
    Networks can be trained on these labels; files do not store them. They have no `temperature` of their own, because their loss counts
    T^2 times already. Mixed images mix the classes as the images are mixed.

    Args:
      answers: labels of a kind that teachers make, ready for training, whose loss is the divergence.
      index: the class of every example.
      alpha: the weight of the answers, in [0, 1]. It is an array, so that another weight compiles nothing anew.
    """

    answers: Any
    index: Int[Array, " n"]
    alpha: Float[Array, ""]
    kind = "blended"
    sees = True
    leaves = ("answers", "index", "alpha")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.answers.classes

    def targets(self, index: Int[Array, " b"], view: BatchView) -> BlendedTargets:
        """The teachers' targets under the view, and one-hot rows mixed as its images are."""
        return blended_targets(self, index, view)

    def loss(self, logits: Float[Array, "b c"], targets: BlendedTargets) -> Float[Array, " b"]:
        """(1 - alpha) CE + alpha T^2 KL of every example, in nats: the cross entropy to the true classes, and the answers' own loss."""
        alpha = self.alpha.astype(logits.dtype)
        hard = optax.softmax_cross_entropy(logits, targets.classes.astype(logits.dtype))
        soft = self.answers.temperature**2 * self.answers.loss(logits, targets.answers)
        return (1 - alpha) * hard + alpha * soft

    def nbytes(self) -> int:
        """Payload bytes of the answers, whose indices are the same classes."""
        return self.answers.nbytes()


def blend(answers: Any, index: Int[Array, " n"], alpha: float) -> Blended:
    """Labels whose loss weighs the teachers' answers by `alpha`, in [0, 1], and the true classes `index` by 1 - alpha."""
    return Blended(answers, index, jnp.float32(alpha))
