"""What surrounds a run: versions, revision, backend, devices and threads."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

from condense.runtime.devices import everywhere
from condense.runtime.log import note
from condense.runtime.processes import count

PACKAGES = ("condense-workbench", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")
SURROUNDINGS = ("versions", "backend", "devices", "processes", "xla_flags")  # a resumed run repeats bit for bit where these are the same


def surroundings() -> dict[str, Any]:
    """What a result may depend on beside the choices of its run, and what tells where it came from, by name: `versions` (of Python and
    libraries), `revision` (the commit), `backend`, `devices`, `processes` and `threads` (how many), `xla_flags`."""
    return {
        "versions": versions_of(PACKAGES),
        "revision": _revision(),
        "backend": jax.default_backend(),
        "devices": len(everywhere()),
        "processes": count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def versions_of(packages: Sequence[str]) -> dict[str, str | None]:
    """The versions of Python, as `python`, and of these packages by name; None for one that is not installed."""
    return {"python": sys.version.split()[0], **{name: _version(name) for name in packages}}


def _version(name: str) -> str | None:
    with contextlib.suppress(Exception):
        return version(name)
    return None


def _revision() -> str | None:
    """The commit of the checkout that runs; None where the packages are installed without one, or without git."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10)
        return told.stdout.strip() or None
    return None


def _flat(tree: Any, name: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict):
        return {name: tree}
    return {path: leaf for key, value in tree.items() for path, leaf in _flat(value, f"{name}.{key}" if name else str(key)).items()}


def note_surroundings(old: dict[str, Any] | None, fresh: dict[str, Any]) -> None:
    """Prints a line on stderr for each part of the surroundings (versions, backend, devices, XLA flags) in which a run goes on otherwise
    than it was begun.

    Args:
      old: the run's record; None, for a new run, prints nothing. fresh: the record that it would have now.
    """
    if old:
        before, now = (_flat({"processes": 1} | {name: record[name] for name in SURROUNDINGS if name in record}) for record in (old, fresh))
        for name in sorted(before | now):
            if before.get(name) != now.get(name):
                note(f"going on with {name} {now.get(name)} (was {before.get(name)}): the result need not be bit for bit that of one run")
