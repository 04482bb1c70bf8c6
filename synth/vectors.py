"""Vectors: rows of tables, and embeddings. Their content holds and decodes to f32[n d] in model space."""

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float


class Vectors(NamedTuple):
    """Vectors stored unchanged, f32[n d] in model space, without bounds, and the names of their columns.

    Args:
      numbers: f32[n d].
      columns: JSON of a list with an entry a column of the table, in order: [NAME] for a column of numbers, which is one number of a
        vector, and [NAME, CATEGORY, ...] for a column of text, which is one number a category, 1 where it is that. Empty where no names
        are known.
    """

    numbers: Float[Array, "n d"]
    columns: str = ""
    kind = "vectors"
    modality = "vectors"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.numbers.shape[0]

    @property
    def images(self) -> int:
        """How many vectors are stored."""
        return self.n

    def encode(self, images: Float[Array, "n d"]) -> "Vectors":
        """A content of these vectors, unchanged, under the same column names."""
        return self._replace(numbers=images)

    def decode(self) -> jax.Array:
        """The examples themselves, f32[n d]."""
        return self.numbers

    def learned(self) -> Float[Array, "n d"]:
        """The numbers. Their names stay."""
        return self.numbers

    def moved(self, learned: Float[Array, "n d"]) -> "Vectors":
        """The learned numbers, with the same names."""
        return self._replace(numbers=learned)

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Vectors":
        """Returns itself: numbers of a table have no bounds."""
        return self

    def clip(self, images: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """Returns the vectors unchanged."""
        return images

    def store(self) -> "Vectors":
        """Returns itself: files can store it."""
        return self

    @classmethod
    def bytes_for(cls, n: int, image: tuple[int, ...]) -> int:
        """The bytes of n vectors of the shape `image`, which is (d,): four a number."""
        return 4 * n * math.prod(image)

    def nbytes(self) -> int:
        """Bytes of the numbers. The names of the columns are not counted."""
        return self.numbers.nbytes

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """The axes of a vector for a preprocessing, which reads it as one pixel of d channels: h and w are 1, c is `sizes["d"]`."""
        return {"h": 1, "w": 1, "c": sizes["d"]}

    def check(self) -> None:
        """Raises ValueError if the column names do not fit d numbers."""
        if self.columns and sum(map(width_of, read_columns(self.columns))) != self.numbers.shape[1]:
            raise ValueError(f"columns name other than the {self.numbers.shape[1]} numbers of a vector")


# Names are no array: compiled code carries them as a part of the structure.
jax.tree_util.register_pytree_node(Vectors, lambda x: ((x.numbers,), x.columns), lambda columns, leaves: Vectors(*leaves, columns))


def write_columns(columns: list[list[str]]) -> str:
    """Columns as the JSON text that `Vectors.columns` holds: of each [NAME], or [NAME, CATEGORY, ...] where it holds text."""
    return json.dumps(columns)


def read_columns(text: str) -> list[list[str]]:
    """The columns that `write_columns` wrote: of each a list of its name and, if it holds text, its categories. Raises ValueError if it
    cannot have written `text`."""
    try:
        columns = json.loads(text)
    except (ValueError, RecursionError):
        columns = None
    if not isinstance(columns, list) or not all(
        isinstance(column, list) and column and all(isinstance(name, str) for name in column) for column in columns
    ):
        raise ValueError("columns is no JSON list of [NAME] or [NAME, CATEGORY, ...]")
    return columns


def width_of(column: list[str]) -> int:
    """How many numbers of a vector a column [NAME, CATEGORY, ...] takes: one a category, and one where there are none."""
    return max(1, len(column) - 1)


def are_numbers(columns: str, d: int) -> np.ndarray:
    """bool[d]: True for a number of the table, False for one of a category's one-hot code. `columns` is the text that `write_columns`
    makes; where it is empty, all are True."""
    if not columns:
        return np.ones(d, bool)
    return np.concatenate([np.full(width_of(column), len(column) == 1) for column in read_columns(columns)])


def unaugmented(key: jax.Array, x: Float[Array, "b ..."], *, siamese: bool) -> Float[Array, "b ..."]:
    """Returns the examples unchanged, called as an augmentation is. No operation is known to keep the label of a table's row."""
    return x
