"""Labels without stored answers: teachers label every batch while a network trains."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.base import Net, Vars
from synth.errors import BadInput
from synth.images.views import BatchView
from synth.labels.common import check_taught
from synth.labels.contract import label_kind
from synth.labels.static import Static


def ask(nets: Sequence[Net], vars: Sequence[Vars], x: Float[Array, "b h w c"], weights: Sequence[float], statistics: str) -> Array:
    """sum_k w_k f_k(x), f32[b c], of images in model space: the weighted sum of the networks' logits.

    With `statistics` `running`, batch norms normalise by their running statistics; with `batch` by the mean and biased variance of
    this batch, and running ones stay as they are (batch-specific soft labels of CV-DD); with `batch/k` by those of each of k equal parts,
    as the released code does with k = 2.
    """
    parts = int(statistics.partition("/")[2] or 1)

    def logits(net: Net, vars: Vars):
        if statistics == "running":
            return net.apply(vars, x).logits
        return jnp.concatenate([net.apply(vars, part, train=True).logits for part in jnp.array_split(x, parts)])

    return sum(weight * logits(net, own) for net, own, weight in zip(nets, vars, weights, strict=True))


@label_kind
class Online(NamedTuple):
    """No stored answers: the teachers label every view while a network trains. Loss as of `committee`.

    `with_teachers` turns it into labels that hold the teachers themselves; without them it has no targets.
    """

    index: Int[Array, " n"]
    classes: int
    temperature: float
    teachers: str
    statistics: str
    kind = "online"
    taught = sees = asks = True

    loss, direction, check = Static.loss, Static.direction, check_taught

    @classmethod
    def make(cls, asker) -> "Online":
        """Makes the labels: the classes, and which teachers are to be asked later, and how. None is asked now."""
        return cls(asker.index, asker.classes, **asker.header())

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """Always raises BadInput, because these labels have no teachers with them."""
        raise BadInput("the set's labels are asked of its teachers while a network trains: give --teachers DIR")

    def with_teachers(self, find: Callable[[str], tuple]) -> "OnlineWithTeachers":
        """Returns these labels together with their teachers, which `find` gives, with their weights, for the text `teachers`."""
        teachers, weights = find(self.teachers)
        return OnlineWithTeachers(self, tuple(t.vars for t in teachers), tuple(t.net for t in teachers), weights)


@label_kind
class OnlineWithTeachers(NamedTuple):
    """Labels of the kind `online` together with their teachers. Networks can be trained on them; files do not store them."""

    online: Online
    vars: tuple[Vars, ...]
    nets: tuple[Net, ...]
    weights: tuple[float, ...]
    kind = "online"
    sees = True
    leaves = ("online", "vars")

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.online.classes

    @property
    def temperature(self) -> float:
        """The temperature of the answers."""
        return self.online.temperature

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """softmax(z / T) of the teachers' answers to the images of `view`, without a gradient. `index` is not read."""
        logits = ask(self.nets, self.vars, view.images, self.weights, self.online.statistics)
        return jax.lax.stop_gradient(jax.nn.softmax(logits / self.online.temperature))

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """KL(targets || softmax(z / T)) of every example, in nats."""
        return self.online.loss(logits, targets)

    def direction(self, targets: Float[Array, "b c"]) -> Float[Array, "b c"]:
        """The logits of the answers, less their mean."""
        return self.online.direction(targets)

    def probs(self) -> Float[Array, "n c"]:
        """One-hot rows of the class of every example. No teacher is asked."""
        return self.online.probs()

    def nbytes(self) -> int:
        """Bytes of the class indices. The teachers are not counted."""
        return self.online.nbytes()
