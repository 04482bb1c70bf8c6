"""A process that watches the one that works, where several share a run: it has the last word, whatever ends the other.

JAX ends a process with a signal where another one is lost, so a program cannot say then what has happened, nor choose its exit code. The
worker is forked before JAX is loaded, and tells the watcher three things through a pipe: that all processes have met, the line that it
ends with, and its exit code. The watcher prints that line, or its own, when the worker is gone. Ctrl-C reaches the worker through it, and
a worker whose watcher is killed ends too.
"""

import contextlib
import json
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import NoReturn

from condense.runtime.processes import LOST, leave, not_met, read_meeting

FAILED = 1
_mouth: int | None = None  # where the worker tells the watcher


def watched(work: Callable[[], int]) -> tuple[int, str]:
    """Calls `work`, which returns an exit code, in a process of its own, and returns that code and the line to end with, empty if none."""
    sys.stdout.flush()
    sys.stderr.flush()
    hears, tells = os.pipe()
    lives, life = os.pipe()  # `life` closes when this process ends, however it ends
    if not (worker := os.fork()):
        os.close(hears)
        os.close(life)
        _work(work, tells, lives)
    os.close(tells)
    os.close(lives)
    signal.signal(signal.SIGINT, lambda number, frame: os.kill(worker, number))
    signal.signal(signal.SIGTERM, lambda number, frame: _die_of(number, worker))
    with open(hears, "rb") as pipe:
        facts = {name: value for line in pipe for name, value in json.loads(line).items()}
    _, status = os.waitpid(worker, 0)
    if "code" in facts:
        return facts["code"], facts.get("message", "")
    ended = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
    if ended not in (None, signal.SIGABRT):
        return FAILED, f"ended by signal {ended}; start all processes again: the same command goes on from what is saved"
    return FAILED, LOST if "met" in facts else not_met(read_meeting())


def _work(work: Callable[[], int], tells: int, lives: int) -> NoReturn:
    global _mouth
    os.setsid()  # Ctrl-C on the terminal reaches the watcher alone, which hands it on
    _mouth = tells
    threading.Thread(target=_end_with, args=(lives,), daemon=True).start()
    results, nothing = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)  # libraries print there too
    sys.stdout = open(results, "w", encoding=sys.stdout.encoding, errors="replace")  # noqa: SIM115 (until the process ends)
    try:
        code = work()
    except Exception:  # CONDENSE_DEBUG asks for it
        traceback.print_exc()
        code = FAILED
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    tell(code=code)
    leave(code)
    raise AssertionError("a process that has left goes on")


def _end_with(lives: int) -> None:
    os.read(lives, 1)
    os._exit(FAILED)


def _die_of(number: int, worker: int) -> None:
    signal.signal(number, signal.SIG_DFL)
    os.kill(worker, number)
    os.kill(os.getpid(), number)


def tell(**facts: object) -> bool:
    """Tells the watcher `met`, `message` or `code`; False where there is none."""
    if _mouth is None:
        return False
    os.write(_mouth, (json.dumps(facts) + "\n").encode())
    return True
