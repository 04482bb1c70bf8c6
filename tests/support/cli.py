"""The program in a process of its own, a cheap command line, and what a run folder holds."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from tests.support.places import ROOT

TINY = ["--net", "mlp:width=4", "--batch", "2"]
DM = ["distill", "dm", "--data", "digits", "--ipc", "1", *TINY]


def program(*argv: str, **more) -> subprocess.CompletedProcess:
    """The real program, in a process of its own."""
    how = {"capture_output": True, "text": True, "timeout": 120, "env": surroundings()} | more
    return subprocess.run([sys.executable, "-m", "condense", *argv], **how)


def surroundings(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **more}


def record(place: Path) -> dict:
    return json.loads((place / "run.json").read_text())


def stamps(place: Path) -> dict[str, tuple[int, bytes]]:
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in place.rglob("*") if path.is_file()}


def wait(condition, process: subprocess.Popen) -> None:
    end = time.monotonic() + 90
    while not condition():
        assert process.poll() is None and time.monotonic() < end, process.communicate()[1]
        time.sleep(0.02)
