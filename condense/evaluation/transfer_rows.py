"""The rows of a transfer table by name: the images that networks are pre-trained on.

To add a row, write a function (what it may look at) -> (seed -> set) and add its line to TRANSFER_ROWS.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from condense.data.images import Data
from condense.evaluation.baselines import Baseline, check_rows
from evals.transfer import BY_LABELS, WHOLE
from synth.base import Examples, take_all
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.labels.plain import Hard, Target
from synth.selection.choose import choose_kmeans
from synth.set import SyntheticSet

DRAW = 2  # key stream, after those of the work
AMONG = 10_000  # training images, drawn anew for every seed, among which the k-means row looks for its centres
Draw = Callable[[int], SyntheticSet]  # seed -> what to pre-train on


@dataclass(frozen=True, eq=False)
class RowSource:
    """Everything that the function of a row may use.

    Args:
      key: of the transfer.
      synth: the set, with target representations.
      data: what it was made from; only row `random_labels` reads its labels.
      represent: images in the data's model space -> the representations that the teacher has of them.
    """

    key: jax.Array
    synth: SyntheticSet
    data: Data
    represent: Callable[[Float[Array, "n h w c"]], Float[Array, "n d"]]

    def key_of(self, seed: int) -> jax.Array:
        """The random key by which images are drawn for network number `seed`, the same for every row and architecture."""
        return jax.random.fold_in(jax.random.fold_in(self.key, DRAW), seed)

    def real(self, examples: Examples) -> SyntheticSet:
        """A set of exactly these images with the teacher's representations in place of their labels."""
        images = jnp.asarray(examples.x)
        return SyntheticSet(Pixels(images), Target(self.represent(images)))

    def shuffled(self, seed: int) -> np.ndarray:
        """The indices of all training images, in a random order of the seed's own."""
        return np.asarray(jax.random.permutation(self.key_of(seed), len(self.data.train.y)))

    def at_size(self, kind: str, draw: Draw) -> Draw:
        """`draw`, seed -> a set of as many images as `synth`, called once for every seed and then kept. `kind` names the row in messages.
        Raises BadInput at once if there are fewer training images than that."""
        count, size = len(self.data.train.y), len(self.synth)
        if count < size:
            only = "only none, distilled and full are possible"
            raise BadInput(f"--rows {kind}: {self.data.spec} has {count} training images, the set {size}; {only}")
        return cache(draw)

    def represented(self, kind: str, choose: Callable[[int], np.ndarray]) -> Draw:
        """Returns seed -> a set of the training images whose indices `choose(seed)` gives, with the teacher's representations; as many as
        `synth` has. Raises BadInput at once if there are fewer training images than that. `kind` names the row in messages."""
        return self.at_size(kind, lambda seed: self.real(self.data.train.take(choose(seed))))


def nothing(source: RowSource) -> None:
    """None, for networks without pre-training."""
    return None


def the_set(source: RowSource) -> Draw:
    """Returns a function that gives for every seed the set itself, with its representations and weights alone."""
    synth = source.synth
    return lambda seed: SyntheticSet(synth.x, Target(synth.y.values), weight=synth.weight)


def random(source: RowSource) -> Draw:
    """Returns seed -> a set of random training images with the teacher's representations, as many as the set has and others for every
    seed. Raises BadInput if there are fewer."""
    return source.represented("random", lambda seed: source.shuffled(seed)[: len(source.synth)])


def random_labels(source: RowSource) -> Draw:
    """Returns seed -> a set of the same images as row `random` with their class indices: the paper's own random row, which no teacher has
    seen. Raises BadInput if there are fewer images than the set has."""
    data = source.data

    def labelled(seed: int) -> SyntheticSet:
        examples = data.train.take(source.shuffled(seed)[: len(source.synth)])
        return SyntheticSet(Pixels(jnp.asarray(examples.x)), Hard(jnp.asarray(examples.y), len(data.classes)))

    return source.at_size("random_labels", labelled)


def kmeans(source: RowSource) -> Draw:
    """Returns seed -> a set of the images nearest to k-means centres, as many centres as the set has images, with the teacher's
    representations. Classes are not looked at. The centres are of AMONG images (or as many as the set has, if more) that the seed draws.
    Raises BadInput if there are fewer images than the set has."""
    size = len(source.synth)

    def choose(seed: int) -> np.ndarray:
        among = source.shuffled(seed)[: max(AMONG, size)]
        flat = source.data.train.take(among).x.reshape(len(among), -1)
        return among[choose_kmeans(source.key_of(seed), flat, np.zeros(len(among), np.int32), size)]

    return source.represented("kmeans", choose)


def everything(source: RowSource) -> Draw:
    """Returns seed -> a set of all training images with the teacher's representations; one set for all seeds, because it is as large as the
    data."""
    whole = cache(lambda: source.real(take_all(source.data.train)))
    return lambda seed: whole()


TRANSFER_ROWS = {
    "none": Baseline(nothing),
    "distilled": Baseline(the_set),
    "random": Baseline(random, real=True),
    "random_labels": Baseline(random_labels, recipe=BY_LABELS.name),
    "kmeans": Baseline(kmeans, real=True),
    "full": Baseline(everything, real=True, recipe=WHOLE.name),
}


def make_transfer_rows(source: RowSource, kinds: Sequence[str] | str) -> dict[str, Draw | None]:
    """For every row, the function from a seed to the set that networks are pre-trained on; None for the row without pre-training. Raises
    BadInput for a name that is no key of `TRANSFER_ROWS`, for none, and where there are fewer images than a row needs."""
    return {kind: TRANSFER_ROWS[kind].make(source) for kind in check_rows(kinds, TRANSFER_ROWS, "transfer")}
