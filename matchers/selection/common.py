"""Shared parts of selection methods: the space in which images are compared, and how chosen images enter a set."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from synth.base import Examples, Net, Split
from synth.errors import BadInput
from synth.selection.ranks import Ranks
from synth.set import SyntheticSet
from synth.training.fit import in_batches, train_on

Space = Literal["pixels", "embed"]


def parts_of(space: Space, epochs: int) -> Callable[[SyntheticSet], int]:
    """Returns a function from a set to the number of parts of its selection, for the progress bar: epochs of the embedding network, and
    classes."""
    return lambda synth: synth.y.classes + (epochs if space == "embed" else 0)


def features(
    key: jax.Array, net: Net, examples: Examples, *, classes: int, space: Space, epochs: int, done: Callable
) -> Float[np.ndarray, "n d"]:
    """Flattened pixels, or the embedding of a network trained on the examples for `epochs` epochs; `done()` is called after each."""
    if space == "pixels":
        return np.asarray(examples.x).reshape(len(examples.x), -1)
    trained = train_on(key, net, examples.x, examples.y, classes, epochs=epochs, done=done)

    def read(vars, x):
        return net.apply(vars, x).embed

    return np.asarray(in_batches(read, trained, examples.x))


def check_ranked(ranks: Ranks, examples: Split) -> Int[np.ndarray, " n"]:
    """The classes of the examples. Raises BadInput if a log is of other examples."""
    y = np.asarray(examples.y)
    if not np.array_equal(ranks.labels(), y):
        raise BadInput(f"--ranks {ranks.folder}: is of other examples than the training split; rank this data")
    return y


def put(synth: SyntheticSet, examples: Split, index: Int[np.ndarray, " m"]) -> SyntheticSet:
    """Replaces the content of a set by the chosen real images, class-major."""
    return replace(synth, x=synth.x.encode(jnp.asarray(examples.take(index).x)))
