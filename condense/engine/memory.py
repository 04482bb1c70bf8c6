"""Reports the memory of a step before the first one, and refuses a step that needs more memory than the machine has."""

import contextlib
import time
from collections.abc import Iterator

import jax

from condense.runtime.log import note
from matchers.base import Piece
from synth.errors import RunFailed
from synth.files import memory
from synth.files.memory import megabytes

SHORT = 10.0  # seconds of work that need no announcement


class Gauge:
    """Reports the memory of a compiled step before it runs, and the time of a step after it.

    Args:
      description: what the run is called.
      step: a `functools.partial` of a jitted function, as `condense.engine.loop.compile_step` makes it; compiled here, and not again when
        called.
      kept: parameter vectors, of the size of those in a `Piece`, that are part of the step's working memory.
      ahead: how many batches are read while the step works, of data that stay in their files.
      force: only warns where memory does not suffice.
    """

    def __init__(self, description: str, step, *, kept: int = 0, ahead: int = 0, force: bool = False):
        self.description, self.step, self.kept, self.ahead, self.force = description, step, kept, ahead, force
        self.calls, self.began = 0, 0.0

    def before(self, key, carry, bad, batch) -> None:
        """Called before a step, with its arguments: says before the first one how much memory it takes. Raises RunFailed if the machine has
        less, unless `force`; then it warns."""
        if self.calls:
            return
        if not (needed := memory_of_step(key, self.step, carry, bad, batch)):
            return
        free, read = free_memory(), self.ahead * sum(leaf.nbytes for leaf in jax.tree.leaves(batch))
        reading = f", batches that are read ahead {megabytes(read)}" if read else ""
        note(
            f"{self.description}: set and state {tree_bytes(carry)}, batch {tree_bytes(batch)}{snapshots(batch)}{reading}, "
            f"working memory of a step {megabytes(needed)}{parts(needed, batch, self.kept)}; {megabytes(free)} are free"
        )
        if needed + read <= free:
            return
        message = f"a step needs {megabytes(needed + read)} of memory and {megabytes(free)} are free"
        if not self.force:
            raise RunFailed(f"{message}: take a smaller batch, set or network, fewer inner steps, or --force to try it")
        note(f"warning: {message}")

    def after(self, metrics, left: int) -> None:
        """Called after a step: says once how long the `left` remaining steps take, if that is long enough to mention."""
        self.calls += 1
        if self.calls > 2:
            return
        jax.block_until_ready(metrics)
        now, before = time.perf_counter(), self.began
        self.began = now
        if self.calls == 2 and (now - before) * left > SHORT:
            note(f"{self.description}: {now - before:.3g} s a step after the first")


@contextlib.contextmanager
def memory_refused() -> Iterator[None]:
    """Turns the ways in which memory is refused inside the block into RunFailed."""
    try:
        yield
    except (MemoryError, jax.errors.JaxRuntimeError) as error:
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            raise RunFailed("memory does not suffice for a step; try a smaller batch, network or set") from error
        raise


def tree_bytes(tree) -> str:
    """The total size of the arrays in a PyTree, as text, such as 12.3 MB."""
    return megabytes(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))


def memory_of_step(key, step, carry, bad, batch) -> int:
    """Bytes of working memory of a step, without its arguments; 0 if the backend does not report them. The step, a `functools.partial` of a
    jitted function, is compiled for these arguments, not run."""
    sizes = step.func.lower(*step.args, key, carry, bad, batch).compile().memory_analysis()
    return 0 if sizes is None else sizes.temp_size_in_bytes + max(0, sizes.output_size_in_bytes - sizes.alias_size_in_bytes)


def snapshots(batch) -> str:
    """Says in brackets how many expert snapshots of how many parameters a batch holds that is a `Piece` of a trajectory; empty for
    others."""
    return f" ({1 + len(batch.targets)} snapshots of {batch.start.size:,} parameters)" if isinstance(batch, Piece) else ""


def parts(needed: int, batch, kept: int) -> str:
    """Says for a message what the working memory of a step of trajectory matching consists of, as text in brackets after a space, such as
    ` (21 parameter vectors 26.9 MB, activations of one step of the student 140 MB)`.

    Args:
      needed: bytes of the whole working memory of the step.
      batch: what the step gets. Where it is no `Piece` of a trajectory, the text is empty.
      kept: how many parameter vectors are part of that memory, each as large as `batch.start`. The rest of `needed`, or 0 where they are
        more than it, is called activations.
    """
    if not isinstance(batch, Piece):
        return ""
    vectors = kept * batch.start.nbytes
    return f" ({kept} parameter vectors {megabytes(vectors)}, activations of one step of the student {megabytes(max(0, needed - vectors))})"


def free_memory() -> int:
    """Bytes that the first device can still allocate: for an accelerator by its own report, for a CPU by the limits of the system and its
    container."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return memory.free_memory()
