"""Changed files of every kind: whatever is read ends with exit 0, or with exit 2 and one line, in little memory and time.

Every case is drawn from a seed and a number, which a failure names. CONDENSE_FUZZ says how many there are,
CONDENSE_FUZZ_SEED from which seed, CONDENSE_FUZZ_CASE the numbers of single ones, with commas between.
"""

import io
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from condense.__main__ import run
from condense.experts import train_experts
from condense.teachers.self_supervised import train_ssl_teacher
from condense.teachers.train import train_teachers
from condense.workflows.export import export
from condense.workflows.import_set import import_set
from synth.set import SyntheticSet
from tests.support import fuzz
from tests.support.cli import DM, surroundings
from tests.support.data_files import class_folders, idx_folder
from tests.support.fuzz import mutate_bytes, mutate_gzip, mutate_idx, mutate_json, mutate_npz, mutate_picture, mutate_table, replace_file
from tests.support.toy_ranks import toy_ranks, write_ranks

CASES, SEED = int(os.environ.get("CONDENSE_FUZZ", 400)), int(os.environ.get("CONDENSE_FUZZ_SEED", 0))
MEMORY, MOST, SECONDS = "3e8", 1.5e9, 10.0  # that may be read; bytes and seconds, of work and on the clock, that a case may take
HANG = 120.0  # seconds after which a case is ended
START = 4e8  # bytes of a process that has imported everything and read nothing
FULL = 9e8  # bytes of a process, after many cases, from which on another takes its place
RANDOM = ["distill", "random", "--ipc", "1", "--out", "out", "--data"]
GRAPHS = ["distill", "random", "--bytes", "300", "--out", "out", "--data"]
IMPORT = ["import", "--data", "npz:data.npz", "--out", "made.npz"]
RUN = [*DM, "--seed", "3"]
SCORING = ["--rows", "distilled", "--seeds", "1", "--epochs", "1"]
SCORE = ["--data", "digits", *SCORING]

# what stands in a folder of the template -> (patterns of files to change, how, the command line that reads them)
KINDS: dict[str, tuple[tuple[str, ...], Callable, list[str]]] = {
    "set": (("set.npz",), mutate_npz, ["show", "set.npz", "--out", "grid.png"]),
    "header": (("set.npz",), lambda rng, data: header(rng, data), ["evaluate", "set.npz", *SCORE]),
    "graphs set": (("set.npz",), mutate_npz, ["show", "set.npz", "--out", "grid.png"]),
    "npz": (("data.npz",), mutate_npz, [*RANDOM, "npz:data.npz"]),
    "limited": (("data.npz",), mutate_npz, [*RANDOM, "npz:data.npz?limit=8"]),
    "idx": (("*ubyte",), mutate_idx, [*RANDOM, "idx:."]),
    "gz": (("*.gz",), mutate_gzip, [*RANDOM, "idx:."]),
    "pictures": (("t*/*/*",), mutate_picture, [*RANDOM, "folder:."]),
    "cut pictures": (("t*/*/*",), mutate_picture, [*RANDOM, "folder:.?size=8"]),
    "csv": (("t.csv",), mutate_table, [*RANDOM, "csv:t.csv"]),
    "two tables": (("t.csv", "other.csv"), mutate_table, [*RANDOM, "csv:t.csv?test=other.csv"]),
    "vectors": (("data.npz",), mutate_npz, [*RANDOM, "npz:data.npz"]),
    "vectors set": (("set.npz",), mutate_npz, ["show", "set.npz", "--out", "grid.png"]),
    "vectors header": (("set.npz",), lambda rng, data: header(rng, data), ["evaluate", "set.npz", "--data", "csv:t.csv", *SCORING]),
    "tu": (("G_*.txt",), mutate_table, [*GRAPHS, "tu:."]),
    "text": (("G.txt",), mutate_table, [*GRAPHS, "tu:G.txt"]),
    "smiles": (("m.csv",), mutate_table, [*GRAPHS, "smiles:m.csv"]),
    "run": (("a/run.json",), mutate_json, [*RUN, "--steps", "2", "--out", "a"]),
    "longer run": (("a/run.json", "a/metrics.jsonl", "a/checkpoints/*/checksums.json"), mutate_json, [*RUN, "--steps", "3", "--out", "a"]),
    "checkpoints": (("a/checkpoints/*/*", "a/checkpoints/*/d/*", "a/checkpoints"), mutate_bytes, [*RUN, "--steps", "3", "--out", "a"]),
    "experts": (("e/experts.json",), mutate_json, ["load", "experts", "e"]),
    "trajectories": (("e/expert_*.npy",), mutate_bytes, ["load", "experts", "e"]),
    "ranks": (("r/ranks.json",), mutate_json, ["load", "ranks", "r"]),
    "fields": (("r/rank_*.npy",), mutate_bytes, ["load", "ranks", "r"]),
    "teachers": (("t/teachers.json",), mutate_json, ["load", "teachers", "t"]),
    "members": (("t/members/*.npz", "t/normalisation.npz"), mutate_npz, ["load", "teachers", "t"]),
    "teacher": (("s/teacher.json",), mutate_json, ["load", "teacher", "s"]),
    "weights": (("s/teacher.npz",), mutate_npz, ["load", "teacher", "s"]),
    "priors": (("priors.json",), mutate_json, ["load", "priors", "."]),
    "released archive": (("kip.npz",), mutate_npz, [*IMPORT, "kip.npz"]),
    "released pictures": (("set/*/*",), mutate_picture, [*IMPORT, "set"]),
    "released table": (("t.parquet",), mutate_bytes, [*IMPORT, "t.parquet"]),
    "exported folder": (("out/labels.npz",), mutate_npz, [*IMPORT, "out"]),
    "exported rows": (("out/data/*", "out/rest.npz"), mutate_bytes, [*IMPORT, "out"]),
    "exported tars": (("out/data/*",), mutate_bytes, [*IMPORT, "out"]),
    "exported records": (("out/1.0.0/*",), mutate_bytes, [*IMPORT, "out"]),
}
if find_spec("torch"):
    KINDS |= {
        "released tensors": (("set/*.pt",), mutate_bytes, [*IMPORT, "set"]),
        "released file": (("res.pt",), mutate_bytes, [*IMPORT, "res.pt"]),
        "released views": (("views/*/*",), mutate_bytes, [*IMPORT, "set", "views"]),
        "exported tensors": (("set.pt",), mutate_bytes, [*IMPORT, "set.pt"]),
    }


