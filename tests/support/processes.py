"""Command lines that run in several real processes at the same time, which meet on this machine."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TextIO

from tests.support.cli import surroundings, wait

Kill = tuple[int, Callable[[], bool]]
LIMIT = 240  # seconds after which a test gives up


class Ended(NamedTuple):
    """How a process has ended: its exit code, and what it said."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def around(process: int, processes: int, port: int, *, devices: int = 1, **more: str) -> dict[str, str]:
    """The environment of one of several processes, each of which has so many devices."""
    where = {"CONDENSE_PROCESSES": str(processes), "CONDENSE_PROCESS": str(process), "CONDENSE_COORDINATOR": f"127.0.0.1:{port}"}
    return surroundings(**(where if processes > 1 else {}), XLA_FLAGS=flags(devices), **more)


def flags(devices: int) -> str:
    return f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}".strip()


def together(*argv: str, processes: int = 2, devices: int = 1, kill: Kill | None = None, **more: str) -> list[Ended]:
    """Runs a command line in so many processes at the same time. With `kill`, the number of one of them and a condition, that one is killed
    as soon as the condition holds."""
    port, words = free_port(), [sys.executable, "-m", "condense", *argv]
    with tempfile.TemporaryDirectory() as place:
        outs = [[(Path(place) / f"{process}.{name}").open("w+") for name in ("out", "err")] for process in range(processes)]
        made = []
        for process, (out, err) in enumerate(outs):
            where = around(process, processes, port, devices=devices, **more)
            made.append(subprocess.Popen(words, stdout=out, stderr=err, env=where))
        try:
            if kill:
                wait(kill[1], made[kill[0]])
                made[kill[0]].send_signal(signal.SIGKILL)
            codes = [process.wait(LIMIT) for process in made]
        finally:
            for process in made:
                process.kill()
        return [Ended(code, *map(read, files)) for code, files in zip(codes, outs, strict=True)]


def read(file: TextIO) -> str:
    file.seek(0)
    with file:
        return file.read()
