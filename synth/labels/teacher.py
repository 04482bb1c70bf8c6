"""Label kinds that teachers made. Each knows the class of every example, its temperature, which teachers answered, and how.

Logits are stored in half precision. `teachers` names them as DIGEST*WEIGHT, joined by '+', with the weights of their logits; `statistics`
says what their batch norms normalised by: `running`, the batch's own (`batch`), or those of each of k parts of it (`batch/k`). Kinds with
`sees` answer for one view of a batch, as `synth.training.fit` draws it; those with `replays` hold answers for the views that `seed`,
`batch` and `view` (the text of a `synth.images.views.View`) draw, epoch after epoch, and for no others. `probs` is the class that an
example stands for.
"""

import math
import re
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Float16, Int, UInt8

from synth.errors import BadInput
from synth.images.views import BatchView, Mixed, view_of

STEP = 1 / 20  # nats between two codes of a stored distance; 255 of them reach 12.75
NORMS = {"l1": jnp.abs, "l2": jnp.square, "huber": optax.losses.huber_loss}
ENTROPIES, SMOOTHING = ("mixed", "smoothed", "soft"), 0.1
STATISTICS = re.compile(r"running|batch(/[1-9][0-9]?)?")
MEMBER = re.compile(r"[0-9a-f]{12}\*-?[0-9.]+(e-?[0-9]+)?")


def divergence(probs: Float[Array, "b c"], logits: Float[Array, "b c"], temperature: float) -> Float[Array, " b"]:
    """KL(p || softmax(z / T)) of every example, in nats, without the factor T^2 of Hinton et al."""
    return -jnp.sum(probs * jax.nn.log_softmax(logits / temperature), -1) + jnp.sum(jax.scipy.special.xlogy(probs, probs), -1)


def tempered(logits: Float[Array, "b c"], temperature: float) -> Float[Array, "b c"]:
    """softmax(z / T)."""
    return jax.nn.softmax(logits / temperature)


def _check(labels) -> None:
    """Raises ValueError where a field that teachers' kinds share is out of range."""
    low, high = np.min(labels.index), np.max(labels.index)
    if low < 0 or high >= labels.classes:
        raise ValueError(f"labels run from {low} to {high}; 0 to {labels.classes - 1} are right for {labels.classes} classes")
    if not (0 < labels.temperature < math.inf):
        raise ValueError(f"temperature is {labels.temperature}; a number above 0 is right")
    if not STATISTICS.fullmatch(labels.statistics):
        raise ValueError(f"statistics is '{labels.statistics[:20]}'; running, batch or batch/2 are right")
    if not all(MEMBER.fullmatch(member) for member in labels.teachers.split("+")):
        raise ValueError("teachers must be DIGEST*WEIGHT of each, joined by '+'")
    if getattr(labels, "replays", False):
        view_of(labels.view)
        if labels.seed < 0 or labels.seed >= 2**32 or labels.batch < 1:
            raise ValueError(f"seed {labels.seed} and batch {labels.batch} must be whole numbers, in [0, 2^32) and of at least 1")


def _place(labels, index: Int[Array, " b"], view: BatchView) -> Int[Array, " b"]:
    """Where the rows of a mini-batch stand among the stored ones of its epoch; rows that fill up the last batch, and do not count, clip."""
    return jnp.minimum(view.batch * labels.batch + jnp.arange(len(index)), len(labels.index) - 1)


