"""What teachers say: their votes, their answers to a batch, and sets labelled with them.

Images are f32[b h w c] in model space. Answers are weighted sums of logits, z = sum_k w_k f_k(x). A stored view is drawn again by whoever
trains on the set, so that nothing of it but the answer is kept.
"""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from synth.base import Net, Teacher, Vars
from synth.errors import BadInput
from synth.files.npz import LIMIT
from synth.images.views import View, view_of
from synth.labels import Labels
from synth.labels.online import OnlineWithTeachers, ask
from synth.labels.plain import Hard
from synth.labels.teacher import ENTROPIES, NORMS, STATISTICS, Committee, Distances, Interpolated, Online, Static, encode, to_classes
from synth.training.fit import epoch_items, in_batches, see

KINDS = ("hard", "static", "interpolated", "committee", "online", "distances")  # what `label` makes
HALF = 60000.0  # a logit beyond this is no half precision number


class Plan(NamedTuple):
    """What a training recipe does with a set.

    Args:
      epochs, view: how often it shows the set, and through which views.
      batch: examples a step, as `batch_of` takes it.
      temperature: of the labels, see `at`.
      progress: (total, description) -> a context with `advance(n)`, where labelling is to be watched.
    """

    epochs: int
    batch: int
    view: View
    temperature: float
    progress: Callable | None = None

    def at(self, kind: str, *, temperature: float | None = None) -> "Plan":
        """With labels of this kind at a temperature; by default at the recipe's, and at 1 for `distances`: their steps of 1/20 nat round
        what a high temperature leaves of a teacher's doubts to a few codes."""
        own = 1.0 if kind == "distances" else self.temperature
        return self._replace(temperature=own if temperature is None else temperature)


def batch_of(batch: int, n: int, classes: int) -> int:
    """Examples a step of a set of n: `batch`, or for 0 what RDED takes: 10, 50 from 10 and 100 from 50 examples a class, twice as many
    from 100 classes, 100 for 200 classes. At most the set."""
    if not batch:
        ipc = n / classes
        batch = (100 if ipc >= 50 else 50 if ipc >= 10 else 10) * (2 if classes >= 100 else 1)
        batch = 100 if classes == 200 else batch
    return min(batch, n)


def check_room(kind: str, n: int, classes: int, epochs: int, *, images: int, advice: str) -> None:
    """Raises BadInput where labels of n examples, beside `images` bytes, are more than a set's file may hold, see `synth.files.npz`.

    Args:
      kind: one of `KINDS`; `epochs` are those of stored views.
      advice: what would be right.
    """
    answers = {"static": classes, "interpolated": classes, "committee": epochs * classes, "distances": epochs}
    labels = n * (4 + 2 * answers.get(kind, 0))
    if labels + images > LIMIT:
        what = f"{kind} labels of {n:,} examples take {labels:,} bytes beside {images:,} of images"
        raise BadInput(f"{what}, and a set's file holds at most {LIMIT:,}: {advice}")


def check_distances(kind: str, alpha: float, norm: str, sce: str) -> None:
    """Raises BadInput where the loss of `distances` is set for labels of another kind."""
    if kind != "distances" and (alpha, norm, sce) != (1.0, "l1", "mixed"):
        raise BadInput(f"alpha, norm and sce: are of the loss of distances, and labels of kind {kind} have none; leave them out")


def vote(priors: Sequence[float], *, temperature: float) -> tuple[float, ...]:
    """Weights softmax(alpha_k / T) of teachers by their priors alpha in per cent (Zhou et al., CV-DD, arXiv 2501.07575)."""
    scaled = np.asarray(priors, np.float64) / temperature
    raised = np.exp(scaled - scaled.max())
    return tuple(float(w) for w in raised / raised.sum())


