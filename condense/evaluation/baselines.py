"""The rows of a comparison: a set, real images at the same budget and in the same kind of labels, all of the training images."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from condense.data.images import Data
from condense.data.readers.encoded import LONG
from condense.runtime.log import progress
from evals.recipes import EvalRecipe
from synth.base import Teacher
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.images.views import View
from synth.labelling import Plan, label, label_alike, present
from synth.labels.plain import Hard, Target
from synth.selection.choose import choose_kmeans, choose_random
from synth.set import SyntheticSet
from synth.training.ridge import centred

DRAW = 1  # key stream of an evaluation


def class_counts(synth: SyntheticSet) -> np.ndarray:
    """Examples of every class, by the most probable label."""
    return np.bincount(np.asarray(synth.y.probs()).argmax(-1), minlength=len(synth.info.classes))


def row_counts(synth: SyntheticSet) -> np.ndarray:
    """Real images of every class that cost what the set does: as many as it has examples, or as it stores images where examples share
    some, rounded up."""
    counts, images = class_counts(synth), getattr(synth.x, "images", len(synth))
    return counts if images >= len(synth) else -(-counts * images // len(synth))


def find_teachers(
    synth: SyntheticSet, place: str | Path | None, path: Path | None, data: Data, kinds: Sequence[str]
) -> tuple[Teacher, ...]:
    """The teachers that a comparison needs: those in `place`, else those in the run's folder beside the set; none where none is needed.

    Raises BadInput where they are needed and there are none.
    """
    from condense.teachers.store import INDEX, load_teachers

    beside = path.parent / "teachers" if path else None
    taught = synth.y.taught
    if place is None and taught and beside and (beside / INDEX).is_file():
        place = beside
    if place is not None:
        return load_teachers(place, data)
    if synth.y.asks:
        raise BadInput("--teachers: the set's labels are asked of its teachers while a network trains; give their folder")
    if taught and {"random", "kmeans"} & set(kinds):
        raise BadInput(
            f"--rows {','.join(kinds)}: real images need {synth.y.kind} labels of the set's own teachers; "
            "give --teachers DIR, or --rows distilled"
        )
    return ()


def teach(synth: SyntheticSet, known: Sequence[Teacher], recipe: EvalRecipe) -> Callable[[SyntheticSet], SyntheticSet]:
    """What gives real images the set's kind of labels: as they are without teachers, from the set's own teachers where it has labels of
    theirs, else from all known ones while networks train, the set's too."""
    if not known:
        return lambda real: real
    if synth.y.taught:
        # a row may hold another number of images than the set, and so be trained on in other batches
        more = {"batch": getattr(recipe, "batch", None), "progress": progress}
        return lambda real: replace(real, y=present(label_alike(synth.y, real.x.decode(), real.y.index, known, **more), known))
    if not isinstance(recipe, EvalRecipe):
        raise BadInput(f"--teachers: they answer while networks train, and recipe {recipe.name} trains none; leave --teachers out")
    plan = Plan(1, 0, View(), recipe.temperature)

    def ask(held: SyntheticSet) -> SyntheticSet:
        index = jnp.asarray(held.y.probs().argmax(-1), jnp.int32)
        return replace(held, y=present(label(jax.random.key(0), "online", held.x.decode(), index, held.y.classes, known, plan), known))

    return ask


def make_rows(
    key: jax.Array,
    synth: SyntheticSet,
    data: Data,
    kinds: Sequence[str],
    *,
    labels: Callable[[SyntheticSet], SyntheticSet] = lambda real: real,
) -> dict[str, Callable[[int], SyntheticSet]]:
    """seed -> set for every kind: the set itself, as many real training images of every class drawn anew for every seed, or all of them.

    Real images carry the kind of labels that the set has, centred one-hot rows where it has regression values; all of them, class indices.
    `labels` gives drawn images their labels, see `teach`.

    Raises BadInput for an unknown kind or none, and where the data has fewer training images of a class than the set.
    """
    counts, (x, y) = row_counts(synth), data.train.all()

    def real(index, *, kind: type = type(synth.y)) -> SyntheticSet:
        hard = Hard(jnp.asarray(y[index]), len(data.classes))
        labels = Target(centred(hard.index, hard.classes)) if kind is Target else hard
        return SyntheticSet(Pixels(jnp.asarray(x[index])), labels)

    @cache  # of indices: every network is shown the same draws, which a set would hold as arrays
    def chosen(choose: Callable, seed: int) -> np.ndarray:
        k_draw, index = jax.random.fold_in(jax.random.fold_in(key, DRAW), seed), []
        for count in np.unique(counts[counts > 0]):
            among = counts == count
            rank = np.where(among, np.cumsum(among) - 1, -1)  # no class of its own is -1: these examples are passed over
            index.append(choose(k_draw, rank[y], int(count)))
        return np.concatenate(index)

    @lru_cache(1)  # one set in memory, however many seeds: labels are asked for again where another network is shown the draw
    def drawn(choose: Callable, seed: int) -> SyntheticSet:
        return labels(real(chosen(choose, seed)))

    def choose_near_centres(k_draw, labels, count):
        choose = partial(choose_kmeans, k_draw, x.reshape(len(x), -1), labels, count)
        if len(x) < LONG:  # a bar inside that of the evaluation stays behind as a line
            return choose()
        with progress(int(labels.max()) + 1, f"k-means among {len(x):,} images") as bar:
            index = choose(done=bar.advance)
            bar.advance()
        return index

    known = {
        "distilled": lambda seed: synth,
        "random": lambda seed: drawn(choose_random, seed),
        "kmeans": lambda seed: drawn(choose_near_centres, seed),
        "full": lambda seed: real(slice(None), kind=Hard),
    }
    if not kinds or set(kinds) - known.keys():
        wrong = f"unknown row '{sorted(set(kinds) - known.keys())[0]}'" if kinds else "none given"
        raise BadInput(f"--rows: {wrong} (known: {', '.join(known)})")
    there = np.bincount(y, minlength=len(counts))
    if {"random", "kmeans"} & set(kinds) and (short := np.flatnonzero(there < counts)).size:
        c = short[0]
        has = f"has {there[c]} training images of class {data.classes[c]}, the set {counts[c]}"
        raise BadInput(f"--rows {','.join(kinds)}: {data.spec} {has}; only distilled and full are possible")
    return {kind: known[kind] for kind in kinds}