def header(rng: np.random.Generator, data: bytes) -> bytes:
    """The set with another network, or another value somewhere in its header."""
    with np.load(io.BytesIO(data)) as file:
        arrays = {name: file[name] for name in file.files}
    held = json.loads(str(arrays["header"]))
    if rng.random() < 0.5:
        nets = (
            "convnet:width=1000000,depth=1",
            "mlp:width=60000",
            "mlp:width=100000000",
            "convnet:depth=100000",
            "gin",
            "x",
            "own-0",
            "vgg",
        )
        held["info"]["net"] = fuzz.pick(rng, (*nets, *fuzz.TEXTS))
        text = json.dumps(held).encode()
    else:
        text = mutate_json(rng, json.dumps(held).encode())
    arrays["header"] = np.array(text.decode("utf-8", "replace"))
    made = io.BytesIO()
    np.savez(made, **arrays)
    return made.getvalue()


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """A folder for every kind, in which all is well."""
    home = tmp_path_factory.mktemp("template")
    for kind in KINDS:
        (home / kind).mkdir()
    assert run([*RUN, "--steps", "2", "--out", str(home / "run" / "a")]) == 0
    for kind in ("longer run", "checkpoints"):
        shutil.copytree(home / "run" / "a", home / kind / "a")
    for kind in ("set", "header"):
        shutil.copy(home / "run" / "a" / "set.npz", home / kind)
    assert run(["distill", "random", "--data", "toy_graphs", "--bytes", "300", "--out", str(home / "made")]) == 0
    shutil.copy(home / "made" / "set.npz", home / "graphs set")
    rng, y = np.random.default_rng(0), np.arange(24, dtype=np.int64) % 3
    x = rng.integers(0, 256, (24, 8, 8, 3), np.uint8)
    names = np.array(["ant", "bee", "cow"])
    for kind in ("npz", "limited"):
        np.savez(home / kind / "data.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6], class_names=names)
    for kind in ("idx", "gz"):
        (home / kind).rmdir()
        idx_folder(home / kind, zipped=kind == "gz")
    for kind in ("pictures", "cut pictures"):
        class_folders(home / kind)
    vectors(home)
    graphs(home)
    released(home)
    train_experts("digits", count=1, epochs=1, out=home / "experts" / "e", net="mlp:width=4")
    shutil.copytree(home / "experts" / "e", home / "trajectories" / "e")
    for kind in ("ranks", "fields"):
        (home / kind / "r").mkdir()
        write_ranks(home / kind / "r", toy_ranks(y))
    train_teachers("digits", home / "teachers" / "t", net=["mlp:width=8,norm=batch"], epochs=2)
    shutil.copytree(home / "teachers" / "t", home / "members" / "t")
    train_ssl_teacher("digits", home / "teacher" / "s", net="mlp:width=6,norm=batch", epochs=1, batch=256, projector=4, lr=0.01)
    shutil.copytree(home / "teacher" / "s", home / "weights" / "s")
    (home / "priors" / "priors.json").write_text(json.dumps([{"settings": {"ipc": 1}, "priors": {"abc": 50.0}}]))
    return home


def vectors(home: Path) -> None:
    """Thirty rows of two numbers and a text, as tables, as an archive and as a set."""
    rows = [f"{row % 7 - 2.5},{row % 3},{('red', 'green', 'blue')[row % 3]},{('no', 'yes')[row % 2]}" for row in range(30)]
    text = "\n".join(["length,width,colour,label", *rows]) + "\n"
    for kind, name in (("csv", "t"), ("two tables", "t"), ("two tables", "other"), ("vectors header", "t")):
        (home / kind / f"{name}.csv").write_text(text)
    assert run([*RANDOM[:-2], str(home / "drawn"), "--data", f"csv:{home / 'csv' / 't.csv'}"]) == 0
    for kind in ("vectors set", "vectors header"):
        shutil.copy(home / "drawn" / "set.npz", home / kind)
    x, y = np.random.default_rng(1).normal(size=(24, 5)).astype(np.float32), np.arange(24, dtype=np.int64) % 2
    np.savez(home / "vectors" / "data.npz", x_train=x, y_train=y, x_test=x[:6], y_test=y[:6], class_names=np.array(["no", "yes"]))


def released(home: Path) -> None:
    """Sets of the images of `npz`, in the layouts of others and in our exports, each beside these data."""
    with np.load(home / "npz" / "data.npz") as file:
        x, y = file["x_train"][:6], file["y_train"][:6]
    kinds = [kind for kind in KINDS if IMPORT[0] in KINDS[kind][2]]
    for kind in kinds:
        shutil.copy(home / "npz" / "data.npz", home / kind)
    np.savez(home / "released archive" / "kip.npz", images=x.astype(np.float32) / 255, labels=np.eye(3, dtype=np.float32)[y])
    for kind in ("released pictures", "released views"):
        for row, (image, label) in enumerate(zip(x, y, strict=True)) if kind in kinds else ():
            (home / kind / "set" / f"new{label}").mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(home / kind / "set" / f"new{label}" / f"{row}.png")
    synth = import_set(home / "released archive" / "kip.npz", data=f"npz:{home / 'npz' / 'data.npz'}", normalise="none")
    exports = {"folder": "folder", "rows": "parquet", "tars": "webdataset", "records": "tfds"}
    for word, to in exports.items():
        export(synth, home / f"exported {word}" / "out", to=to)
    shutil.copy(home / "exported rows" / "out" / "data" / "train-00000-of-00001.parquet", home / "released table" / "t.parquet")
    if "released tensors" in kinds:
        released_tensors(home, synth, np.moveaxis(x, -1, 1).astype(np.float32), y)


def released_tensors(home: Path, synth: SyntheticSet, x: np.ndarray, y: np.ndarray) -> None:
    """The same in files of PyTorch."""
    import torch

    images, labels = torch.tensor(x), torch.tensor(y)
    (home / "released tensors" / "set").mkdir()
    for name, value in (("images_best", images), ("labels_best", labels), ("lr_best", torch.tensor(0.01))):
        torch.save(value, home / "released tensors" / "set" / f"{name}.pt")
    torch.save({"data": [[images, labels]], "accs_all_exps": {"ConvNet": [0.5]}}, home / "released file" / "res.pt")
    for epoch in range(2):
        (home / "released views" / "views" / f"epoch_{epoch}").mkdir(parents=True)
        crop = torch.tensor([[0.0, 0.0, 0.5, 0.5]] * 6)
        held = [crop, torch.zeros(6, dtype=torch.bool), torch.arange(6), 0.5, [1, 2, 5, 8], torch.zeros(6, 3, dtype=torch.float16)]
        torch.save(held, home / "released views" / "views" / f"epoch_{epoch}" / "batch_0.tar")
    export(synth, home / "exported tensors" / "set.pt", to="torch")


def graphs(home: Path) -> None:
    """Forty graphs of two or three nodes, in three formats."""
    sizes, labels = [2, 3] * 20, [0, 1] * 20
    tables: dict[str, list[str]] = {name: [] for name in ("A", "graph_indicator", "graph_labels", "node_labels", "node_attributes")}
    text, first = [str(len(sizes))], 0
    for number, (size, label) in enumerate(zip(sizes, labels, strict=True)):
        text.append(f"{size} {label}")
        tables["graph_labels"].append(str(label))
        for node in range(size):
            others = [other for other in (node - 1, node + 1) if 0 <= other < size]
            text.append(" ".join(map(str, (node % 2, len(others), *others))))
            tables["A"] += [f"{first + node + 1}, {first + other + 1}" for other in others]
            tables["graph_indicator"].append(str(number + 1))
            tables["node_labels"].append(str(node % 2))
            tables["node_attributes"].append("0.5, 1.5")
        first += size
    for name, lines in tables.items():
        (home / "tu" / f"G_{name}.txt").write_text("\n".join(lines) + "\n")
    (home / "text" / "G.txt").write_text("\n".join(text) + "\n")
    (home / "smiles" / "m.csv").write_text("smiles,label\n" + "CC,0\nCNO,1\n" * 20)


class Worker:
    """The process that runs the command lines, in a folder that is made anew for each."""

    def __init__(self, place: Path):
        self.place, self.process = place, None

    def ask(self, argv: list[str]) -> dict:
        """What a command line gave. Fails where nothing comes for twice the time that a case may take."""
        if self.process is None:
            environment = surroundings(CONDENSE_MEMORY=MEMORY, CONDENSE_DATA=str(self.place / "none"))
            command = [sys.executable, "-m", "tests.support.fuzz_worker"]
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
            self.process = subprocess.Popen(command, cwd=self.place, env=environment, **pipes)
        self.process.stdin.write(json.dumps(argv) + "\n")
        self.process.stdin.flush()
        timer = threading.Timer(HANG, self.process.kill)
        timer.start()
        line = self.process.stdout.readline()
        timer.cancel()
        assert line, f"the process died with {self.process.wait()}"
        return json.loads(line)

    def close(self) -> None:
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None


@pytest.fixture(scope="module")
def worker(tmp_path_factory):
    made = Worker(tmp_path_factory.mktemp("cases"))
    yield made
    made.close()


def wrong(told: dict) -> str:
    """What is wrong with an answer; empty where nothing is."""
    lines = [line for line in told["err"].splitlines() if line.startswith("condense: ")]
    if told["code"] not in (0, 2):
        return f"exit {told['code']}"
    if len(lines) != (told["code"] == 2):
        return f"{len(lines)} lines"
    if "Traceback" in told["err"] or any(len(line) > 1100 for line in told["err"].splitlines()):
        return "a traceback, or a very long line"
    if any(not letter.isprintable() and letter != "\n" for letter in told["err"]):
        return "letters that a terminal obeys"
    if told["grown"] > MOST - START or max(told["work"], told["seconds"]) > SECONDS:
        return f"{told['grown'] / 1e9:.2f} GB more in {told['work']:.1f} s of work, {told['seconds']:.1f} s in all"
    return ""


def prepare(template: Path, place: Path, number: int) -> tuple[str, list[str]]:
    """Fills the folder for a case, and says what was changed and which command line reads it."""
    rng = np.random.default_rng([SEED, number])
    kind = list(KINDS)[number % len(KINDS)]
    patterns, mutate, argv = KINDS[kind]
    for old in place.iterdir():
        shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
    shutil.copytree(template / kind, place, dirs_exist_ok=True)
    changed = []
    for _ in range(1 if rng.random() < 0.8 else 2):
        if found := sorted(path for pattern in patterns for path in place.glob(pattern) if path.is_file()):
            changed.append(replace_file(rng, fuzz.pick(rng, found), mutate))
    return f"{kind}: {', '.join(changed)}", argv


@pytest.mark.slow
def test_what_was_changed_is_read_or_refused_in_one_line(template, worker):
    """CONDENSE_FUZZ cases in turn; all that fail are told, each with its number."""
    alone = os.environ.get("CONDENSE_FUZZ_CASE")
    numbers = range(CASES) if alone is None else list(map(int, alone.split(",")))
    worker.ask(["list", "methods"])
    for kind in (
        "set",
        "run",
        "exported records",
        *[kind for kind in KINDS if kind == "released file"],
    ):  # what is imported and compiled once is no case's
        prepare(template, worker.place, list(KINDS).index(kind))
        worker.ask(KINDS[kind][2])
    told, codes = [], {0: 0, 2: 0}
    for number in numbers:
        what, argv = prepare(template, worker.place, number)
        got = worker.ask(argv)
        if got["held"] > FULL:
            worker.close()
        codes[got["code"]] = codes.get(got["code"], 0) + 1
        if fault := wrong(got):
            told.append(f"seed {SEED} case {number} ({what}; {' '.join(argv)}): {fault}: {got['err'][-600:]}")
    assert not told, "\n".join([f"{len(told)} of {len(numbers)}", *told[:20]])
    assert alone or min(codes[0], codes[2]) > CASES // 20, f"the cases tell nothing: {codes}"


@pytest.mark.slow
def test_what_was_not_changed_is_read(template, worker):
    """Else every refusal would be one of the template."""
    for kind, (_, _, argv) in KINDS.items():
        for old in worker.place.iterdir():
            shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        shutil.copytree(template / kind, worker.place, dirs_exist_ok=True)
        got = worker.ask(argv)
        assert got["code"] == 0, (kind, got["err"])
