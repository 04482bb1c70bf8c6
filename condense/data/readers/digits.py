"""The embedded digits of scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from condense.data.readers.base import Reader, Spec
from condense.data.readers.source import OPTIONS, Source, arrays, numbered, stratified


def read(spec: Spec) -> Source:
    """scikit-learn's 8x8x1 digits, 16 becoming 1.0; always the same 360 of them are the test split."""
    table = read_table()
    x = (table[:, :-1].reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    y = table[:, -1].astype(np.int32)
    test = stratified(y, 360, seed=0)
    train = np.setdiff1d(np.arange(len(y)), test)
    return arrays("digits", spec.text, x[train], y[train], x[test], y[test], numbered(y), flips=spec.named.flips)


def read_table() -> np.ndarray:
    """64 pixels in 0..16 and the class of every digit, f64[1797 65], from the file of scikit-learn. Its import would take longer than the
    rest of many a command."""
    place = Path(find_spec("sklearn").origin).with_name("datasets") / "data" / "digits.csv.gz"
    if place.is_file():
        return np.loadtxt(place, delimiter=",")
    from sklearn.datasets import load_digits  # a version that keeps it elsewhere

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


READER = Reader("digits", "1,797 handwritten digits 8x8x1", read, OPTIONS, embedded="comes with scikit-learn and needs no files")
