"""Trains experts in groups, epoch by epoch. Every epoch is recorded on disk before the next one begins."""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from condense.engine.memory import tree_bytes
from condense.experts.base import ExpertRecipe
from condense.experts.store import RECORD, Header, Recorder, bytes_needed, check_room, read_header, write_header
from condense.runtime.checkpoint import AnotherRun, Checkpoints
from condense.runtime.devices import everywhere, over_devices, own, replicate, replicated
from condense.runtime.interrupts import defer_interrupt
from condense.runtime.log import COMPILING, MetricsLog, note, progress
from condense.runtime.processes import first_then_others, is_first, on_first
from condense.runtime.run_folder import Run
from evals.retrain import group_size
from synth.base import Examples, Net, Split, take_all
from synth.errors import BadInput, RunFailed
from synth.files.memory import megabytes
from synth.labels.plain import Hard
from synth.numerics import backend
from synth.training.fit import Fit, epoch_items, fit, in_batches, init_fit
from synth.training.stream import Blocks, count_over


class ExpertTrainer(NamedTuple):
    """Compiled pieces of the training of several experts, over a leading axis of experts.

    Args:
      init: keys -> states.
      advance: one epoch, an `Epoch` or a function that is called as one.
      rows: states -> f32[experts parameters], flat.
      score: (states, x, y) -> i32[experts], how many are classified right.
    """

    init: Callable
    advance: Callable
    rows: Callable
    score: Callable


class Epoch(NamedTuple):
    """One epoch of the training: (states, keys, blocks of the training split, epoch) -> (states, mean loss of the epoch's steps, one an
    expert). It uses the states up. Of examples that do not lie in memory it takes one expert at a time.

    Args:
      whole: compiled, (states, keys, examples, epoch) -> (states, mean losses), where all examples lie in memory.
      items: (key of one expert, epoch, number of examples) -> the mini-batches of an epoch.
      block: compiled, (states, mini-batches, examples of a block, epoch, whether the epoch begins) -> (states, losses by expert and step).
    """

    whole: Callable
    items: Callable
    block: Callable

    def __call__(self, states: Fit, keys: jax.Array, blocks: Blocks, epoch: Int[Array, ""]) -> tuple[Fit, Float[Array, " experts"]]:
        if blocks.whole is not None:
            return self.whole(states, keys, blocks.whole, epoch)
        losses = []
        for block in blocks(self.items(own(keys)[0], epoch, len(blocks.split.y))):
            train = replicate(Examples(block.x, block.y))
            states, found = self.block(states, replicate(block.items), train, epoch, jnp.bool_(block.first == 0))
            losses.append(found[0])
        return states, jnp.mean(jnp.concatenate(losses))[None]


def make_expert_trainer(net: Net, recipe: ExpertRecipe, augment: Callable, classes: int, *, epochs: int) -> ExpertTrainer:
    """Builds the compiled pieces; experts are spread over the devices. `epochs` is the length of a whole training, by which the recipe says
    when the step size drops."""
    dropped = recipe.drop_epoch(epochs)

    def init_one(key):
        return init_fit(jax.random.fold_in(key, 0), net, recipe.optimiser())

    def items_of(key, epoch, n):
        return epoch_items(jax.random.fold_in(key, 1), epoch, n, batch=recipe.batch)

    def descend(state, items, train, epoch, begins):
        opt = jax.tree.map(lambda leaf: jnp.where((epoch == dropped) & begins, jnp.zeros_like(leaf), leaf), state.opt)
        objective = recipe.objective(net, augment, train.x, Hard(train.y, classes))
        tx = recipe.optimiser(dropped=epoch >= dropped)
        return fit(objective, tx, Fit(state.vars, opt), items, direction=recipe.direction)

    def advance_one(state, key, train, epoch):
        state, losses = descend(state, items_of(key, epoch, len(train.y)), train, epoch, True)
        return state, jnp.mean(losses)

    def score_one(state, x, y):
        return jnp.sum(in_batches(classify, state.vars, x) == y)

    def classify(vars, x):
        return net.apply(vars, x).logits.argmax(-1)

    def spread(fn, *xs, whole=()):
        """`fn(*entry of xs, *whole)` for every expert."""
        many, among = len(xs), everywhere()
        return over_devices(lambda *p: backend.map_batched(lambda *x: fn(*x, *p[many:]), *p[:many]), *xs, whole=whole, among=among)

    @partial(jax.jit, out_shardings=replicated())  # as `advance` gives them: others would compile it twice
    def init_all(keys):
        return spread(init_one, keys)

    @partial(jax.jit, donate_argnums=0, out_shardings=replicated())
    def advance_all(states, keys, train, epoch):
        return spread(advance_one, states, keys, whole=(train, epoch))

    @partial(jax.jit, donate_argnums=0, out_shardings=replicated())
    def advance_block(states, items, train, epoch, begins):
        return spread(descend, states, whole=(items, train, epoch, begins))

    @partial(jax.jit, out_shardings=replicated())
    def rows_all(states):
        return jax.vmap(lambda params: ravel_pytree(params)[0])(states.vars.params)

    @partial(jax.jit, out_shardings=replicated())
    def score_all(states, x, y):
        return spread(score_one, states, whole=(x, y))

    advance = Epoch(advance_all, jax.jit(items_of, static_argnums=2), advance_block)
    return ExpertTrainer(init_all, advance, rows_all, score_all)


