"""Real processes on one machine, joined by JAX's collectives for CPUs: they give what one process with as many devices gives, and a run
that has lost one goes on."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from condense.runtime.processes import LOST
from tests.support.cli import record, surroundings, wait
from tests.support.processes import around, free_port, together

SMALL, NET = "digits?limit=100", "mlp:width=4"
DM = ["distill", "dm", "--data", SMALL, "--ipc", "1", "--net", NET, "--batch", "4"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def fine(*argv: str, **more) -> list:
    """Runs it, and demands that all processes have done it."""
    ended = together(*argv, **more)
    assert [one.code for one in ended] == [0] * len(ended), [one.err for one in ended]
    return ended


def arrays(place: str | Path) -> dict[str, bytes]:
    """The bytes of all arrays in an npz file or a folder of files, by name; the header of a set apart."""
    place = Path(place)
    if place.is_dir():
        return {f"{path.name}/{name}": value for path in sorted(place.rglob("*.npz")) for name, value in arrays(path).items()}
    with np.load(place) as held:
        return {name: held[name].tobytes() for name in held.files if name != "header"}


def lines(place: str | Path) -> list[dict]:
    return [json.loads(line) for line in Path(place, "metrics.jsonl").read_text().splitlines()]


def test_two_processes_give_the_bits_of_one_with_two_devices():
    def match(name: str, processes: int) -> list:
        return fine(*DM, "--steps", "4", "--out", name, processes=processes, devices=2 // processes)

    with ThreadPoolExecutor(2) as pool:
        (first, second), _ = pool.map(match, ("two", "one"), (2, 1))
    assert arrays("two/set.npz") == arrays("one/set.npz") and lines("two") == lines("one")
    assert [(record(Path(name))["processes"], record(Path(name))["devices"]) for name in ("one", "two")] == [(1, 2), (2, 2)]
    assert "grid.png are ready" in first.out and "dm 4/4" in first.err and (second.out, second.err) == ("", "")


LONG = [*DM, "--steps", "300", "--checkpoint-every", "30", "--out"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """The run of two processes that nothing has interrupted."""
    place = tmp_path_factory.mktemp("whole") / "run"
    fine(*LONG, str(place))
    return place


@pytest.mark.slow
@pytest.mark.parametrize("lost", [0, 1])
def test_a_run_that_has_lost_a_process_goes_on(lost, whole):
    """The other ends with 1 and one line. Two processes then repeat the bits of an uninterrupted run, and one comes close to them."""
    ended = together(*LONG, "run", kill=(lost, lambda: Path("run/run.json").is_file() and record(Path("run"))["step"] > 0))
    assert ended[lost].code == -signal.SIGKILL
    assert (ended[1 - lost].code, ended[1 - lost].last) == (1, f"condense: {LOST}")
    assert 0 < record(Path("run"))["step"] < 300
    if lost:
        fine(*LONG, "run")
        assert arrays("run/set.npz") == arrays(whole / "set.npz") and lines("run") == lines(whole)
    else:
        (alone,) = fine(*LONG, "run", processes=1)
        assert "going on with processes 1 (was 2)" in alone.err
        with np.load("run/set.npz") as held, np.load(whole / "set.npz") as expected:
            np.testing.assert_allclose(held["x/pixels"], expected["x/pixels"], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_worker_that_is_killed_is_told_by_its_watcher():
    port, argv = free_port(), [sys.executable, "-m", "condense", *DM, "--steps", "100000", "--checkpoint-every", "30", "--out", "a"]
    made = [subprocess.Popen(argv, env=around(number, 2, port), stderr=subprocess.PIPE, text=True) for number in range(2)]
    try:
        wait(lambda: any(Path("a/checkpoints").glob("[0-9]*")), made[1])
        (worker,) = Path(f"/proc/{made[1].pid}/task/{made[1].pid}/children").read_text().split()
        os.kill(int(worker), signal.SIGKILL)
        said = [process.communicate(timeout=120)[1].strip().splitlines()[-1] for process in made]
    finally:
        for process in made:
            process.kill()
    assert [process.returncode for process in made] == [1, 1]
    assert said[0] == f"condense: {LOST}" and "ended by signal 9; start all processes again" in said[1]


@pytest.mark.slow
def test_experts_and_trajectories_and_what_is_lost_of_them():
    train = ["experts", "--data", SMALL, "--count", "3", "--epochs", "6", "--net", NET, "--out"]
    fine(*train, "two")
    fine(*train, "one", processes=1, devices=2)
    rows = {name: [np.load(path) for path in sorted(Path(name).glob("expert_*.npy"))] for name in ("two", "one")}
    assert len(rows["two"]) == 3 and all(map(np.array_equal, rows["two"], rows["one"])) and lines("two") == lines("one")
    together(*train, "lost", kill=(1, lambda: any(Path("lost/checkpoints").glob("*/[0-9]*"))))
    assert not Path("lost/expert_0002.npy").exists()
    fine(*train, "lost")
    assert all(map(np.array_equal, rows["two"], [np.load(path) for path in sorted(Path("lost").glob("expert_*.npy"))]))
    for name, more in {"a": {}, "b": {"processes": 1, "devices": 2}}.items():
        match = ["distill", "mtt", "--data", SMALL, "--ipc", "1", "--experts", "two", "--inner-steps", "2", "--steps", "3", "--out", name]
        fine(*match, **more)
    assert arrays("a/set.npz") == arrays("b/set.npz")


@pytest.mark.slow
def test_teachers_are_trained_by_several_and_one_goes_on_with_them():
    nets = ["mlp:width=8,norm=batch", "mlp:width=6,norm=batch", "mlp:width=7"]
    train = ["teachers", "--data", "digits", "--net", *nets, "--epochs", "6", "--out"]
    fine(*train, "two")
    fine(*train, "one", processes=1)
    assert arrays("two/members") == arrays("one/members") and lines("two") == lines("one")
    indices = [json.loads(Path(name, "teachers.json").read_text()) for name in ("two", "one")]
    assert indices[0] == indices[1]
    together(*train, "lost", kill=(1, lambda: any(Path("lost/checkpoints/1").glob("[0-9]*"))))
    fine(*train, "lost", processes=1)
    assert arrays("lost/members") == arrays("one/members")


@pytest.mark.slow
def test_an_evaluation_shares_its_cells():
    fine(*DM, "--steps", "1", "--out", "run", processes=1)
    score = ["evaluate", "run", "--rows", "distilled,random", "--seeds", "2", "--recipe", "quick", "--epochs"]
    fine(*score, "3", "--cache", "a", "--json", "two.json")
    assert len(cells("a")) == 4
    (alone,) = fine(*score, "3", "--cache", "b", "--json", "one.json", processes=1)
    two, one = (json.loads(Path(f"{name}.json").read_text())["results"] for name in ("two", "one"))
    assert [row["accuracy"] for row in two] == [row["accuracy"] for row in one] and len(two) == 2
    (again,) = fine(*score, "3", "--cache", "a", processes=1)
    assert "compiling and timing" in alone.err and "compiling and timing" not in again.err  # the cells are those of one process
    lost = together(*score, "40000", "--cache", "c", kill=(1, lambda: bool(cells("c"))))
    kept = cells("c")
    assert (lost[0].code, lost[0].last) == (1, f"condense: {LOST}") and 0 < len(kept) < 4
    fine(*score, "40000", "--cache", "c", processes=1)
    assert len(cells("c")) == 4 and kept.items() <= cells("c").items()


SUITE = """
data = "digits?limit=100"
ipc = 1
seeds = 2
recipe = "quick"
nets = "mlp:width=4"
rows = ["distilled", "random"]
[[method]]
name = "mtt"
net = "mlp:width=4"
inner_steps = 2
steps = 2
[[method]]
name = "dm"
net = "mlp:width=4"
batch = 4
steps = 40
[[method]]
name = "dm"
label = "broken"
net = "mlp:width=4"
batch = 4
lr = 1e38
steps = 3
"""


@pytest.mark.slow
def test_a_suite_is_worked_on_by_all_and_goes_on():
    """One run of it fails, and the other ones do not care."""
    Path("small.toml").write_text(SUITE)
    for name, more in {"two": {}, "one": {"processes": 1, "devices": 2}}.items():
        ended = together("suite", "small.toml", "--out", name, **more)
        assert [one.code for one in ended] == [1] * len(ended) and "1 of 3 runs failed, such as runs/broken-" in ended[0].last
        assert "not finite at step" in ended[0].last and len({one.last for one in ended}) == 1
    found = outcome("two")
    assert found == outcome("one") and len(found["results"]) == 3  # two sets, and the real images beside both

    def second_run() -> bool:
        return any(Path("lost/runs").glob("dm-*/run.json"))

    ended = together("suite", "small.toml", "--out", "lost", kill=(1, second_run))
    assert (ended[0].code, ended[0].last) == (1, f"condense: {LOST}") and not Path("lost/results.json").exists()
    before = {path: path.stat().st_mtime_ns for path in Path("lost/inputs").rglob("expert_*.npy")}
    together("suite", "small.toml", "--out", "lost")
    assert outcome("lost") == found and before == {path: path.stat().st_mtime_ns for path in before} and before


def outcome(place: str) -> dict:
    """What a suite found, without times."""

    def untimed(rows: list[dict]) -> list[dict]:
        return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]

    found = json.loads(Path(place, "results.json").read_text())
    sets = {path.parent.name: arrays(path) for path in sorted(Path(place, "runs").glob("*/set.npz"))}
    return {name: untimed(found[name]) for name in ("runs", "results")} | {"sets": sets}


def cells(place: str) -> dict[str, int]:
    """The finished cells in a folder, with the time at which each was written."""
    return {path.name: path.stat().st_mtime_ns for path in Path(place).glob("*.json")}


@pytest.mark.slow
def test_what_one_refuses_all_say():
    fine(*DM, "--steps", "1", "--out", "run", processes=1)
    ended = together(*DM, "--steps", "1", "--seed", "1", "--out", "run")
    assert [one.code for one in ended] == [2, 2] and ended[0].last == ended[1].last
    assert ended[0].last.startswith("condense: --out run: holds another run (seed was 0, now 1")


@pytest.mark.slow
@pytest.mark.parametrize("present", [0, 1])
def test_who_meets_nobody_waits_for_so_long_and_no_longer(present):
    """Process 0 waits for the others, and the others for an address where nobody is."""
    program = "from condense.runtime import processes; processes.WAIT = 3; from condense.__main__ import main; main()"
    argv = [sys.executable, "-c", program, *DM, "--out", "x"]
    done = subprocess.run(argv, env=around(present, 2, free_port()), capture_output=True, text=True, timeout=60)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "the processes did not all meet there within 3 s" in last and "CONDENSE_COORDINATOR=127.0.0.1" in last
    assert not Path("x").exists()


@pytest.mark.slow
def test_no_cluster_is_said_in_one_line():
    argv = [sys.executable, "-m", "condense", *DM, "--out", "x"]
    done = subprocess.run(argv, env=surroundings(CONDENSE_PROCESSES="auto"), capture_output=True, text=True, timeout=60)
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 2 and "CONDENSE_PROCESSES=auto: JAX finds no cluster" in last
