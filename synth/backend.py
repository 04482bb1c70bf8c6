"""Choices that depend on the backend, and nothing else: read here, decided nowhere else."""

from collections.abc import Callable

import jax


def is_cpu() -> bool:
    """Whether arrays live on a CPU, where loops over large products beat batched small ones."""
    return jax.default_backend() == "cpu"


def over(fn: Callable, *xs):
    """`fn` over the leading axis of every argument: one after another on a CPU (bounded memory, large products), together elsewhere."""
    if is_cpu():
        return jax.lax.map(lambda args: fn(*args), xs)
    return jax.vmap(fn)(*xs)


def runs_together() -> int:
    """How many independent networks one device trains at a time: on a CPU one network already fills the cores."""
    return 1 if is_cpu() else 8
