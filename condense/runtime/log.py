"""Output of a run: `metrics.jsonl`, the progress bar and notes. The bar and notes go to stderr; stdout is for results."""

import contextlib
import errno
import json
import math
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import SupportsFloat

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text

from condense.runtime.live import Live, in_jupyter
from synth.errors import RunFailed, one_line
from synth.files.atomic import write_bytes
from synth.files.owned import open_owned, read_owned
from synth.files.records import MOST, Maybe, Real, Table, Whole, parse_record

ROW = Table({"step": Whole()}, rest=Maybe(Real()))  # a line of a log
COMPILING = "compiling"  # the phase before the first step of compiled work
PLAIN_EVERY = 10.0  # seconds between lines where there is no terminal


class MetricsLog:
    """`metrics.jsonl`: one JSON object a line, `step` (steps done) and scalars by name; a value that is not finite is null."""

    def __init__(self, path: Path, *, step: int = 0):
        """Opens the file and cuts it back to lines up to `step`; a torn last line goes too."""
        self.path, self.rows = Path(path), []
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            for line in read_owned(self.path, most=MOST).splitlines():
                with contextlib.suppress(ValueError):  # torn, or no line of a log
                    row = parse_record(line, ROW)
                    self.rows += [row] if row["step"] <= step else []
        write_bytes(self.path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())

    def add(self, step: int, **metrics: SupportsFloat) -> None:
        """Appends one line: `step` (steps done) and the metrics by name. Raises RunFailed where the disk is full or fails."""
        row = {"step": step, **{name: float(value) if math.isfinite(value) else None for name, value in metrics.items()}}
        self.rows.append(row)
        try:
            with open_owned(self.path, append=True) as file:
                file.write((json.dumps(row) + "\n").encode())
        except OSError as error:
            raise disk_failure(self.path, error) from error

    def column(self, name: str) -> dict[int, float]:
        """The values of one metric by step, the last where a step has several; lines where it is missing or null are left out."""
        return {row["step"]: row[name] for row in self.rows if row.get(name) is not None}


def disk_failure(path: Path, error: OSError) -> RunFailed:
    """Makes, and does not raise, the RunFailed for a file that cannot be written, with its one-line message."""
    reason = "no space left on the device" if error.errno in (errno.ENOSPC, errno.EDQUOT) else error.strerror or str(error)
    return RunFailed(f"{path}: cannot write ({reason}); earlier results are intact: free some space and run the same command again")


@lru_cache(1)
def _console() -> Console:
    return Console(stderr=True)  # one for all, so that a bar inside a bar shares the screen


def mute() -> None:
    """Shows no notes and no progress from now on: of several processes on one run, one speaks."""
    _console().quiet = True


def note(text: str) -> None:
    """One line to the user, on stderr, above whatever bar is shown. In a notebook a long one wraps."""
    console = _console()
    console.print(one_line(text), markup=False, highlight=False, soft_wrap=not console.is_jupyter)


def duration(seconds: float) -> str:
    """Seconds in words: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _rate(per_second: float | None) -> str:
    if not per_second:
        return ""
    return f"{per_second:.1f} it/s" if per_second >= 1 else f"{1 / per_second:.1f} s/it"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _values(metrics: dict[str, SupportsFloat]) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in metrics.items())


class _RateColumn(ProgressColumn):
    def render(self, task) -> Text:
        return Text(_rate(task.finished_speed or task.speed))


class _Bar:
    """A bar on a terminal."""

    def __init__(self, total: int, description: str, done: int, phase: str):
        self.progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeElapsedColumn(),
            TextColumn("<"),  # time gone < time left
            TimeRemainingColumn(),
            TextColumn("{task.fields[values]}", markup=False),
            console=_console(),
        )
        self.task = self.progress.add_task(description, total=total, completed=done, values=phase)
        self.phase = phase
        self.progress.start()

    def advance(self, n: int = 1, **metrics: SupportsFloat) -> None:
        """`n` more are done; `metrics`, where given, are shown beside the bar."""
        shown = {"values": _values(metrics)} if metrics or (self.phase and n) else {}
        self.phase = "" if n else self.phase
        self.progress.update(self.task, advance=n, **shown)

    def close(self) -> None:
        self.progress.stop()


class _Lines:
    """Lines where nobody watches a terminal: the phase at once, the first after ten seconds, then one every ten, and a final one.

    Rate and time left are those of what came after the first advance, which compiles; before a second one there are none."""

    def __init__(self, total: int, description: str, done: int, phase: str):
        self.total, self.description, self.done, self.start = total, description, done, done
        self.began = self.printed = time.monotonic()
        self.first, self.shown, self.values = None, -1, {}
        if phase:
            note(f"{description} {done}/{total}  {phase}")

    def advance(self, n: int = 1, **metrics: SupportsFloat) -> None:
        """`n` more are done; `metrics`, where given, stand at the end of the next line."""
        self.take(n, metrics)
        if time.monotonic() - self.printed >= PLAIN_EVERY:
            self.line()

    def take(self, n: int, metrics: dict[str, SupportsFloat]) -> None:
        """Counts what is done, and remembers the latest metrics."""
        self.done, self.values = self.done + n, self.values | metrics
        if n and self.first is None:
            self.first = time.monotonic(), self.done

    def line(self) -> None:
        self.printed, self.shown = time.monotonic(), self.done
        note(self.words())

    def words(self) -> str:
        """What is done, at what rate, and how long the rest takes."""
        now = time.monotonic()
        elapsed = now - self.began
        since, start = self.first or (self.began, self.start)
        if self.done == self.total == start:  # one advance did it all, and nothing is left to be foreseen
            since, start = self.began, self.start
        speed = (self.done - start) / (now - since) if now > since else 0.0
        left = f"{_clock((self.total - self.done) / speed)} left" if speed and self.done < self.total else ""
        parts = [f"{self.description} {self.done}/{self.total}", _rate(speed), f"{_clock(elapsed)} elapsed", left, _values(self.values)]
        return "  ".join(part for part in parts if part)

    def close(self) -> None:
        if self.done != self.shown:
            self.line()


class _InNotebook(_Lines):
    """The words of `_Lines`, and curves of the metrics that grow meanwhile."""

    def __init__(self, total: int, description: str, done: int, phase: str):
        super().__init__(total, description, done, "")
        self.phase, self.live = phase, None
        self.live = Live(self.words, in_jupyter())

    def words(self) -> str:
        return f"{super().words()}  {self.phase}".rstrip()

    def advance(self, n: int = 1, **metrics: SupportsFloat) -> None:
        self.phase = "" if n else self.phase
        self.take(n, metrics)
        self.live.update(self.done, metrics)

    def close(self) -> None:
        self.live.draw()


@contextlib.contextmanager
def progress(total: int, description: str, *, done: int = 0, phase: str = "") -> Iterator["_Bar | _Lines"]:
    """A progress display on stderr, or in a notebook, for a block: rate, time gone, time left and the latest metrics. The block calls its
    `.advance(n=1, **metrics)` where `n` more iterations are done.

    Args:
      total: how many iterations there are, of which `done` were done before.
      description: what is shown in front.
      phase: what goes on until the first of them is done, as `compiling`; shown at once.
    """
    console, description = _console(), one_line(description)
    kind = _InNotebook if console.is_jupyter else _Bar if console.is_terminal else _Lines
    shown = kind(total, description, done, phase if done < total else "")
    try:
        yield shown
    finally:
        shown.close()