class Group(NamedTuple):
    """The state of a group of experts, stored as its checkpoint: network states after `epoch` epochs, and validation accuracies in [0, 1],
    a column for before training and one for each epoch, 0 where that is still to come."""

    epoch: Int[Array, ""]
    states: Fit
    accuracy: Float[np.ndarray, "experts epochs"]


class ExpertTraining:
    """A training of experts, one group after another, in the folder of a run.

    Args:
      run: that is under way; it is told how many epochs are safe, over all experts.
      header: the record of a training of which nothing is done; what the folder holds already is kept.
      trainer: the compiled pieces.
      train, val: real examples; of `val` there may be none, and then there are no accuracies.
    """

    def __init__(self, run: Run, header: Header, trainer: ExpertTrainer, train: Split, val: Split):
        self.folder, self.owner, self.trainer, self.saved, self.noted = run.folder, run.owner, trainer, run.saved, set()
        self.train, self.val = Blocks(train), val
        if train.in_memory:
            self.train.whole, self.val = replicate((self.train.whole, Examples(*map(jnp.asarray, take_all(val)))))
        if (self.folder / RECORD).exists():
            held = read_header(self.folder)
            header = replace(header, count=held.count, accuracy=held.accuracy, sums=held.sums)
        self.header = header
        left = bytes_needed(header.asked - header.count, header.epochs, header.size, ends=header.ends)
        note(f"{header.asked} experts of {header.size:,} parameters, {len(header.kept)} snapshots each: {megabytes(left)} more on disk")
        check_room(self.folder, left)

    def run(self, key: jax.Array) -> None:
        """Trains the missing experts. Expert i draws from fold_in(key, i)."""
        asked, epochs = self.header.asked, self.header.epochs
        with progress(asked * epochs, "experts", done=self.header.count * epochs, phase=COMPILING) as bar:
            while (first := self.header.count) < asked:
                together = 1 if self.train.whole is None else backend.runs_together() * len(everywhere())
                group = group_size(asked - first, together)
                # experts past the last one are copies of it, which are not kept: a short group would compile everything again
                numbers = [min(expert, asked - 1) for expert in range(first, first + group)]
                keys = replicate(jnp.stack([jax.random.fold_in(key, number) for number in numbers]))
                self.group(list(dict.fromkeys(numbers)), keys, bar)

    def group(self, experts: list[int], keys: jax.Array, bar) -> None:
        """Trains some experts to their last epoch and enters them in the record.

        Args:
          experts: their numbers, one after another.
          keys: one for each, and then more of the last one where the group is filled up with copies, which are not kept.
          bar: a progress display.
        """
        checkpoints = Checkpoints(self.folder / "checkpoints" / f"{experts[0]:04d}", owner=self.owner)
        files = [Recorder(self.folder, expert, self.header.kept, self.header.size) for expert in experts]
        states, accuracy, done = self.begin_or_resume(checkpoints, files, keys)
        log = MetricsLog(self.folder / "metrics.jsonl", step=experts[0] * self.header.epochs + done * len(experts)) if is_first() else None
        bar.advance(done * len(experts))
        self.tell_memory(states)
        for epoch in range(done, self.header.epochs):
            began = time.perf_counter()
            states, losses = self.trainer.advance(states, keys, self.train, jnp.int32(epoch))
            rows = np.asarray(self.trainer.rows(states))
            self.check_finite(rows, experts, epoch)
            accuracy[:, epoch + 1] = self.score(states)
            losses, after = np.asarray(losses), Group(jnp.int32(epoch + 1), states, accuracy)
            with defer_interrupt():
                on_first(lambda: self.save(after, rows, losses, files, experts, log, checkpoints))  # noqa: B023
            if epoch == done + 1:
                self.tell_time(time.perf_counter() - began, len(experts))
            scored = {"val": float(accuracy[:, epoch + 1].mean())} if len(self.val.y) else {}
            bar.advance(len(experts), loss=float(np.mean(losses)), **scored)
        with defer_interrupt():
            sums = on_first(lambda: [file.finish() for file in files])
            known = len(self.header.sums) == self.header.count  # an older version's has none, and stays without
            shown = accuracy[: len(experts)].tolist() if len(self.val.y) else []
            sums, shown = ((*self.header.sums, *map(tuple, sums)) if known else ()), map(tuple, shown)
            self.header = replace(self.header, count=experts[-1] + 1, accuracy=(*self.header.accuracy, *shown), sums=sums)
            on_first(lambda: write_header(self.folder, self.header))

    def save(self, after: Group, rows: np.ndarray, losses: np.ndarray, files: list[Recorder], experts: list[int], log, checkpoints) -> None:
        """Puts on disk what an epoch has made: parameters (`rows`), lines of the log and a checkpoint, and tells the run. `after` is the
        group after it, and of the losses there is one an expert."""
        epoch = int(after.epoch)
        self.record(files, epoch, rows)
        step = experts[0] * self.header.epochs + epoch * len(experts)
        for place, expert in enumerate(experts):
            scores = {"val_accuracy": float(after.accuracy[place, epoch])} if len(self.val.y) else {}
            log.add(step, expert=expert, epoch=epoch, loss=float(losses[place]), **scores)
        if epoch < self.header.epochs:
            checkpoints.save(epoch, on_host(after))
        self.saved(step)

    def tell_memory(self, states: Fit) -> None:
        """Notes on stderr, before the first group, how much memory networks, optimisers and images take."""
        if not self.noted:
            count = len(jax.tree.leaves(states.vars.params)[0])
            images = "stay in their files" if self.train.whole is None else tree_bytes((self.train.whole, self.val))
            note(f"{count} experts at once: networks and optimisers {tree_bytes(states)}, images {images}")
        self.noted.add("memory")

    def tell_time(self, seconds: float, count: int) -> None:
        """Notes on stderr, once, how long all epochs will take, from the seconds of one of `count` experts, its writing and checkpoint
        included."""
        if "time" not in self.noted:
            left = seconds * self.header.epochs * -(-(self.header.asked - self.header.count) // count)
            note(f"{seconds:.3g} s an epoch of {count} experts after the first; about {left:.0f} s in all")
        self.noted.add("time")

    def begin_or_resume(self, checkpoints: Checkpoints, files: list[Recorder], keys: jax.Array) -> tuple[Fit, np.ndarray, int]:
        """States, accuracies (an expert a row, as in `Group`) and the number of epochs done: from the latest checkpoint if it agrees with
        the recorded rows, else from the start."""
        states = self.trainer.init(keys)
        accuracy = np.zeros((len(keys), self.header.epochs + 1), np.float32)
        with defer_interrupt():
            on_first(lambda: [file.reopen() for file in files] and None)
            found = first_then_others(lambda: self.restore(checkpoints, Group(jnp.int32(0), states, accuracy)))
        if found:
            epoch = int(found.epoch)
            at = epoch if epoch in self.header.kept else 0  # whose file it is says the row before training, where that epoch has none
            rows = np.asarray(self.trainer.rows(replicate(found.states) if at else states))
            if on_first(lambda: all(np.array_equal(file.row(at), row) for file, row in zip(files, rows, strict=False))):
                return replicate(jax.tree.map(jnp.array, found.states)), np.array(found.accuracy), epoch
            note(f"{files[0].partial.name}: is not as it was left; its training starts anew")
        accuracy[:, 0] = self.score(states)
        rows = np.asarray(self.trainer.rows(states))
        on_first(lambda: self.create(files, rows))
        return states, accuracy, 0

    def restore(self, checkpoints: Checkpoints, target: Group) -> Group | None:
        """The latest checkpoint of the group, None where there is none. One of a group of another size is removed."""
        try:
            return checkpoints.restore(target)
        except AnotherRun:
            raise
        except BadInput:  # with another --count other experts are trained together
            note(f"{checkpoints.folder}: holds a group of another size, of before --count was changed; its training starts anew")
            shutil.rmtree(checkpoints.folder)
            return None

    def create(self, files: list[Recorder], rows: np.ndarray) -> None:
        """Creates the files of the experts, each with the parameters before training, one of `rows`."""
        for file in files:
            file.create()
        self.record(files, 0, rows)

    def record(self, files: list[Recorder], epoch: int, rows: np.ndarray) -> None:
        """Writes the parameters of every expert of the group after an epoch, one of `rows` each, to its file; rows past the last file are
        copies and left out."""
        for file, row in zip(files, rows, strict=False):
            file.write(epoch, row)

    def score(self, states: Fit) -> np.ndarray:
        """The fraction of the validation examples that each expert of the group gets right, f32[experts]; a single 0 where there are no
        validation examples."""
        if not (count := len(self.val.y)):
            return np.zeros((), np.float32)
        return np.asarray(count_over(partial(self.trainer.score, states), self.val), np.float32) / np.float32(count)

    def check_finite(self, rows: np.ndarray, experts: list[int], epoch: int) -> None:
        """Raises RunFailed naming the first of `experts` whose parameters, the row at its place in `rows`, are not finite. `epoch` counts
        from 0."""
        bad = [expert for expert, row in zip(experts, rows, strict=False) if not np.isfinite(row).all()]
        if bad:
            raise RunFailed(f"expert {bad[0]} diverged in epoch {epoch + 1}: try a smaller --lr, or another --recipe")


def on_host(tree):
    """Copies the arrays of a PyTree to the host. A view would not do, because the next epoch reuses the memory."""
    return jax.tree.map(lambda leaf: np.array(leaf, copy=True), tree)
