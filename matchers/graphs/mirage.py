"""Mirage: frequent sets of computation trees (Gupta, Manchanda, Kodamana and Ranu, ICLR 2024)."""

from collections import Counter
from dataclasses import replace
from typing import Literal

import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from matchers.base import Matcher, once
from matchers.graphs.itemsets import Frequent, mine, mine_top
from synth.errors import BadInput
from synth.graphs.base import GraphExamples
from synth.graphs.content import DEEPEST, TreeSummary
from synth.graphs.packing import MOST, TreeSets, pack_tree_sets
from synth.graphs.refinement import Colours, grower, refine, share
from synth.graphs.trees import Tree, count_nodes
from synth.labels.plain import Runs
from synth.selection.graphs import per_class

SKEWED = 0.2  # below this share of the ten commonest trees, frequent ones say little
Leaves = Literal["mean", "exact"]
Items = Literal["set", "multiset"]
Shared = Literal["drop"]


def mirage(
    budget: tuple[str, int] | None,
    *,
    depth: int = 2,
    support: tuple[int, ...] | None = None,
    leaves: Leaves = "exact",
    items: Items = "set",
    shared: Shared | None = None,
) -> Matcher:
    """Keeps the sets of computation trees that most graphs of a class hold, with their frequencies; nothing is trained.

    D_c = {(S, f(S)) : f(S) >= theta_c}, f(S) = how many graphs of class c hold every tree of S among the depth-L trees of their nodes
    (paper, sections 3.2 and 3.3). A network of at most L layers gives the root of a tree what it gives the nodes that the tree is of.

    Args:
      budget: how many sets, or bytes, where `support` does not say it: the most frequent ones, as many of each class.
      depth: L, depth of the trees (>= 1): layers of the networks that the set serves.
      support: thresholds theta_c, one a class in their order, or one for all.
      leaves: `exact` tells trees apart whose leaves differ in degree, so that GCN, which reads degrees, gives roots what it gives nodes;
        `mean` joins such trees and keeps the mean degree of each tag.
      items: `set` as published: a tree counts once a graph. `multiset`: a set may hold a tree several times.
      shared: `drop` leaves out the sets that are frequent in more than one class, as the released code does on NCI1, so that a budget
        holds others; kept by default, as in the paper.
    """
    exact = leaves == "exact"

    def solve(key, synth, examples):
        wood = Wood(examples, refine(examples.x, depth, degrees=exact), items, shared=shared)
        found = wood.choose(budget, support)
        content = TreeSummary(jnp.asarray(wood.pack(found)), examples.alphabet.tags, examples.alphabet.edges, depth, exact)
        counts = np.array([len(sets) for sets in found], np.int32)
        return replace(synth, x=content, y=Runs(jnp.asarray(counts), jnp.asarray(examples.sizes())))

    if depth > DEEPEST:
        raise BadInput(f"--depth {depth}: at most {DEEPEST} is possible")
    if (support is None) == (budget is None):
        raise BadInput("mirage: give either --support (a threshold a class) or one of --ipc, --size and --bytes")
    return once(solve)._replace(recipe="graph", remarks=lambda examples: premise(examples, depth, leaves=leaves))


def premise(examples: GraphExamples, depth: int, *, leaves: Leaves = "exact") -> list[str]:
    """Lines for the user: one says which share of the nodes have one of the ten most frequent trees of this depth; a second warns if that
    share is below 20 %. `leaves` as of `mirage`."""
    colours = refine(examples.x, depth, degrees=leaves == "exact")
    parts = [share(colours._replace(rounds=colours.rounds[: level + 1])) for level in range(depth + 1)]
    kinds = len(colours.first[-1])
    said = [f"skew: the 10 commonest of {kinds:,} trees of depth {depth} are those of {100 * parts[depth]:.1f} % of all nodes"]
    if parts[depth] < SKEWED:
        enough = [level for level in range(1, depth) if parts[level] >= SKEWED]
        advice = f"try --depth {enough[-1]} or another method" if enough else "try another method"
        said.append(f"warning: that is below {100 * SKEWED:.0f} %, so frequent trees say little about these graphs; {advice}")
    return said


def transactions(colours: Colours, examples: GraphExamples, *, items: Items = "set") -> list[list[list[int]]]:
    """For every class, the transactions of its graphs: the colours of their nodes as items. As a multiset, copy k (from 0) of colour c is
    item c + k * (number of colours)."""
    last, kinds = colours.rounds[-1], len(colours.first[-1])
    pairs, times = np.unique(examples.x.graph.astype(np.int64) * kinds + last, return_counts=True)
    graph, colour = np.divmod(pairs, kinds)
    held: list[list[int]] = [[] for _ in examples.y]
    for g, c, n in zip(graph.tolist(), colour.tolist(), times.tolist(), strict=True):
        held[g] += [c + k * kinds for k in range(n if items == "multiset" else 1)]
    return [[held[g] for g in np.flatnonzero(examples.y == c)] for c in range(examples.classes)]


