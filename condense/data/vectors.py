"""Vectors: rows of tables and embeddings, f32[n d] in model space, as data.

A number is standardised by the mean and the standard deviation of the training rows without validation. The numbers that stand for a
category are 0 or 1 and stay so.
"""

import hashlib
from dataclasses import replace

import numpy as np

from condense.data import images
from condense.data.images import Data
from condense.data.readers.base import Spec
from condense.data.readers.vector_source import VectorSource
from condense.data.rows import Rows, Slices
from synth.errors import BadInput
from synth.images.preprocess import Standard, moments
from synth.vectors import are_numbers

NOISE = 1e-9  # of a mean: a spread below is rounding


def build(spec: Spec, source: VectorSource, *, seed: int, validation: float) -> Data:
    """Splits the vectors of a source into training and validation rows, and standardises their numbers by what the training rows hold.
    Numbers that stand for a category stay 0 or 1.

    Args:
      spec: what was asked for; its option `limit` says how many training rows are taken.
      seed: draws the validation split.
      validation: fraction of the training rows that go there, every class in proportion.

    Raises BadInput where the fraction, or a limit, leaves a class with too few training rows, and for options that are for images.
    """
    for name, right in (("normalise", "standard"), ("flip", False)):
        if spec.options.get(name, right) != right:
            given = str(spec.options[name]).lower()
            raise BadInput(f"{spec.text}: {name}={given} is for images, and there are vectors; leave it out")

    def fit(kind: str, rows: Rows, text: str) -> Standard:
        return standardised(rows, are_numbers(source.columns, rows.shape[1]))

    data = images.build(spec, source, seed=seed, validation=validation, fit=fit)
    named = hashlib.sha256(f"{data.digest}\0{source.columns}".encode()).hexdigest()  # other names are other data
    return replace(data, digest=named)


def standardised(rows: Rows, numbers: np.ndarray) -> Standard:
    """Mean and standard deviation of every column of the raw rows where `numbers`, bool[d], is True; 0 and 1 for the other columns. A
    column with one value in all rows gets standard deviation 1."""
    mean, std = moments(Slices(rows))
    varies = std > np.maximum(NOISE * np.abs(mean), np.finfo(np.float32).tiny)
    mean, std = np.where(numbers, mean, 0.0), np.where(numbers & varies, std, 1.0)
    return Standard(mean.astype(np.float32), std.astype(np.float32))
