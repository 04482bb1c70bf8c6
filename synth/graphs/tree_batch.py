"""Trees as a batch that networks run on: equal subtrees of one depth are one node, so that each is computed once."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from synth.graphs.base import GraphBatch, Hop
from synth.graphs.packing import TreeSets
from synth.graphs.trees import Tree


def truncate(tree: Tree, depth: int) -> Tree:
    """Cuts a tree off `depth` edges below its root and sorts children again. A node keeps its recorded degree, so that only true leaves may
    lack one."""
    if not depth:
        return Tree(tree.tag, tree.degree)
    below = tuple(sorted((label, truncate(child, depth - 1)) for label, child in tree.children))
    return Tree(tree.tag, tree.degree, below)


def tree_batch(tree_sets: TreeSets, *, depth: int) -> GraphBatch:
    """The colour graph of some trees as a batch. In its readout every set of trees is one graph; `depth` is that of the trees.

    Level l holds, for every node of a tree that is at least l levels above the leaves, the subtree of depth l below it.
    """
    levels: list[dict[Tree, int]] = [{} for _ in range(depth + 1)]
    hops: list[list[tuple[int, int, int]]] = [[] for _ in range(depth)]
    same: list[list[int]] = [[] for _ in range(depth)]

    def number(tree: Tree, level: int) -> int:
        known = levels[level]
        if tree not in known:
            lower = number(truncate(tree, level - 1), level - 1) if level else -1
            below = [(number(child, level - 1), label) for label, child in tree.children] if level else []
            known[tree] = len(known)
            if level:
                same[level - 1].append(lower)
                hops[level - 1] += [(known[tree], sender, label) for sender, label in below]
        return known[tree]

    roots = [number(truncate(tree, depth), depth) for tree in tree_sets.trees]
    degrees = [np.array([_degree(tree, tree_sets) for tree in level], np.float32) for level in levels]
    tags = np.array([tree.tag for tree in levels[0]], np.int32)
    readout = [(graph, roots[item]) for graph, (items, _) in enumerate(tree_sets.sets) for item in items]
    graph, node = np.array(readout, np.int32).T
    made = [_hop(lines, below) for lines, below in zip(hops, same, strict=True)]
    real = np.ones(len(tree_sets.sets), np.float32)
    whole = GraphBatch(tags, tuple(degrees), tuple(made), graph, node, np.ones(len(node), np.float32), real)
    return jax.tree.map(lambda leaf: jnp.asarray(np.ascontiguousarray(leaf)), whole)


def _degree(tree: Tree, tree_sets: TreeSets) -> float:
    return float(tree.degree) if tree.degree >= 0 else tree_sets.leaves.get(tree.tag, 0.0)


def _hop(lines: Sequence[tuple[int, int, int]], same: list[int]) -> Hop:
    rows = np.array(lines, np.int32).reshape(-1, 3)
    kinds, counts = np.unique(rows, axis=0, return_counts=True) if len(rows) else (np.zeros((1, 3), np.int32), np.zeros(1))
    receivers, senders, labels = kinds.astype(np.int32).T
    return Hop(senders, receivers, labels, counts.astype(np.float32), np.array(same, np.int32))
