"""Measures the commands on data that are larger than their memory: 200,000 images 64x64x3 in 200 classes, made here.

    python -m tests.bench.large --count 20000 --out docs/experiments/large.json random kmeans dm teachers rded sre2l relabel evaluate

For every command: processor seconds, seconds on the clock, the most anonymous memory that its processes had at a time (RssAnon, sampled),
and what it says of the time that its steps waited for data. Records are added to those in the file.
"""

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np

from condense.data.readers.shards import write_tfds
from condense.data.readers.source import Source
from condense.data.rows import InMemory

CLASSES, SIDE = 200, 64
EVERY = 0.05  # seconds between two samples
CONVNET, RESNET = "convnet:width=16", "resnet:depth=8,width=16"
WAITED = re.compile(r"waited ([0-9.]+) s of ([0-9.]+) s for data")


def make(count: int, form: str, folder: Path) -> str:
    """Writes `count` training images and a twentieth of that for the test, and returns their specification. A class is a coarse pattern,
    and an image that pattern with noise as coarse."""
    place = folder / f"{count}.npz"
    if not place.exists():
        rng, arrays = np.random.default_rng(0), {}
        patterns = rng.integers(40, 216, (CLASSES, 8, 8, 3))
        for part, n in (("train", count), ("test", max(CLASSES, count // 20))):
            y = np.arange(n, dtype=np.int32) % CLASSES
            x = np.lib.format.open_memmap(folder / f"x_{part}_{count}.npy", "w+", np.uint8, (n, SIDE, SIDE, 3))
            for at in range(0, n, 1000):
                own = patterns[y[at : at + 1000]]
                coarse = np.clip(own + rng.integers(-40, 41, own.shape), 0, 255).astype(np.uint8)
                x[at : at + 1000] = coarse.repeat(8, 1).repeat(8, 2)
            arrays |= {f"x_{part}": x, f"y_{part}": y}
        np.savez(place, **arrays)
    if form == "npz":
        return f"npz:{place}?stream=true"
    prepared = folder / f"tfds{count}"
    if not prepared.exists():
        with np.load(place) as held:
            labels = {part: held[f"y_{part}"] for part in ("train", "test")}
        parts = [InMemory(np.load(folder / f"x_{part}_{count}.npy", mmap_mode="r"), y) for part, y in labels.items()]
        prepared.mkdir()
        write_tfds(Source("large", str(place), *parts, tuple(map(str, range(CLASSES))), True), prepared)
    return f"tfds:{prepared}?stream=true"


@dataclass(frozen=True)
class Drawn:
    """Rows `first`, `first` + 1 ... of images 16x16x3 in 1,000 classes, each drawn when it is taken."""

    first: int
    count: int
    in_memory = False
    dtype = np.dtype(np.uint8)

    @property
    def y(self) -> np.ndarray:
        """Class by number."""
        return (np.arange(self.first, self.first + self.count) % 1000).astype(np.int32)

    @property
    def shape(self) -> tuple[int, ...]:
        """n h w c."""
        return self.count, 16, 16, 3

    def take(self, index: np.ndarray) -> np.ndarray:
        """Drawn now: stripes of four pixels, at random levels of the class's own, and noise as coarse."""
        number, place = self.first + np.asarray(index, np.int64)[:, None], np.arange(64)[None]
        levels = scattered(number % 1000 * 64 + place) % 176 + 40 + scattered((number + 1000) * 64 + place) % 81 - 40
        return levels.clip(0, 255).astype(np.uint8).repeat(12, 1).reshape(-1, 16, 16, 3)


def scattered(numbers: np.ndarray) -> np.ndarray:
    """Numbers of 32 bits that look drawn, the same ones for the same `numbers`."""
    for _ in range(2):
        numbers = (numbers ^ (numbers >> 16)) * 0x45D9F3B & 0xFFFFFFFF
    return numbers ^ (numbers >> 16)


def make_wide(count: int, folder: Path) -> str:
    """Writes an array_record of `count` images in 1,000 classes, as many as ImageNet has, and returns its specification."""
    prepared = folder / f"wide{count}"
    if not prepared.exists():
        prepared.mkdir()
        parts = Drawn(0, count), Drawn(count, max(2000, count // 25))
        write_tfds(Source("wide", str(prepared), *parts, tuple(map(str, range(1000))), True), prepared)
    return f"tfds:{prepared}?stream=true&normalise=imagenet"  # of its own moments a first call decodes all images


def commands(data: str, runs: Path) -> dict[str, list[str]]:
    """The commands by name. Later ones use what earlier ones leave."""
    teachers, steps = ["--teachers", str(runs / "teachers")], ["--steps", "50"]

    def distill(method: str, *more: str) -> list[str]:
        return ["distill", method, "--data", data, "--out", str(runs / method), *more]

    evaluate = ["evaluate", str(runs / "random"), "--net", CONVNET, "--rows", "distilled,full", "--full-epochs", "1", "--seeds", "1"]
    return {
        "random": distill("random", "--ipc", "10", "--net", CONVNET),
        "kmeans": distill("kmeans", "--ipc", "10", "--net", CONVNET),
        "herding": distill("herding", "--ipc", "10", "--net", CONVNET, "--epochs", "1"),
        "dm": distill("dm", "--ipc", "1", "--net", CONVNET, "--batch", "16", *steps),
        "teachers": ["teachers", "--data", data, "--net", RESNET, "--epochs", "1", "--out", str(runs / "teachers")],
        "rded": distill("rded", "--ipc", "1", *teachers),
        "sre2l": distill("sre2l", "--ipc", "1", *teachers, *steps),
        "ten": distill("sre2l", "--ipc", "1", *teachers, "--steps", "10", "--labels", "hard"),
        "crops": distill("rded", "--ipc", "1", *teachers, "--images", "8"),
        "relabel": ["relabel", str(runs / "random"), *teachers, "--kind", "static", "--out", str(runs / "relabelled.npz")],
        "evaluate": [*evaluate, "--epochs", "1"],
        "open": distill("random", "--ipc", "1", "--net", CONVNET),
        "steps": ["teachers", "--data", data, "--net", RESNET, "--epochs", "1", "--fraction", "0.001", "--out", str(runs / "steps")],
        "knowing": ["teachers", "--data", data, "--net", RESNET, "--epochs", "2", "--fraction", "0.05", "--out", str(runs / "teachers")],
        "plan": distill("dm", "--ipc", "1", "--net", CONVNET, "--batch", "2", "--steps", "10", "--dry-run"),
        "experts": ["experts", "--data", data, "--net", CONVNET, "--count", "1", "--epochs", "1", "--out", str(runs / "experts")],
    }


def anonymous(root: int) -> int:
    """Bytes of anonymous memory that a process and all its children have."""
    todo, total = [root], 0
    while todo:
        process = todo.pop()
        with contextlib.suppress(OSError, StopIteration):
            lines = Path(f"/proc/{process}/status").read_text().splitlines()
            total += next(int(line.split()[1]) << 10 for line in lines if line.startswith("RssAnon:"))
            todo += map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
    return total


def measure(command: list[str]) -> dict:
    """Runs a command of `condense` and says what it took."""
    before, began, most = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0
    with tempfile.TemporaryFile("w+") as heard:
        process = subprocess.Popen([sys.executable, "-m", "condense", *command], stdout=heard, stderr=heard)
        done = threading.Event()
        threading.Thread(target=lambda: (process.wait(), done.set()), daemon=True).start()
        while not done.wait(EVERY):
            most = max(most, anonymous(process.pid))
        heard.seek(0)
        text = heard.read()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime"))
    waits = np.array([list(map(float, found)) for found in WAITED.findall(text)]).reshape(-1, 2).sum(0)
    if process.returncode:
        print(text, file=sys.stderr)
    return {
        "exit": process.returncode,
        "processor_seconds": round(spent, 1),
        "seconds": round(time.perf_counter() - began, 1),
        "anonymous_bytes": most,
        "waited_share": round(float(waits[0] / waits[1]), 4) if waits[1] else None,
    }


def main() -> None:
    """Measures the commands that are named and adds the records to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="+")
    parser.add_argument("--count", type=int, default=200_000)
    parser.add_argument("--form", choices=("npz", "array_record", "wide"), default="npz", help="wide: small images in 1,000 classes")
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "condense_large")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    data = make_wide(asked.count, asked.folder) if asked.form == "wide" else make(asked.count, asked.form, asked.folder)
    runs = asked.folder / f"runs_{asked.form}_{asked.count}"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    for name in asked.names:
        command = commands(data, runs)[name]
        shown = " ".join(word.replace(str(asked.folder), "DIR") for word in ("condense", *command))
        record = {"name": name, "images": asked.count, "form": asked.form, "command": shown, **measure(command)}
        record |= {
            "commit": commit,
            "device": f"cpu, {len(os.sched_getaffinity(0))} cores, {platform.machine()}",
            "date": date.today().isoformat(),
        }
        known = json.loads(asked.out.read_text()) if asked.out.exists() else []
        asked.out.write_text(json.dumps([*known, record], indent=1) + "\n")
        print(json.dumps(record))


if __name__ == "__main__":
    main()
