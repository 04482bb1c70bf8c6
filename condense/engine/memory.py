"""What a step will take, said before the first one, and refused where the machine has not got it."""

import time

import jax

from condense.runtime.log import note
from matchers.base import Piece
from synth.errors import RunFailed
from synth.files import memory
from synth.files.memory import megabytes

SHORT = 10.0  # seconds of work that need no announcement


class Gauge:
    """Looks at a compiled step before it runs and times the first that does not compile.

    Args:
      description: what the run is called.
      step: a `functools.partial` of a jitted function, as `condense.engine.loop.compile_step` makes it; compiled here, and not again when
        called.
      kept: parameter vectors, of the size of those in a `Piece`, that are part of the step's working memory.
      force: only warns where memory does not suffice.
    """

    def __init__(self, description: str, step, *, kept: int = 0, force: bool = False):
        self.description, self.step, self.kept, self.force = description, step, kept, force
        self.calls, self.began = 0, 0.0

    def before(self, key, carry, bad, batch) -> None:
        """Before the first step: says its memory. Raises RunFailed where that is more than there is."""
        if self.calls:
            return
        if not (needed := memory_of_step(key, self.step, carry, bad, batch)):
            return
        free = free_memory()
        note(
            f"{self.description}: set and state {tree_bytes(carry)}, batch {tree_bytes(batch)}{snapshots(batch)}, working memory of a step"
            f" {megabytes(needed)}{parts(needed, batch, self.kept)}; {megabytes(free)} are free"
        )
        if needed <= free:
            return
        message = f"a step needs {megabytes(needed)} of memory and {megabytes(free)} are free"
        if not self.force:
            raise RunFailed(f"{message}: take a smaller batch, set or network, fewer inner steps, or --force to try it")
        note(f"warning: {message}")

    def after(self, metrics, left: int) -> None:
        """After a step of which `left` more follow: says how long they take, once, where that is worth a line."""
        self.calls += 1
        if self.calls > 2:
            return
        jax.block_until_ready(metrics)
        now, before = time.perf_counter(), self.began
        self.began = now
        if self.calls == 2 and (now - before) * left > SHORT:
            note(f"{self.description}: {now - before:.3g} s a step after the first")


def tree_bytes(tree) -> str:
    """Bytes of a tree's arrays, in words."""
    return megabytes(sum(leaf.nbytes for leaf in jax.tree.leaves(tree)))


def memory_of_step(key, step, carry, bad, batch) -> int:
    """Bytes of working memory that a compiled step takes beside what it is given; 0 where the backend does not say."""
    sizes = step.func.lower(*step.args, key, carry, bad, batch).compile().memory_analysis()
    return 0 if sizes is None else sizes.temp_size_in_bytes + max(0, sizes.output_size_in_bytes - sizes.alias_size_in_bytes)


def snapshots(batch) -> str:
    """What a piece of a trajectory holds."""
    return f" ({1 + len(batch.targets)} snapshots of {batch.start.size:,} parameters)" if isinstance(batch, Piece) else ""


def parts(needed: int, batch, kept: int) -> str:
    """What the working memory of a trajectory step consists of."""
    if not isinstance(batch, Piece):
        return ""
    vectors = kept * batch.start.nbytes
    return f" ({kept} parameter vectors {megabytes(vectors)}, activations of one step of the student {megabytes(max(0, needed - vectors))})"


def free_memory() -> int:
    """Bytes that a device may still take: of an accelerator what it says itself, of a CPU what the system and its container leave."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return memory.free_memory()
