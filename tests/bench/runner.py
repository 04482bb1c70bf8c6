"""Everything that `make bench` measures: works of widths 32 and 128 and a recovery step beside PyTorch, a pass over graphs, and whole
commands, first and second runs. The results join those of earlier runs in a file, and are printed beside their medians.

The default needs an idle machine and about three quarters of an hour.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from tests.bench import bench, graphs, problem, recovery

PLACE = Path(__file__).parents[2] / "docs" / "experiments" / "bench.json"
COMMANDS = {
    "list methods": ["list", "methods"],
    "distill dm, one step": ["distill", "dm", "--data", "digits", "--ipc", "1", "--steps", "1"],
    "distill mtt, one step": ["distill", "mtt", "--data", "digits", "--ipc", "1", "--steps", "1"],
    "distill dm, 32x32x3, one step": ["distill", "dm", "--data", "npz:DIR/toy.npz", "--ipc", "1", "--steps", "1"],
}


def time_commands(rounds: int) -> list[dict]:
    """For every command the seconds of a first run, with an empty cache of compiled programs, and of the next ones; `ratio` is how long
    a next one takes of that, medians over rounds."""
    rows = []
    for name, words in COMMANDS.items():
        spans: dict[str, list[float]] = {"first": [], "second": []}
        for _ in range(rounds):
            with tempfile.TemporaryDirectory() as place:
                write_toy(Path(place) / "toy.npz")
                around = os.environ | {"CONDENSE_PROGRAMS": f"{place}/programs"}
                around.pop("JAX_COMPILATION_CACHE_DIR", None)
                shared = ["--experts", f"{place}/experts"] if "mtt" in words else []
                if shared:
                    train = ["experts", "--data", "digits", "--count", "1", "--epochs", "25", "--out", f"{place}/experts"]
                    run([*train, "--net", "convnet:width=32,depth=2"], around | {"CONDENSE_PROGRAMS": "none"})
                for kind, held in spans.items():
                    out = ["--out", f"{place}/{kind}"] if words[0] == "distill" else []
                    held.append(run([word.replace("DIR", place) for word in words] + shared + out, around))
        seconds = {kind: round(statistics.median(held), 2) for kind, held in spans.items()}
        rows.append({"work": name, "ratio": round(seconds["second"] / seconds["first"], 3), "seconds": seconds})
        print(f"{name}: {seconds['first']:.2f} s, then {seconds['second']:.2f} s")
    return rows


def write_toy(path: Path) -> None:
    """Images as large as those of CIFAR-10, of noise."""
    import numpy as np

    rng, y = np.random.default_rng(0), np.arange(2000) % 10
    x = rng.integers(0, 256, (2000, 32, 32, 3), np.uint8)
    np.savez(path, x_train=x, y_train=y, x_test=x[:100], y_test=y[:100])


def run(words: list[str], around: dict[str, str]) -> float:
    """Seconds on the clock that a command line takes. Ends the program where it fails."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "condense", *words], env=around, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"condense {' '.join(words)}: {done.stderr.strip().splitlines()[-1]}")
    return time.perf_counter() - began


def processor() -> str:
    """What the processor is called, where the system says it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())


def name_of(row: dict) -> str:
    """What a row is called: its work and the width of its network."""
    return f"{row['work']} {row['width']}" if "width" in row else row["work"]


def main() -> None:
    """Measures all, adds the run to the file, and prints a table."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=PLACE, help="the file of this run and earlier ones")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2, help="threads, and processors, of each side")
    parser.add_argument("--widths", type=int, nargs="+", default=(32, 128))
    asked = parser.parse_args()
    load, rows = os.getloadavg()[0], time_commands(min(3, asked.rounds))
    for width in asked.widths:
        rows += bench.compare(problem.Sizes(width, 256, 10, 10), bench.WORKS, rounds=asked.rounds, threads=asked.threads)
    rows.append(recovery.compare(64, rounds=asked.rounds, threads=asked.threads))
    line, found = graphs.measure("toy_graphs", "gin:depth=3")
    print(f"\n{line}")
    rows.append({"work": "pass over graphs, gin", **found})
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    about = {"commit": commit, "date": date.today().isoformat(), "device": f"{processor()}, {asked.threads} cores"}
    held = json.loads(asked.out.read_text()) if asked.out.exists() else []
    print(f"\n{'work':32} ratio [rounds], median of {len(held)} earlier runs")
    for row in rows:
        before = [old["ratio"] for old in held if old["work"] == row["work"] and old.get("width") == row.get("width")]
        spread = f" [{row['lowest']:.2f} to {row['highest']:.2f}]" if "lowest" in row else ""
        earlier = f", {statistics.median(before):.2f} [{min(before):.2f} to {max(before):.2f}] before" if before else ""
        print(f"{name_of(row):32} {row['ratio']:.2f}{spread}{earlier}")
    asked.out.write_text(json.dumps([*held, *(row | about | {"load": round(load, 2)} for row in rows)], indent=1) + "\n")


if __name__ == "__main__":
    main()
