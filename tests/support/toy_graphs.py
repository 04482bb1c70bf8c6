"""Graphs for tests: random tables, their relabellings, and the same graphs as networkx has them."""

import jax
import jax.numpy as jnp
import networkx as nx
import numpy as np

from condense.data.graphs import GraphData
from condense.engine.initial import no_graphs
from synth.graphs.base import Alphabet, GraphExamples, Graphs
from synth.graphs.trees import Tree
from synth.set import Info, SyntheticSet


def some_graphs(seed: int = 0, *, count: int = 6, tags: int = 3, edges: int = 1, directed: bool = False, most: int = 9) -> Graphs:
    """`count` random graphs of up to `most` nodes, some of them isolated; directed ones may have loops and edges twice."""
    rng, nodes, lines = np.random.default_rng(seed), [], []
    for _ in range(count):
        n, first = int(rng.integers(1, most + 1)), sum(nodes)
        nodes.append(n)
        for _ in range(int(rng.integers(0, 2 * n))):
            a, b = int(rng.integers(n)), int(rng.integers(n))
            label = int(rng.integers(edges))
            if directed:
                lines.append((first + a, first + b, label))
            elif a != b and not any((first + a, first + b) == line[:2] for line in lines):
                lines += [(first + a, first + b, label), (first + b, first + a, label)]
    table = np.array(lines, np.int32).reshape(-1, 3)
    return Graphs(
        np.array(nodes, np.int32), rng.integers(0, tags, sum(nodes)).astype(np.int32), *(np.ascontiguousarray(c) for c in table.T)
    )


def some_examples(seed: int = 0, *, classes: int = 2, **options) -> GraphExamples:
    """Such graphs with class indices 0, 1, 0, 1, ..."""
    graphs = some_graphs(seed, **options)
    y = (np.arange(len(graphs.nodes)) % classes).astype(np.int32)
    return GraphExamples(graphs, y, classes, Alphabet(options.get("tags", 3), options.get("edges", 1), options.get("directed", False)))


def renamed(graphs: Graphs, seed: int = 1) -> tuple[Graphs, np.ndarray]:
    """The same graphs with the nodes of each in another order and the edges shuffled, and the new number of every node."""
    rng, start = np.random.default_rng(seed), np.cumsum(graphs.nodes) - graphs.nodes
    new = np.concatenate([first + rng.permutation(n) for first, n in zip(start, graphs.nodes, strict=True)]).astype(np.int32)
    tags = np.empty_like(graphs.tags)
    tags[new] = graphs.tags
    order = rng.permutation(len(graphs.senders))
    return Graphs(graphs.nodes, tags, new[graphs.senders[order]], new[graphs.receivers[order]], graphs.labels[order]), new


def to_text(tree: Tree, depth: int) -> str:
    """A tree of depth `depth` as text, such as `6(6(6,6),2~7(6))`: equal trees give equal text, and no others do.

    A node is `tag`, a leaf whose graph degree is known `tag:degree`; children stand in parentheses, behind a `label~` where the edge label
    is not 0. An inner node without children is `6()`.
    """
    if not depth:
        return f"{tree.tag}" if tree.degree < 0 else f"{tree.tag}:{tree.degree}"
    below = [f"{label}~" * bool(label) + to_text(child, depth - 1) for label, child in tree.children]
    return f"{tree.tag}({','.join(below)})"


def as_networkx(graphs: Graphs, *, directed: bool = False) -> nx.Graph:
    """All graphs as one, with `tag` and `label`."""
    whole = nx.DiGraph() if directed else nx.Graph()
    whole.add_nodes_from((node, {"tag": str(tag)}) for node, tag in enumerate(graphs.tags.tolist()))
    lines = zip(graphs.senders.tolist(), graphs.receivers.tolist(), graphs.labels.tolist(), strict=True)
    whole.add_edges_from((a, b, {"label": str(label)}) for a, b, label in lines)
    return whole


def unrolled(graphs: Graphs, node: int, depth: int) -> Graphs:
    """The computation tree of a node as a graph of its own: every child sends to its parent, node 0 is the root."""
    tags, lines, queue = [int(graphs.tags[node])], [], [(node, 0, 0)]
    while queue:
        old, new, level = queue.pop(0)
        for line in np.flatnonzero(graphs.receivers == old) if level < depth else ():
            lines.append((len(tags), new, int(graphs.labels[line])))
            queue.append((int(graphs.senders[line]), len(tags), level + 1))
            tags.append(int(graphs.tags[graphs.senders[line]]))
    table = np.array(lines, np.int32).reshape(-1, 3)
    return Graphs(np.array([len(tags)], np.int32), np.array(tags, np.int32), *(np.ascontiguousarray(c) for c in table.T))


def joined(tables: list[Graphs]) -> Graphs:
    """Tables one after another."""
    starts = np.cumsum([0, *(len(table.tags) for table in tables)])[:-1].astype(np.int32)
    ends = {
        side: np.concatenate([getattr(t, side) + at for t, at in zip(tables, starts, strict=True)]) for side in ("senders", "receivers")
    }
    rest = {name: np.concatenate([getattr(table, name) for table in tables]) for name in ("nodes", "tags", "labels")}
    return Graphs(**rest, **ends)


def doubled(tree):
    """Every float32 leaf as float64."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if leaf.dtype == jnp.float32 else leaf, tree)


def empty(data: GraphData) -> SyntheticSet:
    """The set before a graph method makes anything of it."""
    return no_graphs(data, Info(data.classes, data.preprocess))
