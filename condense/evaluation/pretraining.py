"""Runs the rows of a transfer table: pre-trains a network for every row and seed, adapts it to the labels of every target, and scores
it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.images import Data
from condense.data.modality import augmentation
from condense.evaluation.transfer_rows import TRANSFER_ROWS, Draw
from condense.runtime.devices import devices, over_devices
from condense.runtime.log import COMPILING, progress
from evals.report import Report
from evals.retrain import Trainer, group_size, make_trainer, stack, train_group
from evals.retraining import EvalRecipe
from evals.transfer import BY_LABELS, PRETRAIN, WHOLE, Adaptation, Adapter, on_mean_squares
from synth.base import Examples, Net, Vars, fresh
from synth.errors import RunFailed
from synth.numerics import backend
from synth.numerics.pytree import all_finite
from synth.set import SyntheticSet

TRAIN, HEAD = 0, 1  # key streams
OF_ROWS = {recipe.name: recipe for recipe in (WHOLE, BY_LABELS)}  # of rows that have one of their own


class TransferRow(NamedTuple):
    """One row of one network in a transfer table.

    Args:
      net: the network's specification. kind: the row, a key of `TRANSFER_ROWS`.
      recipe: of the pre-training.
      draw: seed -> the set for pre-training; None for networks that are not pre-trained.
      group: how many seeds train at a time.
    """

    net: str
    kind: str
    recipe: EvalRecipe
    draw: Draw | None
    group: int


class Goal(NamedTuple):
    """One target of a transfer with one way to adapt to it.

    Args:
      train: all labelled training images of the target.
      rows: seed -> for each draw of labels the indices of the examples of `train` that may be read.
      test: the images to score on. classes: how many the target has.
      draws: of labels for every seed.
      how: the way to adapt a pre-trained network.
    """

    train: Examples
    rows: Callable[[int], list[np.ndarray]]
    test: Examples
    classes: int
    draws: int
    how: Adaptation

    @property
    def steps(self) -> int:
        """How many steps the progress bar counts for one seed."""
        return self.draws * self.how.steps


def make_row(net: str, kind: str, draw: Draw | None, seeds: int, epochs: int | None) -> TransferRow:
    """Makes the row `kind` of a network. The row of all source images has a recipe of its own, keeps its epochs, and trains one network a
    device at a time, because every network holds a copy of the images. The row of class labels has a recipe of its own too, of as many
    epochs as the others.

    Args:
      draw: seed -> the set for pre-training; None for none.
      seeds: how many networks there are.
      epochs: of pre-training; None for those of the recipe.
    """
    recipe = OF_ROWS.get(TRANSFER_ROWS[kind].recipe, PRETRAIN)
    whole = recipe is WHOLE
    if epochs is not None and not whole:
        recipe = replace(recipe, name=f"{recipe.name}:epochs={epochs}", epochs=epochs)
    group = group_size(seeds, len(devices()) * (1 if whole else backend.runs_together()))
    return TransferRow(net, kind, recipe, draw, group)


class CompiledParts(NamedTuple):
    """Compiled functions that rows share.

    Args:
      net: (specification, number of outputs) -> network.
      trainer: (specification, number of outputs, recipe) -> its pre-training.
      adapter: (specification, number of outputs in pre-training, classes of the target, way to adapt) -> its adaptation.
    """

    net: Callable[[str, int], Net]
    trainer: Callable[[str, int, EvalRecipe], Trainer]
    adapter: Callable[[str, int, int, Adaptation], Adapter]


def make_parts(source: Data) -> CompiledParts:
    """Makes the `CompiledParts` for images of the source's shape. Each part is built at its first use and then kept."""
    image, by_classes = source.image, augmentation(source)
    net = cache(lambda name, width: nets.build(name, image, width))

    @cache
    def trainer(name: str, width: int, recipe: EvalRecipe) -> Trainer:
        chosen = recipe if recipe.augment else on_mean_squares(recipe, width)
        return make_trainer(net(name, width), chosen, by_classes, over_devices=over_devices)

    adapter = cache(lambda name, width, classes, how: how.adapter(net(name, width), net(name, classes), classes))
    return CompiledParts(net, trainer, adapter)


