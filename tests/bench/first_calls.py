"""First calls: a method gets data, a budget and a folder, and nothing else. What it takes, and what its set is worth beside real examples.

    python -m tests.bench.first_calls --out docs/experiments/first_calls.json --data digits dm mtt random
    python -m tests.bench.first_calls --out docs/experiments/first_calls.json --data pictures dm

For every method: processor seconds of the distillation, with experts or teachers of its own making, and accuracy of the set, of random
and of k-means examples over three networks. Records are added to those in the file; what stands there is not measured again.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
from datetime import date
from pathlib import Path

import numpy as np
from PIL import Image

import condense

# Folders of 40 pictures of two classes, with 200 to test on. The classes of the second were chosen before any method ran on it: of five
# pairs of other images, the one where networks that learn from all pictures are furthest above those that learn from one a class.
PICTURES = {
    "pictures": ("cifar10?limit=4000", ("automobile", "frog")),
    "fashion_pictures": ("fashion_mnist?limit=4000", ("Pullover", "Coat")),
}
COUNTS = {"train": 20, "test": 100}  # a class
LIMIT = 3600  # seconds of a command


def pictures(which: str, folder: Path) -> str:
    """Writes the folder of 40 pictures that is called `which`, with 200 to test on, and returns its specification."""
    place, (of, classes) = folder / which, PICTURES[which]
    if not place.exists():
        data = condense.load_data(of, seed=0)
        for part, rows in (("train", data.train), ("test", data.test)):
            for name in classes:
                own = np.flatnonzero(np.asarray(rows.y) == data.classes.index(name))[: COUNTS[part]]
                (place / part / name).mkdir(parents=True)
                for number, image in enumerate(rows.take_bytes(own)):
                    Image.fromarray(image.squeeze()).save(place / part / name / f"{number}.png")
    return f"folder:{place}"


def call(*command: str) -> tuple[float, str]:
    """Processor seconds of a command of `condense`, and why it failed, in its last line; empty where it did not."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run([sys.executable, "-m", "condense", *command], capture_output=True, text=True, timeout=LIMIT)
        lines = done.stderr.strip().splitlines() or ["no message"]
        failed = lines[-1] if done.returncode else ""
    except subprocess.TimeoutExpired:
        failed = f"stopped after {LIMIT} seconds"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(sum(getattr(after, name) - getattr(before, name) for name in ("ru_utime", "ru_stime")), 1), failed


def budget(method: str, data: str) -> list[str]:
    """One image a class, two or three where one is not defined; of sets without classes ten images; graphs by bytes where a set counts
    none."""
    if data.startswith("toy_graphs"):
        return ["--bytes", "2000"] if method in ("random", "mirage") else [] if method == "colour" else ["--ipc", "2"]
    least = {"infer": "3" if data.startswith("folder:") else "2", "ccfs": "2"}  # compensators are images too, and two classes have few
    return ["--size", "10"] if method == "krrst" else ["--ipc", least.get(method, "1")]


def first_call(method: str, data: str, folder: Path) -> dict:
    """The record of one method on one data set."""
    run = folder / "runs" / f"{method}-{''.join(filter(str.isalnum, data))[-40:]}"
    command = ["distill", method, "--data", data, *budget(method, data), "--out", str(run)]
    record = {"method": method, "command": " ".join(("condense", *command)).replace(str(folder), "DIR")}
    record["distill_processor_seconds"], record["failed"] = call(*command)
    if record["failed"] or method == "krrst":  # whose sets `condense transfer` scores
        return record
    rows, scores = "distilled,random" if data.startswith("toy_graphs") else "distilled,random,kmeans", run.with_suffix(".json")
    scoring = ["evaluate", str(run), "--rows", rows, "--seeds", "3", "--cache", str(folder / "cells"), "--json", str(scores)]
    record["evaluate_processor_seconds"], record["failed"] = call(*scoring)
    if not record["failed"]:
        found = json.loads(scores.read_text())["results"]
        record |= {"recipe": found[0]["recipe"], "net": found[0]["net"]}
        record |= {row["set_kind"]: [round(100 * row["mean"], 1), round(100 * row["std"], 1)] for row in found}
    return record


def main() -> None:
    """Measures the methods that are named and adds the records to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("methods", nargs="+")
    parser.add_argument(
        "--data", required=True, help="a specification; or pictures, fashion_pictures: folders of 40 pictures of CIFAR-10 or Fashion-MNIST"
    )
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "condense_first_calls")
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    data = pictures(asked.data, asked.folder) if asked.data in PICTURES else asked.data
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    facts = {"data": asked.data, "commit": commit, "date": date.today().isoformat()}
    facts |= {"device": f"cpu, {len(os.sched_getaffinity(0))} cores, {platform.machine()}"}
    for method in asked.methods:
        known = json.loads(asked.out.read_text()) if asked.out.exists() else []
        if not any((one["method"], one["data"]) == (method, asked.data) for one in known):
            record = {**first_call(method, data, asked.folder), "seeds": 3, **facts}
            known = json.loads(asked.out.read_text()) if asked.out.exists() else []
            asked.out.write_text(json.dumps([*known, record], indent=1) + "\n")
            print(json.dumps(record), flush=True)


if __name__ == "__main__":
    main()
