"""The embedded digits of scikit-learn."""

import numpy as np

from condense.data.readers.base import Reader, Spec
from condense.data.readers.source import OPTIONS, Source, arrays, numbered, stratified


def read(spec: Spec) -> Source:
    """scikit-learn's 8x8x1 digits, 16 becoming 1.0; always the same 360 of them are the test split."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    x = (digits.images / 16).astype(np.float32)[..., None]
    y = digits.target.astype(np.int32)
    test = stratified(y, 360, seed=0)
    train = np.setdiff1d(np.arange(len(y)), test)
    return arrays("digits", spec.text, x[train], y[train], x[test], y[test], numbered(y), flips=spec.named.flips)


READER = Reader("digits", "1,797 handwritten digits 8x8x1", read, OPTIONS, embedded="comes with scikit-learn and needs no files")
