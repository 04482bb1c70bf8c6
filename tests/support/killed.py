"""The moments at which the program saves something, and a process that kills itself at one of them.

As a program: `python -m tests.support.killed WHEN KIND NAME COUNT LOG -- ARGV`. It runs a command line, and dies by SIGKILL before, in the
middle of or after the COUNT-th moment of that kind whose path ends in NAME. LOG gets a line for every moment that has passed. Devices and
compiler are those that the environment names: tests/conftest.py, with its checks of annotations, would take longer than the run.
"""

import contextlib
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from condense.data.load import load_data
from condense.experts.store import Recorder
from condense.inputs import priors
from condense.ranking.log import RankLog
from condense.runtime import checkpoint
from condense.runtime.log import MetricsLog
from condense.teachers.store import load_teachers
from synth.selection.ranks import file_name

Moment = tuple[str, str]  # its kind and the path of what is saved


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


class Moments:
    """What is called at every moment. `passed` lists those that have passed; one of them may be the last."""

    def __init__(self, when: str = "", kind: str = "", name: str = "*", count: int = 0, log: Path | None = None):
        self.when, self.kind, self.name, self.left, self.log = when, kind, name, count, log
        self.passed: list[Moment] = []

    def at(self, kind: str, place: os.PathLike | str, do: Callable, tear: Callable[[], None]):
        """Does it, and dies on the way where this is the moment for it; `tear` does half of it."""
        here = self.when and kind == self.kind and Path(place).match(self.name)
        self.left -= bool(here)
        last = here and self.left == 0
        if last and self.when == "torn":
            tear()
        if last and self.when in ("before", "torn"):
            die()
        done = do()
        moment = (kind, os.path.relpath(place))
        self.passed.append(moment)
        if self.log:
            with self.log.open("a") as file:
                file.write(" ".join(moment) + "\n")
        if last:
            die()
        return done


def halve(place: os.PathLike | str) -> None:
    """Leaves half of a file, or of the last file of a folder."""
    files = sorted(path for path in Path(place).rglob("*") if path.is_file()) or [Path(place)]
    os.truncate(files[-1], files[-1].stat().st_size // 2)


def thin(place: os.PathLike | str) -> None:
    """Removes every other file of a folder."""
    for path in sorted(path for path in Path(place).rglob("*") if path.is_file())[::2]:
        os.remove(path)


@contextlib.contextmanager
def watching(moments: Moments) -> Iterator[Moments]:
    """Calls `moments` at every moment of saving until the block ends."""
    replace, remove, unlink, add, write, orbax = os.replace, shutil.rmtree, os.unlink, MetricsLog.add, Recorder.write, checkpoint._orbax()
    log = RankLog.write

    def replacing(source, target, **more):
        return moments.at("replace", target, lambda: replace(source, target, **more), lambda: halve(source))

    def removing(place, *args, **more):
        there = os.path.lexists(place)
        do = lambda: remove(place, *args, **more)  # noqa: E731
        return moments.at("remove", place, do, lambda: thin(place)) if there else do()

    def unlinking(place, **more):
        if more.get("dir_fd") is not None:  # of a folder that is removed
            return unlink(place, **more)
        return moments.at("unlink", place, lambda: unlink(place, **more), lambda: None)

    def adding(log, step, **metrics):
        def tear():
            with log.path.open("a") as file:
                file.write(f'{{"step": {step}, "lo')

        return moments.at("append", log.path, lambda: add(log, step, **metrics), tear)

    def writing(recorder, epoch, params):
        return moments.at("row", recorder.path, lambda: write(recorder, epoch, params), lambda: write(recorder, epoch, params * 0 + 7))

    def logging(ranks, name, first, numbers):
        do = lambda numbers: log(ranks, name, first, numbers)  # noqa: E731
        return moments.at("row", ranks.folder / file_name(name), lambda: do(numbers), lambda: do(numbers * 0 + 1))

    def saving(place, arrays):
        def follow():  # dies in the middle of the writing, as soon as anything is there
            while not any(place.parent.glob(f"{place.name}*/*")):
                pass
            die()

        def tear():
            threading.Thread(target=follow, daemon=True).start()
            orbax.save(place, arrays)

        return moments.at("orbax", place, lambda: orbax.save(place, arrays), tear)

    with contextlib.ExitStack() as stack:
        stand_in = SimpleNamespace(save=saving, restore=orbax.restore)
        stack.enter_context(patch.object(checkpoint, "_orbax", lambda: stand_in))
        for owner, name, function in ((os, "replace", replacing), (os, "unlink", unlinking), (shutil, "rmtree", removing)):
            stack.enter_context(patch.object(owner, name, function))
        for owner, name, function in ((MetricsLog, "add", adding), (Recorder, "write", writing), (RankLog, "write", logging)):
            stack.enter_context(patch.object(owner, name, function))
        yield moments


def call(argv: list[str]) -> int:
    """Runs a command line, or measures priors, for which there is no small command line; gives the exit code."""
    from condense.__main__ import run

    if argv[0] != "priors":
        return run(argv)
    folder = Path(argv[1])
    with patch.object(priors, "SEEDS", 1):
        priors.measured(load_data("digits"), load_teachers(folder).members, folder=folder, ipc=1, steps=3, epochs=1, patches="none")
    return 0


if __name__ == "__main__":
    when, kind, name, count, log, _, *argv = sys.argv[1:]
    with watching(Moments(when, kind, name, int(count), Path(log).absolute())):
        sys.exit(call(argv))
