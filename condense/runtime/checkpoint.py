"""Run states on disk, whole or not at all; the only importer of orbax, which is imported when first needed because that takes a second.

A checkpoint is a folder named by its step. It holds the arrays of one PyTree by path, and a checksum of every file: what
a damaged disk or a careless hand changed is found before orbax reads it.
"""

import errno
import json
import logging
import os
import shutil
import tempfile
import zlib
from functools import lru_cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from condense.runtime.log import note
from synth.errors import BadInput, RunFailed
from synth.files.atomic import WRONG_CALL
from synth.files.owned import read_owned
from synth.files.records import MOST, Table, Whole, parse_record

KEEP = 2  # the one before is there for the day when the last is damaged
SUMS, OWNER = "checksums.json", "run.txt"
ROOM = 1 << 20  # bytes beside the arrays themselves


@lru_cache(1)
def _orbax():
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(logging.CRITICAL)  # every save would write a dozen lines over the progress bar
    # A process reads and writes by itself; of several ones the callers settle which does, and orbax must not wait for the others.
    me = jax.process_index()
    lone = ocp.options.MultiprocessingOptions(primary_host=me, active_processes={me}, barrier_sync_key_prefix=f"process{me}")
    lone = {} if jax.process_count() == 1 else {"multiprocessing_options": lone}
    return ocp.Checkpointer(ocp.PyTreeCheckpointHandler(**lone), **lone)


def _named(tree) -> dict[str, jax.Array | np.ndarray | jax.ShapeDtypeStruct]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}
    for name, leaf in named.items():
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            raise TypeError(f"{name} is a PRNG key: a state holds none, fold the step number into the key that every step is given")
    assert len(named) == len(leaves), "two leaves of the state have one path"
    return named


def _sums(place: Path) -> dict[str, int]:
    """The checksum of every file in a folder, its own list of them apart."""
    files = (path for path in sorted(place.rglob("*")) if path.is_file() and path.name != SUMS)
    return {str(path.relative_to(place)): zlib.crc32(path.read_bytes()) for path in files}


class AnotherRun(BadInput):
    """The error of a checkpoint that another run left."""


class Checkpoints:
    """The latest two states of a run, in the folder `folder` (made when first needed)."""

    def __init__(self, folder: Path, *, owner: str = ""):
        """With `owner`, what tells the run from others, states are marked as its own, and another run's are refused."""
        self.folder, self.owner = Path(folder).absolute(), owner

    def steps(self) -> list[int]:
        """Steps at which a state is stored, ascending."""
        return sorted(int(place.name) for place in self.folder.glob("[0-9]*") if place.name.isdigit())

    def save(self, step: int, tree) -> None:
        """Stores `tree`, a PyTree of arrays on the host, whole or not at all; of earlier states the last one stays. Raises RunFailed where
        the disk refuses; then all earlier ones stay."""
        arrays = {name: np.asarray(leaf) for name, leaf in _named(tree).items() if leaf.size}  # orbax refuses arrays of no elements
        temporary = self.folder / f".{step}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._sweep()
            self._check_room(ROOM + sum(array.nbytes for array in arrays.values()))
            _orbax().save(temporary, arrays)
            if self.owner:
                (temporary / OWNER).write_text(self.owner)
            (temporary / SUMS).write_text(json.dumps(_sums(temporary)))
            shutil.rmtree(self._place(step), ignore_errors=True)
            os.replace(temporary, self._place(step))
        except Exception as error:  # orbax passes on errors of several libraries
            self._sweep()
            last = f"that of step {self.steps()[-1]} is intact" if self.steps() else "there is none before it"
            why = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0][:200]
            blocked = isinstance(error, OSError) and error.errno in WRONG_CALL | {errno.EEXIST}
            remedy = "remove what is there, or let it be written," if blocked else "make room"
            raise RunFailed(f"{self.folder}: cannot write the checkpoint of step {step} ({why}); {last}: {remedy} and run again") from error
        self._remove_older()

    def restore(self, target):
        """Reads the latest complete state, as NumPy arrays in the structure of `target`. None if there is none.

        Args:
          target: PyTree of arrays or of their shapes and dtypes.
        A damaged state is removed with a warning, and the one before is taken. Raises BadInput where a whole state holds other arrays, or
        is another run's.
        """
        wanted = _named(target)
        for step in reversed(self.steps()):
            arrays = self._read(step)
            if arrays is None:
                shutil.rmtree(self._place(step), ignore_errors=True)
                continue
            self._check_owner(step)
            arrays |= {name: np.zeros(leaf.shape, leaf.dtype) for name, leaf in wanted.items() if not leaf.size}
            stored, here = ({name: (leaf.shape, leaf.dtype) for name, leaf in named.items()} for named in (arrays, wanted))
            if differ := [name for name in stored | here if stored.get(name) != here.get(name)]:
                remedy = f"remove {self.folder} to start anew"
                raise BadInput(f"{self._place(step)}: {differ[0]} is not as this version of the method has it; {remedy}")
            self._remove_older()  # a process that was killed has left them
            return jax.tree.unflatten(jax.tree.structure(target), [arrays[name] for name in wanted])
        return None

    def _read(self, step: int) -> dict[str, np.ndarray] | None:
        place = self._place(step)
        try:
            sums = parse_record(read_owned(place / SUMS, most=MOST), Table(rest=Whole()))
            if sums.items() <= _sums(place).items():
                return {name: np.asarray(value) for name, value in _orbax().restore(place).items()}
        except (ValueError, KeyError, TypeError, AttributeError, FileNotFoundError, NotADirectoryError, IsADirectoryError):
            pass  # damaged: the remedy is the state before
        except OSError as error:  # whole or not, it cannot be told now: nothing is given up
            raise RunFailed(f"{place}: cannot be read ({error.strerror or error}); make it readable and run again") from error
        earlier = [other for other in self.steps() if other < step]
        note(f"{place} is damaged; going on from {f'step {earlier[-1]}' if earlier else 'the start'}")
        return None

    def _check_owner(self, step: int) -> None:
        place = self._place(step)
        if not self.owner or not (place / OWNER).is_file():  # states of older versions are not marked
            return
        if (other := read_owned(place / OWNER, most=100).decode(errors="replace")) != self.owner:
            raise AnotherRun(f"{place}: is of another run ({other}, this run is {self.owner}); remove {self.folder} to start anew")

    def _check_room(self, size: int) -> None:
        # Where a disk is full, or a quota used up, orbax would say so in the tracebacks of a dozen threads.
        with tempfile.TemporaryFile(dir=self.folder) as file:
            try:
                os.posix_fallocate(file.fileno(), 0, size)
            except (AttributeError, OSError) as error:
                if getattr(error, "errno", errno.EOPNOTSUPP) not in (errno.EOPNOTSUPP, errno.EINVAL):  # no such call here
                    raise

    def _place(self, step: int) -> Path:
        return self.folder / f"{step:09d}"

    def _remove_older(self) -> None:
        for old in self.steps()[:-KEEP]:
            shutil.rmtree(self._place(old), ignore_errors=True)

    def _sweep(self) -> None:
        for left in self.folder.glob(".*.tmp*"):  # of a process that was killed while it wrote
            shutil.rmtree(left, ignore_errors=True)
