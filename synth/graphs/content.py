"""Packed contents of graphs, as `synth.content.Content` asks for them, and the `GraphBatch` that they decode to.

`decode(depth=None)` runs on the host. Given the depth of a network it may compute no more than that network asks for.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from synth.errors import BadInput
from synth.graphs.base import Alphabet, GraphBatch, Graphs, Hop, batch_of
from synth.graphs.packing import TreeSets, unpack_graphs, unpack_tree_sets
from synth.graphs.refinement import colour_batch, refine
from synth.graphs.tree_batch import tree_batch

DEEPEST = 16


class TreeSummary(NamedTuple):
    """Frequent sets of computation trees, packed into bits (`synth.graphs.packing`): trees, sets and their frequencies.

    Args:
      payload: u8[p].
      tag_kinds, edge_kinds: how many node tags and edge labels the data have.
      depth: of the trees; the most layers a network may have.
      exact: whether every leaf carries its own degree in the graph, or the mean of its tag.
    """

    payload: UInt8[Array, " p"]
    tag_kinds: int
    edge_kinds: int
    depth: int
    exact: bool
    kind = "trees"
    modality = "graphs"

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet of the graphs that the summary stands for."""
        return Alphabet(self.tag_kinds, self.edge_kinds)

    def tree_sets(self) -> TreeSets:
        """The trees and sets, unpacked from the bytes."""
        return unpack_tree_sets(np.asarray(self.payload), self.alphabet, depth=self.depth, exact=self.exact)

    def decode(self, *, depth: int | None = None) -> GraphBatch:
        """A batch in which every set of trees is one graph, and equal subtrees are one node.

        `depth` is the number of layers of the network that will read it: raises BadInput where these are more than the depth of the trees;
        else it changes nothing.
        """
        if depth is not None and depth > self.depth:
            raise BadInput(f"--net: {depth} layers look further than the set's trees of depth {self.depth}; use depth={self.depth}")
        return tree_batch(self.tree_sets(), depth=self.depth)

    @property
    def n(self) -> int:
        """How many examples there are: sets of trees."""
        return len(self.frequency())

    def frequency(self) -> Float[np.ndarray, " n"]:
        """How many real graphs hold each set of trees."""
        return np.array([frequency for _, frequency in self.tree_sets().sets], np.float64)

    def store(self) -> "TreeSummary":
        """Returns itself: files can store it."""
        return self

    def nbytes(self) -> int:
        """Payload bytes."""
        return self.payload.nbytes

    def check(self) -> None:
        """Raises ValueError if the bytes do not encode tree sets, or `depth` or a number of labels is impossible."""
        _check_alphabet(self)
        if not 1 <= self.depth <= DEEPEST:
            raise ValueError(f"trees of depth {self.depth}; 1 to {DEEPEST} is possible")
        self.tree_sets()


