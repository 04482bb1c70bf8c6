"""SIGKILL at the moments of saving: the same command again gives what an uninterrupted one gives, and makes nothing a second time."""

import json
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from tests.support.cli import surroundings
from tests.support.data_files import class_folders
from tests.support.killed import Moment, Moments, call, watching

MLP, DATA = "mlp:width=8,norm=batch", "digits?limit=100"
RECOVERY = "--prior equal --patches none --start noise --label-epochs 3 --steps 2 --checkpoint-every 1"
PRETRAIN = "--net mlp:width=4 --batch 40 --pool 1 --pool-steps 2 --steps 2 --checkpoint-every 1"
# what is made -> the command that makes it, and what must be there before
VERBS: dict[str, tuple[str, tuple[str, ...]]] = {
    "run": (f"distill kip --data {DATA} --ipc 1 --batch 40 --steps 3 --checkpoint-every 1 --eval-every 1 --out run", ()),
    "other run": (f"distill kip --data {DATA} --ipc 1 --batch 40 --steps 2 --checkpoint-every 1 --seed 1 --force --out run", ("run",)),
    "own experts": (f"distill mtt --data {DATA} --ipc 1 --net mlp:width=4 --inner-steps 1 --steps 1 --out mtt", ()),
    "experts": (f"experts --data {DATA} --count 2 --epochs 3 --net mlp:width=4 --out e", ()),
    "teachers": (f"teachers --data digits --net {MLP} mlp:width=6,norm=batch --epochs 2 --out t", ()),
    "ranks": (f"rank --data {DATA} --networks 2 --epochs 2 --net mlp:width=4 --out r", ()),
    "ssl": (f"teachers --ssl barlow --data digits --net {MLP} --epochs 2 --out s", ()),
    "relabel": ("relabel run --data digits --teachers t --kind committee --recipe cvdd --epochs 3 --out b.npz", ("run", "teachers")),
    "labels": (f"distill cvdd --data digits --ipc 1 --teachers t {RECOVERY} --out c", ("teachers",)),
    "priors": ("priors t", ("teachers",)),
    "rounds": (
        f"distill ccfs --data {DATA} --ipc 4 --net mlp:width=4 --distilled run --ranks r --by aum --epochs 1 --out f",
        ("run", "ranks"),
    ),
    "representations": (f"distill krrst --data digits --size 10 --teacher s {PRETRAIN} --out k", ("ssl",)),
    "transfer": ("transfer k --teacher s --to digits --seeds 1 --epochs 1 --rows none,distilled --json t.json", ("ssl", "representations")),
    # without cells: a process of its own has other switches of JAX than this one, so its cells are others
    "evaluate": (f"evaluate run --data {DATA} --rows distilled --seeds 1 --cache none --json e.json", ("run",)),
    "data": ("data mine --from pictures", ("pictures",)),
}
# what is made -> when, at which kind of moment, of which file, which time
CASES = """
run: before replace run.json 1, after replace run.json 1, torn replace run.json 2, before replace run.json 4, torn replace run.json 5
run: after replace run.json 5, before replace metrics.jsonl 1, before append metrics.jsonl 1, torn append metrics.jsonl 2
run: after append metrics.jsonl 3, torn append metrics.jsonl 6, before orbax * 1, torn orbax * 2, after orbax * 2
run: torn replace 000000001 1, after replace 000000001 1, after replace 000000003 1, torn remove 000000001 1, before replace best.npz 1
run: after replace best.npz 1, torn replace set.npz 1, after replace set.npz 1, torn replace grid.png 1, after replace grid.png 1
other run: before replace run.json 1, after replace run.json 1, after unlink set.npz 1, torn remove checkpoints 1, before replace run.json 2
other run: after replace run.json 2, after replace set.npz 1
own experts: after replace experts/checkpoints/*/000000007 1, torn replace experts.json 1, after replace experts.json 1
own experts: before replace mtt/run.json 1, after replace mtt/checkpoints/000000001 1
experts: before row * 1, torn row * 3, after row * 6, torn orbax * 1, after replace 000000002 1, torn append metrics.jsonl 4
experts: before replace expert_0000.npy 1, after replace expert_0000.npy 1, before replace experts.json 1, torn replace experts.json 1
experts: after replace experts.json 1, torn remove checkpoints 1, before replace run.json 5
teachers: torn orbax * 1, after replace 0/000000001 1, before append metrics.jsonl 1, torn append metrics.jsonl 3
teachers: torn replace 0.npz 1, after replace 1.npz 1, torn replace normalisation.npz 1, torn replace teachers.json 1
teachers: after replace teachers.json 1, torn remove checkpoints 1, after remove checkpoints 1, before replace run.json 6
ranks: torn row rank_error.npy 1, after row rank_label.npy 1, before orbax * 1, torn orbax * 2, after replace 0/000000001 1
ranks: after replace 0/000000002 1, torn append metrics.jsonl 3, torn row rank_embedding.npy 1, torn row rank_gradient.npy 3
ranks: after append metrics.jsonl 4, torn replace ranks.json 1, after replace ranks.json 1, before replace run.json 6
ssl: after append metrics.jsonl 2, torn orbax * 2, after replace 000000001 1, torn replace teacher.npz 1, after replace teacher.npz 1
ssl: torn replace teacher.json 1, after replace teacher.json 1
relabel: torn replace labels.json 1, torn replace 0.npz 1, after replace 0.npz 1, before replace 1.npz 1, torn replace b.npz 1
relabel: after replace b.npz 1, torn remove .b.npz.partial 1
labels: after replace 000000002 1, after replace labels.json 1, after replace 0.npz 1, torn replace 1.npz 1, before replace set.npz 1
labels: after replace set.npz 1, torn remove .labels.partial 1, before replace run.json 4
priors: after replace 000000002 1, torn replace priors.json 1, after replace priors.json 1, torn remove 0-* 1
rounds: torn replace rounds.json 1, torn replace 0.npz 1, after replace 1.npz 1, before replace set.npz 1, torn remove .rounds.partial 1
representations: torn orbax * 1, torn replace set.npz 1
transfer: torn replace t.json 1, after replace t.json 1
evaluate: torn replace e.json 1
data: before replace tfds/mine 1, torn replace mine-test.array_record-00000-of-00001 1
"""
KILLS = [(line.partition(":")[0], *case.split()) for line in CASES.split("\n") if line for case in line.partition(":")[2].split(",")]
ONCE = re.compile(r"replace \S*(/[0-9]{9}|partial/[0-9]+\.npz)")  # states and answers: work that must not be lost
TIMES = {"wall_seconds", "processor_seconds", "peak_memory_bytes", "seconds"}


