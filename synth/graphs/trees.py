"""Computation trees: canonical by construction, so that two trees are isomorphic exactly when they are equal; as text and back.

The tree of depth L of a node has its tag at the root and below it the trees of depth L - 1 of all nodes that send to it. As text, a node
is `tag`, a leaf whose graph degree is known `tag:degree`; children stand in parentheses, behind a `label~` where the edge label is not 0:
`6(6(6,6),2~7(6))`. An inner node without children is `6()`.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple, NoReturn

from synth.errors import BadInput

DIGITS = re.compile(r"0|[1-9][0-9]{0,17}")


class Tree(NamedTuple):
    """A node and what is below it.

    Args:
      tag: node label, >= 0.
      degree: of the node in its graph; -1 for a leaf of which it is not known.
      children: (edge label, tree), sorted; empty for a leaf.
    """

    tag: int
    degree: int = -1
    children: tuple[tuple[int, "Tree"], ...] = ()


def inner(tag: int, below: list[tuple[int, Tree]]) -> Tree:
    """A node above the last level, whose degree is the number of its children."""
    return Tree(tag, len(below), tuple(sorted(below)))


def count_nodes(trees: Iterable[Tree]) -> int:
    """Nodes of all trees together; a subtree that occurs as one object in many places is looked at once."""
    known: dict[int, int] = {}

    def count(tree: Tree) -> int:
        if id(tree) not in known:
            known[id(tree)] = 1 + sum(count(child) for _, child in tree.children)
        return known[id(tree)]

    return sum(map(count, trees))


def to_text(tree: Tree, depth: int) -> str:
    """A tree of depth `depth` as text; equal trees give equal text, and no others do."""
    if not depth:
        return f"{tree.tag}" if tree.degree < 0 else f"{tree.tag}:{tree.degree}"
    below = [f"{label}~" * bool(label) + to_text(child, depth - 1) for label, child in tree.children]
    return f"{tree.tag}({','.join(below)})"


def from_text(text: str) -> Tree:
    """The tree that a text stands for. Raises BadInput where it is none, or where leaves differ in depth."""
    tree, _, rest = _node(text, *_number(text, 0))
    if rest < len(text):
        _fail(text, rest)
    return tree


def _fail(text: str, at: int, what: str = "") -> NoReturn:
    what = what or (f"'{text[at]}' is wrong at letter {at + 1}" if at < len(text) else "it ends early")
    raise BadInput(f"tree '{text[:80]}': {what}; right is TAG(CHILD,...) above leaves TAG or TAG:DEGREE, as in 6(6(6,6),2~7(6))")


def _number(text: str, at: int) -> tuple[int, int]:
    found = DIGITS.match(text, at)
    return (int(found.group()), found.end()) if found else _fail(text, at)


def _node(text: str, tag: int, at: int) -> tuple[Tree, int | None, int]:
    """The node whose tag ends at letter `at`: its tree, its depth where a leaf shows it, and where it ends."""
    if text[at : at + 1] == ":":
        degree, at = _number(text, at + 1)
        return Tree(tag, degree), 0, at
    if text[at : at + 1] != "(":
        return Tree(tag), 0, at
    below, depths, at = [], set(), at + 1
    while text[at : at + 1] != ")":
        if below and text[at : at + 1] != ",":
            _fail(text, at)
        first, at = _number(text, at + bool(below))
        label = 0
        if text[at : at + 1] == "~":
            label, (first, at) = first, _number(text, at + 1)
        tree, depth, at = _node(text, first, at)
        below.append((label, tree))
        depths |= {depth} - {None}
    if len(depths) > 1:
        _fail(text, at, "its leaves differ in depth")
    return inner(tag, below), depths.pop() + 1 if depths else None, at + 1
