"""Compiled programs are kept between commands: a run that is like an earlier one begins at once. To be asked for before JAX is imported."""

import hashlib
import os
import platform
import sys
from pathlib import Path

MOST = 2 << 30  # bytes of the folder; what was used longest ago makes room
TOLD = {  # how JAX keeps them; what the surroundings say counts first
    "JAX_COMPILATION_CACHE_MAX_SIZE": str(MOST),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
}
ENTRY, USED = "-cache", "-atime"  # ends of the two files of a program; the second is written when the first is whole


def keep_programs() -> None:
    """Tells JAX, if it is not imported yet, to keep compiled programs under ~/.cache/condense/programs, or under $CONDENSE_PROGRAMS.

    `CONDENSE_PROGRAMS=none` keeps none. A folder serves one version of JAX on one kind of processor, as programs hold its instructions.
    Where JAX_COMPILATION_CACHE_DIR is set, JAX has been told already, and nothing changes. Where the folder cannot be written, nothing is
    kept. A line on stderr names a folder that is new. With `--no-cache` a command does not ask for this.
    """
    place = os.environ.get("CONDENSE_PROGRAMS", "~/.cache/condense/programs")
    if place == "none" or "JAX_COMPILATION_CACHE_DIR" in os.environ or "jax" in sys.modules:
        return
    from importlib.metadata import version  # slow, and lists and help do without

    folder = Path(place).expanduser() / f"jax-{version('jaxlib')}-{processor()}"
    new = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_torn(folder)
    except OSError:  # a home that cannot be written: programs are compiled anew
        return
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder)
    for name, value in TOLD.items():
        os.environ.setdefault(name, value)
    if new:
        most = MOST >> 30
        print(f"compiled programs are kept in {folder} (at most {most} GB); --no-cache keeps none", file=sys.stderr)


def processor() -> str:
    """Eight hexadecimal digits that tell the instructions of this machine's processor from those of others."""
    facts = platform.machine() + platform.system()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        facts += next(line for line in lines if line.startswith(("flags", "Features")))
    except (OSError, StopIteration):
        facts += platform.processor()
    return hashlib.sha256(facts.encode()).hexdigest()[:8]


def remove_torn(folder: Path) -> None:
    """Removes programs that a killed process has not written to their end. JAX would read them again and again, and keep no others."""
    names = {path.name for path in folder.iterdir()}
    for name in names:
        if name.endswith(ENTRY) and name.removesuffix(ENTRY) + USED not in names:
            (folder / name).unlink(missing_ok=True)
