"""Colour refinement: finds nodes with the same computation tree, without building a tree.

The colour of a node after l rounds stands for its unrolled tree of depth l: its tag, and below it the trees of depth l - 1 of all its
neighbours, the one it was reached from included. Two nodes share a colour exactly when these trees are equal up to the order of
neighbours (Weisfeiler and Leman, 1968; Shervashidze et al., JMLR 2011, section 3). A round takes sorting every edge once: O(L |E| log |E|).
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Int32

from synth.graphs.base import GraphBatch, Graphs, Hop
from synth.graphs.trees import Tree


class Colours(NamedTuple):
    """Colours of all nodes of a table after 0, 1, ..., L rounds.

    Args:
      graphs: the table.
      rounds: i32[v] a round; colours of a round are numbered from 0.
      first: i32[colours] a round: the first node of every colour.
      exact: whether colours tell the degrees of leaves apart.
    """

    graphs: Graphs
    rounds: tuple[Int32[np.ndarray, " v"], ...]
    first: tuple[Int32[np.ndarray, " _"], ...]
    exact: bool

    @property
    def depth(self) -> int:
        """L, the number of rounds."""
        return len(self.rounds) - 1


def refine(graphs: Graphs, depth: int, *, degrees: bool = False) -> Colours:
    """Computes the colours of all nodes after each of `depth` rounds.

    Args:
      graphs: v nodes, e edges.
      depth: L >= 0.
      degrees: whether a leaf's degree in its graph is part of its tree, as the normalisation of a GCN needs it.
    """
    tags, degree = graphs.tags.astype(np.int64), graphs.degrees()
    start = tags * (int(degree.max(initial=0)) + 1) + degree if degrees else tags
    rounds = [_number(start)]
    for _ in range(depth):
        rounds.append(_round(graphs, rounds[-1], degree))
    first = tuple(_first(colour) for colour in rounds)
    return Colours(graphs, tuple(rounds), first, degrees)


def _number(values: np.ndarray) -> Int32[np.ndarray, " v"]:
    return np.unique(values, return_inverse=True)[1].astype(np.int32)


def _first(colour: np.ndarray) -> Int32[np.ndarray, " _"]:
    first = np.zeros(int(colour.max(initial=-1)) + 1, np.int32)
    first[colour[::-1]] = np.arange(len(colour), dtype=np.int32)[::-1]
    return first


def _round(graphs: Graphs, colour: np.ndarray, degree: np.ndarray) -> Int32[np.ndarray, " v"]:
    """One round: nodes get equal numbers where their colour and the multiset of (edge label, neighbour's colour) are equal."""
    known = np.int64(colour.max(initial=0)) + 1
    seen = graphs.labels.astype(np.int64) * known + colour[graphs.senders]
    kinds, seen = np.unique(seen, return_inverse=True)
    order = np.lexsort((seen, graphs.receivers))
    seen, start = seen[order], np.cumsum(degree) - degree
    # Numbers of (colour, degree), then of (number, next neighbour) as long as a node has one: exact, where a hash could collide.
    number = np.unique(colour.astype(np.int64) * (degree.max(initial=0) + 1) + degree, return_inverse=True)[1].astype(np.int64)
    by_degree, known = np.argsort(-degree, kind="stable"), number.max(initial=-1) + 1
    left = np.searchsorted(-degree[by_degree], -np.arange(degree.max(initial=0)))  # nodes that have a neighbour at each position
    for position, count in enumerate(left.tolist()):
        more = by_degree[:count]  # so that the work is that of the edges, however large the hubs
        fresh = np.unique(number[more] * len(kinds) + seen[start[more] + position], return_inverse=True)[1]
        number[more] = known + fresh
        known += fresh.max() + 1
    return _number(number)


def _into(graphs: Graphs) -> tuple[np.ndarray, np.ndarray]:
    """Edges by receiver, and where those of each node begin; the last entry is their number."""
    order = np.argsort(graphs.receivers, kind="stable")
    return order, np.searchsorted(graphs.receivers[order], np.arange(len(graphs.tags) + 1))


def grower(colours: Colours) -> Callable[[int], Tree]:
    """Builds a function from the number of a colour of the last round to its tree. It keeps trees that it has built."""
    graphs, degree = colours.graphs, colours.graphs.degrees()
    order, start = _into(graphs)
    made: dict[tuple[int, int], Tree] = {}

    def grow(level: int, colour: int) -> Tree:
        if (level, colour) not in made:
            node = int(colours.first[level][colour])
            lines = order[start[node] : start[node + 1]] if level else ()
            below = [(int(graphs.labels[e]), grow(level - 1, int(colours.rounds[level - 1][graphs.senders[e]]))) for e in lines]
            known = len(below) if level else int(degree[node]) if colours.exact else -1
            made[level, colour] = Tree(int(graphs.tags[node]), known, tuple(sorted(below)))
        return made[level, colour]

    return lambda colour: grow(colours.depth, colour)


def trees(colours: Colours, chosen: np.ndarray) -> list[Tree]:
    """The trees of the colours of the last round whose numbers are `chosen`, in its order."""
    return list(map(grower(colours), np.asarray(chosen).tolist()))


def share(colours: Colours, *, top: int = 10) -> float:
    """The share, in [0, 1], of nodes whose tree (of the last round) is among the `top` most frequent ones. A summary by frequent trees
    needs a large share."""
    counts = np.bincount(colours.rounds[-1])
    return float(np.sort(counts)[::-1][:top].sum() / max(counts.sum(), 1))


def looks(colours: Colours) -> Int32[np.ndarray, " g"]:
    """A number for every graph, from 0 in the order in which they are first there. Graphs share one exactly when they hold the same colours
    of the last round, each as often, as isomorphic ones do. Networks of at most L layers, the number of rounds, give them the same output.
    """
    graphs, known = colours.graphs, {}
    last = colours.rounds[-1][np.lexsort((colours.rounds[-1], graphs.graph))]
    ends = np.cumsum(graphs.nodes)
    held = (last[end - count : end].tobytes() for end, count in zip(ends.tolist(), graphs.nodes.tolist(), strict=True))
    return np.array([known.setdefault(of_graph, len(known)) for of_graph in held], np.int32)


class Evaluations(NamedTuple):
    """Node evaluations of one pass of an L-layer network: over every node of every graph, and over one node a colour."""

    graphs: int
    colours: int


def evaluations(colours: Colours) -> Evaluations:
    """How many node vectors a network of `colours.depth` layers computes: on the graphs themselves, and on their colour graph."""
    return Evaluations(len(colours.graphs.tags) * (colours.depth + 1), sum(map(len, colours.first)))


def colour_batch(colours: Colours) -> GraphBatch:
    """The colour graph as a batch: every level has one node for each colour; edges and readout hold how often they occur.

    A network of at most L layers, the number of rounds, gives every graph the output it has on the graph itself. Without degrees in the
    colours, a leaf carries the mean degree of the nodes it stands for. Raises ValueError for colours without a round.
    """
    graphs, degree = colours.graphs, colours.graphs.degrees().astype(np.float32)
    order, start = _into(graphs)
    leaves = colours.rounds[0]
    mean = np.bincount(leaves, degree) / np.maximum(np.bincount(leaves), 1)
    levels, hops = [mean.astype(np.float32)], []
    for level in range(1, colours.depth + 1):
        below, first = colours.rounds[level - 1], colours.first[level]
        spans = start[first + 1] - start[first]
        receivers = np.repeat(np.arange(len(first)), spans)
        lines = order[np.concatenate([np.arange(start[node], start[node + 1]) for node in first])] if len(first) else order[:0]
        rows = np.stack([receivers, below[graphs.senders[lines]], graphs.labels[lines]], 1)
        edges, counts = np.unique(rows, axis=0, return_counts=True) if len(rows) else (np.zeros((1, 3), int), np.zeros(1))
        receivers, senders, labels = (column.astype(np.int32) for column in edges.T)
        hops.append(Hop(senders, receivers, labels, counts.astype(np.float32), below[first].astype(np.int32)))
        levels.append(degree[first])
    last = colours.rounds[-1]
    pairs, times = np.unique(graphs.graph.astype(np.int64) * (int(last.max(initial=0)) + 1) + last, return_counts=True)
    graph, node = np.divmod(pairs, int(last.max(initial=0)) + 1)
    tags, real = graphs.tags[colours.first[0]], np.ones(len(graphs.nodes), np.float32)
    if not hops:  # a network without layers: levels would not show
        raise ValueError("a colour graph needs at least one round")
    readout = graph.astype(np.int32), node.astype(np.int32), times.astype(np.float32)
    return jax.tree.map(jnp.asarray, GraphBatch(tags, tuple(levels), tuple(hops), *readout, real))
