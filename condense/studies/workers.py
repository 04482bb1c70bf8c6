"""Does pieces of work one after another in this process, or side by side in processes of their own.

As a program (`python -m condense.studies.workers`), a worker: it reads a piece of work a line on stdin, answers a line on stdout, and is
gone when stdin closes, so that nothing goes on where its suite was killed.
"""

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO

from condense.runtime.processes import in_step, is_loss

Outcome = tuple[str, str]  # name of a piece of work, and why it failed; empty where it did not


def do_all(work: Iterable[dict[str, Any]], *, jobs: int, logs: Path) -> Iterator[Outcome]:
    """Does all pieces of work, `jobs` at a time, and yields (name, why it failed; empty if it did not) of each as it ends. With one job or
    one piece the work is done in this process, in order, by all processes that share a run (`condense.runtime.processes`); else by
    processes of their own, which write what they say to files in `logs`.

    Pieces with the same text under `alone` never run at the same time, unless it is empty. Where the loop over the outcomes is left, the
    processes are ended.
    """
    pieces = list(work)
    if jobs == 1 or len(pieces) < 2:
        yield from ((one["name"], in_step(lambda: attempt(one))) for one in pieces)  # noqa: B023 (called at once)
        return
    alone: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
    waiting: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    for one in pieces:
        waiting.put(one)
    done: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    count = min(jobs, len(pieces))
    logs.mkdir(parents=True, exist_ok=True)
    workers = [Worker(number, count, logs) for number in range(count)]
    with ThreadPoolExecutor(count) as pool:
        try:
            served = [pool.submit(serve, worker, waiting, alone, done.put) for worker in workers]
            for _ in pieces:
                yield done.get()
            for one in served:
                one.result()
        finally:  # also where this one is interrupted in the middle
            for worker in workers:
                worker.stop()


def attempt(work: dict[str, Any]) -> str:
    """Does a piece of work in this process, and returns why it failed, in one line; empty where it did not. No error is raised but that
    another process of the same run is gone."""
    from condense.studies.work import carry_out, reason_of  # brings JAX, which counts processors; see `main`

    try:
        carry_out(work)
    except Exception as error:  # whatever it is, the other runs of an evening go on
        if is_loss(error):
            raise
        return reason_of(error)
    return ""


def serve(worker: "Worker", waiting: queue.SimpleQueue, alone: defaultdict[str, threading.Lock], tell: Callable[[Outcome], None]) -> None:
    """Gives a worker one piece of work after another until none is waiting, and calls `tell` with the outcome of each. A piece that names
    something under its key `alone` waits for that lock."""
    while True:
        try:
            one = waiting.get_nowait()
        except queue.Empty:
            return
        with alone[one["alone"]] if one["alone"] else contextlib.nullcontext():
            tell((one["name"], worker.do(one)))


class Worker:
    """A process that does pieces of work; a new one takes its place where it dies.

    Args:
      number, count: of this one, and of all, which share the processors.
      logs: where it writes what it says.
    """

    def __init__(self, number: int, count: int, logs: Path) -> None:
        self._number, self._count, self._log = number, count, logs / f"worker-{number}.log"
        self._process: subprocess.Popen | None = None
        self._stopped = False

    def do(self, work: dict[str, Any]) -> str:
        """Does a piece of work in the process, which is started if need be, and waits for it. Returns why it failed, in one line; empty
        where it did not, and `stopped` after a `stop`."""
        if self._stopped:
            return "stopped"
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._start()
        try:
            self._process.stdin.write(json.dumps(work).encode() + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except OSError:
            answer = b""
        if not answer:
            return f"its process ended with {self._process.wait()}, as one that takes too much memory does; {self._log} may say why"
        return json.loads(answer)["failed"]

    def stop(self) -> None:
        """Kills the process, in the middle of its work too, and starts no other."""
        self._stopped = True
        self._end()

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            for pipe in (self._process.stdin, self._process.stdout):
                with contextlib.suppress(OSError):  # of a line that nobody has read
                    pipe.close()

    def _start(self) -> subprocess.Popen:
        command = [sys.executable, "-W", "ignore", "-m", "condense.studies.workers", str(self._number), str(self._count)]
        with self._log.open("ab") as log:  # in a session of its own: Ctrl-C is for the suite, which ends its workers
            return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, start_new_session=True)


def share_processors(number: int, count: int) -> None:
    """Keeps this process to its share of the processors, every `count`-th from the one of this `number`, where the system can do that."""
    if hasattr(os, "sched_setaffinity"):
        known = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, known[number::count] or [known[number % len(known)]])


def main() -> None:
    """Works as a process of its own, and never returns: reads a piece of work a line on stdin, and answers a line of JSON on stdout. The
    number of this worker and of all are its two arguments. What libraries print goes to stderr, so that stdout holds answers alone."""
    share_processors(int(sys.argv[1]), int(sys.argv[2]))  # before JAX counts them
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    heard: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=listen, args=(sys.stdin.buffer, heard.put), daemon=True).start()
    while True:
        failed = attempt(json.loads(heard.get()))
        answers.write(json.dumps({"failed": failed}).encode() + b"\n")
        answers.flush()


def listen(lines: BinaryIO, tell: Callable[[bytes], None]) -> None:
    """Passes every line on to `tell`; where the lines end, ends the whole process at once, in the middle of its work."""
    for line in lines:
        tell(line)
    os._exit(0)


if __name__ == "__main__":
    main()
