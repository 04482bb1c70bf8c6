"""The run folder: new, resumed, done, continued, refused, forced; and real processes that are killed."""

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from condense.runtime import run_folder as runs
from condense.runtime.checkpoint import Checkpoints
from synth.errors import BadInput, RunFailed
from synth.files.format import load_set
from tests.support import toy_run as toy
from tests.support.places import ROOT

CONFIG = {"method": "toy", "lr": 0.05, "classes": ("a", "b")}


def record(folder: Path) -> dict:
    return json.loads((folder / "run.json").read_text())


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def hold(folder, *, steps=10, config=CONFIG, work=lambda run: None, **more):
    with runs.open_run(folder, config, steps=steps, **more) as run:
        if not run.done:
            run.begin()
            work(run)
        return run.done


def test_the_record_says_what_ran_and_where(tmp_path):
    folder = tmp_path / "deep" / "run"
    hold(folder, command="condense distill toy", seed=3, data_digest="abc", work=lambda run: run.saved(7))
    found = record(folder)
    assert found["command"] == "condense distill toy" and found["seed"] == 3 and found["data_digest"] == "abc"
    assert found["config"] == {"method": "toy", "lr": 0.05, "classes": ["a", "b"]}
    assert found["digest"] == runs.digest(CONFIG) != runs.digest(CONFIG | {"lr": 0.06}) and len(found["digest"]) == 16
    assert (found["state"], found["steps"], found["finished"], found["step"]) == ("done", 10, 10, 10)
    assert found["backend"] == "cpu" and found["devices"] == 4 and found["threads"] >= 1
    assert found["versions"]["jax"] == __import__("jax").__version__ and found["versions"]["numpy"] == np.__version__
    told = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    assert found["revision"] == (told.stdout.strip() or None)
    assert found["xla_flags"] == os.environ.get("XLA_FLAGS", "")
    assert 50e6 < found["peak_memory_bytes"] < 50e9
    assert 0 <= found["wall_seconds"] < 60


def test_a_finished_run_is_done_and_stays_as_it_is(tmp_path):
    assert not hold(tmp_path)
    before = contents(tmp_path)
    assert hold(tmp_path, command="again") and hold(tmp_path, steps=3)
    assert {**contents(tmp_path), str(tmp_path / ".lock"): b""} == {**before, str(tmp_path / ".lock"): b""}


def test_more_steps_go_on_and_wall_seconds_add_up(tmp_path):
    hold(tmp_path, work=lambda run: time.sleep(0.2))
    first = record(tmp_path)["wall_seconds"]
    assert not hold(tmp_path, steps=11, work=lambda run: time.sleep(0.1))
    found = record(tmp_path)
    assert found["finished"] == 11 and first >= 0.2 and found["wall_seconds"] >= first + 0.1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": CONFIG | {"lr": 0.1}}, ["lr was 0.05, now 0.1"]),
        ({"config": CONFIG | {"lr": 0.1, "net": "mlp"}}, ["lr was 0.05, now 0.1", "net was None, now 'mlp'"]),
        ({"config": {"method": "toy", "lr": 0.05}}, ["classes was ['a', 'b'], now None"]),
        ({"seed": 1}, ["seed was 0, now 1"]),
        ({"data_digest": "x"}, ["data_digest was '', now 'x'"]),
    ],
)
def test_another_run_is_refused_by_field_and_changes_nothing(tmp_path, change, words):
    hold(tmp_path)
    before = record(tmp_path)
    with pytest.raises(BadInput) as failure:
        hold(tmp_path, **change)
    assert all(word in str(failure.value) for word in [*words, "--force", str(tmp_path)]) and "\n" not in str(failure.value)
    assert record(tmp_path) == before


