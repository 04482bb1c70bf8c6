"""Stored answers of the teachers to every view of every epoch."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Float16, Int

from synth.images.views import BatchView
from synth.labels.common import check_taught, halved, place, tempered
from synth.labels.contract import label_kind
from synth.labels.static import Static


@label_kind
class Committee(NamedTuple):
    """Teacher logits of every view of every epoch, f16[epochs n c], in the order in which the epoch shows the examples.

    Shen and Xing, A fast knowledge distillation framework, ECCV 2022, without the coordinates that a key replaces. Loss: KL at the
    temperature, against the teachers' answer to the mixed image.
    """

    index: Int[Array, " n"]
    logits: Float16[Array, "epochs n classes"]
    temperature: float
    teachers: str
    statistics: str
    seed: int
    batch: int
    view: str
    kind = "committee"
    taught = sees = replays = True

    classes, loss, direction = Static.classes, Static.loss, Static.direction
    check = check_taught

    @classmethod
    def make(cls, asker) -> "Committee":
        """Makes the labels: `asker`, a `synth.labelling.Asker`, asks the teachers for their logits to all views of all epochs."""
        return cls(asker.index, jnp.asarray(asker.of_views(read)), **asker.header(), **asker.replay())

    @classmethod
    def bytes_each(cls, classes: int, epochs: int) -> int:
        """Bytes of one example: 4 for the index, and 2 for each class and epoch."""
        return 4 + 2 * epochs * classes

    @property
    def epochs(self) -> int:
        """The number of epochs whose views are labelled."""
        return self.logits.shape[-3]

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """softmax(z / T) of the stored logits to the mini-batch that `view` names by its epoch and number. Of `index` only the length is
        read: rows are stored in the order in which the epoch shows the examples."""
        logits = self.logits[view.epoch, place(self, index, view)]
        return tempered(logits.astype(jnp.float32), self.temperature)


def read(logits: Float[Array, "b c"], classes: Int[Array, "b 2"], temperature: float) -> Float16[Array, "b c"]:
    """Selects from the answers to a batch what is stored: the logits as float16 (clipped to +-60,000), whatever the classes and the
    temperature are."""
    return halved(logits)
