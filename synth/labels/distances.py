"""Stores two numbers for every view: the teachers' distances to the two classes of a mixed image."""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, UInt8

from synth.images.views import BatchView
from synth.labels.common import check_taught, place
from synth.labels.contract import label_kind
from synth.options import NonNegative

STEP = 1 / 20  # nats between two codes of a stored distance; 255 of them reach 12.75
NORMS = {"l1": jnp.abs, "l2": jnp.square, "huber": optax.losses.huber_loss}
SMOOTHING = 0.1  # the share that `smoothed` rows spread over all classes


class Pair(NamedTuple):
    """Targets of distance-based labels: distances f32[b 2] to the two classes i32[b 2] of a mixed image (its own, its partner's), and
    `lam`, the share of its own image in it."""

    distances: Float[Array, "b 2"]
    classes: Int[Array, "b 2"]
    lam: Float[Array, ""]


@label_kind
class Distances(NamedTuple):
    """Two numbers a view: the teachers' cross entropies d = -log p_T(y) to the classes of a mixed image and of its partner.

    Loss: L = L_sce + alpha sum_{y in (y_i, y_j)} rho(-log softmax(z / T)_y - d_y), with rho an absolute value, square or Huber loss, and
    L_sce a cross entropy -sum_c q_c log softmax(z)_c (DBR of NRR-DD, CVPR 2025). What is not published is an option: norm, alpha, the
    temperature T of the gaps, and q. `mixed`: q = lam onehot(y_i) + (1 - lam) onehot(y_j); `smoothed`: a tenth of it is spread over all
    classes; `soft`: the teachers' own, as far as the two numbers say: exp(-d_y), what is left spread over the other classes, at T.
    A distance is stored as u8, in steps of 1/20 nat up to 12.75: two bytes a view instead of two a class. That is not the paper's storage:
    it keeps two floating-point numbers a view, of half precision where its 0.2 GB for ImageNet-1K at 200 images a class are to be reached.
    By default T = 1: the steps round what a high temperature leaves of a teacher's doubts to a few codes.
    """

    index: Int[Array, " n"]
    codes: UInt8[Array, "epochs n 2"]
    classes: int
    temperature: float
    teachers: str
    statistics: str
    seed: int
    batch: int
    view: str
    alpha: float
    norm: str
    sce: str = "mixed"
    kind = "distances"
    taught = sees = replays = True
    default_temperature = 1.0
    of_loss = ("alpha", "norm", "sce")

    check = check_taught

    @classmethod
    def make(
        cls,
        asker,
        *,
        alpha: Annotated[float, NonNegative] = 1.0,
        norm: Literal["l1", "l2", "huber"] = "l1",
        sce: Literal["mixed", "smoothed", "soft"] = "mixed",
    ) -> "Distances":
        """Makes the labels: the distances of all views.

        Args:
          asker: what the teachers are asked through.
          alpha: weight of the gaps in the loss (>= 0).
          norm: of the gaps.
          sce: cross entropy beside the gaps: to `mixed` one-hot rows, to `smoothed` ones, or to what the distances say of the teachers
            (`soft`).
        """
        codes, options = jnp.asarray(asker.of_views(read)), {"alpha": alpha, "norm": norm, "sce": sce}
        return cls(asker.index, codes, asker.classes, **asker.header(), **asker.replay(), **options)

    @classmethod
    def bytes_each(cls, classes: int, epochs: int) -> int:
        """Bytes of one example: 4 for the index, and 2 for each epoch, whatever the number of classes."""
        return 4 + 2 * epochs

    @property
    def epochs(self) -> int:
        """The number of epochs whose views are labelled."""
        return self.codes.shape[-3]

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Pair:
        """The stored distances, in nats, of the mini-batch that `view` names by its epoch and number, and the two classes that they refer
        to: those of the examples `index` and of their partners."""
        own, mixed = self.index[index], view.mixed
        distances = self.codes[view.epoch, place(self, index, view)].astype(jnp.float32) * STEP
        return Pair(distances, jnp.stack([own, own[mixed.partner]], -1), mixed.lam)

    def loss(self, logits: Float[Array, "b c"], targets: Pair) -> Float[Array, " b"]:
        """The loss of every example, in nats: a cross entropy to what `sce` says, plus alpha times the sum over the two classes of the norm
        (absolute value, square or Huber loss) of -log softmax(z / T)_y - d_y."""
        distances = targets.distances.astype(logits.dtype)
        gaps = to_classes(logits / self.temperature, targets.classes) - distances
        own = logits / self.temperature if self.sce == "soft" else logits
        entropy = -jnp.sum(self._classes(targets, distances) * jax.nn.log_softmax(own), -1)
        return entropy + self.alpha * jnp.sum(NORMS[self.norm](gaps), -1)

    def _classes(self, targets: Pair, distances: Float[Array, "b 2"]) -> Float[Array, "b c"]:
        """q, what L_sce says of every class."""
        rows, lam = jax.nn.one_hot(targets.classes, self.classes, dtype=distances.dtype), targets.lam.astype(distances.dtype)
        if self.sce != "soft":
            mixed = lam * rows[:, 0] + (1 - lam) * rows[:, 1]
            return mixed if self.sce == "mixed" else (1 - SMOOTHING) * mixed + SMOOTHING / self.classes
        known = rows.max(1)  # 1 for the one or two classes whose probabilities are known
        named = jnp.max(rows * jnp.exp(-distances)[..., None], 1)
        others = self.classes - jnp.sum(known, -1, keepdims=True)
        left = jnp.maximum(1 - jnp.sum(named, -1, keepdims=True), 0) / jnp.maximum(others, 1)
        q = jnp.where(known > 0, named, left)
        return q / jnp.sum(q, -1, keepdims=True)  # codes are rounded


def to_classes(logits: Float[Array, "b c"], classes: Int[Array, "b 2"]) -> Float[Array, "b 2"]:
    """-log softmax(z)_y, in nats, for two classes y of every example."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), classes, axis=-1)


def encode(distances: Float[Array, "*s 2"]) -> UInt8[Array, "*s 2"]:
    """Distances >= 0 in nats as codes: the nearest number of steps of 1/20 nat, at most 255, which stands for 12.75 nats and all above."""
    return jnp.clip(jnp.round(distances / STEP), 0, 255).astype(jnp.uint8)


def read(logits: Float[Array, "b c"], classes: Int[Array, "b 2"], temperature: float) -> UInt8[Array, "b 2"]:
    """Computes from the answers to a batch what is stored: codes of the distances -log softmax(logits / temperature)_y to the two classes y
    of every image."""
    return encode(to_classes(logits / temperature, classes))
