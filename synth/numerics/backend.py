"""All choices that depend on the backend. No other module makes such a choice."""

from collections.abc import Callable
from contextlib import AbstractContextManager

import jax

TOGETHER = 20  # classes or networks that an accelerator works on at a time; divides the usual 10, 100 and 200 classes
_SUPPOSED = jax.make_user_context("")  # JAX traces anew what it has traced under another value


def supposing(platform: str) -> AbstractContextManager:
    """A context in which choices are made as on `platform` (`cpu`, `cuda` or `tpu`), wherever arrays live: for programs that are lowered
    here and not run."""
    return _SUPPOSED(platform)


def platform_here() -> str:
    """The platform of this process's devices, a name that `supposing` takes."""
    found = jax.default_backend()
    return "cuda" if found == "gpu" else found


def counted_platform(platform: str) -> str:
    """The platform whose programs say how much devices of `platform` multiply: itself, and `cuda` for a CPU, because there convolutions are
    this project's primitives, and elsewhere XLA's, which say it."""
    return "cuda" if platform == "cpu" else platform


def is_cpu() -> bool:
    """Whether arrays live on a CPU, where a loop over large products is faster than batches of small ones."""
    return (_SUPPOSED.value or jax.default_backend()) == "cpu"


def has_own_convolutions() -> bool:
    """Whether convolutions run by this project's primitives, which are for a CPU alone; elsewhere by XLA's."""
    return is_cpu()


def splits_batches() -> bool:
    """Whether a batch goes through a network in pieces that stay in a processor's cache; elsewhere at once."""
    return is_cpu()


def map_batched(fn: Callable, *xs):
    """Maps `fn` over the leading axis of all arguments and stacks its results: one entry after another on a CPU (large products),
    TOGETHER (20) entries at a time elsewhere.

    Either way memory does not grow with the length: a hundred classes of 256 images at once are more than an accelerator holds.
    """
    if not is_cpu() and jax.tree.leaves(xs)[0].shape[0] <= TOGETHER:
        return jax.vmap(fn)(*xs)
    return jax.lax.map(lambda args: fn(*args), xs, batch_size=None if is_cpu() else TOGETHER)


def map_shared(fn: Callable, *xs):
    """As `map_batched`, where several devices may share the axis behind the leading one: these take one entry after another. Of entries
    that go together XLA would give every device all, because it merges both axes, and the shared one is then not the outer one."""
    return jax.lax.map(lambda args: fn(*args), xs) if jax.device_count() > 1 else map_batched(fn, *xs)


def runs_together() -> int:
    """How many independent networks one device trains at a time: 8, or 1 on a CPU, where one network already uses all cores."""
    return 1 if is_cpu() else 8
