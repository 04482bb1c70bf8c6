"""The wheel: what is in it, and that it works outside the checkout."""

import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from functools import partial
from importlib.metadata import version as metadata_version
from pathlib import Path

import pytest

from matchers import REGISTRY
from synth.files.format import load_set
from tests.support.cli import surroundings
from tests.support.places import ROOT


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A function that runs Python where a wheel of the checkout is installed, and the folder it is in."""
    pytest.importorskip("hatchling", reason="building the wheel without a network needs hatchling")
    place = tmp_path_factory.mktemp("wheel")
    quiet = {"capture_output": True, "text": True, "timeout": 240, "check": True}
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(place / "dist")]
    subprocess.run(build, cwd=ROOT, **quiet)
    (wheel,) = (place / "dist").glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".py")}
    packages = ("condense", "matchers", "evals", "synth")
    assert inside == {str(path.relative_to(ROOT)) for package in packages for path in (ROOT / package).rglob("*.py")}
    site = place / "site"
    install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--disable-pip-version-check",
        "--target",
        str(site),
        str(wheel),
    ]
    subprocess.run([sys.executable, *install], **quiet)
    return partial(subprocess.run, env=surroundings(PYTHONPATH=str(site)), **quiet), site


def test_a_wheel_works_outside_the_checkout(installed):
    call, site = installed
    where = call([sys.executable, "-P", "-c", "import condense, synth; print(condense.__file__, synth.__file__)"])
    assert where.stdout.count(str(site)) == 2
    done = call([sys.executable, str(site / "bin" / "condense"), "list", "methods"])
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(REGISTRY) and done.stderr == ""


@pytest.mark.slow
def test_a_wheel_distils(installed):
    call, site = installed
    call([sys.executable, str(site / "bin" / "condense"), "distill", "random", "--data", "digits", "--ipc", "1", "--out", "x"])
    assert len(load_set("x/set.npz")) == 10 and Path("x/grid.png").is_file()


@pytest.mark.slow
def test_a_wheel_is_built_and_installed_as_anybody_would(tmp_path):
    """`python -m build`, pip and a fresh environment; only the dependencies come from where the tests run."""
    pytest.importorskip("build", reason="the frontend that users build with")
    quiet = {"capture_output": True, "text": True, "timeout": 240, "check": True}
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)], **quiet)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    assert {f"{package}/py.typed" for package in ("condense", "matchers", "evals", "synth")} <= set(zipfile.ZipFile(wheel).namelist())
    venv.create(tmp_path / "fresh", with_pip=True)
    programs = tmp_path / "fresh" / "bin"
    subprocess.run([programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel], **quiet)
    (site,) = (tmp_path / "fresh" / "lib").glob("*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    clean = {"cwd": tmp_path, "env": {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}, **quiet}
    code = "import condense; print(condense.__file__, condense.__version__, len(condense.load_data('digits').classes))"
    file, version, classes = subprocess.run([programs / "python", "-c", code], **clean).stdout.split()
    assert Path(file).is_relative_to(site) and version == metadata_version("condense-workbench") and classes == "10"
    listed = subprocess.run([programs / "condense", "list", "methods"], **clean).stdout
    assert [line.split()[0] for line in listed.splitlines()] == list(REGISTRY)
