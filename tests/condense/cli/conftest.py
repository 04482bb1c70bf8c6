"""Every test of the command line works in a folder of its own; one finished run is there to read."""

import pytest

from condense.__main__ import run
from tests.support.cli import DM


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Every test works in a folder of its own, with no prepared data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONDENSE_DATA", str(tmp_path / "data"))


@pytest.fixture
def refused(capsys, tmp_path):
    """Runs a wrong call and gives its one line; it exits with 2, says nothing on stdout and leaves nothing behind."""

    def call(*argv: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        assert run(list(argv)) == 2
        said = capsys.readouterr()
        assert said.out == "" and said.err.startswith("condense: ") and said.err.count("\n") == 1, said
        assert sorted(tmp_path.rglob("*")) == before
        return said.err

    return call


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A run of two steps of `dm`, made by the command line; nobody writes there."""
    place = tmp_path_factory.mktemp("runs") / "a"
    assert run([*DM, "--steps", "2", "--seed", "3", "--out", str(place)]) == 0
    return place
