"""Work that is done in parts, kept in a folder until all of it is done: what was stopped goes on from there."""

import json
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from condense.runtime.interrupts import defer_interrupt
from condense.runtime.log import note
from condense.runtime.processes import first_then_others, gather
from synth.errors import BadInput, RunFailed
from synth.files.atomic import FULL, write_bytes
from synth.files.npz import opened, write_npz

PIECES = 20  # a work is saved about so often


class Partial:
    """Keeps the rows of the epochs (or rounds) so far in a folder, one file a piece. Rows that belong to another work are deleted.

    Args:
      folder: made where it is not there.
      request: all that the rows depend on, as JSON values by name; where the folder holds rows of another request, it is emptied.
      epochs: of the whole work.
      what: what the rows are, in a word.

    The field `done` is (epochs whose rows are there, the array [epochs ...] of all); None where there are none.
    """

    def __init__(self, folder: Path, request: dict[str, Any], epochs: int, *, what: str = "labels"):
        self.folder, self.what = folder, what
        self.every = max(1, epochs // PIECES)
        self.epochs = epochs
        self.stored = 0
        text, rows = json.dumps(request, sort_keys=True), None
        place = folder / f"{what}.json"
        if folder.exists() and not (place.is_file() and place.read_bytes() == text.encode()):
            shutil.rmtree(folder)
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            kind, hint = (RunFailed, "make room and run again") if error.errno in FULL else (BadInput, "give a folder that may be written")
            raise kind(f"--out: cannot write {folder} ({error.strerror}); {hint}") from error
        write_bytes(place, text.encode())
        with suppress(BadInput):  # there is no further piece, or it is damaged: its epochs are done again
            while self.stored < epochs:
                with opened(folder / f"{self.stored}.npz") as archive:
                    piece = archive.read("rows")
                rows = np.zeros((epochs, *piece.shape[1:]), piece.dtype) if rows is None else rows
                rows[self.stored : self.stored + len(piece)] = piece
                self.stored += len(piece)
        self.done = (self.stored, rows) if self.stored else None

    def tick(self, done: int, rows: np.ndarray) -> None:
        """Saves the rows since the last time, about twenty times in all; at other calls, and at the end, it does nothing. If the disk
        refuses, prints a note on stderr, and saves no more.

        Args:
          done: how many epochs are done. rows: the array [epochs ...] of all.
        """
        if done % self.every or done >= self.epochs:
            return
        try:
            with defer_interrupt():
                write_npz(self.folder / f"{self.stored}.npz", {"rows": rows[self.stored : done]})
                self.stored = done
        except RunFailed as error:
            note(f"{self.what} so far are not kept: {error}")
            self.every = self.epochs


def open_partial(folder: Path, request: dict[str, Any], epochs: int, *, what: str = "labels") -> Partial:
    """`Partial`, opened by the first of several processes before the others, as it may empty the folder; none goes on before all have seen
    the same rows, because they do the same work from there."""
    made = first_then_others(lambda: Partial(folder, request, epochs, what=what))
    gather(lambda: None)
    return made
