"""The contract of a method: a `Matcher` is a few pure functions and the feed of real data that the method needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, Int

from synth.base import Net
from synth.errors import BadInput
from synth.labelling import label
from synth.set import SyntheticSet


class PerClass(NamedTuple):
    """A feed of f32[classes n ...]: n real images or vectors of every class, or as many as the largest class has if that is fewer. They are
    drawn without replacement; with, where a class has fewer."""

    n: int


class Shuffled(NamedTuple):
    """A feed of `Examples` with n rows, epoch after epoch of a shuffled training set; a last short batch is left out."""

    n: int


class Whole(NamedTuple):
    """A feed of all training `Examples`, in order."""


class Unread(NamedTuple):
    """A feed of the training `synth.base.Split` itself, for a step on the host that takes the few rows which it chooses by their labels."""


class GraphsPerClass(NamedTuple):
    """A feed of a `synth.graphs.base.GraphBatch` a class: n real graphs of it, or a few fewer where the drawn ones are large, each class at
    a fixed total size of its own."""

    n: int


class Segment(NamedTuple):
    """A feed of `Piece`: a stretch of a recorded expert trajectory; every expert serves once before any serves again.

    A straight path takes the place of the K recorded epochs where one is asked for: theta*(s) = theta*_0 + s / K (theta*_K - theta*_0).
    Start positions s are then any numbers in [T-, T+), not whole ones alone, and of an expert's snapshots the first and the last are read.

    Args:
      span: M >= 1, epochs from the start to the last target.
      first: T- >= 0, the least start epoch.
      last: T+ > first, the bound that start epochs stay below; lowered where an expert has not been trained for t + M epochs.
      grow: (U0, E) lets the bound grow from U0 at step 0 to `last` at step E: min(T+, U0 + int((T+ - U0) step / E)).
      every: whether the targets are all of t+1 ... t+M, or t+M alone.
      kept: parameter vectors that a step of the method keeps while it works, for the estimate of its memory.
      straight: whether the path is straight.
    """

    span: int
    first: int
    last: int
    grow: tuple[int, int] | None = None
    every: bool = False
    kept: int = 0
    straight: bool = False

    def bound(self, epochs: int) -> int:
        """What start positions stay below, of experts that are recorded for so many epochs, so that all targets lie on their path."""
        return min(self.last, epochs - self.span + (0 if self.straight else 1))


class Piece(NamedTuple):
    """Parameters theta*_t of an expert after `epoch` = t epochs, and its later ones; flat, in the order of `ravel_pytree(params)`. On a
    straight path t is any number."""

    start: Float[Array, " p"]
    targets: Float[Array, "k p"]
    epoch: Int[Array, ""] | Float[Array, ""]


class Stages(NamedTuple):
    """A feed of `Snapshots`: a recorded expert at two stages of its training; every expert serves once before any serves again.

    Args:
      window: L >= 1, the most epochs from the first stage to the second.
    """

    window: int


class Snapshots(NamedTuple):
    """Parameters of an expert that is recorded for K epochs: after t of them, t uniform in 0 ... K - 1, and after t', uniform in
    t + 1 ... min(t + L, K). Flat, in the order of `ravel_pytree(params)`."""

    earlier: Float[Array, " p"]
    later: Float[Array, " p"]


def flat_parameters(net: Net) -> Callable:
    """Builds the function that turns a flat vector f32[P] into the params of `net`. Raises BadInput for a network with batch statistics,
    because a flat vector holds none."""
    shapes = jax.eval_shape(net.init, jax.random.key(0))
    if jax.tree.leaves(shapes.stats):
        raise BadInput("--net: trajectories hold no batch statistics; use norm=instance, norm=group or norm=none")
    return ravel_pytree(jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes.params))[1]


class Task(NamedTuple):
    """Facts about the run that a method may use.

    Args:
      image: the shape of an example: height, width and channels, or how many numbers a vector has.
      flips: whether a mirrored image keeps its label.
      steps: of the run.
      plan: name of an evaluation recipe -> what it does with a set (`synth.labelling.LabelPlan`).
      label: gives a set its labels, called as `synth.labelling.label`; a run keeps on the disk what teachers have answered so far.
      keep: (request, parts) -> the rows of the parts that were done before, of a work of so many: `done`, (how many, the array [parts ...])
        or None, and `tick(done, rows)`, which keeps those done since. `request`, JSON values by name, is what the rows depend on beside
        data, network and seed. None where nothing is written.
    """

    image: tuple[int, ...]
    flips: bool
    steps: int
    plan: Callable[[str], Any]
    label: Callable[..., Any] = label
    keep: Callable[[dict[str, Any], int], Any] | None = None


@dataclass(frozen=True, eq=False)  # told apart by what it is, because matchers are hashed and arrays cannot be
class Given:
    """No data but `value`, a PyTree of arrays that a method brings with it: large constants, kept out of its state and its program."""

    value: Any


@dataclass(frozen=True, eq=False)
class Computed:
    """A feed of what `of` makes of the training `synth.base.Split`, once for all steps: a PyTree of arrays. It is a function of the split
    alone, so that a resumed run has the same."""

    of: Callable[[Any], Any]


# a tuple of feeds gives a tuple of their batches
Feed = PerClass | Shuffled | Whole | Unread | Segment | Stages | GraphsPerClass | Given | Computed | tuple | None


class Matcher(NamedTuple):
    """A method.

    Args:
      init: (key, synth) -> state, a PyTree of arrays.
      step: (key, state, synth, batch) -> (synth, state, metrics); metrics are scalars by name, among them `loss` where there is one.
      feed: the real data one step eats.
      start: what the synthetic images are before the first step, a name in `synth.selection.choose.STARTS`.
      recipe: the evaluation recipe that the method's paper scores with, stored in the set; empty for the modality's own.
      host: set -> parts of the work, for a method whose `step` runs once on the host, outside compiled code; such a step takes `done` as
        well, to call after each part but the last. None for a method of compiled steps.
      prepare: (key, synth, examples) -> synth, on the host: what the method makes of the started set before its first step, such as
        a learned step size, soft labels or images of its own choice. A resumed run calls it again. `examples` are the training
        `synth.base.Split`; a method takes those that it needs.
      result: (state, synth) -> synth, on the host: what the run gives in place of the set after its last step, such as a running mean.
      finish: (key, state, synth) -> synth, on the host: what the method does with the result once its content is stored, such as labels
        from teachers. It gives the set that is written, and that is scored on the way.
      remarks: examples -> lines for the user about these data, before the first step: what the method's premise is worth on them.
      own_start: where the method makes the first images itself, so that `--start` would be ignored and is refused: the flag that lets
        `--start` decide, empty where none does. None where `--start` decides.
      balanced: whether the set has the same number of every class; where not, the budget says how many examples it has in all.
      own_content: whether `prepare` puts a content of the method's own in place of the one that the run started with.
      counts_bytes: whether the set ends with the content that it starts with and int32 labels, so that a budget in bytes can be met.
      tells_motion: whether the log says how far the examples have moved from their start.
      score: the full name of the score of examples that the method reads, as of `synth.selection.scores.name_score`; empty where it reads
        none. A run prints and records it, because one name stands for several scores.
    """

    init: Callable
    step: Callable
    feed: Feed = None
    start: str = "random"
    recipe: str = ""
    host: Callable[[SyntheticSet], int] | None = None
    prepare: Callable | None = None
    result: Callable | None = None
    finish: Callable | None = None
    remarks: Callable | None = None
    own_start: str | None = None
    counts_bytes: bool = True
    balanced: bool = True
    own_content: bool = False
    tells_motion: bool = False
    score: str = ""


def conclude(key: jax.Array, matcher: Matcher, state: Any, synth: SyntheticSet) -> SyntheticSet:
    """The set that a run stores after a step: what the method's `result` makes of the set (the set itself where there is none), its content
    as a file stores it, then changed by the method's `finish`, if any.

    Args:
      key: for `finish`.
      state: the method's, after the step.
      synth: the set after the step.
    """
    synth = matcher.result(state, synth) if matcher.result else synth
    synth = replace(synth, x=synth.x.store())
    return matcher.finish(key, state, synth) if matcher.finish else synth


class Descent(NamedTuple):
    """State of `descend`: that of the optimiser, and other state of the loss (networks, counters)."""

    opt: optax.OptState
    aux: Any


def descend(
    loss: Callable,
    tx: optax.GradientTransformation,
    *,
    init: Callable | None = None,
    after: Callable | None = None,
    learn: tuple[str, ...] = ("x",),
    feed: Feed = None,
    start: str = "random",
) -> Matcher:
    """A method that descends the gradient of a loss on chosen fields of the synthetic set.

    Args:
      loss: (key, synth, aux, batch) -> (scalar, metrics), differentiated by the fields in `learn`.
      tx: the optimiser of those fields.
      init: (key, synth) -> aux, what is carried beside the set; nothing by default.
      after: (key, synth, aux) -> aux, after the set was updated: trains or renews what is carried.
      learn: names of fields of `SyntheticSet`. Of `x` its content says which arrays move (`synth.content.Content.learned`).
      feed, start: as of `Matcher`.
    """

    def fields(synth: SyntheticSet):
        return {name: getattr(synth, name) for name in learn}

    def moving(values: dict):
        return {name: value.learned() if name == "x" else value for name, value in values.items()}

    def first_state(key, synth):
        return Descent(tx.init(moving(fields(synth))), init(key, synth) if init else ())

    def step(key, state, synth, batch):
        k_loss, k_after = jax.random.split(key)

        def objective(values):
            return loss(k_loss, replace(synth, **values), state.aux, batch)

        values = fields(synth)
        # A content may hold integers beside what it learns; they have no gradient, and none is picked.
        (value, metrics), grads = jax.value_and_grad(objective, has_aux=True, allow_int=True)(values)
        learned = moving(values)
        updates, opt = tx.update(moving(grads), state.opt, learned)
        after_step = optax.apply_updates(learned, updates)
        synth = replace(synth, **{name: synth.x.moved(new) if name == "x" else new for name, new in after_step.items()})
        aux = after(k_after, synth, state.aux) if after else state.aux
        return synth, Descent(opt, aux), {"loss": value, **metrics}

    return Matcher(first_state, step, feed, start)


def once(solve: Callable, *, feed: Feed = Whole(), parts: Callable[[SyntheticSet], int] | None = None) -> Matcher:
    """A method that is done in one step on the host: `solve(key, synth, examples) -> synth`; `feed` says what the examples are. If its work
    has several parts, `parts(synth)` is their number, and `solve` also takes `done`, and calls it after each part but the last for the
    progress bar."""

    def step(key, state, synth, batch, done=lambda: None):
        return solve(key, synth, batch, **({"done": done} if parts else {})), state, {}

    return Matcher(lambda key, synth: (), step, feed, host=parts or (lambda synth: 1))
