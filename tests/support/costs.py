"""What starting costs: processor time of a Python of its own."""

import resource
import subprocess
import sys

from tests.support.cli import surroundings


def cpu_seconds(*argv: str, times: int = 3) -> float:
    """User and system seconds of `python ARGV`, the least of some runs."""

    def spent() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    found = []
    for _ in range(times):
        before = spent()
        subprocess.run([sys.executable, *argv], capture_output=True, env=surroundings(), timeout=120, check=True)
        found.append(spent() - before)
    return min(found)
