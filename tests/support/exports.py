"""Sets of images that exports are tested on, one of each kind of content and labels that differs for them."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from synth.graphs.base import Alphabet, Graphs
from synth.graphs.content import PackedGraphs, TreeSummary
from synth.graphs.dense import DenseGraphs
from synth.graphs.packing import TreeSets, pack_graphs, pack_tree_sets
from synth.graphs.trees import Tree
from synth.images.content import Bytes, Compensated, Pixels
from synth.images.preprocess import Nothing, Standard
from synth.labels.committee import Committee
from synth.labels.plain import Hard, Runs, Soft, Target
from synth.set import Info, SyntheticSet
from synth.vectors import Vectors, write_columns

CLASSES = ("cat", "ant / bee", "dog")  # neither sorted, nor all names of folders
MEAN, STD = np.array([0.4, 0.5, 0.6], np.float32), np.array([0.2, 0.25, 0.3], np.float32)
INDEX = np.array([2, 0, 1, 1, 0, 2], np.int32)


def learned(**changes) -> SyntheticSet:
    """Six learned images 5x4x3, with two numbers outside [0, 1]: one a quarter below, one half above."""
    raw = np.random.default_rng(0).uniform(0.1, 0.9, (6, 5, 4, 3)).astype(np.float32)
    raw[0, 0, 0, 0], raw[5, 4, 3, 2] = -0.25, 1.5
    told = {"data": "npz:somewhere.npz", "data_digest": "d1", "method": "hand", "config": "c0", "net": "mlp:width=4", "recipe": "quick"}
    info = Info(CLASSES, Standard(MEAN, STD), **told)
    x = Pixels(jnp.asarray((raw - MEAN) / STD))
    return replace(SyntheticSet(x, Hard(jnp.asarray(INDEX), 3), lr=jnp.float32(0.02), info=info), **changes)


def in_bytes() -> SyntheticSet:
    pixels = np.random.default_rng(1).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
    return learned(x=Bytes(jnp.asarray(pixels), jnp.asarray(MEAN), jnp.asarray(STD)), lr=None, weight=jnp.arange(6, dtype=jnp.float32))


def summed() -> SyntheticSet:
    base, delta = (np.random.default_rng(2).integers(0, 256, shape, dtype=np.uint8) for shape in ((3, 5, 4, 3), (1, 1, 5, 4, 3)))
    return learned(x=Compensated(jnp.asarray(base), jnp.asarray(delta), jnp.asarray(MEAN), jnp.asarray(STD)))


def seen() -> SyntheticSet:
    logits = jax.random.normal(jax.random.key(0), (2, 6, 3)).astype(jnp.float16)
    return learned(y=Committee(jnp.asarray(INDEX), logits, 4.0, "0123456789ab*1", "running", 7, 4, "flip"))


SETS = {
    "learned": learned,
    "soft": lambda: learned(y=Soft(jax.random.normal(jax.random.key(1), (6, 3)))),
    "target": lambda: learned(y=Target(jax.random.normal(jax.random.key(2), (6, 3)))),
    "bytes": in_bytes,
    "summed": summed,
    "seen": seen,
}


def same(a: SyntheticSet, b: SyntheticSet) -> bool:
    """Whether two sets agree in every bit, and in what they say of themselves, where their data lie apart."""
    u, v = jax.tree.leaves(a.bare()), jax.tree.leaves(b.bare())
    told = [replace(s.info, preprocess=None, data_path="") for s in (a, b)]
    agree = jax.tree.structure(a.bare()) == jax.tree.structure(b.bare()) and type(a.x) is type(b.x) and told[0].__dict__ == told[1].__dict__
    sides = zip([*u, *a.info.preprocess], [*v, *b.info.preprocess], strict=True)
    return agree and all(x.dtype == y.dtype and np.array_equal(x, y) for x, y in sides)


def rows_of_a_table() -> SyntheticSet:
    """Six learned vectors: two numbers and a text of two categories, under names."""
    numbers = np.random.default_rng(3).normal(size=(6, 4)).astype(np.float32)
    columns = write_columns([["length"], ["label"], ["colour", "red", "sky, blue"]])
    units = Standard(np.array([5, -1, 0, 0], np.float32), np.array([2, 0.1, 1, 1], np.float32))
    info = replace(learned().info, preprocess=units)
    return SyntheticSet(Vectors(jnp.asarray(numbers), columns), Hard(jnp.asarray(INDEX), 3), lr=jnp.float32(0.02), info=info)


def of_graphs(content: Any, counts: tuple[int, ...], sizes: tuple[int, ...]) -> SyntheticSet:
    info = replace(learned().info, preprocess=Nothing(), classes=("a", "b"))
    return SyntheticSet(content, Runs(jnp.asarray(counts, jnp.int32), jnp.asarray(sizes, jnp.int32)), info=info)


PATHS = Graphs(
    np.array([3, 2, 4], np.int32),
    np.array([0, 1, 0, 2, 2, 1, 1, 0, 1], np.int32),
    np.array([0, 1, 1, 2, 3, 4, 5, 6, 6, 7, 7, 8], np.int32),
    np.array([1, 0, 2, 1, 4, 3, 6, 5, 7, 6, 8, 7], np.int32),
    np.array([0, 0, 1, 1, 0, 0, 0, 0, 1, 1, 0, 0], np.int32),
)  # undirected, of 3, 2 and 4 nodes


def packed() -> SyntheticSet:
    payload = jnp.asarray(pack_graphs(PATHS, Alphabet(3, 2)))
    return of_graphs(PackedGraphs(payload, 3, 2, False), (2, 1), (10, 30))


def dense() -> SyntheticSet:
    features = np.random.default_rng(4).normal(size=(3, 4, 2)).astype(np.float32)
    bits = np.packbits(np.array([[1, 0, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1]], bool), axis=1)
    return of_graphs(DenseGraphs(jnp.asarray(features), jnp.asarray(bits)), (1, 2), (10, 10))


def trees() -> SyntheticSet:
    leaf = [Tree(0, -1, ()), Tree(1, -1, ())]
    held = sorted([Tree(0, 1, ((0, leaf[1]),)), Tree(1, 2, ((0, leaf[0]), (0, leaf[0])))])
    payload = pack_tree_sets(TreeSets(held, [((0, 1), 5), ((1,), 2), ((0, 0, 1), 4)], {0: 1.5, 1: 2.0}), Alphabet(2), depth=1, exact=False)
    return of_graphs(TreeSummary(jnp.asarray(payload), 2, 1, 1, False), (2, 1), (10, 30))


OTHERS = {"vectors": rows_of_a_table, "graphs": packed, "dense": dense, "trees": trees}
