"""Bytes of a synthetic set: payload arrays, labels included; what undoes the normalisation counts apart."""

from pathlib import Path

import numpy as np

from synth.set import SyntheticSet

# of a file that torch.save makes of such a batch, with and without what mixing adds; give or take 64, to which arrays are aligned
CONTAINER = {True: 2437, False: 2117}


def count_bytes(synth: SyntheticSet, *, file: Path | None = None) -> dict[str, int | None]:
    """Bytes of content and labels (weights and a learned step size count as labels), their total, preprocessing and file."""
    extra = sum(np.asarray(value).nbytes for value in (synth.weight, synth.lr) if value is not None)
    content, labels = synth.x.nbytes(), synth.y.nbytes() + extra
    preprocessing = sum(np.asarray(value).nbytes for value in synth.info.preprocess) if synth.info else 0
    size = file.stat().st_size if file else None
    return {"content": content, "labels": labels, "total": content + labels, "preprocessing": preprocessing, "file": size}


def released_label_bytes(n: int, epochs: int, classes: int, *, batch: int | None = None, mixed: bool = True) -> int:
    """What released code stores for the views of n images over the epochs, a view each: a logit of every class in half precision, four
    crop coordinates in single precision, a flip and, where images are mixed, the partner's index in 8 bytes. With a `batch`, of which
    every one is a file, also what the container of these files takes. Here views are drawn again from a key, and logits alone are
    stored."""
    views, files = n * (2 * classes + 4 * 4 + 1 + 8 * mixed), -(-n // batch) if batch else 0
    return epochs * (views + files * CONTAINER[mixed])