class PackedGraphs(NamedTuple):
    """Whole graphs, packed into bits (`synth.graphs.packing`)."""

    payload: UInt8[Array, " p"]
    tag_kinds: int
    edge_kinds: int
    directed: bool
    kind = "graphs"
    modality = "graphs"

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet of the graphs."""
        return Alphabet(self.tag_kinds, self.edge_kinds, self.directed)

    def graphs(self) -> Graphs:
        """The graphs themselves."""
        return unpack_graphs(np.asarray(self.payload), self.alphabet)

    def decode(self, *, depth: int | None = None) -> GraphBatch:
        """The graphs as a batch. If `depth` is given, their colour graph for a network of `depth` layers (at least 1), which gives the same
        outputs for less work."""
        graphs = self.graphs()
        return batch_of(graphs) if depth is None else colour_batch(refine(graphs, depth, degrees=True))

    @property
    def n(self) -> int:
        """How many examples there are."""
        return len(self.frequency())

    def frequency(self) -> Float[np.ndarray, " n"]:
        """1 for every graph: each counts once."""
        return np.ones(len(self.graphs().nodes))

    def store(self) -> "PackedGraphs":
        """Returns itself: files can store it."""
        return self

    def nbytes(self) -> int:
        """Payload bytes."""
        return self.payload.nbytes

    def check(self) -> None:
        """Raises ValueError if the bytes do not encode graphs."""
        _check_alphabet(self)
        self.graphs()


class ColourGraph(NamedTuple):
    """All graphs, without loss: a node for every colour of every round of refinement, with multiplicities.

    Args:
      tags: of the colours of round 0, the leaves.
      degrees: of all colours, round after round.
      same: what each colour above round 0 is in the round below.
      senders, receivers, labels, counts: edges, hop after hop; rows within a round, an edge label, how often.
      levels, hops: how many colours each round and edges each hop has.
      graph, node, times: graph g holds colour `node` of the last round `times` times.
      exact: whether colours tell the degrees of leaves apart, as GCN needs it.
    """

    tags: Int[Array, " leaves"]
    degrees: Float[Array, " colours"]
    same: Int[Array, " above"]
    senders: Int[Array, " edges"]
    receivers: Int[Array, " edges"]
    labels: Int[Array, " edges"]
    counts: Int[Array, " edges"]
    levels: Int[Array, " rounds"]
    hops: Int[Array, " depth"]
    graph: Int[Array, " entries"]
    node: Int[Array, " entries"]
    times: Int[Array, " entries"]
    tag_kinds: int
    edge_kinds: int
    exact: bool
    kind = "colours"
    modality = "graphs"

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet of the graphs that the colour graph stands for."""
        return Alphabet(self.tag_kinds, self.edge_kinds)

    @property
    def depth(self) -> int:
        """The largest number of layers that a network may have."""
        return len(self.hops)

    def decode(self, *, depth: int | None = None) -> GraphBatch:
        """The colour graph as a batch, in whose readout every real graph is one graph.

        `depth` is the number of layers of the network that will read it: raises BadInput where these are more than the rounds of colours;
        else it changes nothing.
        """
        if depth is not None and depth > self.depth:
            raise BadInput(f"--net: {depth} layers look further than the set's {self.depth} rounds of colours; use depth={self.depth}")
        host = [np.asarray(value) for value in self[:12]]
        tags, degrees, same, senders, receivers, labels, counts, levels, hops, graph, node, times = host
        at, cut = np.cumsum(levels)[:-1], np.cumsum(hops)[:-1]
        edges = (np.split(row, cut) for row in (senders, receivers, labels, counts.astype(np.float32)))
        made = tuple(Hop(*row) for row in zip(*edges, np.split(same, at[1:] - at[0]), strict=True))
        readout = graph, node, times.astype(np.float32), np.ones(int(graph.max()) + 1, np.float32)
        return jax.tree.map(jnp.asarray, GraphBatch(tags, tuple(np.split(degrees, at)), made, *readout))

    @property
    def n(self) -> int:
        """How many examples there are."""
        return len(self.frequency())

    def frequency(self) -> Float[np.ndarray, " n"]:
        """1 for every graph: each counts once."""
        return np.ones(int(np.max(self.graph)) + 1)

    def store(self) -> "ColourGraph":
        """Returns itself: files can store it."""
        return self

    def nbytes(self) -> int:
        """Payload bytes: all arrays."""
        return sum(value.nbytes for value in self[:12])

    def check(self) -> None:
        """Raises ValueError if an index points outside its round, sizes do not add up, or a multiplicity or degree is negative."""
        _check_alphabet(self)
        levels, hops = np.asarray(self.levels, np.int64), np.asarray(self.hops, np.int64)
        if len(levels) != len(hops) + 1 or levels.min() < 1 or hops.min() < 1:
            raise ValueError(f"{len(levels)} rounds with {len(hops)} hops; one hop leads from each round to the next, none is empty")
        sizes = (len(self.tags), len(self.degrees), len(self.same), len(self.senders))
        if sizes != (levels[0], levels.sum(), levels[1:].sum(), hops.sum()):
            raise ValueError("levels and hops do not add up to the colours and edges that are there")
        hop = np.repeat(np.arange(len(hops)), hops)
        bounds = {"tags": self.tag_kinds, "labels": self.edge_kinds, "senders": levels[:-1][hop], "receivers": levels[1:][hop]}
        bounds |= {"same": np.repeat(levels[:-1], levels[1:]), "node": levels[-1], "graph": len(self.graph)}
        for name, bound in bounds.items():
            if (np.asarray(getattr(self, name)) < 0).any() or (np.asarray(getattr(self, name)) >= bound).any():
                raise ValueError(f"{name} leads out of what is there")
        if min(float(np.min(part)) for part in (self.counts, self.times, self.degrees)) < 0:
            raise ValueError("a multiplicity or degree is negative")


def colour_graph(batch: GraphBatch, alphabet: Alphabet, *, exact: bool) -> ColourGraph:
    """Converts a colour graph from `synth.graphs.refinement.colour_batch` to a content. `exact` tells whether its colours were refined with
    the degrees of leaves."""

    def whole(arrays, dtype=np.int32):
        return jnp.asarray(np.concatenate([np.asarray(array) for array in arrays]).astype(dtype))

    hops = [whole(getattr(hop, name) for hop in batch.hops) for name in ("senders", "receivers", "labels", "counts")]
    sizes = [jnp.asarray([len(row) for row in rows], jnp.int32) for rows in (batch.degrees, [hop.senders for hop in batch.hops])]
    levels = whole([batch.tags]), whole(batch.degrees, np.float32), whole(hop.same for hop in batch.hops)
    return ColourGraph(*levels, *hops, *sizes, batch.graph, batch.node, whole([batch.times]), alphabet.tags, alphabet.edges, exact)


def _check_alphabet(content) -> None:
    if content.tag_kinds < 1 or content.edge_kinds < 1:
        raise ValueError(f"{content.tag_kinds} tags and {content.edge_kinds} edge labels; there must be one or more of both")


def _static(kind: type, arrays: int) -> None:
    """Only the first fields are leaves; what the header holds is part of the structure."""
    jax.tree_util.register_pytree_node(kind, lambda x: (x[:arrays], x[arrays:]), lambda fixed, leaves: kind(*leaves, *fixed))


_static(TreeSummary, 1)
_static(PackedGraphs, 1)
_static(ColourGraph, 12)
