"""Folders and files that appear whole or not at all, under a name that may be taken by an older export."""

import contextlib
import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from condense.exchange.card import MARK
from synth.errors import BadInput, RunFailed
from synth.files.atomic import WRONG_CALL

CARD = "README.md"


@contextlib.contextmanager
def whole(path: Path, *, file: str = "", force: bool = False) -> Iterator[Path]:
    """Gives the block a new, empty folder beside `path`, which becomes `path` when the block ends well, and vanishes when it does not.

    Args:
      file: the one file of the folder that becomes `path` in place of all; empty for the folder.
      force: whether an older export may be replaced.

    Raises BadInput where the place is taken, or cannot be written; RunFailed where the disk is full.
    """
    check_free(path, force=force)
    fresh, old = (path.with_name(f".{path.name[:100]}.{secrets.token_hex(4)}.{end}") for end in ("tmp", "old"))
    try:
        fresh.mkdir()
        yield fresh
        done = fresh / file if file else fresh
        for place in [done, *done.rglob("*")] if done.is_dir() else [done]:
            _flush(place)
        if path.is_dir():
            os.replace(path, old)
        os.replace(done, path)
    except OSError as error:
        wrong = error.errno in WRONG_CALL or error.errno == errno.EEXIST
        hint = "give a path in a folder that exists and may be written" if wrong else "free some disk space and run again"
        raise (BadInput if wrong else RunFailed)(f"--out {path}: cannot write it ({error.strerror or error}); {hint}") from error
    finally:
        if old.exists() and not path.exists():
            os.replace(old, path)
        for place in (fresh, old):
            shutil.rmtree(place, ignore_errors=True)


def check_free(path: Path, *, force: bool) -> None:
    """Raises BadInput where something stands at `path` that may not be replaced: without `force` anything; with it links, and folders that
    are neither empty nor an export. With `force` any file may be replaced."""
    if not os.path.lexists(path):
        return
    if not force:
        raise BadInput(f"--out {path}: is there already; give another path, or --force to replace it")
    card = path / CARD
    ours = path.is_file() or (path.is_dir() and (not any(path.iterdir()) or (card.is_file() and MARK in card.read_text(errors="replace"))))
    if path.is_symlink() or not ours:
        raise BadInput(f"--out {path}: is there already and no export of condense; give another path")


def _flush(place: Path) -> None:
    """Brings a file to the disk, or a folder where the file system lets it."""
    with contextlib.suppress(OSError) if place.is_dir() else contextlib.nullcontext():
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
