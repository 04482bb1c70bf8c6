"""Labels by teachers: their votes, their answers to a batch, and labelled sets.

Images are f32[b h w c] in model space. Answers are weighted sums of logits, z = sum_k w_k f_k(x). A stored view is drawn again by whoever
trains on the set, so that nothing of it but the answer is kept.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.files.npz import LIMIT
from synth.images.views import View, view_of, within_cells
from synth.labels import KINDS, Labels, find_kind, option_parameters
from synth.labels.common import STATISTICS
from synth.labels.online import ask
from synth.options import check_option
from synth.training.fit import batch_view, epoch_items, in_batches


class LabelPlan(NamedTuple):
    """How a training recipe shows a set: epochs, batch, view and temperature.

    Args:
      epochs, view: how often it shows the set, and through which views.
      batch: examples a step; 0 for what `batch_of` finds.
      temperature: of the labels, see `at`.
      progress: (total, description) -> a context with `advance(n)`, where labelling is to be watched.
    """

    epochs: int
    batch: int
    view: View
    temperature: float
    progress: Callable | None = None

    def at(self, kind: str, *, temperature: float | None = None) -> "LabelPlan":
        """The same plan at `temperature`. By default it is the usual one of the label kind `kind` if it has one, else this plan's own."""
        own = find_kind(kind).default_temperature
        usual = self.temperature if own is None else own
        return self._replace(temperature=usual if temperature is None else temperature)


def batch_of(batch: int, n: int, classes: int) -> int:
    """The number of examples a step for a set of n examples: `batch`, or if that is 0 the rule of RDED: 10, 50 from 10 and 100 from 50
    examples a class; twice as many from 100 classes; always 100 for exactly 200 classes. Never more than n."""
    if not batch:
        ipc = n / classes
        batch = (100 if ipc >= 50 else 50 if ipc >= 10 else 10) * (2 if classes >= 100 else 1)
        batch = 100 if classes == 200 else batch
    return min(batch, n)


def check_room(kind: str, n: int, classes: int, epochs: int, *, images: int, advice: str) -> None:
    """Raises BadInput if labels of n examples and `images` bytes together are larger than a set's file may be (`synth.files.npz`).

    Args:
      kind: one that `label` makes; `epochs` counts those of stored views, `advice` ends the message with what would be right.
    """
    labels = n * find_kind(kind).bytes_each(classes, epochs)
    if labels + images > LIMIT:
        what = f"{kind} labels of {n:,} examples take {labels:,} bytes beside {images:,} of images"
        raise BadInput(f"{what}, and a set's file holds at most {LIMIT:,}: {advice}")


