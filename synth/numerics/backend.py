"""All choices that depend on the backend. No other module makes such a choice."""

from collections.abc import Callable

import jax

TOGETHER = 20  # classes or networks that an accelerator works on at a time; divides the usual 10, 100 and 200 classes


def is_cpu() -> bool:
    """Whether arrays live on a CPU, where a loop over large products is faster than batches of small ones."""
    return jax.default_backend() == "cpu"


def map_batched(fn: Callable, *xs):
    """Maps `fn` over the leading axis of all arguments and stacks its results: one entry after another on a CPU (large products),
    TOGETHER (20) entries at a time elsewhere.

    Either way memory does not grow with the length: a hundred classes of 256 images at once are more than an accelerator holds.
    """
    if not is_cpu() and jax.tree.leaves(xs)[0].shape[0] <= TOGETHER:
        return jax.vmap(fn)(*xs)
    return jax.lax.map(lambda args: fn(*args), xs, batch_size=None if is_cpu() else TOGETHER)


def runs_together() -> int:
    """How many independent networks one device trains at a time: 8, or 1 on a CPU, where one network already uses all cores."""
    return 1 if is_cpu() else 8
