"""Shared parts of selection methods: the space in which images are compared, and how chosen images enter a set."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from synth.base import Net, Split, Vars
from synth.errors import BadInput
from synth.selection.choose import Features, flat_features
from synth.selection.ranks import Ranks
from synth.set import SyntheticSet
from synth.training.stream import BATCH, Chosen, read_over, train_on_split

Space = Literal["pixels", "embed"]


def parts_of(space: Space, epochs: int) -> Callable[[SyntheticSet], int]:
    """Returns a function from a set to the number of parts of its selection, for the progress bar: its classes, and where the space is
    `embed` the epochs of the embedding network."""
    return lambda synth: synth.y.classes + (epochs if space == "embed" else 0)


def features(
    key: jax.Array, net: Net, examples: Split, *, classes: int, space: Space, epochs: int, done: Callable
) -> Float[np.ndarray, "n d"] | Features:
    """What examples are compared by, a row each: flattened pixels, or the embedding of a network trained on the examples for `epochs`
    epochs; `done()` is called after each. Of examples that do not lie in memory the rows are computed when they are taken."""
    if space == "pixels":
        return flat_features(examples)
    trained = train_on_split(key, net, examples, classes, epochs=epochs, done=done)

    def read(vars, x):
        return net.apply(vars, x).embed

    return np.asarray(read_over(read, trained, examples)) if examples.in_memory else Embedded(read, trained, examples)


@dataclass(frozen=True, eq=False)
class Embedded:
    """What a network makes of examples, as `synth.selection.choose.Features`."""

    read: Callable
    vars: Vars
    split: Split

    @cached_property
    def shape(self) -> tuple[int, int]:
        """The number of examples, and how many numbers the network makes of one."""
        one = jax.ShapeDtypeStruct((1, *self.split.shape[1:]), jnp.float32)
        return len(self.split.y), jax.eval_shape(self.read, self.vars, one).shape[1]

    def compute(self, index: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
        """What the network makes of the examples of the split that `index` names, in its order."""
        return read_over(self.read, self.vars, Chosen(self.split, index), least=min(BATCH, len(self.split.y)))


def check_ranked(ranks: Ranks, examples: Split) -> Int[np.ndarray, " n"]:
    """The class index of every example. Raises BadInput where these are not the class indices that the log has, so that it is of other
    examples."""
    y = np.asarray(examples.y)
    if not np.array_equal(ranks.labels(), y):
        raise BadInput(f"--ranks {ranks.folder}: is of other examples than the training split; rank this data")
    return y


def put(synth: SyntheticSet, examples: Split, index: Int[np.ndarray, " m"]) -> SyntheticSet:
    """Replaces the content of a set by the real images that `index` names, in its order, which is to be class-major. Nothing else of the
    set changes: its labels stay."""
    return replace(synth, x=synth.x.encode(jnp.asarray(examples.take(index).x)))
