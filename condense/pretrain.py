"""The work of a transfer table: a network pre-trained for every row and seed, then brought to the target's labels and scored."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.log import progress
from condense.mesh import devices, over_devices
from evals.base import Recipe, Report
from evals.retrain import Trainer, group_size, make_trainer, stack, train_group
from evals.transfer import PRETRAIN, WHOLE, Adapter, Finetune, finetune_accuracy, make_adapter, on_mean_squares, probe_accuracy
from synth import backend
from synth.base import Examples, Net, Vars, fresh
from synth.errors import RunFailed
from synth.set import SyntheticSet
from synth.tree import all_finite

TRAIN, HEAD = 0, 1  # key streams


class Job(NamedTuple):
    """One row of one network: what it is pre-trained on (None: nothing), seed by seed, how, and `group` seeds at a time."""

    net: str
    kind: str
    recipe: Recipe
    draw: Callable[[int], SyntheticSet] | None
    group: int


class Goal(NamedTuple):
    """The data that a body is brought to: labelled training images, rows of them by seed and draw, and images to score on."""

    train: Examples
    rows: Callable[[int], list[np.ndarray]]
    test: Examples
    classes: int


def make_job(net: str, kind: str, draw: Callable[[int], SyntheticSet] | None, seeds: int, epochs: int | None) -> Job:
    """All of the source is pre-trained on under its own recipe, one network a device, because every network holds a copy of it."""
    whole = kind == "full"
    recipe = PRETRAIN if epochs is None else replace(PRETRAIN, name=f"{PRETRAIN.name}:epochs={epochs}", epochs=epochs)
    group = group_size(seeds, len(devices()) * (1 if whole else backend.runs_together()))
    return Job(net, kind, WHOLE if whole else recipe, draw, group)


class Pieces(NamedTuple):
    """What is compiled once and shared by rows: networks with so many outputs, their training under a recipe, their way to the target."""

    net: Callable[[str, int], Net]
    trainer: Callable[[str, int, Recipe], Trainer]
    adapter: Callable[[str, int], Adapter]


def make_pieces(image: tuple[int, int, int], classes: int, how: Finetune | None) -> Pieces:
    """Pieces for images h w c and a target of so many classes, each built when first asked for."""
    net = cache(lambda name, width: nets.build(name, image, width))
    trainer = cache(
        lambda name, width, recipe: make_trainer(net(name, width), on_mean_squares(recipe, width), None, over_devices=over_devices)
    )
    adapter = cache(lambda name, width: make_adapter(net(name, width), net(name, classes), classes, how=how or Finetune()))
    return Pieces(net, trainer, adapter)


def run_jobs(
    key: jax.Array, jobs: Sequence[Job], goal: Goal, outputs: int, *, seeds: int, draws: int, how: Finetune | None
) -> tuple[Report, ...]:
    """All jobs, one after another, behind one progress bar that counts mini-batches.

    Args:
      outputs: of networks that are not pre-trained; the others have as many as their set's targets are wide.
      seeds, draws: networks of a row, and label draws of each of them.
      how: of fine-tuning; None for the linear probe.
    """
    pieces = make_pieces(goal.test.x.shape[1:], goal.classes, how)
    for job in jobs:
        pieces.net(job.net, outputs)  # refuses what cannot take such images before the work begins
    sizes = [0 if job.draw is None else len(job.draw(0)) for job in jobs]
    epochs = [-(-size // job.recipe.batch) * job.recipe.epochs * -(-seeds // job.group) for job, size in zip(jobs, sizes, strict=True)]
    after = seeds * draws * (how.steps if how else 1)
    with progress(sum(epochs) + len(jobs) * after, "transfer") as bar:
        return tuple(_report(key, job, goal, pieces, outputs, seeds, draws, how, bar.advance) for job in jobs)


def _report(key, job: Job, goal: Goal, pieces: Pieces, outputs: int, seeds: int, draws: int, how, tick) -> Report:
    began, accuracies = time.perf_counter(), []
    k_train, k_head = jax.random.fold_in(key, TRAIN), jax.random.fold_in(key, HEAD)
    for first in range(0, seeds, job.group):
        numbers = [min(number, seeds - 1) for number in range(first, first + job.group)]  # a short group would compile everything again
        drawn = [job.draw(number) for number in numbers] if job.draw else []
        width = drawn[0].y.values.shape[1] if drawn else outputs
        adapter, vars = (
            pieces.adapter(job.net, width),
            _pretrain([jax.random.fold_in(k_train, at) for at in numbers], pieces, job, width, drawn, tick),
        )
        for place, number in enumerate(range(first, min(first + job.group, seeds))):
            one, rows = jax.tree.map(lambda leaf: leaf[place], vars), goal.rows(number)  # noqa: B023 (used at once)
            if how is None:
                accuracies += probe_accuracy(adapter, one, goal.train, rows, goal.test, classes=goal.classes)
                tick(draws)
            else:
                for draw, chosen in enumerate(rows):
                    k_one = jax.random.fold_in(k_head, number * draws + draw)
                    accuracies.append(finetune_accuracy(k_one, adapter, one, goal.train, chosen, goal.test, how=how, tick=tick)[0])
    name = "+".join([job.recipe.name] * bool(job.draw) + [how.name if how else "probe"])
    return Report(job.net, name, job.kind, tuple(accuracies), time.perf_counter() - began)


def _pretrain(keys: list[jax.Array], pieces: Pieces, job: Job, width: int, drawn: list[SyntheticSet], tick) -> Vars:
    """Networks of one group of seeds, over a leading axis: as drawn, or after regression on their sets."""
    if not drawn:
        net = pieces.net(job.net, width)
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(fresh(jax.random.fold_in(key, 0), net) for key in keys))
    trainer, batches = pieces.trainer(job.net, width, job.recipe), -(-len(drawn[0]) // job.recipe.batch)
    vars = train_group(trainer, job.recipe, jnp.stack(keys), stack(drawn), tick=lambda epochs: tick(epochs * batches)).vars
    if not all_finite(vars):
        raise RunFailed(f"{job.net} pre-trained on the {job.kind} images under recipe {job.recipe.name} diverged; try another --net")
    return vars
