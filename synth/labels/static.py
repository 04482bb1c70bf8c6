"""Stores one answer of the teachers to every unchanged example."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Float16, Int

from synth.labels.common import centred, check_taught, divergence, halved, tempered
from synth.labels.contract import label_kind


def _make(kind: type, asker):
    """Makes the labels: `asker`, a `synth.labelling.Asker`, asks the teachers for their logits to every unchanged example.

    Raises BadInput for collages and where batch norms shall use batch statistics.
    """
    return kind(asker.index, halved(asker.of_examples()), **asker.header())


def _bytes_each(kind: type, classes: int, epochs: int) -> int:
    """Bytes of one example: 4 for the index and 2 for the logit of each class, in half precision. `epochs` is not read."""
    return 4 + 2 * classes


@label_kind
class Static(NamedTuple):
    """Teacher logits f16[n c] of every unchanged example. Loss: KL divergence at the temperature. Mixed images mix probabilities."""

    index: Int[Array, " n"]
    logits: Float16[Array, "n classes"]
    temperature: float
    teachers: str
    statistics: str
    kind = "static"
    taught = True

    make, bytes_each = classmethod(_make), classmethod(_bytes_each)
    check = check_taught

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.logits.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """softmax(z / T) of the stored logits of the examples `index`. `view` is not read."""
        return tempered(self.logits[index].astype(jnp.float32), self.temperature)

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """KL(targets || softmax(z / T)) of every example, in nats."""
        return divergence(targets.astype(logits.dtype), logits, self.temperature)

    def direction(self, targets: Float[Array, "b c"]) -> Float[Array, "b c"]:
        """The logits of the answers, less their mean."""
        return centred(targets, self.temperature)


@label_kind
class Interpolated(NamedTuple):
    """As `static`, but mixed images mix logits: z = lam z_a + (1 - lam) z_b, then softmax(z / T) (Zhang et al., INFER, ICLR 2025)."""

    index: Int[Array, " n"]
    logits: Float16[Array, "n classes"]
    temperature: float
    teachers: str
    statistics: str
    kind = "interpolated"
    taught = True

    make, bytes_each = classmethod(_make), classmethod(_bytes_each)
    classes, check = Static.classes, check_taught

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """The stored logits, not probabilities, of the examples `index`, f32; mixing mixes logits. `view` is not read."""
        return self.logits[index].astype(jnp.float32)

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """KL(softmax(targets / T) || softmax(z / T)) of every example, in nats, for the network's logits z. Targets are logits too."""
        return divergence(tempered(targets.astype(logits.dtype), self.temperature), logits, self.temperature)

    def direction(self, targets: Float[Array, "b c"]) -> Float[Array, "b c"]:
        """The logits of the answers, less their mean."""
        return targets - targets.mean(-1, keepdims=True)
