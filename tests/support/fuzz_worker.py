"""A process that runs one command line after another: a line of JSON in, a line of JSON out. Starting JAX for each would take too long."""

import contextlib
import io
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

from condense import __main__ as program
from condense.data.load import load_data
from condense.experts import load_experts
from condense.inputs.priors import _records
from condense.teachers.self_supervised import load_ssl_teacher
from condense.teachers.store import take_teachers
from synth.selection.ranks import DTYPES, read_ranks

CALLS = {
    "experts": lambda place: load_experts(place).read(0, [0, 1]),
    "ranks": lambda place: [read_ranks(place).read(name) for name in DTYPES],
    "teachers": lambda place: take_teachers(place, load_data("digits")),
    "teacher": load_ssl_teacher,
    "priors": lambda place: _records(Path(place)),
}


class Letters:
    """Stands in for rdkit where that is not installed: every letter is an atom, in a chain."""

    def MolFromSmiles(self, text: str):
        atoms = [SimpleNamespace(GetAtomicNum=lambda letter=letter: ord(letter) % 100) for letter in text]
        ends = range(len(atoms) - 1)
        bonds = [
            SimpleNamespace(GetBeginAtomIdx=lambda at=at: at, GetEndAtomIdx=lambda at=at: at + 1, GetBondType=lambda: 1) for at in ends
        ]
        return SimpleNamespace(GetNumAtoms=lambda: len(atoms), GetAtoms=lambda: atoms, GetBonds=lambda: bonds)


def memory(word: str) -> int:
    """Bytes of memory: `VmRSS` is what there is now, `VmHWM` the most since `forget_peak`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith(word))


def forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def answer(argv: list[str]) -> dict:
    """The exit code of a command line, what it said, and what it took. `load KIND DIR` reads what verbs read late, after other work."""
    out, err = io.StringIO(), io.StringIO()
    forget_peak()
    began, worked, before = time.monotonic(), time.process_time(), memory("VmRSS")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        if argv[0] == "load":
            with patch("condense.cli.app.call", lambda argv: CALLS[argv[1]](argv[2])):
                code = program.run(argv)
        else:
            code = program.run(argv)
    return {
        "code": code,
        "out": out.getvalue(),
        "err": err.getvalue(),
        "seconds": time.monotonic() - began,
        "work": time.process_time() - worked,
        "grown": memory("VmHWM") - before,
        "held": before,
    }


def main() -> None:
    """Answers until nobody asks."""
    answers = sys.stdout
    program.hush()
    try:
        import rdkit  # noqa: F401
    except ImportError:
        sys.modules["rdkit"] = SimpleNamespace(Chem=Letters(), RDLogger=SimpleNamespace(DisableLog=lambda name: None))
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
