"""Computation trees in canonical form: two trees are isomorphic exactly if they are equal. Writes them as text, and reads them.

The tree of depth L of a node has its tag at the root and below it the trees of depth L - 1 of all nodes that send to it.
"""

from collections.abc import Iterable
from typing import NamedTuple


class Tree(NamedTuple):
    """A node and its children.

    Args:
      tag: node label, >= 0.
      degree: of the node in its graph; -1 for a leaf of which it is not known.
      children: (edge label, tree), sorted; empty for a leaf.
    """

    tag: int
    degree: int = -1
    children: tuple[tuple[int, "Tree"], ...] = ()


def inner(tag: int, below: list[tuple[int, Tree]]) -> Tree:
    """A node above the last level, whose degree is the number of its children. `below` are these as (edge label, tree), in any order."""
    return Tree(tag, len(below), tuple(sorted(below)))


def count_nodes(trees: Iterable[Tree]) -> int:
    """The number of nodes of all trees. A subtree that is the same object in many places counts in each, but is visited once."""
    known: dict[int, int] = {}

    def count(tree: Tree) -> int:
        if id(tree) not in known:
            known[id(tree)] = 1 + sum(count(child) for _, child in tree.children)
        return known[id(tree)]

    return sum(map(count, trees))