class Made(NamedTuple):
    """What an uninterrupted command made: its folder, the files there, and the moments at which it saved something."""

    place: Path
    files: dict[str, object]
    passed: list[Moment]


def files(place: Path) -> dict[str, object]:
    """Contents by path, hidden files too: arrays of npz, records without times, of states and locks the names alone."""
    found = {}
    for path in sorted(place.rglob("*")):
        name, content = str(path.relative_to(place)), path.is_file() and path.read_bytes()
        if re.search(r"checkpoints/.*[0-9]{9}/", name) or path.is_dir():
            continue
        if path.suffix == ".npz":
            with np.load(path) as archive:
                kept = [key for key in archive.files if (path.name, key) != (".condense.npz", "stamp")]  # of the times of files
                content = {key: (archive[key].dtype.str, archive[key].shape, archive[key].tobytes()) for key in kept}
        elif path.suffix == ".json":
            content = timeless(json.loads(content))
        found[name] = "" if path.name == ".lock" else content
    return found | {str(path.relative_to(place)): "" for path in place.rglob("[0-9]" * 9)}


def timeless(value: object) -> object:
    """A value of JSON without what differs from one process to another."""
    if isinstance(value, dict):
        return {name: timeless(one) for name, one in value.items() if name not in TIMES}
    return [timeless(one) for one in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Gives what each verb makes, once made; folders of needs are copied before."""
    known: dict[str, Made] = {}

    def make(verb: str) -> Made:
        if verb not in known:
            place = tmp_path_factory.mktemp(verb.replace(" ", "_"))
            if verb == "pictures":
                class_folders(place / "pictures")
                return known.setdefault(verb, Made(place, {}, []))
            passed, code = again(place, verb, make)
            assert code == 0
            known[verb] = Made(place, files(place), passed)
        return known[verb]

    return make


def prepare(place: Path, verb: str, make) -> None:
    for need in VERBS[verb][1]:
        shutil.copytree(make(need).place, place, dirs_exist_ok=True)


def again(place: Path, verb: str, make=None) -> tuple[list[Moment], int]:
    """Runs the command of a verb in a folder, in this process; with `make`, what it needs is put there first."""
    if make:
        prepare(place, verb, make)
    with pytest.MonkeyPatch.context() as patch, watching(Moments()) as moments:
        patch.chdir(place)
        patch.setenv("CONDENSE_DATA", str(place / "data"))
        return moments.passed, call(VERBS[verb][0].split())


def killed(place: Path, verb: str, when: str, kind: str, name: str, count: str) -> tuple[list[Moment], str]:
    """Runs the command of a verb in a process that dies at a moment; gives those that had passed, and what it said."""
    log = place.with_name("passed.txt")
    command = [sys.executable, "-m", "tests.support.killed", when, kind, name, count, str(log), "--", *VERBS[verb][0].split()]
    env = surroundings(CONDENSE_DATA=str(place / "data"), JAX_NUM_CPU_DEVICES="4")
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == -signal.SIGKILL, f"it was not killed: {done.stderr}"
    return [tuple(line.split(" ", 1)) for line in log.read_text().splitlines()] if log.exists() else [], done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "when", "kind", "name", "count"), KILLS, ids=["-".join(case).replace(" ", "_") for case in KILLS])
def test_what_was_killed_while_it_saved_ends_as_if_it_had_not_been(made, tmp_path, verb, when, kind, name, count):
    whole, place = made(verb), tmp_path / "place"
    place.mkdir()
    prepare(place, verb, made)
    before, _ = killed(place, verb, when, kind, name, count)
    after, code = again(place, verb)
    assert code == 0
    found = files(place)
    assert sorted(found) == sorted(whole.files)
    assert [path for path in found if found[path] != whole.files[path]] == []
    if verb != "other run" and (verb, kind) != ("relabel", "remove"):  # they make anew what was done
        states = Counter(" ".join(moment) for moment in (*before, *after) if ONCE.fullmatch(" ".join(moment)))
        assert states == Counter(" ".join(moment) for moment in whole.passed if ONCE.fullmatch(" ".join(moment)))
