"""The lock of a run's folder."""

import fcntl
import os

import pytest

from condense.runtime import lock
from condense.runtime.lock import locked
from synth.errors import BadInput


def test_a_lock_that_was_removed_meanwhile_is_taken_anew(tmp_path, monkeypatch):
    """A holds the lock, B opens it, A removes it and goes, C makes a new one: B must not believe that it holds anything."""
    take, third, calls = lock._take, [], []

    def late(file, folder):
        calls.append(1)
        if len(calls) == 1:
            (tmp_path / ".lock").unlink()
            third.append(open(tmp_path / ".lock", "wb"))  # noqa: SIM115 (held until the end of the test)
            fcntl.flock(third[0], fcntl.LOCK_EX | fcntl.LOCK_NB)
        take(file, folder)

    monkeypatch.setattr(lock, "_take", late)
    with pytest.raises(BadInput, match="is working on this run"), locked(tmp_path):
        pass
    third[0].close()
    with locked(tmp_path) as held:
        assert os.fstat(held.fileno()).st_ino == (tmp_path / ".lock").stat().st_ino
    assert len(calls) == 3


def test_a_linked_lock_leaves_its_target_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(BadInput, match=r"\.lock: is a link, no ordinary file"), locked(tmp_path / "run"):
        pass
    assert (tmp_path / "precious").read_text() == "precious"


def test_a_place_that_may_only_be_read_has_no_lock(tmp_path, monkeypatch):
    def closed(*args, **more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(lock, "open_owned", closed)
    with locked(tmp_path, reading=True) as held:
        assert held is None
    with pytest.raises(BadInput, match=r"cannot write there \(Permission denied\)"), locked(tmp_path):
        pass
