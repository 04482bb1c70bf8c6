"""Runs that are stopped from outside: they say so, keep what they have and go on to the bits of one run."""

import resource
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import condense.cli.app
import condense.cli.distill
import condense.workflows.distill
from condense.__main__ import run
from synth.files.format import load_set
from tests.support.cli import DM, program, record, stamps, surroundings, wait


def test_an_interrupted_run_says_that_it_goes_on(monkeypatch, capsys):
    def stop(argv):
        raise KeyboardInterrupt

    monkeypatch.setattr(condense.cli.app, "call", stop)
    assert run(["distill", "dm"]) == 130 and "the same command goes on" in capsys.readouterr().err
    assert run(["evaluate", "x"]) == 130 and capsys.readouterr().err == "condense: interrupted\n"


@pytest.mark.slow
def test_a_disk_that_fills_on_the_way_keeps_what_is_there_and_the_same_command_goes_on(finished, tmp_path, capsys):
    """More steps of a finished run where no file can grow past 100 bytes: one line, exit 1. Then room, and the bits of one run."""
    shutil.copytree(finished, "a")
    argv = [*DM, "--steps", "4", "--seed", "3", "--out"]
    kept = {name: digest for name, (_, digest) in stamps(Path("a")).items() if name.endswith((".npz", ".png"))}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        assert run([*argv, "a"]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("condense: ")]
    assert len(said) == 1 and "File too large" in said[0] and "Traceback" not in said[0]
    assert {name: digest for name, (_, digest) in stamps(Path("a")).items() if name in kept} == kept and len(kept) >= 2
    assert run([*argv, "a"]) == run([*argv, "b"]) == 0
    assert load_set("a/set.npz").x.decode().tobytes() == load_set("b/set.npz").x.decode().tobytes()
    assert (record(Path("a"))["state"], record(Path("a"))["finished"]) == ("done", 4)


@pytest.mark.parametrize("at", ["save_set", "save_grid"])
def test_a_run_that_dies_after_its_last_step_is_completed(at, finished, monkeypatch):
    """Before the set is written, and between the set and its picture."""

    def die(*args):
        raise KeyboardInterrupt

    argv = [*DM, "--steps", "2", "--seed", "3", "--out", "a"]
    with monkeypatch.context() as patch:
        patch.setattr(condense.workflows.distill, at, die)
        assert run(argv) == 130 and record(Path("a"))["state"] == "running"
    assert run(argv) == 0 and record(Path("a"))["state"] == "done"
    for name in ("grid.png", "metrics.jsonl"):
        assert Path("a", name).read_bytes() == (finished / name).read_bytes()
    assert load_set("a/set.npz").x.decode().tobytes() == load_set(finished / "set.npz").x.decode().tobytes()


@pytest.mark.slow
def test_ctrl_c_leaves_a_run_that_resumes_bit_for_bit(tmp_path):
    argv = [*DM, "--checkpoint-every", "5", "--out"]
    start = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings())
    process = start([sys.executable, "-m", "condense", *argv, "a", "--steps", "1000000"])
    try:
        wait(lambda: list(tmp_path.glob("a/checkpoints/[0-9]*")), process)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130 and out == "" and "Traceback" not in err
    assert err.splitlines()[-1] == "condense: interrupted; the same command goes on where it stopped"
    stopped = record(Path("a"))
    assert stopped["state"] == "running" and stopped["step"] >= 5 and not Path("a/set.npz").exists()
    steps = str(stopped["step"] + 5)
    for place in ("a", "b"):
        assert (done := program(*argv, place, "--steps", steps)).returncode == 0, done.stderr
    assert load_set("a/set.npz").x.decode().tobytes() == load_set("b/set.npz").x.decode().tobytes()
    assert record(Path("a"))["wall_seconds"] > stopped["wall_seconds"]


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.1, 0.6, 1.2])
def test_ctrl_c_while_it_starts_is_an_interruption_too(seconds):
    """While modules load and steps compile: from the moment that the program, and no longer Python, answers signals."""
    code = "import sys; from condense.__main__ import main; print('begun', flush=True); main(sys.argv[1:])"
    command = [sys.executable, "-c", code, *DM, "--out", "a"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings())
    assert process.stdout.readline() == "begun\n"
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in err
    assert err.splitlines()[-1] == "condense: interrupted; the same command goes on where it stopped"


def test_an_interruption_in_a_place_that_drops_it_is_raised_again():
    code = """
import gc, signal, sys, time
from condense.runtime import interrupts
interrupts.reraise_interrupts()
done = []
gc.callbacks.append(lambda phase, info: done or (done.append(1), signal.raise_signal(signal.SIGINT)))
try:
    gc.collect()
    time.sleep(9)
    print("lost")
except KeyboardInterrupt:
    print("kept")
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings(), timeout=60)
    assert (told.stdout, told.stderr) == ("kept\n", "")