def test_choices_beside_the_result_are_refused_by_field_unless_an_older_record_lacks_them(tmp_path):
    hold(tmp_path, beside={"eval_every": None})
    before = record(tmp_path)
    with pytest.raises(BadInput, match="eval_every was None, now 5"):
        hold(tmp_path, beside={"eval_every": 5})
    assert record(tmp_path) == before and before["digest"] == runs.digest(CONFIG)
    del before["eval_every"]
    (tmp_path / "run.json").write_text(json.dumps(before))
    assert hold(tmp_path, beside={"eval_every": 5})
    assert not hold(tmp_path, beside={"eval_every": 5}, steps=11) and record(tmp_path)["eval_every"] == 5


def test_force_starts_anew_and_removes_only_what_a_run_owns(tmp_path):
    hold(tmp_path, work=lambda run: run.saved(5))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "checkpoints" / "000000010").mkdir(parents=True)
    for name in ("set.npz", "best.npz", "metrics.jsonl", "grid.png"):
        (tmp_path / name).write_text("old")

    def look(run):
        assert {path.name for path in tmp_path.iterdir()} == {"notes.txt", "run.json", ".lock"}
        assert record(tmp_path)["config"]["lr"] == 0.1 and record(tmp_path)["state"] == "running" and record(tmp_path)["step"] == 0

    assert not hold(tmp_path, config=CONFIG | {"lr": 0.1}, force=True, work=look)
    assert not hold(tmp_path, config=CONFIG | {"lr": 0.1}, force=True, work=look)  # also a finished run of the same config


@pytest.mark.parametrize("error", [BadInput("--ipc 1000: too many"), RunFailed("memory"), KeyboardInterrupt()])
def test_a_forced_call_that_ends_before_it_begins_leaves_the_run_as_it_was(tmp_path, error):
    hold(tmp_path)
    (tmp_path / "set.npz").write_text("old")
    before = contents(tmp_path)
    with pytest.raises(type(error)), runs.open_run(tmp_path, CONFIG | {"lr": 0.1}, steps=10, force=True) as run:
        assert not run.done and not run.begun
        raise error
    assert {**contents(tmp_path), str(tmp_path / ".lock"): b""} == {**before, str(tmp_path / ".lock"): b""}


@pytest.mark.parametrize("state", ["running", "failed"])
def test_force_lets_an_unfinished_run_of_the_same_choices_go_on(tmp_path, state):
    """Whoever forces because memory seemed short keeps what was done; other choices replace it."""

    def stop(run):
        (tmp_path / "metrics.jsonl").write_text("half")
        run.saved(5)
        raise KeyboardInterrupt if state == "running" else RunFailed("memory")

    with pytest.raises((KeyboardInterrupt, RunFailed)):
        hold(tmp_path, work=stop)
    assert record(tmp_path)["state"] == state

    def look(run):
        assert run.record["step"] == 5 and (tmp_path / "metrics.jsonl").read_text() == "half"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, force=True, work=look)
    hold(tmp_path, config=CONFIG | {"lr": 0.1}, force=True)
    assert not (tmp_path / "metrics.jsonl").exists()


def test_force_removes_experts_of_a_larger_run(tmp_path):
    hold(tmp_path)
    for name in ("experts.json", "expert_0000.npy", "expert_0023.npy", ".expert_0024.npy.partial", "expert_notes.txt"):
        (tmp_path / name).write_text("old")
    hold(tmp_path, config=CONFIG | {"lr": 0.1}, force=True)
    assert {path.name for path in tmp_path.iterdir()} == {"run.json", ".lock", "expert_notes.txt"}


def test_a_run_is_not_written_to_before_it_begins(tmp_path):
    with pytest.raises(AssertionError, match="before it began"), runs.open_run(tmp_path, CONFIG, steps=10) as run:
        run.saved(5)


def test_a_force_that_dies_leaves_a_run_without_results(tmp_path, monkeypatch):
    hold(tmp_path)
    (tmp_path / "checkpoints").mkdir()

    def die(place):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs.shutil, "rmtree", die)
    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, config=CONFIG | {"lr": 0.1}, force=True)
    assert record(tmp_path)["state"] == "running" and record(tmp_path)["finished"] == 0 and record(tmp_path)["config"]["lr"] == 0.05


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_that_is_no_run_is_refused(tmp_path, force):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(BadInput, match=r"holds files but no run \(such as thesis.tex\)"):
        hold(tmp_path, force=force)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "a run of something else"}', "\x00\xff"])