def flat(vars: Vars) -> dict[str, np.ndarray]:
    """The arrays of a network's variables by path, as in `params/convs/0/kernel`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(vars._asdict())
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf) for path, leaf in leaves}


def digest(teacher: Teacher) -> str:
    """Twelve hexadecimal digits that tell a teacher's variables from another's."""
    whole = hashlib.sha256()
    for name, array in sorted(flat(teacher.vars).items()):
        whole.update(f"{name}{array.dtype.str}{array.shape}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()[:12]


def named(teachers: Sequence[Teacher], weights: Sequence[float]) -> str:
    """Teachers and their weights as label kinds store them: DIGEST*WEIGHT, joined by '+'."""
    return "+".join(f"{digest(teacher)}*{weight:.9g}" for teacher, weight in zip(teachers, weights, strict=True))


def recall(text: str, known: Sequence[Teacher]) -> tuple[tuple[Teacher, ...], tuple[float, ...]]:
    """The teachers and weights that a label kind names, out of known ones.

    Raises BadInput where one is not among them.
    """
    by_digest = {digest(teacher): teacher for teacher in known}
    members, weights = zip(*(member.split("*") for member in text.split("+")), strict=True)
    if missing := [member for member in members if member not in by_digest]:
        here = ", ".join(by_digest) or "none"
        raise BadInput(f"--teachers: the labels come from teacher {missing[0]}, which is not there (there: {here}); give the labels' own")
    return tuple(by_digest[member] for member in members), tuple(float(weight) for weight in weights)


def present(labels: Labels, known: Sequence[Teacher]) -> Labels:
    """The labels, ready to be trained on: those of kind `online` get their teachers, others stay as they are."""
    if not isinstance(labels, Online):
        return labels
    teachers, weights = recall(labels.teachers, known)
    return OnlineWithTeachers(labels, tuple(t.vars for t in teachers), tuple(t.net for t in teachers), weights)


@lru_cache(maxsize=8)
def _epoch(nets: tuple[Net, ...], weights: tuple[float, ...], statistics: str, view: View, batch: int, two: float) -> Callable:
    """The compiled answers to all views of one epoch, (vars, x, index, seed's key, epoch) -> f16[n c], or u8[n 2] at temperature `two`."""

    @jax.jit
    def answer(vars, x, index, key, epoch):
        items = epoch_items(key, epoch, len(x), batch=batch)

        def one(item):
            seen = see(item, x, view)
            logits = ask(nets, vars, seen.images, weights, statistics)
            if not two:
                return jnp.clip(logits, -HALF, HALF).astype(jnp.float16)
            own = index[item.index]
            return encode(to_classes(logits / two, jnp.stack([own, own[seen.mixed.partner]], -1)))

        rows = jax.lax.map(one, items)
        return rows.reshape(-1, rows.shape[-1])[: len(x)]

    return answer


@lru_cache(maxsize=8)
def _asker(nets: tuple[Net, ...], weights: tuple[float, ...], statistics: str) -> Callable:
    return lambda vars, x: ask(nets, vars, x, weights, statistics)


def label(
    key: jax.Array,
    kind: str,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    classes: int,
    teachers: Sequence[Teacher],
    plan: Plan,
    *,
    weights: Sequence[float] | None = None,
    statistics: str = "running",
    alpha: float = 1.0,
    norm: str = "l1",
    sce: str = "mixed",
    seed: int | None = None,
    done: tuple[int, np.ndarray] | None = None,
    tick: Callable[[int, np.ndarray], None] | None = None,
) -> Labels:
    """Labels of a set from its teachers.

    Args:
      key: of the views that `committee` and `distances` label.
      kind: one of `KINDS`; `hard` keeps the classes alone.
      x, index: the examples and their classes in [0, classes).
      teachers: at least one, all of `classes` outputs.
      plan: what the recipe does that the set will be trained with; stored views follow it.
      weights: of the teachers' logits; by default equal, summing to 1.
      statistics: of the teachers' batch norms: `running`, `batch` or `batch/k`, see `ask`.
      alpha, norm, sce: of the loss of `distances`.
      seed: of the views, in place of one that the key draws.
      done: how many epochs are labelled and the array of all, from an earlier call that was cut off: answers do not depend on it.
      tick: called after every epoch with the number done and the array.

    Raises:
      BadInput: an unknown kind, statistics, norm or cross entropy; no teacher; batch statistics for labels of single examples.
    """
    if kind not in KINDS:
        raise BadInput(f"--kind: unknown kind of labels '{kind}' (known: {', '.join(KINDS)})")
    index = jnp.asarray(index, jnp.int32)
    if kind == "hard":
        return Hard(index, classes)
    if not STATISTICS.fullmatch(statistics) or norm not in NORMS or sce not in ENTROPIES:
        raise BadInput(
            f"labels: statistics '{statistics}', norm '{norm}' and sce '{sce}' must be running, batch or batch/2,"
            f" one of {', '.join(NORMS)}, and one of {', '.join(ENTROPIES)}"
        )
    if not teachers:
        raise BadInput("--teachers: labels need one or more teachers")
    weights = tuple(weights or [1 / len(teachers)] * len(teachers))
    if len(weights) != len(teachers):
        raise BadInput(f"--weights: {len(weights)} weights for {len(teachers)} teachers; give one each")
    nets, held = tuple(t.net for t in teachers), tuple(t.vars for t in teachers)
    said = {"temperature": float(plan.temperature), "teachers": named(teachers, weights), "statistics": statistics}
    if kind == "online":
        return Online(index, classes, **said)
    x = jnp.asarray(x)
    if kind in ("static", "interpolated"):
        if statistics != "running":
            raise BadInput(f"--kind {kind}: answers to single images use running statistics; batch statistics need views of batches")
        logits = in_batches(_asker(nets, weights, statistics), held, x)
        return {"static": Static, "interpolated": Interpolated}[kind](index, jnp.clip(logits, -HALF, HALF).astype(jnp.float16), **said)
    seed = int(jax.random.bits(key, dtype=jnp.uint32)) if seed is None else seed
    two = plan.temperature if kind == "distances" else 0.0
    batch = batch_of(plan.batch, len(x), classes)
    answer = _epoch(nets, weights, statistics, plan.view, batch, two)
    first, rows = done or (0, np.zeros((plan.epochs, len(x), 2 if two else classes), np.uint8 if two else np.float16))
    with plan.progress(plan.epochs - first, "labels") if plan.progress else nullcontext() as bar:
        for epoch in range(first, plan.epochs):
            rows[epoch] = answer(held, x, index, jax.random.key(seed), jnp.int32(epoch))
            if bar:
                bar.advance(1)
            if tick:
                tick(epoch + 1, rows)
    said |= {"seed": seed, "batch": batch, "view": str(plan.view)}
    if two:
        return Distances(index, jnp.asarray(rows), classes, **said, alpha=float(alpha), norm=norm, sce=sce)
    return Committee(index, jnp.asarray(rows), **said)


def label_alike(
    labels: Labels,
    x: Float[Array, "n h w c"],
    index: Int[Array, " n"],
    known: Sequence[Teacher],
    *,
    batch: int | None = None,
    progress: Callable | None = None,
) -> Labels:
    """Other examples in the kind of labels of a set: from the same teachers, under the same views.

    Args:
      labels, x, index: the set's labels; the other examples and their classes.
      known: teachers, the labels' own among them.
      batch: examples a step of the recipe that trains on them, as `batch_of` takes it; by default the labels' own, which is right for as
        many examples as the set has.
      progress: as of a `Plan`.

    Raises BadInput where a teacher is not among the known.
    """
    teachers, weights = recall(labels.teachers, known)
    batch = getattr(labels, "batch", 0) if batch is None else batch
    plan = Plan(getattr(labels, "epochs", 1), batch, View(), labels.temperature, progress)
    own = {"weights": weights, "statistics": labels.statistics, "seed": getattr(labels, "seed", 0)}
    if getattr(labels, "replays", False):
        plan = plan._replace(view=view_of(labels.view))
    if isinstance(labels, Distances):
        own |= {"alpha": labels.alpha, "norm": labels.norm, "sce": labels.sce}
    return label(jax.random.key(0), labels.kind, x, index, labels.classes, teachers, plan, **own)