def run_transfer_rows(
    key: jax.Array, rows: Sequence[TransferRow], goals: Sequence[Goal], source: Data, outputs: int, *, seeds: int
) -> list[tuple[Report, ...]]:
    """All rows, one after another, behind one progress bar that counts mini-batches; a network is pre-trained once for all goals.

    Args:
      source: what networks are pre-trained on images of.
      outputs: of networks that are not pre-trained; the others have as many as their set's targets are wide, or as it has classes.
      seeds: networks of a row.

    Returns:
      for every goal a tuple of reports, in the order of the rows. A report has an accuracy for every seed and draw of labels, seed by seed.

    Raises BadInput where a network does not take such images, RunFailed where a training diverges.
    """
    parts = make_parts(source)
    for row in rows:
        parts.net(row.net, outputs)  # refuses what cannot take such images before the work begins
    sizes = [0 if row.draw is None else len(row.draw(0)) for row in rows]
    epochs = [-(-size // row.recipe.batch) * row.recipe.epochs * -(-seeds // row.group) for row, size in zip(rows, sizes, strict=True)]
    after = seeds * sum(goal.steps for goal in goals)
    with progress(sum(epochs) + len(rows) * after, "transfer", phase=COMPILING) as bar:
        return list(zip(*(_report(key, row, goals, parts, outputs, seeds, bar.advance) for row in rows), strict=True))


def _report(key, row: TransferRow, goals: Sequence[Goal], parts: CompiledParts, outputs: int, seeds: int, tick) -> list[Report]:
    """One report a goal; the time of each is its own, and the first goal's that of the pre-training too, which all of them share."""
    accuracies, seconds = [[] for _ in goals], [0.0] * len(goals)
    k_train, k_head = jax.random.fold_in(key, TRAIN), jax.random.fold_in(key, HEAD)
    for first in range(0, seeds, row.group):
        began = time.perf_counter()
        numbers = [min(number, seeds - 1) for number in range(first, first + row.group)]  # a short group would compile everything again
        drawn = [row.draw(number) for number in numbers] if row.draw else []
        width = drawn[0].y.classes if drawn else outputs
        vars = _pretrain([jax.random.fold_in(k_train, at) for at in numbers], parts, row, width, drawn, tick)
        seconds[0] += time.perf_counter() - began
        for at, goal in enumerate(goals):
            began = time.perf_counter()
            adapter = parts.adapter(row.net, width, goal.classes, goal.how)
            for place, number in enumerate(range(first, min(first + row.group, seeds))):
                one = jax.tree.map(lambda leaf: leaf[place], vars)  # noqa: B023 (used at once)
                found = _adapt(k_head, adapter, one, goal, number, tick)
                if not np.isfinite(found).all():
                    on = f"pre-trained on the {row.kind} images" if row.draw else "as drawn"
                    raise RunFailed(f"{row.net} {on} diverged when {goal.how.does}; try another --net")
                accuracies[at] += found
            seconds[at] += time.perf_counter() - began
    pretrained = [row.recipe.name] if row.draw else []
    names = ["+".join([*pretrained, goal.how.name]) for goal in goals]
    of_each = zip(names, accuracies, seconds, strict=True)
    return [Report(row.net, name, row.kind, tuple(scores), own) for name, scores, own in of_each]


def _adapt(key, adapter: Adapter, vars: Vars, goal: Goal, number: int, tick) -> list[float]:
    """Accuracies of one pre-trained network, one for every draw of labels of its seed `number`."""
    rows = goal.rows(number)
    keys = [jax.random.fold_in(key, number * goal.draws + draw) for draw in range(len(rows))]
    return goal.how.accuracies(keys, adapter, vars, goal.train, rows, goal.test, classes=goal.classes, tick=tick)


def _pretrain(keys: list[jax.Array], parts: CompiledParts, row: TransferRow, width: int, drawn: list[SyntheticSet], tick) -> Vars:
    """Networks of one group of seeds, over a leading axis: as drawn, or after regression on their sets."""
    if not drawn:
        net = parts.net(row.net, width)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(fresh(jax.random.fold_in(key, 0), net) for key in keys))
    trainer, batches = parts.trainer(row.net, width, row.recipe), -(-len(drawn[0]) // row.recipe.batch)
    vars = train_group(trainer, row.recipe, jnp.stack(keys), stack(drawn), tick=lambda epochs: tick(epochs * batches)).vars
    if not all_finite(vars):
        raise RunFailed(f"{row.net} pre-trained on the {row.kind} images under recipe {row.recipe.name} diverged; try another --net")
    return vars
