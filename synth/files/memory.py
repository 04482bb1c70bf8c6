"""One budget of memory for what is read: sizes that files declare or decode to are added up and compared before they are spent. The
parameters of a network, which a file may name, are counted in the same way before it is built.

What is read may take half of the memory that is free. Where it would take more than a hundred times the bytes of its files, which no
ordinary data does, it may take a sixteenth. `$CONDENSE_MEMORY`, a number of bytes, stands in place of both. `--force`, where a verb has it,
goes on all the same.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import ParamSpec, TypeVar

from synth.errors import BadInput

P = ParamSpec("P")
T = TypeVar("T")
SHARE, SHARE_OF_PACKED = 2, 16  # one part in so many of free memory
PACKED = 100  # times the bytes of its files, from which on data count as packed
VARIABLE = "CONDENSE_MEMORY"
CGROUP = Path("/sys/fs/cgroup")
FORCED: ContextVar[bool | None] = ContextVar("forced", default=None)  # None where the verb has no --force


class MemoryBudget:
    """What one reading may take, over all its files: half of the free memory, see `most_bytes`. It starts with nothing taken.

    Args:
      shown: what messages call that which is read.
      remedy: words of a message that say what makes it smaller.
    """

    def __init__(self, shown: str, *, remedy: str = "give less of it"):
        self.shown, self.remedy, self.needed, self.stored = shown, remedy, 0, 0

    def take(self, needed: int, *, stored: int | None = None) -> None:
        """Adds bytes that are about to be spent on what takes `stored` bytes in its file; None where that does not matter.

        Raises BadInput where all bytes taken so far are more than may be read, unless --force is given. Data that become more than 100
        times as many bytes as in their files may take less, see `most_bytes`.
        """
        self.needed, self.stored = self.needed + int(needed), self.stored + int(needed if stored is None else stored)
        free = free_memory()
        most = most_bytes(free, packed=self.needed > PACKED * self.stored)
        if self.needed <= most or FORCED.get():
            return
        wrong = f"would take {megabytes(self.needed)} of memory, and may take at most {megabytes(most)} ({megabytes(free)} are free)"
        other = f"set {VARIABLE} to the bytes that may be taken" if FORCED.get() is None else "--force to try it"
        raise BadInput(f"{self.shown}: {wrong}; {self.remedy}, or {other}")


def fits(needed: int) -> bool:
    """Whether so many bytes may be read: at most half of the free memory, or $CONDENSE_MEMORY where it is set. Always True with --force."""
    return bool(FORCED.get()) or needed <= most_bytes(free_memory())


@contextlib.contextmanager
def forcing(force: bool) -> Iterator[None]:
    """For what is read in the block: with `force` no limit of memory is kept; without, messages advise --force."""
    token = FORCED.set(force)
    try:
        yield
    finally:
        FORCED.reset(token)


def forcible(function: Callable[P, T]) -> Callable[P, T]:
    """Decorates a function so that its keyword argument `force`, where it is given and true, also lifts the limit of memory for what it
    reads."""

    @functools.wraps(function)
    def forced(*args: P.args, **kwargs: P.kwargs) -> T:
        with forcing(bool(kwargs.get("force"))):
            return function(*args, **kwargs)

    return forced


def most_bytes(free: int, *, packed: bool = False) -> int:
    """How many bytes may be read where `free` are free: half of them, or a sixteenth of them for `packed` data, which become more than 100
    times as many bytes as in their files. $CONDENSE_MEMORY stands in place of both; raises BadInput where it is no number of bytes."""
    given = os.environ.get(VARIABLE)
    if not given:
        return free // (SHARE_OF_PACKED if packed else SHARE)
    try:
        return int(float(given))
    except (ValueError, OverflowError):
        raise BadInput(f"${VARIABLE} is {given}; give a number of bytes, such as 8e9, or leave it unset") from None


def free_memory() -> int:
    """Bytes that this process may still take, as the system and its container say."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        found.append(next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:")))
    with contextlib.suppress(OSError, ValueError):  # "max" where there is no limit
        found.append(int((CGROUP / "memory.max").read_text()) - int((CGROUP / "memory.current").read_text()) + _reclaimable())
    return max(0, min(found))


def megabytes(size: float) -> str:
    """Bytes in words, to three digits: 12.3 MB (millions), or 4.56 GB (from 1e9 on)."""
    return f"{size / 1e9:.3g} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def _reclaimable() -> int:
    """Bytes of files' pages that a container counts as taken and gives up when asked for memory."""
    with contextlib.suppress(OSError, ValueError, StopIteration):
        lines = (CGROUP / "memory.stat").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return 0
