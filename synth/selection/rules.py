"""Rules: which training examples are kept, from their scores or their embeddings.

A rule chooses `count` of the examples of a pool: those of a class where the kept set is balanced, all of them otherwise. Scores are f32[m],
low for easy (`synth.selection.scores`); ties go to the example that comes first. Embeddings are f32[m d]. What a rule returns are positions
in the pool, and for some rules weights: how many examples of the pool a kept one stands for. To add a rule, write its function and add its
line to RULES.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int

from synth.errors import BadInput
from synth.selection.choose import choose_herding


class Pool(NamedTuple):
    """What a rule chooses from.

    Args:
      scores: of every example. embeddings: of every example; None for a rule that reads none.
      rng: for the rules that draw.
      strata: into how many parts of equal width `ccs` cuts the range of scores.
    """

    scores: Float[np.ndarray, " m"]
    embeddings: Float[np.ndarray, "m d"] | None
    rng: np.random.Generator
    strata: int = 50


class Kept(NamedTuple):
    """Positions of the kept examples in the pool, and how many examples each stands for; None where the rule gives no weights."""

    index: Int[np.ndarray, " k"]
    weight: Float[np.ndarray, " k"] | None = None


def easy(pool: Pool, count: int) -> Kept:
    """Keeps the `count` examples with the lowest scores, the lowest first: their positions in the pool, without weights."""
    return Kept(_by_score(pool)[:count])


def hard(pool: Pool, count: int) -> Kept:
    """Keeps the `count` examples with the highest scores, the highest first: their positions in the pool, without weights."""
    return Kept(np.argsort(-pool.scores, kind="stable")[:count])


def middle(pool: Pool, count: int) -> Kept:
    """Keeps the `count` examples in the middle of the order by score, from low to high: as many are easier than all of them as are harder,
    or one fewer. Returns their positions in the pool, without weights."""
    return Kept(_by_score(pool)[(len(pool.scores) - count) // 2 :][:count])


def moderate(pool: Pool, count: int) -> Kept:
    """Keeps the `count` examples whose scores are nearest to the median of the pool, the nearest first: their positions in the pool,
    without weights (Xia et al., Moderate coreset, ICLR 2023, with the score of that name)."""
    return Kept(np.argsort(np.abs(pool.scores - np.median(pool.scores)), kind="stable")[:count])


def ccs(pool: Pool, count: int) -> Kept:
    """Equally many at random of every stratum of scores, as far as it has them; small strata first, so that others take what these lack.

    Zheng et al., Coverage-centric coreset selection, ICLR 2023, algorithm 1; its cut of the hardest is the option `drop`. Weights: how many
    examples of its stratum a kept one stands for.
    """
    edges = np.linspace(pool.scores.min(), pool.scores.max(), pool.strata + 1, dtype=np.float64)
    strata = np.clip(np.searchsorted(edges, pool.scores, side="right") - 1, 0, pool.strata - 1)
    members = [np.flatnonzero(strata == number) for number in range(pool.strata)]
    left, kept, weight = count, [], []
    for done, number in enumerate(np.argsort([len(found) for found in members], kind="stable")):
        take = min(len(members[number]), left // (pool.strata - done))
        kept.append(pool.rng.permutation(members[number])[:take])
        weight += [len(members[number]) / take] * take if take else []
        left -= take
    return Kept(np.concatenate(kept), np.array(weight))


def at_random(pool: Pool, count: int) -> Kept:
    """Keeps `count` examples drawn uniformly without replacement: their positions in the pool, without weights. Scores are not looked
    at."""
    return Kept(pool.rng.choice(len(pool.scores), count, replace=False))


def kcenter(pool: Pool, count: int) -> Kept:
    """Greedy k-center (Gonzalez 1985; Sener and Savarese, ICLR 2018): the embedding nearest to the mean, then always the one farthest from
    all chosen; in this order. Weights: how many embeddings of the pool, itself included, a kept one is nearest to."""
    points = np.asarray(pool.embeddings, np.float64)
    chosen = [int(np.square(points - points.mean(0)).sum(1).argmin())]
    nearest, owner = np.square(points - points[chosen[0]]).sum(1), np.zeros(len(points), int)
    while len(chosen) < count:
        nearest[chosen] = -1.0  # equal embeddings lie at distance 0 too, and may be chosen
        chosen.append(int(nearest.argmax()))
        distance = np.square(points - points[chosen[-1]]).sum(1)
        owner[distance < nearest] = len(chosen) - 1
        nearest = np.minimum(nearest, distance)
    owner[chosen] = np.arange(len(chosen))
    return Kept(np.array(chosen), np.bincount(owner, minlength=count).astype(np.float64))


def herding(pool: Pool, count: int) -> Kept:
    """Keeps the `count` examples whose embeddings' running mean follows the mean of the pool, in the order of choice: their positions in
    the pool, without weights. As `synth.selection.choose.choose_herding` does it for one class."""
    return Kept(choose_herding(pool.embeddings, np.zeros(len(pool.embeddings), np.int32), count))


class Rule(NamedTuple):
    """A rule by name.

    Args:
      choose: (pool, count) -> Kept.
      embeds: whether it reads embeddings, and no scores. weighs: whether it gives weights.
    """

    choose: Callable[[Pool, int], Kept]
    embeds: bool = False
    weighs: bool = False


RULES = {
    "easy": Rule(easy),
    "hard": Rule(hard),
    "middle": Rule(middle),
    "ccs": Rule(ccs, weighs=True),
    "moderate": Rule(moderate),
    "random": Rule(at_random),
    "kcenter": Rule(kcenter, embeds=True, weighs=True),
    "herding": Rule(herding, embeds=True),
}


def keep(
    key: jax.Array,
    rule: str,
    scores: Float[np.ndarray, " n"],
    y: Int[np.ndarray, " n"],
    counts: dict[int, int] | int,
    *,
    embeddings: Float[np.ndarray, "n d"] | None = None,
    drop: float = 0.0,
    strata: int = 50,
) -> Kept:
    """Chooses examples by a rule: `counts[c]` of every class c, class-major, or `counts` of all of them, ordered by class.

    Args:
      key: of the rules that draw.
      rule: a name in RULES.
      scores, y: of all n examples, low for easy; `embeddings` for the rules that read them.
      drop: the share of the hardest of every pool that is never kept, rounded down to whole examples.
      strata: of rule `ccs`.

    Returns positions among the n examples, and weights of mean 1, or None for rules that give none. Raises BadInput where a pool has fewer
    examples than are wanted of it.
    """
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    pools = {c: np.flatnonzero(y == c) for c in counts} if isinstance(counts, dict) else {-1: np.arange(len(y))}
    index, weight = [], []
    for c, members in pools.items():
        count = counts[c] if isinstance(counts, dict) else counts
        members = members[np.sort(np.argsort(scores[members], kind="stable")[: len(members) - int(drop * len(members))])]
        if len(members) < count:
            whose = f"class {c} has" if isinstance(counts, dict) else "the data have"
            dropped = f" after --drop {drop:g}" if drop else ""
            raise BadInput(f"--rule {rule}: {count} examples are wanted, and {whose} {len(members)} for training{dropped}; take fewer")
        found = RULES[rule].choose(Pool(scores[members], None if embeddings is None else embeddings[members], rng, strata), count)
        index.append(members[found.index])
        weight.append(found.weight)
    chosen = np.concatenate(index).astype(np.int32)
    order = np.argsort(y[chosen], kind="stable")
    weights = None if weight[0] is None else np.concatenate(weight)
    return Kept(chosen[order], None if weights is None else (weights / weights.mean())[order])


def _by_score(pool: Pool) -> np.ndarray:
    return np.argsort(pool.scores, kind="stable")
