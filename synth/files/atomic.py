"""Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed over it."""

import contextlib
import errno
import fcntl
import glob
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from synth.errors import BadInput, RunFailed
from synth.files.owned import open_owned

FULL = {errno.ENOSPC, errno.EDQUOT, errno.ENOMEM}
WRONG_CALL = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENAMETOOLONG, errno.ELOOP}


@contextlib.contextmanager
def replacing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """A new binary file that takes the place of `path` when the block ends well; the file that was there stays untouched until then. Where
    `path` is a link, the file that it leads to is replaced.

    Raises BadInput where the folder is missing or may not be written, or `path` is no regular file, RunFailed where the disk is full or
    fails. Nothing is left behind in either case, nor when the block raises; what a killed process left beside `path` is removed.
    """
    target = Path(os.path.realpath(path))
    if os.path.exists(target) and not os.path.isfile(target):
        raise BadInput(f"{path}: cannot write there, it is no regular file; give the name of a file")
    try:
        handle, temporary = _create(target)
        try:
            yield handle
            handle.flush()
            os.fsync(handle.fileno())
            os.replace(temporary, target)
            handle.close()  # not before: closing unlocks it
        except BaseException:
            with contextlib.suppress(OSError):
                handle.close()
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        kind = BadInput if error.errno in WRONG_CALL else RunFailed
        hint = "give a file in a folder that exists and may be written" if kind is BadInput else "free some disk space and run again"
        raise kind(f"{path}: cannot write it ({error.strerror or error}); {hint}") from error
    _settle(target.parent)


def write_bytes(path: str | os.PathLike, data: bytes) -> None:
    """Writes `data` as the file `path`, whole or not at all; a file that was there is replaced.

    Raises BadInput where the folder is missing or may not be written, RunFailed where the disk is full or fails.
    """
    with replacing(path) as handle:
        handle.write(data)


def _create(target: Path) -> tuple[BinaryIO, Path]:
    """Creates the hidden file that becomes `target`, and locks it, so that no other process takes it for one that was left."""
    _sweep(target)
    while True:
        temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(4)}.tmp")
        handle = open(temporary, "xb")  # noqa: SIM115 (its user closes it, where a second failure must not hide the first)
        with contextlib.suppress(OSError):  # some disks lock nothing: there nothing is swept either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if temporary.exists():  # else another process has swept it before it was locked
            return handle, temporary
        handle.close()


def _sweep(target: Path) -> None:
    """Removes what processes that were killed left when they wrote `target`."""
    for left in target.parent.glob(f".{glob.escape(target.name[:100])}.{'[0-9a-f]' * 8}.tmp"):
        with contextlib.suppress(OSError, BadInput), open_owned(left) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


def _settle(folder: Path) -> None:
    """Makes a rename outlast a power cut, on file systems that let a folder be flushed."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
