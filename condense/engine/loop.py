"""The loop: it owns keys, compilation, devices, checkpoints and logs, so that a method is nothing but its mathematics.

The whole carry is the whole checkpoint. Every draw is a function of the seed and the step number, so a run that was stopped anywhere and
resumed gives the bits of one that was not (same versions, backend and device count).
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from condense.engine.memory import Gauge, memory_refused
from condense.engine.schedule import Schedule
from condense.runtime.checkpoint import Checkpoints
from condense.runtime.devices import own, place_batch, replicate, replicated
from condense.runtime.interrupts import defer_interrupt
from condense.runtime.log import COMPILING, MetricsLog, note, progress
from condense.runtime.processes import count, first_then_others, is_first, on_first
from matchers.base import Matcher, conclude
from synth.errors import BadInput, RunFailed
from synth.files.format import save_set
from synth.set import SyntheticSet
from synth.training.stream import Ahead

INIT, STEP, START, FINISH, PREPARE = range(5)  # key streams of a run
FAULTS = (  # what stops a run, and what to try
    ("the loss or the set is not finite", "try a smaller step size"),
    ("the learned step size is not above 0", "try a smaller --lr-lr, or --positive log, which keeps it above 0"),
)
FALL = 1e-3  # the share by which a loss falls at least where something was matched
AHEAD = 2  # steps handed to the devices before the host waits for one: enough to keep them busy, few enough to bound the batches in memory


class RunState(NamedTuple):
    """Everything a run carries from step to step: how many are done, the set without its info, the method's state."""

    step: Int[Array, ""]
    synth: SyntheticSet
    state: Any


def stream(key: jax.Array, number: int) -> jax.Array:
    """The `number`-th stream of keys. The key of step t is `fold_in(stream, t)`."""
    return jax.random.fold_in(key, number)


def _strong(leaf: jax.Array) -> jax.Array:
    return jax.lax.convert_element_type(leaf, leaf.dtype)  # a weakly typed leaf would compile the step twice


def initial_state(key: jax.Array, matcher: Matcher, synth: SyntheticSet) -> RunState:
    """The carry before the first step, as copies, because the compiled step takes over the carry's memory and `synth` must stay usable."""
    return replicate(_initial_state(key, matcher, synth))


def _initial_state(key, matcher, synth):
    synth = jax.tree.map(jnp.asarray, synth.bare())
    state = jax.jit(matcher.init)(stream(key, INIT), synth)
    return jax.tree.map(lambda leaf: jnp.array(_strong(leaf), copy=True), RunState(jnp.int32(0), synth, state))


