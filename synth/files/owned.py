"""Files in the folder of a run: ordinary ones. Links are not followed, and nothing waits for a pipe."""

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from synth.errors import BadInput

REMEDY = "remove it, and run the same command again"


def open_owned(path: str | os.PathLike, *, append: bool = False) -> BinaryIO:
    """An ordinary file of a run's folder, open for reading; with `append` for reading and for appending, and made where it is not there.

    Raises BadInput for a link, a pipe, a folder or a device; OSError as `open` does.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND if append else os.O_RDONLY
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR) and os.path.lexists(path):
            raise BadInput(f"{path}: is {_what(os.lstat(path).st_mode)}, no ordinary file; {REMEDY}") from error
        raise
    held = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(held):
        os.close(descriptor)
        raise BadInput(f"{path}: is {_what(held)}, no ordinary file; {REMEDY}")
    return open(path, "ab+" if append else "rb", opener=lambda path, flags: descriptor)  # so that it knows its name


def read_owned(path: str | os.PathLike, *, most: int) -> bytes:
    """The bytes that an ordinary file of a run's folder holds. Raises BadInput where they are more than `most`, and for a link, a pipe, a
    folder or a device; OSError as `open` does."""
    with open_owned(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise BadInput(f"{path}: has more than {most} bytes; {REMEDY}")
    return data


def check_owned(path: Path) -> None:
    """Raises BadInput where something else than an ordinary file or a folder stands in a place that will be written, such as a link to a
    file. Nothing there is right too."""
    if os.path.lexists(path) and not stat.S_ISREG(mode := os.lstat(path).st_mode) and not path.is_dir():
        raise BadInput(f"{path}: is {_what(mode)}, no ordinary file; {REMEDY}")


def _what(mode: int) -> str:
    known = ((stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISDIR, "a folder"))
    return next((word for test, word in known if test(mode)), "a device")
