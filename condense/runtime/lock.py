"""The lock that keeps a second process out of a run's folder, and that a killed one does not leave behind."""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL
from synth.files.owned import open_owned

LOCK = ".lock"
CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}  # of a place that may only be read


@contextlib.contextmanager
def locked(folder: Path, *, reading: bool = False) -> Iterator[BinaryIO | None]:
    """Locks a folder until the block ends, and gives its open lock file. Folder and file are made if need be.

    With `reading`, gives None where the folder is there and nothing can be written in it.

    Raises BadInput where another process holds the lock, naming that one, and where the folder cannot be written or locked; RunFailed where
    the disk is full.
    """
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            file = open_owned(folder / LOCK, append=True)  # held until the block ends; closing unlocks, and so does dying
        except OSError as error:
            if reading and error.errno in CLOSED and folder.is_dir():
                yield None
                return
            if error.errno in FULL:
                raise RunFailed(f"--out {folder}: cannot write there ({error.strerror}); make room and run again") from error
            raise closed(folder, error.strerror) from error
        with file:
            _take(file, folder)
            if not _is_at(file, folder / LOCK):
                continue  # whoever held it has removed it meanwhile, and another process may have made and locked a new one
            yield file
            return


def _take(file: BinaryIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.seek(0)
        owner = file.read(20).decode(errors="replace")
        raise BadInput(f"--out {folder}: process {owner} is working on this run; wait for it or give another folder") from error
    except OSError as error:
        raise BadInput(f"--out {folder}: cannot be locked ({error.strerror}); give a folder on a local disk") from error


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Whether an open file is still the one at a path."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    held = os.fstat(file.fileno())
    return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)


def sign(lock: BinaryIO) -> None:
    """Writes the number of this process into the open lock file, for others to name. It is not called for a finished run, in whose folder
    nothing changes. Raises RunFailed where the file cannot be written."""
    try:
        lock.truncate(0)
        lock.write(str(os.getpid()).encode())
        lock.flush()
    except OSError as error:
        raise RunFailed(f"{lock.name}: cannot be written ({error.strerror}); make room and run again") from error


def closed(folder: Path, why: str) -> BadInput:
    """Makes, and does not raise, the BadInput that refuses a folder where nothing can be written; `why` stands in its message."""
    return BadInput(f"--out {folder}: cannot write there ({why}); give a folder that is new or holds a run")