class Static(NamedTuple):
    """Teacher logits f16[n c] of every example as it is. Loss: KL at the temperature; mixed images mix probabilities."""

    index: Int[Array, " n"]
    logits: Float16[Array, "n classes"]
    temperature: float
    teachers: str
    statistics: str
    kind = "static"

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.logits.shape[-1]

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """softmax(z / T) of the chosen examples."""
        return tempered(self.logits[index].astype(jnp.float32), self.temperature)

    def mix(self, a, b, lam):
        """lam a + (1 - lam) b, of probabilities."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """KL(targets || softmax(z / T)) of every example, in nats."""
        return divergence(targets.astype(logits.dtype), logits, self.temperature)

    def probs(self) -> Float[Array, "n c"]:
        """One-hot rows of the classes."""
        return jax.nn.one_hot(self.index, self.classes)

    def check(self) -> None:
        """Raises ValueError where a field is out of range."""
        _check(self)

    def nbytes(self) -> int:
        """Payload bytes: indices and logits."""
        return self.index.nbytes + self.logits.nbytes


class Interpolated(NamedTuple):
    """As `static`, but mixed images mix logits: z = lam z_a + (1 - lam) z_b, then softmax(z / T) (Zhang et al., INFER, ICLR 2025)."""

    index: Int[Array, " n"]
    logits: Float16[Array, "n classes"]
    temperature: float
    teachers: str
    statistics: str
    kind = "interpolated"

    classes = Static.classes
    mix, probs, check, nbytes = Static.mix, Static.probs, Static.check, Static.nbytes

    def targets(self, index: Int[Array, " b"], view) -> Float[Array, "b c"]:
        """Logits of the chosen examples."""
        return self.logits[index].astype(jnp.float32)

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """KL(softmax(targets / T) || softmax(z / T)) of every example, in nats."""
        return divergence(tempered(targets.astype(logits.dtype), self.temperature), logits, self.temperature)


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
    sees = replays = True

    classes = Static.classes
    probs, check, nbytes, loss = Static.probs, Static.check, Static.nbytes, Static.loss

    @property
    def epochs(self) -> int:
        """How many epochs are labelled."""
        return self.logits.shape[-3]

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """softmax(z / T) of the views."""
        logits = self.logits[view.epoch, _place(self, index, view)]
        return tempered(logits.astype(jnp.float32), self.temperature)


class Pair(NamedTuple):
    """Targets of distance-based labels: distances f32[b 2] to the two classes i32[b 2] of a mixed image, and the mix."""

    distances: Float[Array, "b 2"]
    classes: Int[Array, "b 2"]
    lam: Float[Array, ""]


class Distances(NamedTuple):
    """Two numbers a view: the teachers' cross entropies d = -log p_T(y) to the classes of a mixed image and of its partner.

    Loss: L = L_sce + alpha sum_{y in (y_i, y_j)} rho(-log softmax(z / T)_y - d_y), with rho an absolute value, square or Huber loss, and
    L_sce a cross entropy -sum_c q_c log softmax(z)_c (DBR of NRR-DD, CVPR 2025). What is not published is an option: norm, alpha, the
    temperature T of the gaps, and q. `mixed`: q = lam onehot(y_i) + (1 - lam) onehot(y_j); `smoothed`: a tenth of it is spread over all
    classes; `soft`: the teachers' own, as far as the two numbers say: exp(-d_y), what is left spread over the other classes, at T.
    A distance is stored as u8, in steps of 1/20 nat up to 12.75: two bytes a view instead of two a class. That is not the paper's storage:
    it keeps two floating-point numbers a view, of half precision where its 0.2 GB for ImageNet-1K at 200 images a class are to be reached.
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
    sees = replays = True

    probs = Static.probs

    @property
    def epochs(self) -> int:
        """How many epochs are labelled."""
        return self.codes.shape[-3]

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Pair:
        """Distances of the views, and to which classes."""
        own, mixed = self.index[index], view.mixed
        distances = self.codes[view.epoch, _place(self, index, view)].astype(jnp.float32) * STEP
        return Pair(distances, jnp.stack([own, own[mixed.partner]], -1), mixed.lam)

    def loss(self, logits: Float[Array, "b c"], targets: Pair) -> Float[Array, " b"]:
        """L of every example, in nats."""
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

    def check(self) -> None:
        """Raises ValueError where a field is out of range."""
        _check(self)
        if self.norm not in NORMS or not (0 <= self.alpha < math.inf):
            raise ValueError(f"norm '{self.norm[:20]}' and alpha {self.alpha}: one of {', '.join(NORMS)} and a number from 0 are right")
        if self.sce not in ENTROPIES:
            raise ValueError(f"sce '{self.sce[:20]}': one of {', '.join(ENTROPIES)} is right")

    def nbytes(self) -> int:
        """Payload bytes: indices and codes."""
        return self.index.nbytes + self.codes.nbytes


def to_classes(logits: Float[Array, "b c"], classes: Int[Array, "b 2"]) -> Float[Array, "b 2"]:
    """-log softmax(z)_y for two classes y of every example."""
    return -jnp.take_along_axis(jax.nn.log_softmax(logits), classes, axis=-1)


def encode(distances: Float[Array, "*s 2"]) -> UInt8[Array, "*s 2"]:
    """Distances >= 0 in nats as codes, rounded to the nearest step."""
    return jnp.clip(jnp.round(distances / STEP), 0, 255).astype(jnp.uint8)


class Online(NamedTuple):
    """No stored answers: the teachers label every view while a network trains. Loss as of `committee`.

    `synth.labelling.present` turns it into labels that hold the teachers themselves; without them it has no targets.
    """

    index: Int[Array, " n"]
    classes: int
    temperature: float
    teachers: str
    statistics: str
    kind = "online"
    sees = True

    probs, check, loss = Static.probs, Static.check, Static.loss

    def targets(self, index: Int[Array, " b"], view: BatchView) -> Float[Array, "b c"]:
        """Raises BadInput: the teachers are not here."""
        raise BadInput("the set's labels are asked of its teachers while a network trains: give --teachers DIR")

    def nbytes(self) -> int:
        """Payload bytes: the indices. The teachers are not counted, and must be kept."""
        return self.index.nbytes


def _register(kind: type, *leaves: str) -> None:
    """As a PyTree whose other fields are static."""
    static = [name for name in kind._fields if name not in leaves]

    def flatten(labels):
        return tuple(getattr(labels, name) for name in leaves), tuple(getattr(labels, name) for name in static)

    def rebuild(fields, values):
        return kind(**dict(zip(leaves, values, strict=True)), **dict(zip(static, fields, strict=True)))

    jax.tree_util.register_pytree_node(kind, flatten, rebuild)


for _kind in (Static, Interpolated, Committee):
    _register(_kind, "index", "logits")
_register(Distances, "index", "codes")
_register(Online, "index")

TEACHER_KINDS = (Static, Interpolated, Committee, Online, Distances)


def targets_of(labels, index: Int[Array, " b"], seen: BatchView, *, mixes: bool):
    """What a mini-batch is trained on: the kind's own answer to the view, or its answers for the examples, mixed as their images are."""
    own = labels.targets(index, seen)
    if not mixes or getattr(labels, "sees", False):
        return own
    mixed: Mixed = seen.mixed
    return labels.mix(own, jax.tree.map(lambda target: target[mixed.partner], own), mixed.lam)