def test_a_record_that_is_none_is_refused_even_with_force(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(BadInput, match=r"run\.json"):
        hold(tmp_path, force=True)
    assert (tmp_path / "run.json").read_text() == text


def test_what_a_killed_writer_left_is_no_obstacle(tmp_path):
    """Such as one that died while it wrote the first record, which then is not there."""
    (tmp_path / ".lock").touch()
    for name in (".run.json.0123abcd.tmp", ".set.npz.0123abcd.tmp"):
        (tmp_path / name).write_text("{")
    assert not hold(tmp_path) and hold(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", "run.json"]


def test_folders_that_nobody_needs_go_once_the_run_is_done_and_not_before(tmp_path):
    (tmp_path / "run").mkdir()

    def work(run):
        (tmp_path / "run" / "states").mkdir(exist_ok=True)
        (tmp_path / "run" / "kept").mkdir(exist_ok=True)

    with pytest.raises(KeyboardInterrupt), runs.open_run(tmp_path / "run", CONFIG, steps=10, spent=("states",)) as run:
        run.begin()
        work(run)
        raise KeyboardInterrupt
    assert (tmp_path / "run" / "states").is_dir()
    with runs.open_run(tmp_path / "run", CONFIG, steps=10, spent=("states",)) as run:
        run.begin()
    assert not (tmp_path / "run" / "states").exists()
    work(run)  # as if its process had died between its last record and that
    with runs.open_run(tmp_path / "run", CONFIG, steps=10, spent=("states",)) as run:
        assert run.done and not (tmp_path / "run" / "states").exists() and (tmp_path / "run" / "kept").is_dir()


def test_a_full_disk_is_no_wrong_call(tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "mkdir", full)
        with pytest.raises(RunFailed, match=r"--out .*run: cannot write there \(No space left on device\); make room and run again"):
            hold(tmp_path / "run")
    hold(tmp_path, steps=3)
    before = record(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", full)  # stands for the write of it
        with pytest.raises(RunFailed, match=r"\.lock: cannot be written \(No space left on device\); make room and run again"):
            hold(tmp_path, steps=5)
    assert record(tmp_path) == before


def test_an_out_that_cannot_be_a_folder_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(BadInput, match="--out"):
            hold(place)


def test_two_cannot_work_on_one_run(tmp_path):
    with runs.open_run(tmp_path, CONFIG, steps=10) as run:
        run.begin()
        with pytest.raises(BadInput, match=f"process {os.getpid()} is working on this run"):
            hold(tmp_path)
        with pytest.raises(BadInput, match="is working"):
            hold(tmp_path, force=True)
    assert hold(tmp_path)


def test_a_failure_is_recorded_and_goes_on_another_time(tmp_path):
    def fail(run):
        raise RunFailed("the loss is NaN\nand more")

    with pytest.raises(RunFailed):
        hold(tmp_path, work=fail)
    assert record(tmp_path)["state"] == "failed" and record(tmp_path)["error"] == "the loss is NaN and more"
    hold(tmp_path, work=lambda run: None)
    assert record(tmp_path)["state"] == "done" and "error" not in record(tmp_path)


def test_data_that_fail_after_some_steps_leave_a_run_that_goes_on(tmp_path):
    """A picture that cannot be read is bad input, and no wrong call; before the first step it is one, and nothing is left."""

    def fails(run, step: int):
        (run.folder / "metrics.jsonl").write_text("{}")
        run.saved(step)
        raise BadInput("a picture cannot be read")

    for step, left in ((0, []), (4, ["metrics.jsonl", "run.json"])):
        with pytest.raises(BadInput, match="a picture cannot be read"):
            hold(tmp_path / f"{step}", work=lambda run: fails(run, step))  # noqa: B023
        assert sorted(path.name for path in tmp_path.glob(f"{step}/[!.]*")) == left
    assert (record(tmp_path / "4")["state"], record(tmp_path / "4")["step"]) == ("failed", 4)
    hold(tmp_path / "4", work=lambda run: run.saved(10))
    assert record(tmp_path / "4")["state"] == "done" and "error" not in record(tmp_path / "4")


def test_an_interrupted_run_stays_running(tmp_path):
    def stop(run):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        hold(tmp_path, work=stop)
    assert record(tmp_path)["state"] == "running"


def test_other_versions_are_told(tmp_path, capsys):
    hold(tmp_path)
    old = record(tmp_path)
    (tmp_path / "run.json").write_text(json.dumps(old | {"devices": 8, "versions": old["versions"] | {"jax": "0.1.0"}}))
    hold(tmp_path, steps=20)
    err = capsys.readouterr().err
    assert "with devices 4 (was 8)" in err and f"versions.jax {old['versions']['jax']} (was 0.1.0)" in err
    assert record(tmp_path)["devices"] == 4


def test_continuing_to_more_steps_gives_the_bits_of_one_run(tmp_path):
    toy.held_run(tmp_path / "a", 7)
    assert toy.held_run(tmp_path / "a", 7) is None
    toy.held_run(tmp_path / "a", 12)
    assert toy.pixels(load_set(tmp_path / "a" / "set.npz")) == toy.pixels(toy.run(12))
    with pytest.raises(BadInput, match=r"lr was 0\.05"):
        toy.held_run(tmp_path / "a", 12, config={"method": "toy", "lr": 1})


def test_fewer_steps_than_an_unfinished_run_has_done_are_refused(tmp_path):
    with pytest.raises(ZeroDivisionError):
        toy.held_run(tmp_path, 12, eval_every=10, evaluate=lambda synth: 1 / 0)
    assert record(tmp_path)["step"] == 10
    before = contents(tmp_path)
    with pytest.raises(BadInput, match=r"--steps 8: .* at step 10"):
        toy.held_run(tmp_path, 8)
    assert contents(tmp_path) == before


def begin(folder: Path, steps: int, nap: float) -> subprocess.Popen:
    command = [sys.executable, "-m", "tests.support.toy_run", str(folder), str(steps), str(nap)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for(condition, process: subprocess.Popen, *, seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() in (None, 0) and time.monotonic() < end, process.stderr.read() if process.poll() is not None else "too slow"
        time.sleep(0.01)


def test_a_killed_process_leaves_a_run_that_resumes_bit_for_bit(tmp_path):
    """One process: it holds the lock; SIGKILL at a random moment frees it; the run goes on from its last checkpoint to the same bits."""
    steps = 40
    process = begin(tmp_path, steps, 0.03)
    try:
        wait_for(Checkpoints(tmp_path / "checkpoints").steps, process)
        with pytest.raises(BadInput, match=f"process {process.pid} is working on this run"):
            toy.held_run(tmp_path, steps)
        time.sleep(np.random.default_rng().uniform(0, 0.6))
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL and record(tmp_path)["state"] == "running"
    toy.held_run(tmp_path, steps)
    assert toy.pixels(load_set(tmp_path / "set.npz")) == toy.pixels(toy.run(steps, folder=tmp_path / "straight"))
    assert (tmp_path / "metrics.jsonl").read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()


def state(folder: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return (folder / "metrics.jsonl").read_text()
    return ""


def moved(folder: Path, before: str, process: subprocess.Popen) -> bool:
    return state(folder) != before or process.poll() is not None


@pytest.mark.slow
def test_many_kills_and_interrupts_end_in_the_same_bits(tmp_path):
    """SIGKILL and SIGINT in turn, each soon after a new sign of life, until the run is through; its folder moves meanwhile."""
    steps, folder, rng, stops = 90, tmp_path / "a", np.random.default_rng(), 0
    while True:
        process = begin(folder, steps, 0.01)
        wait_for(partial(moved, folder, state(folder), process), process)
        time.sleep(rng.uniform(0, 1))
        sign = [signal.SIGKILL, signal.SIGINT][stops % 2]
        if process.poll() is None:
            process.send_signal(sign)
        _, err = process.communicate(timeout=60)
        if process.returncode == 0:
            break
        assert process.returncode in (-signal.SIGKILL, 130, -signal.SIGINT), err
        stops += 1
        if stops % 3 == 0:
            folder = Path(shutil.move(folder, tmp_path / f"moved{stops}"))
    assert stops >= 3
    assert toy.pixels(load_set(folder / "set.npz")) == toy.pixels(toy.run(steps, folder=tmp_path / "straight"))
    assert (folder / "metrics.jsonl").read_text() == (tmp_path / "straight" / "metrics.jsonl").read_text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 100_000, "nested more than 32 deep"),
        ('{"config": 1}', "seed is missing"),
        (dict(config=1), "config must hold values by name"),
        (dict(config=None), "config must hold values by name"),
        (dict(finished="3"), "finished must be a whole number"),
        (dict(step=[]), "step must be a whole number"),
        (dict(wall_seconds="long"), "wall_seconds must be a number"),
        (dict(peak_memory_bytes=-1), "peak_memory_bytes must be a whole number"),
        (dict(state="asleep"), "state must be one of running, done, failed"),
        (dict(versions=3), "versions must hold values by name"),
        (b"\xff\xfe", "it is not UTF-8"),
    ],
)
def test_a_record_of_wrong_kinds_is_refused_by_name(tmp_path, text, words):
    hold(tmp_path)
    old = record(tmp_path)
    text = json.dumps(old | text) if isinstance(text, dict) else text
    (tmp_path / "run.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    for force in (False, True):
        with pytest.raises(BadInput, match=words) as caught:
            hold(tmp_path, force=force)
        assert str(tmp_path / "run.json") in str(caught.value)
    with pytest.raises(BadInput, match=words):
        runs.check_same(tmp_path, CONFIG)


@pytest.mark.parametrize("name", ["run.json", "metrics.jsonl", "set.npz", "experts.json", "teacher.npz"])
@pytest.mark.parametrize("kind", ["link", "pipe"])
def test_what_a_run_would_write_through_is_refused_before_it_begins(tmp_path, name, kind):
    folder, precious = tmp_path / "run", tmp_path / "precious"
    hold(folder)
    precious.write_text("precious")
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(precious) if kind == "link" else os.mkfifo(folder / name)
    with pytest.raises(BadInput, match=f"{name}: is a {kind}, no ordinary file; remove it"):
        hold(folder, steps=11)
    assert precious.read_text() == "precious"


def test_a_finished_run_in_a_place_that_may_only_be_read_is_done(tmp_path, monkeypatch):
    hold(tmp_path)

    def closed(*args, **more):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr("condense.runtime.lock.open_owned", closed)
    before = contents(tmp_path)
    assert hold(tmp_path)
    with pytest.raises(BadInput, match="it is read-only, and its run is not done"):
        hold(tmp_path, steps=11)
    with pytest.raises(BadInput, match=r"lr was 0\.05, now 1"):
        hold(tmp_path, config=CONFIG | {"lr": 1})
    assert contents(tmp_path) == before
    (tmp_path / "new").mkdir()
    with pytest.raises(BadInput, match="cannot write there"):
        hold(tmp_path / "new")


def test_checkpoints_that_are_a_file_are_no_full_disk(tmp_path):
    (tmp_path / "checkpoints").write_text("hello")
    with pytest.raises(RunFailed, match=r"File exists.*remove what is there, or let it be written, and run again"):
        Checkpoints(tmp_path / "checkpoints").save(1, {"a": np.zeros(2, np.float32)})
