"""Vectors: rows of tables, and embeddings. f32[n d] in model space is what their content holds and decodes to."""

import json
import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float


class Vectors(NamedTuple):
    """Vectors stored as they are, f32[n d] in model space, unbounded, and what their numbers are called.

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
        """The vectors themselves, under the same names."""
        return self._replace(numbers=images)

    def decode(self) -> jax.Array:
        """The examples themselves, f32[n d]."""
        return self.numbers

    def learned(self) -> Float[Array, "n d"]:
        """The numbers; their names stay."""
        return self.numbers

    def moved(self, learned: Float[Array, "n d"]) -> "Vectors":
        """What was learned."""
        return self._replace(numbers=learned)

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Vectors":
        """Itself: numbers of a table have no bounds."""
        return self

    def clip(self, images: Float[Array, "n d"]) -> Float[Array, "n d"]:
        """The vectors as they are."""
        return images

    def store(self) -> "Vectors":
        """Itself."""
        return self

    @classmethod
    def bytes_for(cls, n: int, image: tuple[int, ...]) -> int:
        """Four bytes a number."""
        return 4 * n * math.prod(image)

    def nbytes(self) -> int:
        """Payload bytes."""
        return self.numbers.nbytes

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """To a preprocessing, a vector is one pixel of d channels."""
        return {"h": 1, "w": 1, "c": sizes["d"]}

    def check(self) -> None:
        """Raises ValueError where the names are not those of d numbers."""
        if self.columns and sum(map(width_of, read_columns(self.columns))) != self.numbers.shape[1]:
            raise ValueError(f"columns name other than the {self.numbers.shape[1]} numbers of a vector")


# Names are no array: compiled code carries them as a part of the structure.
jax.tree_util.register_pytree_node(Vectors, lambda x: ((x.numbers,), x.columns), lambda columns, leaves: Vectors(*leaves, columns))


def write_columns(columns: list[list[str]]) -> str:
    """Names of columns as `Vectors` holds them."""
    return json.dumps(columns)


def read_columns(text: str) -> list[list[str]]:
    """Every column's name, and its categories where it is text. Raises ValueError where `text` is not what `write_columns` gives."""
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
    """How many numbers of a vector a column takes."""
    return max(1, len(column) - 1)


def are_numbers(columns: str, d: int) -> np.ndarray:
    """bool[d], which of d numbers stand for themselves, and not for a category."""
    if not columns:
        return np.ones(d, bool)
    return np.concatenate([np.full(width_of(column), len(column) == 1) for column in read_columns(columns)])


def unaugmented(key: jax.Array, x: Float[Array, "b d"], *, siamese: bool) -> Float[Array, "b d"]:
    """The identity, called as an augmentation of images is: nothing that changes a row of a table is known to keep its label."""
    return x
