"""Retraining on a set that does not lie in memory, such as all training images of a large data set: block by block of mini-batches."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from synth.base import Examples
from synth.set import SyntheticSet
from synth.training.fit import Fit
from synth.training.stream import Blocks

TIMED = 3  # blocks that are timed for an estimate


class StreamedSet(NamedTuple):
    """Real examples as a set whose parts are made when a network is trained on them.

    Args:
      blocks: of the examples. encode: examples -> the set of them, with labels.
    """

    blocks: Blocks
    encode: Callable[[Examples], SyntheticSet]
    lr: None = None  # nothing is learned with it

    def __len__(self) -> int:
        return len(self.blocks.split.y)

    def steps(self, recipe: Any) -> int:
        """Optimiser steps of an epoch under an `evals.retraining.EvalRecipe`; a short last batch counts."""
        return -(-len(self) // recipe.batch_of(len(self), self.first().y.classes))

    def first(self) -> SyntheticSet:
        """The set of the first example alone."""
        return self.encode(self.blocks.split.take(np.arange(1))).bare()


def train_streamed(
    trainer: Any,
    recipe: Any,
    keys: jax.Array,
    real: StreamedSet,
    *,
    tick: Callable[[int], None] | None = None,
    watch: Callable[[Fit], None] | None = None,
) -> Fit:
    """Trains one network on a streamed set to the last epoch, block by block, and returns its state with a leading axis of one seed. The
    state has the same bits as if all examples lay in memory.

    Args:
      trainer: an `evals.retrain.Trainer`, of which `init`, `items` and `follow` are called.
      recipe: the `evals.retraining.EvalRecipe` that it is compiled for.
      keys: the key of the seed, with a leading axis of 1.
      real: the set.
      tick, watch: after every epoch `tick(1)` is called, and `watch(state)` where the recipe looks there.
    """
    one = real.first()
    states = trainer.init(keys, jax.tree.map(lambda leaf: leaf[None], one))
    for epoch in range(recipe.epochs):
        if epoch == recipe.drop_epoch():
            states = Fit(states.vars, jax.tree.map(jnp.zeros_like, states.opt))
        for block in real.blocks(trainer.items(keys[0], jnp.int32(epoch), len(real), one.y.classes)):
            synth = real.encode(Examples(block.x, block.y)).bare()
            states = jax.block_until_ready(trainer.follow(states, synth, block.items, jnp.int32(epoch), jnp.int32(recipe.epochs)))
        if tick:
            tick(1)
        if watch and recipe.looks_after(epoch + 1):
            watch(states)
    return states


def seconds_streamed(trainer: Any, recipe: Any, real: StreamedSet) -> float:
    """Estimates how many seconds the whole training of one network on a streamed set takes: compiles it and times a few of its blocks."""
    one, keys = real.first(), jax.random.split(jax.random.key(0), 1)
    states, items = (
        trainer.init(keys, jax.tree.map(lambda leaf: leaf[None], one)),
        trainer.items(keys[0], jnp.int32(0), len(real), one.y.classes),
    )
    steps, spans = items.index.shape[0], []
    for block in real.blocks(items):
        began, synth = time.perf_counter(), real.encode(Examples(block.x, block.y)).bare()
        states = jax.block_until_ready(trainer.follow(states, synth, block.items, jnp.int32(0), jnp.int32(recipe.epochs)))
        spans.append((time.perf_counter() - began) / (block.stop - block.first))
        if len(spans) > TIMED:
            break
    return min(spans) * steps * recipe.epochs