def check_options(kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All options of a label kind: the given ones, checked, and defaults for the others. An option of another kind may be given only at its
    default.

    Raises BadInput for a value out of range, and for an option that this kind has not.
    """
    own = option_parameters(find_kind(kind))
    for name in sorted(given.keys() - own.keys()):
        others = {word: known[name].default for word, other in KINDS.items() if name in (known := option_parameters(other))}
        if given[name] not in others.values():
            whose = f"it is one of {' and '.join(others)}" if others else f"known: {', '.join(own) or 'none'}"
            raise BadInput(f"{name}: labels of kind {kind} have no such option ({whose}); leave it out")
    return {name: check_option(name, given.get(name, p.default), p.annotation) for name, p in own.items()}


def vote(priors: Sequence[float], *, temperature: float) -> tuple[float, ...]:
    """Weights softmax(alpha_k / T) of teachers, summing to 1, by their priors alpha in per cent (Zhou et al., CV-DD, arXiv 2501.07575)."""
    scaled = np.asarray(priors, np.float64) / temperature
    raised = np.exp(scaled - scaled.max())
    return tuple(float(w) for w in raised / raised.sum())


def arrays_by_path(vars: Vars) -> dict[str, np.ndarray]:
    """The arrays of a network's variables by path, as in `params/convs/0/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(vars._asdict())
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def teacher_digest(teacher: Teacher) -> str:
    """Twelve hexadecimal digits that identify a teacher's variables; its name does not enter."""
    hashed = hashlib.sha256()
    for name, array in sorted(arrays_by_path(teacher.vars).items()):
        hashed.update(f"{name}{array.dtype.str}{array.shape}".encode())
        hashed.update(np.ascontiguousarray(array).data)
    return hashed.hexdigest()[:12]


def teachers_text(teachers: Sequence[Teacher], weights: Sequence[float]) -> str:
    """The text by which label kinds store teachers and weights: DIGEST*WEIGHT, joined by '+'."""
    return "+".join(f"{teacher_digest(teacher)}*{weight:.9g}" for teacher, weight in zip(teachers, weights, strict=True))


def recall(text: str, known: Sequence[Teacher]) -> tuple[tuple[Teacher, ...], tuple[float, ...]]:
    """(teachers, weights) that a text from `teachers_text` names, found among `known`. Raises BadInput if one is missing or it is empty."""
    if not text:
        raise BadInput("--teachers: the set's labels come from a release that names no teachers; leave it out, or take --rows distilled")
    by_digest = {teacher_digest(teacher): teacher for teacher in known}
    members, weights = zip(*(member.split("*") for member in text.split("+")), strict=True)
    if missing := [member for member in members if member not in by_digest]:
        here = ", ".join(by_digest) or "none"
        raise BadInput(f"--teachers: the labels come from teacher {missing[0]}, which is not there (there: {here}); give the labels' own")
    return tuple(by_digest[member] for member in members), tuple(float(weight) for weight in weights)


def present(labels: Labels, known: Sequence[Teacher]) -> Labels:
    """Makes labels ready for training. Those of the kind `online` get their teachers, as `recall` finds them; others stay unchanged."""
    return labels.with_teachers(lambda text: recall(text, known))


@lru_cache(maxsize=8)
def _epoch(
    nets: tuple[Net, ...], weights: tuple[float, ...], statistics: str, view: View, batch: int, temperature: float, read: Callable
) -> Callable:
    """The compiled answers to all views of one epoch, (vars, x, index, seed's key, epoch) -> what `read` makes of each, [n ...]."""

    @jax.jit
    def answer(vars, x, index, key, epoch):
        items = epoch_items(key, epoch, len(x), batch=batch)

        def one(item):
            seen = batch_view(item, x, view)
            logits, own = ask(nets, vars, seen.images, weights, statistics), index[item.index]
            return read(logits, jnp.stack([own, own[seen.mixed.partner]], -1), temperature)

        rows = jax.lax.map(one, items)
        return rows.reshape(-1, *rows.shape[2:])[: len(x)]

    return answer


@lru_cache(maxsize=8)
def _asker(nets: tuple[Net, ...], weights: tuple[float, ...], statistics: str) -> Callable:
    return lambda vars, x: ask(nets, vars, x, weights, statistics)


def _apart(teachers: Sequence[Teacher]) -> tuple[tuple[Net, ...], tuple[Vars, ...]]:
    return tuple(t.net for t in teachers), tuple(t.vars for t in teachers)


class Asker(NamedTuple):
    """What a kind of labels is made from: examples, and teachers that answer questions about them.

    Args:
      kind, and so on: as the arguments of `label`, with its defaults filled in. x, index: the examples and their classes.
    """

    kind: str
    x: Float[Array, "n h w c"]
    index: Int[Array, " n"]
    classes: int
    teachers: tuple[Teacher, ...]
    weights: tuple[float, ...]
    statistics: str
    plan: LabelPlan
    seed: int
    done: tuple[int, np.ndarray] | None = None
    tick: Callable[[int, np.ndarray], None] | None = None

    def header(self) -> dict[str, Any]:
        """The fields that all labels by teachers share, by name: `temperature`, `teachers` (text of `teachers_text`), `statistics`."""
        teachers, temperature = teachers_text(self.teachers, self.weights), float(self.plan.temperature)
        return {"temperature": temperature, "teachers": teachers, "statistics": self.statistics}

    def replay(self) -> dict[str, Any]:
        """The fields, by name, from which the views of `of_views` can be drawn again: `seed`, `batch` (examples a step), `view` (text)."""
        return {"seed": self.seed, "batch": batch_of(self.plan.batch, len(self.x), self.classes), "view": str(self.plan.view)}

    def of_examples(self) -> Float[Array, "n c"]:
        """The weighted sum of the teachers' logits for every unchanged example. Raises BadInput for collages and for batch statistics."""
        if self.plan.view.cells > 1:
            why = "such labels answer to whole images, and of these collages one cell at a time is shown"
            raise BadInput(f"--kind {self.kind}: {why}; take committee or online")
        if self.statistics != "running":
            why = "answers to single images use running statistics; batch statistics need views of batches"
            raise BadInput(f"--kind {self.kind}: {why}")
        nets, vars = _apart(self.teachers)
        return in_batches(_asker(nets, self.weights, self.statistics), vars, self.x)

    def of_views(self, read: Callable) -> np.ndarray:
        """The answers to every view of every epoch, [epochs n ...], in the order in which an epoch shows the examples.

        Args:
          read: (logits f32[b c], classes i32[b 2], temperature) -> what is stored of the answers to a batch, rows that lead with b. The
            classes are those of an image and of the one that it is mixed with. It is compiled once if it is the same function at every
            call: one of a module, or one from a cache.
        """
        nets, vars = _apart(self.teachers)
        key = jax.random.key(self.seed)
        plan = self.plan
        answer = _epoch(nets, self.weights, self.statistics, plan.view, self.replay()["batch"], plan.temperature, read)
        first, rows = self.done or (0, None)
        with plan.progress(plan.epochs - first, "labels") if plan.progress else nullcontext() as bar:
            for epoch in range(first, plan.epochs):
                answers = answer(vars, self.x, self.index, key, jnp.int32(epoch))
                rows = np.zeros((plan.epochs, *answers.shape), answers.dtype) if rows is None else rows
                rows[epoch] = answers
                if bar:
                    bar.advance(1)
                if self.tick:
                    self.tick(epoch + 1, rows)
        return rows


def label(
    key: jax.Array,
    kind: str,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    classes: int,
    teachers: Sequence[Teacher],
    plan: LabelPlan,
    *,
    weights: Sequence[float] | None = None,
    statistics: str = "running",
    seed: int | None = None,
    done: tuple[int, np.ndarray] | None = None,
    tick: Callable[[int, np.ndarray], None] | None = None,
    **options: Any,
) -> Labels:
    """Labels a set by its teachers.

    Args:
      key: of the views that are labelled, where answers are stored view by view.
      kind: a name in `synth.labels.made_kinds()`; `hard` keeps the classes alone.
      x, index: the examples and their classes in [0, classes).
      teachers: at least one, all of `classes` outputs.
      plan: what the recipe does that the set will be trained with; stored views follow it.
      weights: of the teachers' logits, one a teacher; by default equal, summing to 1. They are used as given.
      statistics: of the teachers' batch norms: `running`, `batch` or `batch/k`, see `ask`.
      seed: of the views, in place of one that the key draws.
      done: how many epochs are labelled and the array of all, from an earlier call that was cut off: answers do not depend on it.
      tick: called after every epoch with the number done and the array, where views are stored.
      options: the kind's own.

    Raises BadInput for an unknown kind or statistics, an option that is not the kind's or out of range, no teacher, another number of
    weights, and, for kinds that answer to single images (`static`, `interpolated`), for a view with cells or batch statistics.
    """
    own, options = find_kind(kind), check_options(kind, options)
    if own.taught and not STATISTICS.fullmatch(statistics):
        raise BadInput(f"labels: statistics '{statistics}' must be running, batch or batch/2")
    if own.taught and not teachers:
        raise BadInput("--teachers: labels need one or more teachers")
    weights = tuple(weights or (1 / len(teachers) for _ in teachers))
    if own.taught and len(weights) != len(teachers):
        raise BadInput(f"--weights: {len(weights)} weights for {len(teachers)} teachers; give one each")
    seed = int(jax.random.bits(key, dtype=jnp.uint32)) if seed is None else seed
    request = (jnp.asarray(x), jnp.asarray(index, jnp.int32), classes, tuple(teachers), weights, statistics)
    return own.make(Asker(kind, *request, plan, seed, done, tick), **options)


def label_alike(
    labels: Labels,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    known: Sequence[Teacher],
    *,
    cells: int = 1,
    batch: int | None = None,
    progress: Callable | None = None,
) -> Labels:
    """Labels other examples as a set is labelled: the same kind, teachers and views.

    Args:
      labels, x, index, cells: the set's labels; the other examples, their classes, and images a side of each (`SyntheticSet.cells`).
      known: teachers, the labels' own among them.
      batch: examples a step of the recipe that trains on them, 0 for what `batch_of` finds; by default the labels' own. Never above n.
      progress: (total, description) -> a context with `advance(n)`, where labelling is to be watched.

    Raises BadInput where a teacher is not among the known."""
    teachers, weights = recall(labels.teachers, known)
    own = {"weights": weights, "statistics": labels.statistics} | {name: getattr(labels, name) for name in option_parameters(type(labels))}
    plan = LabelPlan(1, 0, View(cells=cells), labels.temperature, progress)
    if labels.replays:
        view, batch = within_cells(view_of(labels.view), cells), labels.batch if batch is None else batch
        plan = plan._replace(epochs=labels.epochs, batch=batch, view=view)
        own["seed"] = labels.seed
    return label(jax.random.key(0), labels.kind, x, index, labels.classes, teachers, plan, **own)