class Wood:
    """The computation trees of some graphs, prepared for mining. A tree is built when a set first needs it."""

    def __init__(self, examples: GraphExamples, colours: Colours, items: Items, *, shared: Shared | None = None):
        self.examples, self.colours, self.kinds = examples, colours, len(colours.first[-1])
        self.shared = shared
        self.transactions, self.grow = transactions(colours, examples, items=items), grower(colours)
        tags, degree = examples.x.tags, examples.x.degrees()
        self.leaves = dict(enumerate((np.bincount(tags, degree) / np.maximum(np.bincount(tags), 1)).tolist()))

    def choose(self, budget: tuple[str, int] | None, support: tuple[int, ...] | None) -> list[list[Frequent]]:
        """Chooses the sets of every class, a list a class in their order, most frequent first.

        Args:
          budget: (`ipc`, `size` or `bytes`, how many): the most frequent sets, as many of each class. Only read without `support`.
          support: thresholds, one a class or one for all: all sets of at least that many graphs.

        Raises BadInput for a wrong number of thresholds, and where a class would get no set.
        """
        classes = self.examples.classes
        if support is None:
            count = per_class(budget, classes)
            return self.fit_bytes(budget[1]) if count is None else self.most_frequent(count)
        least = [*support] * (classes if len(support) == 1 else 1)
        if len(least) != classes:
            raise BadInput(f"--support: {len(least)} thresholds for {classes} classes; give one a class, or one for all")
        for c, (graphs, theta) in enumerate(zip(self.transactions, least, strict=True)):
            most = max(Counter(item for graph in graphs for item in graph).values(), default=0)  # no set is more frequent than its items
            if theta > most:
                raise BadInput(f"--support {theta}: no set of trees is so frequent in class {c}; the largest that works there is {most}")
        kept = self.kept([mine(graphs, theta, kinds=self.kinds) for graphs, theta in zip(self.transactions, least, strict=True)])
        if not all(kept):
            raise BadInput(f"--shared drop: every set of class {kept.index([])} is frequent in another class too; give a smaller --support")
        return kept

    def kept(self, found: list[list[Frequent]]) -> list[list[Frequent]]:
        """The sets of every class (a list a class) without those that another class has too; all of them where shared ones are not to be
        dropped."""
        if self.shared is None:
            return found
        classes = Counter(one.items for sets in found for one in sets)
        return [[one for one in sets if classes[one.items] == 1] for sets in found]

    def most_frequent(self, count: int) -> list[list[Frequent]]:
        """The `count` most frequent sets of every class. Where shared ones are dropped, the lists that are compared grow twofold until so
        many remain, or there are no more. Raises BadInput where none remains."""
        ranked, length = self.top(count), count
        while min(map(len, self.kept(ranked))) < count and any(len(sets) == length for sets in ranked):
            length *= 2
            ranked = self.top(length)
        kept = [sets[:count] for sets in self.kept(ranked)]
        if not all(kept):
            raise BadInput(f"--shared drop: every set of class {kept.index([])} is in another class too; leave --shared out")
        return kept

    def top(self, count: int) -> list[list[Frequent]]:
        """The `count` most frequent sets of every class. Raises BadInput if a class has too many equally frequent ones."""
        found = [mine_top(graphs, count, kinds=self.kinds) for graphs in self.transactions]
        if not all(found):
            raise BadInput(f"class {found.index([])} holds more equally frequent sets of trees than can be mined; try a smaller --depth")
        return found

    def fit_bytes(self, limit: int) -> list[list[Frequent]]:
        """Chooses the most frequent sets, as many of every class as fit into `limit` bytes with their labels. Raises BadInput where not one
        of each class does."""
        room = limit - 8 * self.examples.classes
        ranked, count, low = self.top(1), 1, 0

        def first(length: int) -> list[list[Frequent]]:
            return self.kept([sets[:length] for sets in ranked])

        def serves(length: int) -> bool:
            return all(sets := first(length)) and self.fits(sets, room)

        while not any(first(count)) or self.fits(first(count), room):
            low = count if serves(count) else low
            if not any(len(sets) == count for sets in ranked):
                break
            count *= 2
            ranked = self.top(count)
        low = low or next(filter(serves, range(1, count)), 0)
        if not low:
            apart = "" if self.shared is None else " that is in no other class"
            raise BadInput(f"--bytes {limit}: does not hold one set of trees a class{apart}; give more")
        high = count + 1  # `low` serves; `high` does not fit, or there are no more sets
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if serves(middle) else (low, middle)
        return first(low)

    def trees_of(self, found: list[list[Frequent]]) -> dict[int, Tree]:
        """Maps every item in the sets (a list a class) to its tree."""
        return {item: self.grow(item % self.kinds) for sets in found for one in sets for item in one.items}

    def fits(self, found: list[list[Frequent]], room: int) -> bool:
        """Whether the sets (a list a class) take at most `room` bytes when packed, and their trees have no more nodes than can be read
        back."""
        return count_nodes(self.trees_of(found).values()) <= MOST and self.pack(found).nbytes <= room

    def pack(self, found: list[list[Frequent]]) -> UInt8[np.ndarray, " p"]:
        """Packs the sets (a list a class) as bytes. Trees are sorted and sets ordered by frequency, so that the names of nodes do not
        matter.

        Raises BadInput for trees of more nodes than can be read back.
        """
        grown = self.trees_of(found)
        if (nodes := count_nodes(grown.values())) > MOST:
            raise BadInput(f"the frequent trees have {nodes:,} nodes, more than {MOST:,}; try a smaller --depth")
        order = {tree: place for place, tree in enumerate(sorted(set(grown.values())))}
        rows = []
        for mined in found:
            placed = [(tuple(sorted(order[grown[item]] for item in one.items)), one.support) for one in mined]
            rows += sorted(placed, key=lambda one: (-one[1], len(one[0]), one[0]))
        tree_sets = TreeSets(list(order), rows, self.leaves)
        return pack_tree_sets(tree_sets, self.examples.alphabet, depth=self.colours.depth, exact=self.colours.exact)
