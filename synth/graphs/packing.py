"""Packs tree sets and graphs into bytes, and unpacks them. The bytes hold every number that a network needs, and none that follows from
others.

Both begin with the tags that occur, each in as many bits as tell the tags of the data apart; behind that a tag is its place in this list.
Trees: the distinct ones in depth-first order, with a gamma code for the number of children of inner nodes and, where the depth says that
a node is a leaf, nothing; then the sets of them with their frequencies, which do not rise within a class and are written as differences.
Graphs: tags of the nodes, then for every node the number of neighbours that are not before it, and the gaps between these.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Int, UInt8

from synth.graphs.base import Alphabet, Graphs
from synth.graphs.bits import BitReader, BitWriter, width
from synth.graphs.trees import Tree

MOST = 1 << 22  # nodes, or entries of sets, that a payload may stand for
STEPS = 16  # mean degrees of leaves are stored in sixteenths
Sets = list[tuple[tuple[int, ...], int]]


class TreeSets(NamedTuple):
    """Sets of trees and how frequent they are.

    Args:
      trees: distinct trees of one depth, sorted.
      sets: (positions in `trees`, ascending; frequency), class after class; a tree may stand in a set more than once.
      leaves: mean degree of the leaves of each tag, by tag, where the trees do not say it themselves; else empty.
    """

    trees: list[Tree]
    sets: Sets
    leaves: dict[int, float]


def pack_tree_sets(tree_sets: TreeSets, alphabet: Alphabet, *, depth: int, exact: bool) -> UInt8[np.ndarray, " p"]:
    """Tree sets as bytes.

    Args:
      depth: of the trees, >= 1.
      exact: whether every leaf has its degree; else the mean degree of each tag is written, to a sixteenth.
    """
    out, tags = BitWriter(), sorted({tag for tree in tree_sets.trees for tag in _tags(tree)})
    _pack_tags(out, tags, alphabet)
    if not exact:
        for tag in tags:
            out.natural(round(tree_sets.leaves[tag] * STEPS))
    place = {tag: at for at, tag in enumerate(tags)}

    def grow(tree: Tree, depth: int) -> None:
        out.number(place[tree.tag], width(len(tags)))
        if depth:
            out.natural(len(tree.children))
        elif exact:
            out.natural(tree.degree)
        for label, child in tree.children:
            out.number(label, width(alphabet.edges))
            grow(child, depth - 1)

    out.natural(len(tree_sets.trees))
    for tree in tree_sets.trees:
        grow(tree, depth)
    out.natural(len(tree_sets.sets))
    last = -1
    for items, frequency in tree_sets.sets:
        falls = frequency <= last
        out.number(falls, 1)
        out.natural(last - frequency if falls else frequency)
        last = frequency
        out.natural(len(items) - 1)
        for item in items:
            out.number(item, width(len(tree_sets.trees)))
    return out.payload()


def unpack_tree_sets(payload: UInt8[np.ndarray, " p"], alphabet: Alphabet, *, depth: int, exact: bool) -> TreeSets:
    """Unpacks tree sets from bytes that `pack_tree_sets` made with the same alphabet, `depth` and `exact`. Raises ValueError if the bytes
    encode none."""
    bits = BitReader(payload)
    tags = _unpack_tags(bits, alphabet)
    leaves = {} if exact else {tag: bits.natural() / STEPS for tag in tags}
    nodes = 0

    def grow(depth: int) -> Tree:
        nonlocal nodes
        tag = _choose(bits, tags)
        below = bits.natural() if depth else 0
        nodes += below + 1
        if nodes > MOST:
            raise ValueError(f"the payload stands for more than {MOST} nodes")
        degree = below if depth else bits.natural() if exact else -1
        return Tree(tag, degree, tuple((_below(bits, alphabet.edges), grow(depth - 1)) for _ in range(below)))

    trees = [grow(depth) for _ in range(_count(bits))]
    sets, last, entries = [], -1, 0
    for _ in range(_count(bits)):
        falls, change = bits.number(1), bits.natural()
        last = last - change if falls else change
        if last < 1:
            raise ValueError("a set of trees has a frequency below 1")
        held = _count(bits) + 1
        entries += held  # where there is one tree, an entry takes no bits
        if entries > MOST:
            raise ValueError(f"the payload stands for sets of more than {MOST} entries")
        sets.append((tuple(_below(bits, len(trees)) for _ in range(held)), last))
    bits.done()
    if not trees or not sets:
        raise ValueError("the payload holds no trees")
    return TreeSets(trees, sets, leaves)


def pack_graphs(graphs: Graphs, alphabet: Alphabet) -> UInt8[np.ndarray, " p"]:
    """Packs graphs into bytes: node tags, edges and edge labels. If edges have no direction in the alphabet, each is written once."""
    out, tags = BitWriter(), np.unique(graphs.tags)
    _pack_tags(out, tags.tolist(), alphabet)
    out.natural(len(graphs.nodes))
    start, edges = np.cumsum(graphs.nodes) - graphs.nodes, _written(graphs, alphabet)
    spans, places = np.searchsorted(edges[:, 0], np.arange(len(graphs.tags) + 1)), np.searchsorted(tags, graphs.tags)
    for first, count in zip(start.tolist(), graphs.nodes.tolist(), strict=True):
        out.natural(count)
        for node in range(first, first + count):
            out.number(int(places[node]), width(len(tags)))
        for node in range(first, first + count):
            last = first if alphabet.directed else node
            out.natural(int(spans[node + 1] - spans[node]))
            for _, other, label in edges[spans[node] : spans[node + 1]].tolist():
                out.natural(other - last)
                out.number(label, width(alphabet.edges))
                last = other
    return out.payload()


def count_bits(graphs: Graphs, alphabet: Alphabet) -> Int[np.ndarray, " g"]:
    """How many bits each graph takes in `pack_graphs`, without the tags of its nodes, because their width depends on the other graphs."""
    start, edges = (np.cumsum(graphs.nodes) - graphs.nodes).astype(np.int64), _written(graphs, alphabet)
    graph, sender, other = graphs.graph, edges[:, 0], edges[:, 1]
    first = np.diff(sender, prepend=-1) != 0  # the first edge of a node
    last = np.where(first, start[graph[sender]] if alphabet.directed else sender, np.roll(other, 1))
    lines = _gamma(other - last) + width(alphabet.edges)
    spans = _gamma(np.bincount(sender, minlength=len(graphs.tags)))
    each = (np.bincount(graph[at], bits, minlength=len(graphs.nodes)) for at, bits in ((sender, lines), (slice(None), spans)))
    return (_gamma(graphs.nodes) + sum(each)).astype(np.int64)


def count_bytes(bits: int, nodes: int, graphs: int, tags: int, alphabet: Alphabet) -> int:
    """The bytes that `pack_graphs` needs for `graphs` graphs with `nodes` nodes in all and `tags` different tags. `bits` is the sum of
    their `count_bits`."""
    known = _gamma(np.array([tags - 1, graphs])).sum() + tags * width(alphabet.tags)
    return -(-int(known + bits + nodes * width(tags)) // 8)


def unpack_graphs(payload: UInt8[np.ndarray, " p"], alphabet: Alphabet) -> Graphs:
    """Unpacks graphs from bytes that `pack_graphs` made with the same alphabet; the order of the edges may differ. Raises ValueError if the
    bytes encode none."""
    bits = BitReader(payload)
    known, nodes, tags, edges = _unpack_tags(bits, alphabet), [], [], []
    for _ in range(_count(bits)):
        first, count = len(tags), _count(bits)
        nodes.append(count)
        tags += [_choose(bits, known) for _ in range(count)]
        for node in range(first, first + count):
            other = first if alphabet.directed else node
            for _ in range(_count(bits)):
                other += bits.natural()
                if other >= first + count:
                    raise ValueError("an edge leads out of its graph")
                edges.append((node, other, _below(bits, alphabet.edges)))
    bits.done()
    if not nodes:
        raise ValueError("the payload holds no graphs")
    lines = np.array(edges, np.int32).reshape(-1, 3)
    if not alphabet.directed:
        back = lines[lines[:, 0] != lines[:, 1]][:, [1, 0, 2]]
        lines = np.concatenate([lines, back])
    return Graphs(np.array(nodes, np.int32), np.array(tags, np.int32), *(np.ascontiguousarray(column) for column in lines.T))


def _written(graphs: Graphs, alphabet: Alphabet) -> Int[np.ndarray, "e 3"]:
    """The edges (sender, receiver, label) that a payload holds, in its order: where they have no direction, each once."""
    edges = np.stack([graphs.senders, graphs.receivers, graphs.labels], 1).astype(np.int64)
    edges = edges if alphabet.directed else edges[edges[:, 0] <= edges[:, 1]]
    return edges[np.lexsort((edges[:, 2], edges[:, 1], edges[:, 0]))]


def _gamma(values: np.ndarray) -> Int[np.ndarray, " n"]:
    """Bits of each number as `BitWriter.natural` writes it."""
    return 2 * np.frexp(values + 1.0)[1].astype(np.int64) - 1  # an exact float has the exponent of its leading bit


def _tags(tree: Tree):
    yield tree.tag
    for _, child in tree.children:
        yield from _tags(child)


def _pack_tags(out: BitWriter, tags: list[int], alphabet: Alphabet) -> None:
    out.natural(len(tags) - 1)
    for tag in tags:
        out.number(tag, width(alphabet.tags))


def _unpack_tags(bits: BitReader, alphabet: Alphabet) -> list[int]:
    tags = [_below(bits, alphabet.tags) for _ in range(_count(bits) + 1)]
    if sorted(set(tags)) != tags:
        raise ValueError("the tags of the payload do not ascend")
    return tags


def _choose(bits: BitReader, known: list[int]) -> int:
    return known[_below(bits, len(known))]


def _below(bits: BitReader, kinds: int) -> int:
    """A number below `kinds`, in as few bits as that takes."""
    value = bits.number(width(kinds))
    if value >= kinds:
        raise ValueError(f"{value} is not below {kinds}")
    return value


def _count(bits: BitReader) -> int:
    count = bits.natural()
    if count > MOST:
        raise ValueError(f"the payload announces {count} things, more than {MOST}")
    return count
