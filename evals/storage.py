"""Counts the bytes of a synthetic set: its arrays and labels. The arrays that undo the normalisation count apart."""

from pathlib import Path

import numpy as np

from synth.set import SyntheticSet


def count_bytes(synth: SyntheticSet, *, file: Path | None = None) -> dict[str, int | None]:
    """Bytes of a set in memory by name: `content`, `labels` (weights and a learned step size count as labels), `total` of these two, and
    apart from it `preprocessing` (0 where the set has no `info`). `file` is the size of the given file on the disk; None without one."""
    extra = sum(np.asarray(value).nbytes for value in (synth.weight, synth.lr) if value is not None)
    content, labels = synth.x.nbytes(), synth.y.nbytes() + extra
    preprocessing = sum(np.asarray(value).nbytes for value in synth.info.preprocess) if synth.info else 0
    size = file.stat().st_size if file else None
    return {"content": content, "labels": labels, "total": content + labels, "preprocessing": preprocessing, "file": size}
