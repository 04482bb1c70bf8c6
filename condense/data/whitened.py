"""All rows of a view, whitened once: in memory where the raw rows lie there, else in a file without a name."""

import math
import mmap
import shutil
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float32, Int

from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.atomic import FULL
from synth.files.memory import megabytes
from synth.images.preprocess import CHUNK


@dataclass(frozen=True, eq=False)
class Whitened:
    """Rows that are made when the first is asked for, `CHUNK` at a time, and kept from then on.

    Args:
      make: rows by index, f32[m ...]. shape: of all of them, n first. in_memory: whether they may be kept in memory.
    """

    make: Callable[[Int[np.ndarray, " m"]], Float32[np.ndarray, "m ..."]]
    shape: tuple[int, ...]
    in_memory: bool
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)

    def prepare(self) -> np.ndarray:
        """Makes the rows, unless they are there, and returns all. Raises BadInput where the disk has no room for them."""
        with self._lock:  # threads that read ahead wait for the first of them
            return self._kept

    def take(self, index: Int[np.ndarray, " m"]) -> Float32[np.ndarray, "m ..."]:
        """A copy of the rows that `index` names, in its order. Raises BadInput where the disk has no room for all."""
        kept = self.prepare()
        taken = np.asarray(kept[index])
        if isinstance(kept, np.memmap):
            kept._mmap.madvise(mmap.MADV_DONTNEED)
        return taken

    @cached_property
    def _kept(self) -> np.ndarray:
        every = np.arange(self.shape[0])
        if self.in_memory or not len(every):
            return self.make(every)
        needed, free, place = 4 * math.prod(self.shape), shutil.disk_usage(tempfile.gettempdir()).free, tempfile.gettempdir()
        room = f"whitened rows take {megabytes(needed)}, and {place} has {megabytes(free)} free; set TMPDIR to a folder of a larger disk"
        if needed > free // 2:
            raise BadInput(room)
        note(f"whitening {len(every):,} rows, which stay in their files, into a file of {megabytes(needed)}")
        with tempfile.TemporaryFile() as file:
            try:
                for at in range(0, len(every), CHUNK):
                    file.write(self.make(every[at : at + CHUNK]).data)
                file.flush()
            except OSError as error:
                if error.errno not in FULL:
                    raise
                raise BadInput(f"{room} ({error.strerror})") from error
            return np.memmap(file, np.float32, mode="r", shape=self.shape)
