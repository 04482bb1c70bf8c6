"""Learned graphs of one size: their contents, while they are learned and when they are stored, and their batches."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from synth.graphs.base import Alphabet, GraphBatch, Graphs, Hop, batch_of


class DenseGraphs(NamedTuple):
    """Learned graphs of one size: node features, and which nodes are joined.

    Args:
      features: f32[n v tag_kinds], unbounded.
      adjacency: u8[n b], the pairs (0, 1), (0, 2), ..., (1, 2), ... of each graph as bits, filled up with zeros; no graph has loops.
    """

    features: Float[Array, "n v t"]
    adjacency: UInt8[Array, "n b"]
    kind = "dense"
    modality = "graphs"

    @property
    def alphabet(self) -> Alphabet:
        """The alphabet of the graphs. All edges have the same label."""
        return Alphabet(self.features.shape[2])

    def edges(self) -> Float[np.ndarray, "n p"]:
        """For every pair of nodes 1 if an edge joins it, else 0; of each graph the pairs (0, 1), (0, 2), ..., (1, 2), ..."""
        v = self.features.shape[1]
        return np.unpackbits(np.asarray(self.adjacency), axis=1, count=v * (v - 1) // 2).astype(np.float32)

    def decode(self, *, depth: int | None = None) -> GraphBatch:
        """The graphs as a batch, with an edge in both directions for every joined pair. `depth` is not read."""
        return hard_batch(self.features, self.edges())

    @property
    def n(self) -> int:
        """How many examples there are."""
        return len(self.frequency())

    def frequency(self) -> Float[np.ndarray, " n"]:
        """1 for every graph: each counts once."""
        return np.ones(len(self.features))

    def store(self) -> "DenseGraphs":
        """Returns itself: files can store it."""
        return self

    def nbytes(self) -> int:
        """Payload bytes."""
        return self.features.nbytes + self.adjacency.nbytes

    def check(self) -> None:
        """Raises ValueError if the number of edge bits does not fit the number of nodes."""
        v, b = self.features.shape[1], self.adjacency.shape[1]
        if v < 2 or b != (v * (v - 1) // 2 + 7) // 8:
            raise ValueError(f"{b} bytes of adjacency; graphs of {v} nodes need {(v * (v - 1) // 2 + 7) // 8}")


class LearnedGraphs(NamedTuple):
    """Graphs of one size while they are learned: node features f32[n v t], and f32[n p] the logit of an edge between every
    pair of nodes: (0, 1), (0, 2), ..., (1, 2), ..."""

    features: Float[Array, "n v t"]
    logits: Float[Array, "n p"]
    modality = "graphs"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return len(self.features)

    def decode(self, *, depth: int | None = None) -> GraphBatch:
        """The graphs as a batch, with the edges whose probability is above a half (logit above 0). `depth` is not read."""
        return hard_batch(self.features, (np.asarray(self.logits) > 0).astype(np.float32))

    def learned(self) -> "LearnedGraphs":
        """Returns itself: features and edge logits are all learned."""
        return self

    def moved(self, learned: "LearnedGraphs") -> "LearnedGraphs":
        """Returns the learned graphs unchanged; there are no bounds."""
        return learned

    def store(self) -> DenseGraphs:
        """The graphs as `DenseGraphs`, with the edges whose probability is above a half."""
        return DenseGraphs(self.features, jnp.asarray(np.packbits(np.asarray(self.logits) > 0, axis=1)))

    def nbytes(self) -> int:
        """Bytes that the graphs take once they are stored: the features, and a bit for every pair of nodes."""
        return self.features.nbytes + self.n * ((self.logits.shape[1] + 7) // 8)


def hard_batch(features: Float[Array, "n v t"], joined: Float[np.ndarray, "n p"]) -> GraphBatch:
    """A batch of graphs of one size, with edges in both directions between every pair of nodes that is joined: pairs (0, 1), (0, 2), ...,
    (1, 2), ... where `joined` is not 0. The edges are made on the host, so `joined` cannot be traced."""
    n, v, tags = features.shape
    graph, pair = np.nonzero(joined)
    low, high = ((side[pair] + graph * v).astype(np.int32) for side in np.triu_indices(v, 1))
    ends = np.concatenate([low, high]), np.concatenate([high, low])
    plain = Graphs(np.full(n, v, np.int32), np.zeros(n * v, np.int32), *ends, np.zeros(2 * len(pair), np.int32))
    return batch_of(plain, nodes=n * v)._replace(tags=jnp.reshape(features, (n * v, tags)))


def dense_batch(features: Float[Array, "n v t"], joined: Float[Array, "n p"]) -> GraphBatch:
    """A batch of graphs of one size with every pair of nodes, (0, 1), (0, 2), ..., (1, 2), ..., as an edge in both directions that counts
    `joined` times, in [0, 1]; traceable and smooth in both arguments."""
    n, v, _ = features.shape
    low, high = np.triu_indices(v, 1)
    place = np.zeros((v, v), np.int32)
    place[low, high] = place[high, low] = np.arange(len(low))
    receivers, senders = (side.ravel().astype(np.int32) for side in np.nonzero(~np.eye(v, dtype=bool)))
    counts = joined[:, place[receivers, senders]].ravel()
    shift = np.repeat(np.arange(n, dtype=np.int32) * v, len(senders))
    ends = [jnp.asarray(np.tile(side, n) + shift) for side in (senders, receivers)]
    nodes = jnp.arange(n * v, dtype=jnp.int32)
    degree = jax.ops.segment_sum(counts, ends[1], num_segments=n * v)
    hop = Hop(*ends, jnp.zeros_like(ends[0]), counts, nodes)
    once = jnp.ones(n * v, features.dtype)
    return GraphBatch(features.reshape(n * v, -1), (degree,), (hop,), nodes // v, nodes, once, jnp.ones(n, features.dtype))
