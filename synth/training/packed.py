"""Examples that stay in their files as bytes: they are moved to the devices as bytes, a quarter of what they take in model space, and
normalised there."""

from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Int, UInt8

from synth.base import Examples


@runtime_checkable
class Packed(Protocol):
    """A split that may give bytes, where `packed` says so, for `unpack` to normalise on the device."""

    @property
    def packed(self) -> bool:
        """Whether examples are stored as bytes, so that `take_bytes` gives them."""
        ...

    def take_bytes(self, index: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m ..."]:
        """The raw examples, bytes, at the positions `index`, in its order."""
        ...

    def unpack(self, raw: UInt8[np.ndarray, "m ..."] | UInt8[Array, "m ..."]) -> Float[Array, "m ..."]:
        """Raw examples, as `take_bytes` gives them, moved to the device and normalised to model space there."""
        ...


@partial(jax.tree_util.register_dataclass, data_fields=("raw", "y"), meta_fields=("split",))
@dataclass(frozen=True)
class Bytes:
    """Examples of a `Packed` split on their way to the devices.

    Args:
      raw: their bytes, [n ...] beside labels, [classes n ...] without. y: their class indices, or None.
      split: it knows what the bytes mean.
    """

    raw: UInt8[Array, "..."] | UInt8[np.ndarray, "..."]
    y: Int[np.ndarray, " n"] | Int[Array, " n"] | None
    split: Packed

    def unpack(self) -> Examples | Float[Array, "..."]:
        """The examples in model space: `Examples`, or images alone where there are no labels."""
        x = self.split.unpack(self.raw)
        return x if self.y is None else Examples(x, self.y)


def prepare(split: Any) -> None:
    """Has a split make what it makes once for all that is taken of it, before threads take of it."""
    if make := getattr(split, "prepare", None):
        make()


def gives_bytes(split: Any) -> bool:
    """Whether examples stay in their files and are bytes there, so that they can be moved to the devices as bytes."""
    return not split.in_memory and isinstance(split, Packed) and split.packed
