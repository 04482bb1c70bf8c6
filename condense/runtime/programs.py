"""How many compiled programs one process holds."""

from pathlib import Path

import jax

MAPPED, MOST = Path("/proc/self/maps"), Path("/proc/sys/vm/max_map_count")


def release_programs() -> None:
    """Forgets compiled programs where they take half of the memory mappings that the system allows a process; what is called again
    compiles again.

    On a CPU, every compiled program takes some seven mappings, and Linux allows 65,530: a process that compiles for some fifty runs would
    die of the next one. Call it between pieces of work. It does nothing on systems without such a bound.
    """
    try:
        with MAPPED.open("rb") as lines:
            taken = sum(1 for _ in lines)
        most = int(MOST.read_text())
    except (OSError, ValueError):
        return
    if taken > most // 2:
        jax.clear_caches()
