"""Graphs: tables of them on the host, padded batches of fixed shape for networks, and the one message function.

A table holds directed edges; an undirected graph lists every edge in both directions. A message runs from an edge's sender to its receiver,
so the neighbours of a node are the senders of the edges that end in it, and its degree is how many these are. Tags are node labels in
0..tags-1, edge labels lie in 0..edges-1.

A batch is a sequence of levels: level 0 carries the tags, hop l leads from the nodes of level l to those of level l+1. In a batch of plain
graphs one hop, from the nodes to themselves, serves every layer of a network. In a colour graph (`synth.graphs.refinement`) every level has
nodes of its own. Entries may be padding: they count 0 times.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

RATIO = 1.25  # of two sizes that follow each other: no batch holds more than 1.25 times what it must


class Alphabet(NamedTuple):
    """The facts about graphs that a network needs: the number of node tags, the number of edge labels, and whether edges have a
    direction."""

    tags: int
    edges: int = 1
    directed: bool = False


class Graphs(NamedTuple):
    """A table of g graphs with v nodes and e directed edges in all; node numbers run through, graph after graph.

    Args:
      nodes: how many nodes each graph has.
      tags: node label of every node.
      senders, receivers: the nodes from which and to which every edge runs; an undirected edge is there in both directions.
      labels: edge label of every edge.
    """

    nodes: Int32[np.ndarray, " g"]
    tags: Int32[np.ndarray, " v"]
    senders: Int32[np.ndarray, " e"]
    receivers: Int32[np.ndarray, " e"]
    labels: Int32[np.ndarray, " e"]

    @property
    def graph(self) -> Int32[np.ndarray, " v"]:
        """The number of the graph that each node belongs to, from 0."""
        return np.repeat(np.arange(len(self.nodes), dtype=np.int32), self.nodes)

    def degrees(self) -> Int32[np.ndarray, " v"]:
        """How many edges end in each node."""
        return np.bincount(self.receivers, minlength=len(self.tags)).astype(np.int32)

    def edges_by_graph(self) -> tuple[Int[np.ndarray, " e"], Int[np.ndarray, " g"]]:
        """The numbers of the edges, those of graph 0 first, then those of graph 1 and so on; and how many edges each graph has."""
        owner = self.graph[self.receivers]
        return np.argsort(owner, kind="stable"), np.bincount(owner, minlength=len(self.nodes))

    def take(self, index: Int[np.ndarray, " m"], *, edges: tuple[np.ndarray, np.ndarray] | None = None) -> "Graphs":
        """The graphs `index`, in its order, also more than once. Who takes often gives as `edges` the result of `edges_by_graph`, which
        costs the most."""
        index = np.asarray(index, np.int64)
        by_graph, edges = edges or self.edges_by_graph()
        nodes = self.nodes[index]
        rows = _runs(_starts(self.nodes)[index], nodes)
        lines = by_graph[_runs(_starts(edges)[index], edges[index])]
        # a graph may be chosen twice: shift by where its copy begins
        shift = np.repeat(_starts(nodes) - _starts(self.nodes)[index], edges[index])
        ends = [(side[lines] + shift).astype(np.int32) for side in (self.senders, self.receivers)]
        return Graphs(nodes, self.tags[rows], *ends, self.labels[lines])


class GraphExamples(NamedTuple):
    """Real graphs with their class indices, the number of classes, and the alphabet of the graphs."""

    x: Graphs
    y: Int32[np.ndarray, " g"]
    classes: int
    alphabet: Alphabet
    in_memory = True

    def sizes(self) -> Int32[np.ndarray, " c"]:
        """The number of graphs of every class."""
        return np.bincount(self.y, minlength=self.classes).astype(np.int32)

    def take(self, index: Int[np.ndarray, " m"]) -> "GraphExamples":
        """The graphs at the positions `index`, in its order, with their class indices."""
        return self._replace(x=self.x.take(index), y=self.y[index])


class Hop(NamedTuple):
    """Edges from one level to the next, sorted by receiver, and for each receiver its number on the level below.

    Args:
      senders, receivers: rows of the level below and of the level above.
      labels: edge labels.
      counts: how often an edge is there: a multiplicity, a soft adjacency, or 0 for padding.
      same: the row of each node of the level above on the level below.
    """

    senders: Int[Array, " e"]
    receivers: Int[Array, " e"]
    labels: Int[Array, " e"]
    counts: Float[Array, " e"]
    same: Int[Array, " n"]


class GraphBatch(NamedTuple):
    """b graphs (or trees) of fixed total size.

    Args:
      tags: i32[n0] node tags, or f32[n0 tags] node features, of level 0.
      degrees: degree of every node, a level each; one entry where one hop serves all layers.
      hops: one, or one a level.
      graph, node, times: the readout sums node `node` of the last level `times` times into graph `graph`, ascending.
      real: 1 for a graph, 0 for padding.
    """

    tags: Int[Array, " n"] | Float[Array, "n t"]
    degrees: tuple[Float[Array, " _"], ...]
    hops: tuple[Hop, ...]
    graph: Int[Array, " r"]
    node: Int[Array, " r"]
    times: Float[Array, " r"]
    real: Float[Array, " b"]

    def hop(self, layer: int) -> Hop:
        """The edges that layer number `layer`, from 0, uses."""
        return self.hops[layer if self.layered else 0]

    def degree(self, level: int) -> Float[Array, " n"]:
        """Degrees of the nodes of a level; level 0 carries the tags."""
        return self.degrees[level if self.layered else 0]

    @property
    def layered(self) -> bool:
        """Whether every level has nodes of its own."""
        return len(self.degrees) > 1

    def roots(self, layers: int) -> Int[Array, " r"]:
        """The row on level `layers` of the node of every readout entry, for a network of `layers` layers that stops there."""
        node = self.node
        if self.layered:
            for hop in reversed(self.hops[layers:]):
                node = hop.same[node]
        return node


def message(hop: Hop, values: Float[Array, "e d"], *, weight: Float[Array, " e"] | None = None) -> Float[Array, "n d"]:
    """For every receiver i the sum over the edges j -> i of counts * weight * values, with a row of `values` for each edge; 0 without
    edges. All layers use it, on graphs, trees and colour graphs."""
    factor = hop.counts if weight is None else hop.counts * weight
    return jax.ops.segment_sum(values * factor[:, None], hop.receivers, num_segments=len(hop.same))


def edge_softmax(hop: Hop, scores: Float[Array, "e k"], own: Float[Array, "n k"]) -> tuple[Float[Array, "e k"], Float[Array, "n k"]]:
    """Weights exp(s_ij) / (exp(s_ii) + sum_j counts_ij exp(s_ij)) of the edges j -> i, and exp(s_ii) over the same sum of the nodes i.

    `scores` are s_ij of the edges, `own` s_ii of the nodes; each of the k columns is normalised by itself. An edge stands `counts` times,
    but its weight is that of one.
    """
    n = len(hop.same)
    there = jnp.where((hop.counts > 0)[:, None], scores, -jnp.inf)
    top = jnp.maximum(jax.ops.segment_max(there, hop.receivers, num_segments=n), own)
    top = jax.lax.stop_gradient(top)
    edge, self_ = jnp.exp(jnp.where((hop.counts > 0)[:, None], scores, top[hop.receivers]) - top[hop.receivers]), jnp.exp(own - top)
    total = message(hop, edge) + self_
    return edge / total[hop.receivers], self_ / total


def pool(batch: GraphBatch, values: Float[Array, "n d"], *, how: str, layers: int) -> Float[Array, "b d"]:
    """The readout of every graph: `how` is `sum`, `mean` or `max` over its nodes with their multiplicities; 0 where a graph has none.

    `values` has a row for each node of level `layers`, the last one of a network with so many layers.
    """
    b, rows = len(batch.real), values[batch.roots(layers)]
    if how == "max":
        best = jax.ops.segment_max(jnp.where((batch.times > 0)[:, None], rows, -jnp.inf), batch.graph, num_segments=b)
        return jnp.where(jnp.isfinite(best), best, 0)
    total = jax.ops.segment_sum(rows * batch.times[:, None], batch.graph, num_segments=b)
    if how == "sum":
        return total
    number = jax.ops.segment_sum(batch.times, batch.graph, num_segments=b)
    return total / jnp.maximum(number, jnp.finfo(number.dtype).tiny)[:, None]


def ladder(size: int) -> int:
    """The least number that is at least `size` of a series: 1, 2, 3, ..., and from 8 on each 1.25 times the one before, rounded down. Few
    shapes are compiled this way."""
    step = 1
    while step < size:
        step = max(step + 1, int(step * RATIO))
    return step


def batch_of(graphs: Graphs, *, nodes: int | None = None, edges: int | None = None, count: int | None = None) -> GraphBatch:
    """Graphs as one padded batch.

    Args:
      nodes, edges, count: how many nodes, edges and graphs it shall hold; by default the sizes of `ladder`, and as many graphs as there
        are.

    Raises ValueError where it cannot hold the graphs.
    """
    v, e, g = len(graphs.tags), len(graphs.senders), len(graphs.nodes)
    sizes = Sizes((nodes or ladder(v),), (edges or ladder(e),), nodes or ladder(v), count or max(g, 1))
    if v > sizes.entries or e > sizes.edges[0] or g > sizes.graphs:
        raise ValueError(f"a batch of {sizes.entries} nodes, {sizes.edges[0]} edges and {sizes.graphs} graphs cannot hold {v}, {e} and {g}")
    order, own = np.argsort(graphs.receivers, kind="stable"), np.arange(v, dtype=np.int32)
    hop = Hop(graphs.senders[order], graphs.receivers[order], graphs.labels[order], np.ones(e, np.float32), own)
    once, degree = np.ones(v, np.float32), graphs.degrees().astype(np.float32)
    return padded(GraphBatch(graphs.tags, (degree,), (hop,), graphs.graph, own, once, np.ones(g, np.float32)), sizes)


class Sizes(NamedTuple):
    """How many nodes and edges a level each, readout entries and graphs a batch holds."""

    nodes: tuple[int, ...]
    edges: tuple[int, ...]
    entries: int
    graphs: int


def sizes_of(batch: GraphBatch) -> Sizes:
    """How many nodes, edges, readout entries and graphs a batch holds, padding included."""
    hops = tuple(len(hop.senders) for hop in batch.hops)
    return Sizes(tuple(map(len, batch.degrees)), hops, len(batch.graph), len(batch.real))


def common(all_sizes: Sequence[Sizes]) -> Sizes:
    """The smallest sizes that hold batches of all these sizes."""
    return jax.tree.map(lambda *sizes: max(sizes), *all_sizes)


def padded(batch: GraphBatch, sizes: Sizes) -> GraphBatch:
    """Pads the batch to sizes that are at least its own; larger batches raise ValueError. Padding counts 0 times."""

    def fill(array, size, value):
        return np.concatenate([array, np.full((size - len(array), *array.shape[1:]), value, array.dtype)])

    batch = jax.tree.map(np.asarray, batch)
    hops = []
    for level, (hop, edges) in enumerate(zip(batch.hops, sizes.edges, strict=True)):
        above = sizes.nodes[level + 1 if batch.layered else 0]
        ends = fill(hop.senders, edges, 0), fill(hop.receivers, edges, above - 1), fill(hop.labels, edges, 0)
        hops.append(Hop(*ends, fill(hop.counts, edges, 0), fill(hop.same, above, 0)))
    degrees = tuple(fill(degree, size, 0) for degree, size in zip(batch.degrees, sizes.nodes, strict=True))
    readout = fill(batch.graph, sizes.entries, sizes.graphs - 1), fill(batch.node, sizes.entries, 0), fill(batch.times, sizes.entries, 0)
    tags, real = fill(batch.tags, sizes.nodes[0], 0), fill(batch.real, sizes.graphs, 0)
    return jax.tree.map(jnp.asarray, GraphBatch(tags, degrees, tuple(hops), *readout, real))


def batches(graphs: Graphs, index: Int[np.ndarray, " m"], *, size: int) -> Iterator[tuple[Int32[np.ndarray, " b"], GraphBatch]]:
    """Yields pairs (indices of the graphs, padded batch) of at most `size` graphs, in the order of `index`. Each batch is padded to the
    next sizes of `ladder`, the number of graphs to `size` at most."""
    for at in range(0, len(index), size):
        rows = np.asarray(index[at : at + size], np.int32)
        yield rows, batch_of(graphs.take(rows), count=min(size, ladder(len(rows))))


def _starts(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int64)


def _runs(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """starts[0], starts[0]+1, ... (counts[0] of them), then the same from starts[1], and so on."""
    return np.repeat(starts - _starts(counts), counts) + np.arange(counts.sum())
