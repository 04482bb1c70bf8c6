"""A kind of labels that the workbench does not have: all of it is here, as a new kind would be in a file of its own."""

from functools import lru_cache
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt8

from synth.images.views import BatchView
from synth.labels.common import check_taught, place
from synth.labels.contract import label_kind
from synth.options import NonNegative


@label_kind
class Certainty(NamedTuple):
    """One number a view: the teachers' probability of the example's class, in whole `levels`; other classes share the rest alike."""

    index: Int[Array, " n"]
    codes: UInt8[Array, "epochs n 1"]
    classes: int
    temperature: float
    teachers: str
    statistics: str
    seed: int
    batch: int
    view: str
    levels: int
    scale: float
    kind = "certainty"
    taught = sees = replays = True
    default_temperature = 2.0
    of_loss = ("scale",)
    check = check_taught

    @classmethod
    def make(cls, asker, *, levels: int = 255, scale: Annotated[float, NonNegative] = 1.0) -> "Certainty":
        """The probabilities of all views.

        Args:
          levels: steps of a stored probability (>= 1).
          scale: weight of the loss (>= 0).
        """
        codes = jnp.asarray(asker.of_views(reader(levels)))
        return cls(asker.index, codes, asker.classes, **asker.header(), **asker.replay(), levels=levels, scale=scale)

    @classmethod
    def bytes_each(cls, classes: int, epochs: int) -> int:
        """An index and a byte an epoch."""
        return 4 + epochs

    @property
    def epochs(self) -> int:
        """How many epochs are labelled."""
        return self.codes.shape[-3]

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """Probabilities of the views."""
        sure = self.codes[view.epoch, place(self, index, view)].astype(jnp.float32) / self.levels
        own = jax.nn.one_hot(self.index[index], self.classes)
        return own * sure + (1 - own) * (1 - sure) / (self.classes - 1)

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """Cross entropy of every example, scaled."""
        return -self.scale * jnp.sum(targets.astype(logits.dtype) * jax.nn.log_softmax(logits), -1)


@lru_cache
def reader(levels: int):
    """What is stored of the answers to a batch."""

    def read(logits, classes, temperature):
        own = jnp.take_along_axis(jax.nn.softmax(logits / temperature), classes[:, :1], axis=-1)
        return jnp.round(own * levels).astype(jnp.uint8)

    return read
