"""Retraining: fresh networks trained on a synthetic set from several seeds and scored once, at the last step."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from evals.curves import curve_of
from evals.protocol import Worker, groups_of
from evals.report import Report, confusion_of, join
from evals.retraining import EvalRecipe, advice_on, takes_step_size, trained_on
from evals.streamed import StreamedSet, seconds_streamed, train_streamed
from synth.base import Net, Split, Vars
from synth.errors import RunFailed
from synth.images.views import View, within_cells
from synth.numerics import backend
from synth.numerics.pytree import all_finite
from synth.set import SyntheticSet
from synth.training.fit import Fit, epoch_items, fit, in_batches, init_fit, on_examples
from synth.training.stream import count_over, on_device

CHUNKS = 50  # pieces that a training is cut into, at least where it has as many epochs; between them progress is shown


class Trainer(NamedTuple):
    """Compiled pieces of one (network, recipe) pair, over a leading axis of seeds; sets of the same shapes share the compilation.

    Args:
      init: (keys, synths) -> states.
      advance: (states, keys, synths, first epoch, epoch to stop before, epochs in all) -> states.
      score: (states, x, y) -> i32[seeds c c], how many examples of each class (rows) are taken for each class (columns).
      items: (key of one seed, epoch, examples, classes) -> the mini-batches of an epoch on a set that does not lie in memory.
      follow: (states, set of a block, its mini-batches, epoch, epochs in all) -> states after a block of that epoch.
    """

    init: Callable
    advance: Callable
    score: Callable
    items: Callable | None = None
    follow: Callable | None = None


def make_trainer(
    net: Net, recipe: EvalRecipe, augment: Callable | None, *, view: View | None = None, over_devices: Callable | None = None
) -> Trainer:
    """Builds the compiled pieces. `augment(key, x, siamese=False)` is ignored unless the recipe names one. `view` is the recipe's, as
    `EvalRecipe.view_for` has it for the images; `over_devices(fn, *xs)` spreads the leading axis over a mesh, one device needs none.

    Labels that hold answers to certain views are trained on under these, whatever the key. Of a set of collages every example is shown as
    one of its cells, drawn anew in every epoch, before `view` and `augment`.
    """
    spread = over_devices or (lambda fn, *xs: fn(*xs))
    augment = augment if recipe.augment else None

    def optimiser(synth: SyntheticSet, factor, momentum=None):
        lr = synth.lr if takes_step_size(recipe, synth) else jnp.float32(recipe.lr)
        return recipe.optimiser(lr * factor, momentum=momentum)

    def init_one(key, synth):
        return init_fit(jax.random.fold_in(key, 0), net, optimiser(synth, jnp.float32(1)))

    def objective_of(synth, epochs):
        seen, labels = within_cells(view, synth.cells), trained_on(recipe, synth.y, epochs)
        objective = on_examples(net, synth.x.decode(), labels, augment=augment, view=seen, micro=recipe.micro, weight=synth.weight)
        return scaled(objective, getattr(synth.y, "temperature", 1.0) ** 2) if recipe.squared else objective

    def optimiser_in(synth, number, epochs):
        return optimiser(synth, recipe.factor(number, epochs), recipe.momentum_at(number, epochs))

    def advance_one(state, key, synth, first, stop, epochs):
        n, y = len(synth), synth.y
        objective = objective_of(synth, epochs)
        batch = y.batch if y.records else recipe.batch_of(n, getattr(y, "classes", 1))
        k_items = jax.random.key(y.seed) if y.replays else jax.random.fold_in(key, 1)

        def epoch(number, state):
            order = y.order_of(number) if y.records else None
            return fit(objective, optimiser_in(synth, number, epochs), state, epoch_items(k_items, number, n, batch=batch, order=order))[0]

        return jax.lax.fori_loop(first, stop, epoch, state)

    def follow_one(state, synth, items, number, epochs):
        return fit(objective_of(synth, epochs), optimiser_in(synth, number, epochs), state, items)[0]

    @partial(jax.jit, static_argnums=(2, 3))
    def items_of(key, number, n, classes):
        return epoch_items(jax.random.fold_in(key, 1), number, n, batch=recipe.batch_of(n, classes))

    @partial(jax.jit, donate_argnums=0)
    def follow_all(states, synth, items, number, epochs):
        return over_seeds(lambda state: follow_one(state, synth, items, number, epochs), states)

    def over_seeds(fn, *seeded):
        return spread(lambda *parts: backend.map_batched(fn, *parts), *seeded)

    @jax.jit
    def begin_all(keys, synths):
        return over_seeds(init_one, keys, synths)

    @partial(jax.jit, donate_argnums=0)
    def advance_all(states, keys, synths, first, stop, epochs):
        return over_seeds(lambda state, key, synth: advance_one(state, key, synth, first, stop, epochs), states, keys, synths)

    @jax.jit
    def score_all(states, x, y):
        return over_seeds(lambda state: confuse(net, recipe.scored(state), x, y), states)

    return Trainer(begin_all, advance_all, score_all, items_of, follow_all)


def confuse(net: Net, vars: Vars, x: Float[Array, "n ..."], y: Int[Array, " n"]) -> Int[Array, "c c"]:
    """How many examples of each class (rows) a network takes for each class (columns). Rows that fill up a piece, of class -1, count for
    none."""

    def classify(vars, piece):
        return net.apply(vars, piece).logits.argmax(-1)

    classes = jax.eval_shape(net.apply, vars, x[:1]).logits.shape[-1]
    return jnp.zeros((classes, classes), jnp.int32).at[y, in_batches(classify, vars, x)].add(jnp.int32(y >= 0))


def scaled(objective: Callable, factor: float) -> Callable:
    """The objective, as `synth.training.fit.fit` takes it, with `factor` times its loss."""

    def times(params, stats, item):
        loss, stats = objective(params, stats, item)
        return loss * factor, stats

    return times


def stack(synths: Sequence[SyntheticSet]) -> SyntheticSet:
    """Stacks sets of equal shapes, without their `info`, along a new leading axis of seeds."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(synth.bare() for synth in synths))


