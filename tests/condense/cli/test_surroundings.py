"""What the program meets around it: closed outputs, no device, Ctrl-C while it starts, runs that lost their results or are another's."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from condense.__main__ import run
from tests.support.cli import DM, program, surroundings


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_outputs_are_nobody_listening(closed):
    command = f"{sys.executable} -m condense list methods {closed}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=surroundings(), timeout=120)
    assert (done.returncode, done.stderr) == (0, "") and ("mirage" in done.stdout) == (closed == "2>&-")


@pytest.mark.slow
def test_a_platform_without_a_device_is_named():
    done = program(*DM, "--out", "a", env=surroundings(JAX_PLATFORMS="cuda"))
    assert done.returncode == 2 and not Path("a").exists()
    assert done.stderr == "condense: JAX_PLATFORMS=cuda: there is no such device here; unset it, or set it to cpu\n"


@pytest.mark.slow
@pytest.mark.parametrize("argv", [["list", "methods"], ["list", "nets"], ["show", "nowhere"]])
def test_ctrl_c_is_one_line_at_any_time(argv):
    """Once the program's first import is done; before that Python itself answers, and by its end there is nothing to interrupt."""
    code = "import sys; from condense.runtime import early; print('begun', flush=True); "
    code += "from condense.__main__ import main; main(sys.argv[1:])"
    for wait in [0.005 * step for step in range(12)] + [0.1, 0.2, 0.4, 0.6, 0.8]:
        command = [sys.executable, "-c", code, *argv]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=surroundings())
        assert process.stdout.readline() == "begun\n"
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        lines = [line for line in err.splitlines() if line]
        assert process.returncode in (130, 0, 2, -signal.SIGINT) and len(lines) <= 1 and "Traceback" not in err, (wait, err)
        assert process.returncode != 130 or lines == ["condense: interrupted"]


def test_ctrl_c_waits_for_the_end_of_an_import(tmp_path):
    (tmp_path / "slow_module.py").write_text("import time\nfor _ in range(30): time.sleep(0.01)\nprint('loaded', flush=True)\n")
    code = """
import os, signal, threading, time
from condense.runtime.interrupts import wait_for_imports
wait_for_imports()
threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
try:
    import slow_module
    time.sleep(9)
    print("lost")
except KeyboardInterrupt:
    print("kept")
"""
    env = surroundings() | {"PYTHONPATH": f"{surroundings()['PYTHONPATH']}{os.pathsep}{tmp_path}"}
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, timeout=60)
    assert (told.stdout, told.stderr) == ("loaded\nkept\n", "")


def test_importing_the_program_leaves_ctrl_c_as_it_was():
    code = "import signal; before = signal.getsignal(2); import condense.__main__; print(signal.getsignal(2) is before)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=surroundings()).stdout == "True\n"


def test_a_finished_run_without_its_set_names_force(finished, capsys):
    shutil.copytree(finished, "a")
    Path("a/set.npz").unlink()
    argv = [*DM, "--steps", "2", "--seed", "3", "--out", "a"]
    assert run(argv) == 2
    assert "--out a: its run is done, and its set.npz is gone; --force makes it anew" in capsys.readouterr().err
    assert run([*argv, "--force"]) == 0 and Path("a/set.npz").read_bytes() == (finished / "set.npz").read_bytes()


@pytest.mark.slow
def test_checkpoints_of_another_seed_are_refused(finished, capsys):
    """The folder of an unfinished run, in which the checkpoints of one with another seed lie."""
    shutil.copytree(finished, "a")
    assert run([*DM, "--steps", "2", "--seed", "4", "--out", "b"]) == 0
    shutil.rmtree("a/checkpoints")
    shutil.copytree("b/checkpoints", "a/checkpoints")
    capsys.readouterr()
    assert run([*DM, "--steps", "3", "--seed", "3", "--out", "a"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "is of another run (" in said and "this run is" in said and "to start anew" in said
    shutil.rmtree("a/checkpoints")
    assert run([*DM, "--steps", "3", "--seed", "3", "--out", "a"]) == 0


def test_a_linked_log_of_a_run_is_left_alone(finished, capsys):
    shutil.copytree(finished, "a")
    Path("precious").write_text("precious")
    Path("a/metrics.jsonl").unlink()
    Path("a/metrics.jsonl").symlink_to(Path("precious").absolute())
    assert run([*DM, "--steps", "3", "--seed", "3", "--out", "a"]) == 2
    assert "metrics.jsonl: is a link, no ordinary file; remove it" in capsys.readouterr().err
    assert Path("precious").read_text() == "precious"
