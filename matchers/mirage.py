"""Mirage: frequent sets of computation trees (Gupta, Manchanda, Kodamana and Ranu, ICLR 2024)."""

from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, once
from matchers.mine import Frequent, mine, mine_top
from synth.colours import Colours, refine, share, trees
from synth.errors import BadInput
from synth.graph_content import DEEPEST, TreeSummary
from synth.graph_start import per_class
from synth.graphs import GraphExamples
from synth.labels import Runs
from synth.packing import Forest, pack_forest

SKEWED = 0.2  # below this share of the ten commonest trees, frequent ones say little
Leaves = Literal["mean", "exact"]
Items = Literal["set", "multiset"]


def mirage(
    budget: tuple[str, int] | None,
    *,
    depth: int = 2,
    support: tuple[int, ...] | None = None,
    leaves: Leaves = "mean",
    items: Items = "set",
) -> Matcher:
    """Keeps the sets of computation trees that most graphs of a class hold, with their frequencies; nothing is trained.

    D_c = {(S, f(S)) : f(S) >= theta_c}, f(S) = how many graphs of class c hold every tree of S among the depth-L trees of their nodes
    (paper, sections 3.2 and 3.3). A network of at most L layers gives the root of a tree what it gives the nodes that the tree is of.

    Args:
      budget: how many sets, or bytes, where `support` does not say it: the most frequent ones, as many of each class.
      depth: L, depth of the trees (>= 1): layers of the networks that the set serves.
      support: thresholds theta_c, one a class in their order, or one for all.
      leaves: `mean` joins trees whose leaves differ in degree and keeps the mean degree of each tag, which GCN alone reads; `exact` tells
        such trees apart, so that GCN too gives roots what it gives nodes.
      items: `set` as published: a tree counts once a graph. `multiset`: a set may hold a tree several times.
    """
    exact = leaves == "exact"

    def solve(key, synth, examples):
        colours = refine(examples.x, depth, degrees=exact)
        found = _choose(_transactions(colours, examples, items), examples, colours, budget, support, exact)
        forest = _forest(found, colours)
        payload = jnp.asarray(pack_forest(forest, examples.alphabet, depth=depth, exact=exact))
        content = TreeSummary(payload, examples.alphabet.tags, examples.alphabet.edges, depth, exact)
        counts = np.array([len(sets) for sets in found], np.int32)
        return replace(synth, x=content, y=Runs(jnp.asarray(counts), jnp.asarray(examples.sizes())))

    if depth > DEEPEST:
        raise BadInput(f"--depth {depth}: at most {DEEPEST} is possible")
    if (support is None) == (budget is None):
        raise BadInput("mirage: give either --support (a threshold a class) or one of --ipc, --size and --bytes")
    return once(solve)._replace(recipe="graph", remarks=lambda examples: premise(examples, depth, exact))


def premise(examples: GraphExamples, depth: int, exact: bool) -> list[str]:
    """How much of the graphs their commonest trees are, and a warning where that is little."""
    colours = refine(examples.x, depth, degrees=exact)
    part, kinds = share(colours), len(colours.first[-1])
    said = [f"skew: the 10 commonest of {kinds:,} trees of depth {depth} are those of {100 * part:.1f} % of all nodes"]
    if part < SKEWED:
        advice = "try --depth 1 or another method" if depth > 1 else "try another method"
        said.append(f"warning: that is below {100 * SKEWED:.0f} %, so frequent trees say little about these graphs; {advice}")
    return said


def _transactions(colours: Colours, examples: GraphExamples, items: Items) -> list[list[list[int]]]:
    """For every class and graph the colours of its nodes; as a multiset, copy k of colour c is the item c + k * (number of colours)."""
    last = colours.rounds[-1]
    kinds = len(colours.first[-1])
    pairs, times = np.unique(examples.x.graph.astype(np.int64) * kinds + last, return_counts=True)
    graph, colour = np.divmod(pairs, kinds)
    held: list[list[int]] = [[] for _ in examples.y]
    for g, c, n in zip(graph.tolist(), colour.tolist(), times.tolist(), strict=True):
        held[g] += [c + k * kinds for k in range(n if items == "multiset" else 1)]
    return [[held[g] for g in np.flatnonzero(examples.y == c)] for c in range(examples.classes)]


def _choose(transactions, examples, colours, budget, support, exact) -> list[list[Frequent]]:
    """The sets of every class, most frequent first."""
    kinds = len(colours.first[-1])
    if support is not None:
        least = [*support] * (examples.classes if len(support) == 1 else 1)
        if len(least) != examples.classes:
            raise BadInput(f"--support: {len(least)} thresholds for {examples.classes} classes; give one a class, or one for all")
        found = [_whole(mine(held, theta), kinds) for held, theta in zip(transactions, least, strict=True)]
    elif (count := per_class(budget, examples.classes)) is not None:
        found = [_top(held, count, kinds) for held in transactions]
    else:
        found = _within(transactions, examples, colours, budget[1], exact)
    if not any(found):
        raise BadInput(f"--support {' '.join(map(str, support))}: no set of trees is so frequent; give a smaller threshold")
    return found


def _top(held: list[list[int]], count: int, kinds: int) -> list[Frequent]:
    wanted = count
    while len(found := _whole(mined := mine_top(held, wanted), kinds)) < count and len(mined) == wanted:
        wanted *= 2  # some were no multisets
    return found[:count]


def _whole(found: list[Frequent], kinds: int) -> list[Frequent]:
    """Of sets with numbered copies those that hold copies 0 to k - 1 of each colour: one for every multiset."""
    return [one for one in found if all(item < kinds or item - kinds in one.items for item in one.items)]


def _within(transactions, examples: GraphExamples, colours: Colours, limit: int, exact: bool) -> list[list[Frequent]]:
    """As many sets of every class as fit into `limit` bytes, labels included."""
    room = limit - 8 * examples.classes

    def fits(found) -> bool:
        return pack_forest(_forest(found, colours), examples.alphabet, depth=colours.depth, exact=exact).nbytes <= room

    ranked, count = [_top(held, 1, len(colours.first[-1])) for held in transactions], 1
    if not fits(ranked):
        raise BadInput(f"--bytes {limit}: does not hold one set of trees a class; give more")
    while fits(ranked) and any(len(sets) == count for sets in ranked):
        count *= 2
        ranked = [_top(held, count, len(colours.first[-1])) for held in transactions]
    low, high = 1, count + 1  # `low` fits; `high` does not, or there are no more sets
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits([sets[:middle] for sets in ranked]) else (low, middle)
    return [sets[:low] for sets in ranked]


def _forest(found: list[list[Frequent]], colours: Colours) -> Forest:
    """The trees that the sets speak of, sorted, and the sets by their places: the same whatever the nodes were called."""
    kinds = len(colours.first[-1])
    used = sorted({item % kinds for sets in found for one in sets for item in one.items})
    grown = dict(zip(used, trees(colours, np.array(used, np.int64)), strict=True))
    order = {tree: place for place, tree in enumerate(sorted(grown.values()))}
    sets = []
    for mined in found:
        placed = [(tuple(sorted(order[grown[item % kinds]] for item in one.items)), one.support) for one in mined]
        sets += sorted(placed, key=lambda one: (-one[1], len(one[0]), one[0]))
    tags, degree = colours.graphs.tags, colours.graphs.degrees()
    mean = np.bincount(tags, degree) / np.maximum(np.bincount(tags), 1)
    return Forest(list(order), sets, dict(enumerate(mean.tolist())))