def train_group(
    trainer: Trainer,
    recipe: EvalRecipe,
    keys: jax.Array,
    synths: SyntheticSet,
    *,
    tick: Callable[[int], None] | None = None,
    watch: Callable[[Fit], None] | None = None,
) -> Fit:
    """Trains one group of seeds to the last epoch. `keys`, `synths` (as `stack` makes them) and the states that are returned lead with the
    seeds. After every span of epochs (`epoch_spans`) it calls `tick(number of epochs in the span)` and, where the recipe looks there,
    `watch(states)`."""
    states = trainer.init(keys, synths)
    for first, last in epoch_spans(recipe):
        if first == recipe.drop_epoch():  # the released code builds a new optimiser here, so momentum starts anew
            states = Fit(states.vars, jax.tree.map(jnp.zeros_like, states.opt))
        states = trainer.advance(states, keys, synths, jnp.int32(first), jnp.int32(last), jnp.int32(recipe.epochs))
        if tick:
            jax.block_until_ready(states.vars.params)
            tick(last - first)
        if watch and recipe.looks_after(last):
            watch(states)
    return states


def epoch_spans(recipe: EvalRecipe) -> list[tuple[int, int]]:
    """Cuts a training into spans (first epoch, epoch to stop before). There are 50 to about 100 spans, one an epoch if there are fewer
    epochs; or one ends wherever the recipe may look. One ends where the step size drops."""
    drop, size = min(recipe.drop_epoch(), recipe.epochs), recipe.look_every or max(1, recipe.epochs // CHUNKS)
    return list(pairwise((0, *sorted({drop, recipe.epochs, *range(size, recipe.epochs, size)}))))


def retrain(
    key: jax.Array,
    trainer: Trainer,
    recipe: EvalRecipe,
    draw: Callable[[int], SyntheticSet],
    test: Split,
    *,
    seeds: int = 5,
    net_name: str = "",
    set_kind: str = "distilled",
    together: int | None = None,
    tick: Callable[[int], None] | None = None,
    best_on_test: bool = False,
) -> Report:
    """Trains `seeds` fresh networks, each on the set `draw(seed)`, and scores each on `test` once, at the last step. With `best_on_test`
    they are also scored wherever the recipe looks; the report holds that beside, and nothing else changes.

    Seed i uses fold_in(key, i) for its network, order and augmentation, whatever runs beside it. At most `together` seeds are trained at a
    time, in groups of one size (memory grows with it, not with `seeds`). Raises RunFailed where a training diverges.
    """
    more = {"net_name": net_name, "set_kind": set_kind, "tick": tick, "best_on_test": best_on_test}
    groups = groups_of(seeds, group_size(seeds, together or backend.runs_together()))
    return join([retrain_group(key, trainer, recipe, draw, test, numbers=numbers, **more) for numbers in groups], seeds)


def retrain_group(
    key: jax.Array,
    trainer: Trainer,
    recipe: EvalRecipe,
    draw: Callable[[int], SyntheticSet],
    test: Split,
    *,
    numbers: Sequence[int],
    net_name: str = "",
    set_kind: str = "distilled",
    tick: Callable[[int], None] | None = None,
    best_on_test: bool = False,
) -> Report:
    """Trains the seeds `numbers` at one time (one after another, where sets are streamed) and reports their scores in this order; the other
    arguments, and what is raised, are those of `retrain`."""
    began, test = time.perf_counter(), on_device(test)
    keys = jnp.stack([jax.random.fold_in(key, number) for number in numbers])
    drawn = {number: draw(number) for number in dict.fromkeys(numbers)}
    rights = []  # of every seed, at every scoring on the way
    watch = (lambda states: rights.append(rights_of(count_over(partial(trainer.score, states), test)))) if best_on_test else None
    first = drawn[numbers[0]]
    if isinstance(first, StreamedSet) and len(numbers) > 1:  # each has an order of its own
        more = {"net_name": net_name, "set_kind": set_kind, "tick": tick, "best_on_test": best_on_test}
        return join([retrain_group(key, trainer, recipe, draw, test, numbers=(number,), **more) for number in numbers], len(numbers))
    if isinstance(first, StreamedSet):
        states = train_streamed(trainer, recipe, keys, first, tick=tick, watch=watch)
    else:
        states = train_group(trainer, recipe, keys, stack([drawn[number] for number in numbers]), tick=tick, watch=watch)
    if not all_finite(states.vars):
        why = advice_on(recipe, first)
        raise RunFailed(f"{net_name} trained on the {set_kind} set under recipe {recipe.name} diverged: {why}")
    taken = np.asarray(count_over(partial(trainer.score, states), test))
    accuracies = tuple(int(right) / len(test.y) for right in rights_of(taken))
    watched = curve_of(rights, len(test.y), steps_watched(recipe, first)) if rights else {}
    took, waited = time.perf_counter() - began, first.blocks.waiting.seconds if isinstance(first, StreamedSet) else None
    return Report(net_name, recipe.name, set_kind, accuracies, took, confusion=confusion_of(taken), waited=waited, **watched)


def rights_of(taken: Int[np.ndarray | jax.Array, "seeds c c"]) -> Int[np.ndarray, " seeds"]:
    """How many examples each network classifies right: the sum of the diagonal of its confusion matrix in `taken`."""
    return np.trace(np.asarray(taken), axis1=1, axis2=2)


def retraining_worker(
    net_name: str, trainer: Trainer, recipe: EvalRecipe, test: Split, *, devices: int = 1, best_on_test: bool = False
) -> Worker:
    """The worker that retrains a network under a recipe and scores it on `test`. Groups of seeds fill that number of devices. For a
    whole training set one network trains on each device at a time, because every network holds a copy of its set."""

    def report(key: jax.Array, kind: str, draw: Callable[[int], SyntheticSet], *, numbers: Sequence[int], tick) -> Report:
        more = {"net_name": net_name, "set_kind": kind, "tick": tick, "best_on_test": best_on_test}
        return retrain_group(key, trainer, recipe, draw, test, numbers=numbers, **more)

    def seconds(synth: SyntheticSet | StreamedSet, group: int) -> float:
        return seconds_a_group(trainer, recipe, synth, group, watched=test if best_on_test else None)

    def group(seeds: int, whole: bool) -> int:
        return group_size(seeds, devices * (1 if whole else backend.runs_together()))

    return Worker(report, seconds, ticks=recipe.epochs, group=group)


def seconds_a_group(
    trainer: Trainer, recipe: EvalRecipe, synth: SyntheticSet | StreamedSet, group: int, *, watched: Split | None = None
) -> float:
    """Estimates the seconds that the whole training of `group` seeds takes: compiles it, and times an epoch and, where examples are
    `watched` on the way, a scoring on these. Users see the estimate before long work."""
    if isinstance(synth, StreamedSet):
        return group * seconds_streamed(trainer, recipe, synth)
    keys, synths = jax.random.split(jax.random.key(0), group), stack([synth] * group)
    states, spans = trainer.init(keys, synths), []
    for stop in (0, 1, 2, 3):  # no epoch at first: that call compiles
        began = time.perf_counter()
        states = trainer.advance(states, keys, synths, jnp.int32(max(0, stop - 1)), jnp.int32(stop), jnp.int32(recipe.epochs))
        jax.block_until_ready(states.vars.params)
        spans.append(time.perf_counter() - began)
        if stop and spans[-1] > 1:
            break
    scoring = 0.0
    if watched:
        watched = on_device(watched)
        for _ in range(2):  # the first compiles
            began = time.perf_counter()
            count_over(partial(trainer.score, states), watched)
            scoring = time.perf_counter() - began
    return min(spans[1:]) * recipe.epochs + scoring * len(steps_watched(recipe, synth))


def steps_watched(recipe: EvalRecipe, synth: SyntheticSet | StreamedSet) -> tuple[int, ...]:
    """After how many optimiser steps networks are scored on the way: where the recipe looks, which is after one of the `epoch_spans`, of
    streamed sets after an epoch."""
    if isinstance(synth, StreamedSet):
        return tuple(epoch * synth.steps(recipe) for epoch in range(1, recipe.epochs + 1) if recipe.looks_after(epoch))
    batch = synth.y.batch if synth.y.records else recipe.batch_of(len(synth), getattr(synth.y, "classes", 1))
    return tuple(stop * -(-len(synth) // batch) for _, stop in epoch_spans(recipe) if recipe.looks_after(stop))


def group_size(seeds: int, together: int) -> int:
    """How many seeds train at a time: at most `together`, in as few groups as possible, and in groups as equal as that allows."""
    return -(-seeds // -(-seeds // together))