def _advance(matcher, key, carry, bad, batch):
    synth, state, metrics = matcher.step(jax.random.fold_in(key, carry.step), carry.state, carry.synth, batch)
    after = jax.tree.map(_strong, RunState(carry.step + 1, synth, state))
    _same_types(carry, after)
    reals = [leaf for leaf in jax.tree.leaves((synth, metrics.get("loss"))) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    finite = jnp.stack([jnp.isfinite(leaf).all() for leaf in reals]).all()
    positive = jnp.bool_(True) if synth.lr is None else synth.lr > 0
    return after, jnp.where(jnp.stack([finite, positive]) | (bad >= 0), bad, after.step), metrics


def compile_step(matcher: Matcher) -> Callable:
    """Compiles a step of the matcher: (key of the stream STEP, carry, bad, batch) -> (carry, bad, metrics). A call uses up the memory of
    the carry.

    `bad` i32[2] holds for each of two faults (loss or set not finite; learned step size not above 0) the number of steps done when it was
    first there, or -1. The first call raises TypeError for a method that changes a shape or a dtype of what it carries.
    """
    return partial(jax.jit(_advance, static_argnums=0, donate_argnums=2, out_shardings=replicated()), matcher)


def faultless() -> Int[Array, " faults"]:
    """The record of faults before the first step: -1 for each fault that stops a run (numbers that are not finite, a learned step size not
    above 0), which says that no step has left it yet."""
    return replicate(jnp.full(len(FAULTS), -1, jnp.int32))


def _same_types(before, after) -> None:
    if (was := jax.tree.structure(before)) != (now := jax.tree.structure(after)):
        raise TypeError(f"the method's step changes the structure of its state from {was} to {now}")
    leaves, _ = jax.tree_util.tree_flatten_with_path(before)
    for (path, old), new in zip(leaves, jax.tree.leaves(after), strict=True):
        if (old.shape, old.dtype) != (new.shape, new.dtype):
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise TypeError(f"the method's step changes {name} from {old.dtype}{list(old.shape)} to {new.dtype}{list(new.shape)}")


def run(
    key: jax.Array,
    matcher: Matcher,
    synth: SyntheticSet,
    feed: Callable[[int], Any],
    schedule: Schedule,
    *,
    folder: Path | None = None,
    owner: str = "",
    starting: Callable[[], None] = lambda: None,
    saved: Callable[[int], None] = lambda step: None,
    watch: Callable[[int, SyntheticSet], None] = lambda step, synth: None,
    measured: Callable[[SyntheticSet], dict[str, float]] = lambda synth: {},
    evaluate: Callable[[SyntheticSet], float] | None = None,
    measure: str = "val_accuracy",
    description: str = "distill",
    force: bool = False,
) -> SyntheticSet:
    """Runs a method to `schedule.steps`, from the latest checkpoint in `folder` if there is one, and returns the set after the last step.

    Args:
      key: the run's; the method's start and steps draw from its streams INIT and STEP.
      synth: the start.
      feed: step -> batch, as `condense.engine.feeds.make_feed` builds it.
      folder: gets `checkpoints/`, `metrics.jsonl` and, with `evaluate`, `best.npz`; of a method of one step `metrics.jsonl` alone; without
        it nothing is written.
      owner: what tells the run from others; checkpoints in `folder` that are another's are refused.
      starting: called before the folder is read or written; of a method of one step when that is done.
      saved, watch: called with the step after every checkpoint; with step and set before the first step and every `schedule.frame_every`.
      measured: set -> metrics that are logged beside the method's own.
      evaluate: set -> accuracy on validation data; `measure` is what the log calls it.
      force: tries a step although memory does not seem to suffice.
    Raises RunFailed where the loss or the set is not finite, or memory or disk do not suffice; BadInput where the run is past its steps.
    Ctrl-C saves the last complete step first.
    """
    with memory_refused():
        if matcher.host:
            with progress(matcher.host(synth), description) as bar:
                start = matcher.init(stream(key, INIT), synth)
                synth_after, _, metrics = matcher.step(stream(key, STEP), start, synth, feed(0), bar.advance)
                bar.advance()
            _check_finite(synth_after)
            starting()
            if folder and is_first():
                MetricsLog(folder / "metrics.jsonl").add(1, **metrics)
            return replace(synth_after, x=synth_after.x.store(), info=synth.info)
        starting()
        return _Loop(key, matcher, synth, feed, schedule, folder, owner, saved, watch, measured, evaluate, measure).run(
            description, force=force
        )


class _Loop:
    """One run under way."""

    def __init__(self, key, matcher, synth, feed, schedule, folder, owner, saved, watch, measured, evaluate, measure):
        self.feed, self.schedule, self.folder, self.evaluate, self.measure = feed, schedule, folder, evaluate, measure
        self.saved, self.watch, self.measured = saved, watch, measured
        self.info, self.kept = synth.info, getattr(matcher.feed, "kept", 0)
        self.matcher, self.finish_key = matcher, stream(key, FINISH)
        self.advance, self.key = compile_step(matcher), replicate(stream(key, STEP))
        self.bad, self.fed = faultless(), (None, None)
        self.checkpoints, found = Checkpoints(folder / "checkpoints", owner=owner) if folder else None, None
        if self.checkpoints:
            with defer_interrupt():  # a start can take minutes, as that of a pool of networks: one that is gone on from is not made again
                target = jax.eval_shape(lambda: _initial_state(key, matcher, synth))
                found = first_then_others(lambda: self.checkpoints.restore(target))  # the first one removes what is damaged
        self.carry = replicate(jax.tree.map(jnp.array, found)) if found else initial_state(key, matcher, synth)
        self.step = self.stored = int(found.step) if found else 0
        if self.step > schedule.steps:
            raise BadInput(f"--steps {schedule.steps}: the run in {folder} is past that, at step {self.step}; give more, or another --out")
        self.log = MetricsLog(folder / "metrics.jsonl", step=self.step) if folder and is_first() else None
        self.scores = self.log.column(measure) if self.log else {}
        self.losses = list(self.log.column("loss").values()) if self.log else []

    def run(self, description: str, *, force: bool) -> SyntheticSet:
        pending, gauge = deque(), Gauge(description, self.advance, kept=self.kept, ahead=int(isinstance(self.feed, Ahead)), force=force)
        with progress(self.schedule.steps, description, done=self.step, phase=COMPILING) as bar:
            try:
                self.score(bar)
                if not self.step:
                    self.look()
                while self.step < self.schedule.steps:
                    batch = self.batch()
                    with defer_interrupt():
                        gauge.before(self.key, self.carry, self.bad, batch)
                        self.carry, self.bad, metrics = self.advance(self.key, self.carry, self.bad, batch)
                        self.step += 1
                        shown = self.record(metrics) if self.due(self.schedule.log_every) else {}
                    gauge.after(metrics, self.schedule.steps - self.step)
                    pending.append(metrics)
                    if len(pending) > AHEAD:
                        jax.block_until_ready(pending.popleft())
                    bar.advance(1, **shown)
                    self.look()  # before the checkpoint: a run that goes on from there lacks no frame
                    if self.due(self.schedule.checkpoint_every):
                        self.save()
                    self.score(bar)
            except KeyboardInterrupt:
                # deleted: stopped twice, in the middle of a step; of several processes the others may be at another one
                if count() == 1 and not self.carry.step.is_deleted() and (np.asarray(self.bad) < 0).all():
                    self.save()
                raise
        if isinstance(self.feed, Ahead):
            note(f"{description}: {self.feed.waiting}")
        self.tell_nothing_matched()
        return self.result()

    def tell_nothing_matched(self) -> None:
        """Warns where the loss is not lower at the end than at the start; both are means of a tenth of what was logged."""
        part = max(1, len(self.losses) // 10)
        first, last = (float(np.mean(losses)) for losses in (self.losses[:part], self.losses[-part:])) if len(self.losses) > 1 else (1, 0)
        if last > first - FALL * abs(first):
            note(f"warning: the loss was {first:.4g} at the start and is {last:.4g} at the end: nothing was matched; try another step size")

    def result(self) -> SyntheticSet:
        """What the run would give at this step, as it would be stored."""
        carry = jax.tree.map(jnp.array, self.on_host())
        return replace(conclude(self.finish_key, self.matcher, carry.state, carry.synth), info=self.info)

    def batch(self):
        raw = self.feed(self.step)
        if raw is not self.fed[0]:  # a whole training set is moved to the devices once
            self.fed = raw, place_batch(raw)
        return self.fed[1]

    def due(self, every: int) -> bool:
        return self.step % every == 0 or self.step == self.schedule.steps

    def record(self, metrics) -> dict[str, float]:
        self.check_finite()
        values = {name: float(value) for name, value in jax.device_get(own(metrics)).items()}
        self.losses += [values["loss"]] if "loss" in values else []
        if self.log:
            self.log.add(self.step, **values, **self.measured(own(self.carry.synth)))
        return {"loss": values["loss"]} if "loss" in values else {}

    def check_finite(self) -> None:
        found = [(int(step), *fault) for step, fault in zip(np.asarray(self.bad), FAULTS, strict=True) if step >= 0]
        if found:
            step, what, remedy = min(found, key=lambda fault: fault[0])
            raise RunFailed(f"{what} at step {step}; {self.last_good()}: {remedy}")

    def last_good(self) -> str:
        return f"the last good checkpoint is of step {self.stored}" if self.stored else "there is no checkpoint before it"

    def on_host(self) -> RunState:
        # Copies, because a view would see its memory taken over by the next step.
        return jax.tree.map(lambda leaf: np.array(leaf, copy=True), self.carry)

    def look(self) -> None:
        """Shows the set under work where a frame is due."""
        if is_first() and (every := self.schedule.frame_every) and self.due(every):
            self.watch(self.step, replace(own(self.carry.synth), info=self.info))

    def save(self) -> None:
        if not self.checkpoints or self.stored == self.step:
            return
        self.check_finite()
        carry = self.on_host()
        if any(np.isnan(leaf).any() for leaf in jax.tree.leaves(carry.state) if jnp.issubdtype(leaf.dtype, jnp.inexact)):
            raise RunFailed(f"the method's state holds NaN at step {self.step}; {self.last_good()}: try a smaller step size")
        with defer_interrupt():  # the writer's threads do not survive an interruption without a noise
            on_first(lambda: self.checkpoints.save(self.step, carry))
            self.stored = self.step
            self.saved(self.step)

    def score(self, bar) -> None:
        """Scores the set where that is due and was not done before the run was stopped; keeps the best beside the last."""
        every = self.schedule.eval_every
        if self.evaluate and every and self.step and self.due(every):
            on_first(lambda: self.score_now(bar))

    def score_now(self, bar) -> None:
        if self.step in self.scores:
            return
        self.check_finite()
        synth = self.result()
        accuracy = float(self.evaluate(synth))
        if self.log:
            if accuracy > max(self.scores.values(), default=-math.inf):
                save_set(self.folder / "best.npz", synth)
            self.log.add(self.step, **{self.measure: accuracy})
        self.scores[self.step] = accuracy
        bar.advance(0, **{self.measure: accuracy})


def _check_finite(synth: SyntheticSet) -> None:
    if not all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(synth) if jnp.issubdtype(leaf.dtype, jnp.inexact)):
        raise RunFailed("the set that the method chose is not finite; look at the data")
