"""Files of data for the readers, and the checks that broken ones are refused before memory is spent."""

import gzip
import os
import struct
import tracemalloc
from contextlib import contextmanager

import numpy as np
import pytest
from PIL import Image

from condense.data.load import load_data
from condense.data.readers.idx import IDX
from synth.errors import BadInput

MIB = 1 << 20


@contextmanager
def little_memory(most=8 * MIB):
    """Fails where the block allocates more than `most` bytes at its peak."""
    tracemalloc.start()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most, f"{peak} bytes were allocated"


def refused(spec, *words, **how):
    with pytest.raises(BadInput) as caught:
        load_data(spec, **how)
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert str(word) in text, text


def idx_bytes(array):
    return bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()


def idx_folder(folder, *, zipped=False, n=20):
    folder.mkdir()
    rng = np.random.default_rng(0)
    arrays = [rng.integers(0, 256, (n, 4, 3)), np.arange(n) % 2, rng.integers(0, 256, (6, 4, 3)), np.arange(6) % 2]
    for name, array in zip(IDX, arrays, strict=True):
        data = idx_bytes(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(data) if zipped else data)
    return arrays


class Trap:
    """Creates a file where it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def class_folders(root, *, classes="bac", n=3, size=(8, 6), mode="RGB", suffix="png"):
    """train/CLASS and test/CLASS with distinct pictures; returns the arrays by (part, class)."""
    rng, made = np.random.default_rng(0), {}
    for part in ("train", "test"):
        for name in classes:
            (root / part / name).mkdir(parents=True)
            made[part, name] = rng.integers(0, 256, (n, size[1], size[0], *[3] * (mode == "RGB")), np.uint8)
            for at, pixels in enumerate(made[part, name]):
                Image.fromarray(pixels).save(root / part / name / f"{at}.{suffix}")
    return made
