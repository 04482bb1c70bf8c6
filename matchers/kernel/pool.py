"""A pool of partly trained networks in the state of a run: their stacked variables, their ages, and which network is used next."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PyTree

from synth.base import Net, Vars, fresh
from synth.set import SyntheticSet
from synth.training.fit import Fit, Item, fit


class Pool(NamedTuple):
    """Networks, stacked along a leading axis of L, with their optimisers' states.

    Args:
      vars, opt: of all networks.
      age: training steps that each has taken on the set.
      at: which network the next step uses.
    """

    vars: Vars
    opt: optax.OptState
    age: Int[Array, " networks"]
    at: Int[Array, ""]


@dataclass(frozen=True)
class PoolSchedule:
    """How the networks of a pool are trained. After a network was used, it takes a training step on the set, or is replaced if it is old.

    Args:
      net: the family.
      tx: their optimiser.
      objective: synth -> (params, stats, item) -> (loss, stats), as `synth.training.fit.fit` takes it.
      size: how many networks there are (>= 1).
      most: steps that a network trains before it is renewed; 0 leaves all of them as they were drawn.
      warm: whether the networks start trained, each by a number of steps in [1, most) drawn at random, which is its age. Otherwise they
        start as drawn, and their ages are spread evenly, so that they are not renewed together.
      rows: examples of a training step, drawn from a set that has more; None for the whole set.
      forgetful: whether a renewed network keeps its age, and so is renewed whenever it has served, and never trained again.
    """

    net: Net
    tx: optax.GradientTransformation
    objective: Callable
    size: int
    most: int
    warm: bool = False
    forgetful: bool = False
    rows: int | None = None


def init_pool(key: jax.Array, life: PoolSchedule, synth: SyntheticSet) -> Pool:
    """The pool before the first step: `life.size` networks drawn anew, and trained on the set where `life.warm`; their ages; and a random
    first network to use."""
    k_draw, k_age, k_train, k_at = jax.random.split(key, 4)
    vars = jax.lax.map(lambda k: fresh(k, life.net), jax.random.split(k_draw, life.size))
    opt = jax.vmap(life.tx.init)(vars.params)
    if life.warm and life.most > 1:
        age = jax.random.randint(k_age, (life.size,), 1, life.most)
        keys = jax.random.split(k_train, life.size)
        vars, opt = jax.lax.map(lambda args: train(args[0], life, synth, Fit(*args[1:3]), args[3]), (keys, vars, opt, age))
    else:
        age = jnp.arange(life.size, dtype=jnp.int32) * life.most // life.size
    return Pool(vars, opt, age, jax.random.randint(k_at, (), 0, life.size))


def current(pool: Pool) -> Vars:
    """The variables of the network that the next step uses, `pool.at`."""
    return at(pool.vars, pool.at)


def advance(key: jax.Array, life: PoolSchedule, pool: Pool, synth: SyntheticSet) -> Pool:
    """The pool after its network `pool.at` was used: this one has taken one more training step on the set, or is replaced if it is old, and
    the next one to use is drawn. Where `life.most` is 0 the pool stays as it is."""
    if not life.most:
        return pool
    k_new, k_train, k_at = jax.random.split(key, 3)

    def renew():
        drawn = fresh(k_new, life.net)
        return Fit(drawn, life.tx.init(drawn.params))

    old = pool.age[pool.at] >= life.most
    served = Fit(current(pool), at(pool.opt, pool.at))
    after = jax.lax.cond(old, renew, lambda: train(k_train, life, synth, served, 1))
    age = jnp.where(old, pool.age[pool.at] if life.forgetful else 0, pool.age[pool.at] + 1)
    put = lambda leaf, new: leaf.at[pool.at].set(new)  # noqa: E731
    vars, opt = jax.tree.map(put, (pool.vars, pool.opt), tuple(after))
    return Pool(vars, opt, pool.age.at[pool.at].set(age), jax.random.randint(k_at, (), 0, life.size))


def train(key: jax.Array, life: PoolSchedule, synth: SyntheticSet, state: Fit, steps) -> Fit:
    """Trains a network for `steps` (may be traced) steps on the whole set, or on `life.rows` of its examples if it has more."""
    n, objective = len(synth), life.objective(synth)
    few = min(n, life.rows or n)

    def step(number, state):
        k_rows, k_item = jax.random.split(jax.random.fold_in(key, number))
        index = jnp.arange(n) if n == few else jax.random.permutation(k_rows, n)[:few]
        item = Item(k_item, index, jnp.ones(few), (number, jnp.int32(0)))
        return fit(objective, life.tx, state, jax.tree.map(lambda leaf: leaf[None], item))[0]

    return jax.lax.fori_loop(0, steps, step, state)


def at(tree: PyTree, index: Int[Array, ""] | int) -> PyTree:
    """The `index`-th entry of every stacked array."""
    return jax.tree.map(lambda leaf: jax.lax.dynamic_index_in_dim(leaf, index, keepdims=False), tree)
