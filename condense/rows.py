"""The rows of a comparison: a set, real images at the same budget, all of the training images."""

from collections.abc import Callable, Sequence
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from condense.data import Data
from synth.content import Pixels
from synth.errors import BadInput
from synth.labels import Hard
from synth.set import SyntheticSet
from synth.start import choose_kmeans, choose_random

DRAW = 1  # key stream of an evaluation


def class_counts(synth: SyntheticSet) -> np.ndarray:
    """Examples of every class, by the most probable label."""
    return np.bincount(np.asarray(synth.y.probs()).argmax(-1), minlength=len(synth.info.classes))


def make_rows(key: jax.Array, synth: SyntheticSet, data: Data, kinds: Sequence[str]) -> dict[str, Callable[[int], SyntheticSet]]:
    """seed -> set for every kind: the set itself, as many real training images of every class drawn anew for every seed, or all of them.

    Raises BadInput for an unknown kind or none, and where the data has fewer training images of a class than the set.
    """
    counts, (x, y) = class_counts(synth), data.train

    def real(index) -> SyntheticSet:
        return SyntheticSet(Pixels(jnp.asarray(x[index])), Hard(jnp.asarray(y[index]), len(data.classes)))

    @cache  # of indices: every network is shown the same draws
    def chosen(choose: Callable, seed: int) -> np.ndarray:
        k_draw, index = jax.random.fold_in(jax.random.fold_in(key, DRAW), seed), []
        for count in np.unique(counts[counts > 0]):
            among = counts == count
            rank = np.where(among, np.cumsum(among) - 1, -1)  # no class of its own is -1: these examples are passed over
            index.append(choose(k_draw, rank[y], int(count)))
        return np.concatenate(index)

    def choose_near_centres(k_draw, labels, count):
        return choose_kmeans(k_draw, x.reshape(len(x), -1), labels, count)

    known = {
        "distilled": lambda seed: synth,
        "random": lambda seed: real(chosen(choose_random, seed)),
        "kmeans": lambda seed: real(chosen(choose_near_centres, seed)),
        "full": lambda seed: real(slice(None)),
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
