"""Contents of images in fewer bytes: half precision, few bits, and tiles of a fraction of the size.

`Coded` is the content under work; what it stores is `Tiles` (single precision), `Half` or `Packed` (2 to 8 bits a number).
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, UInt8

from synth.images.content import Bounded
from synth.images.quantise import LEAST_BITS, MOST_BITS, as_stored, bits_needed, bits_of, of_codes, pack, span, to_codes, unpack
from synth.images.tiles import enlarge, shrink, tile_shape


class Tiles(NamedTuple):
    """Images at a fraction of their size in single precision, f32[n a b c] in model space, and the size that they are shown at."""

    pixels: Float[Array, "n a b c"]
    factor: int
    height: int
    width: int
    kind = "tiles"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    @property
    def images(self) -> int:
        """As many as there are examples: real images beside the set are stored in the same way, and cost as much."""
        return self.n

    def decode(self) -> jax.Array:
        """The tiles, enlarged (bilinear) to the size of the images, f32[n h w c]."""
        return enlarge(jnp.asarray(self.pixels, jnp.float32), self.height, self.width)

    def store(self) -> "Tiles":
        """Returns itself: files can store it."""
        return self

    def like(self) -> "Coded":
        """A `Coded` without images, whose `encode` takes other images to be stored as these are: the same bits a number and factor."""
        return coded("f32", self.factor)

    def nbytes(self) -> int:
        """Bytes of the stored pixels."""
        return self.pixels.nbytes

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """Height and width of the examples under `h` and `w`: the fields `height` and `width`, which `sizes` must hold."""
        return {"h": sizes["height"], "w": sizes["width"]}

    def check(self) -> None:
        """Raises ValueError if the tiles do not have floor(height / factor) rows and floor(width / factor) columns, each at least 1."""
        check_fraction((self.height, self.width), self.factor, tile=self.pixels.shape[1:3])


class Half(NamedTuple):
    """Images or tiles in half precision, f16[n a b c] in model space, and the size that they are shown at."""

    pixels: Float16[Array, "n a b c"]
    factor: int
    height: int
    width: int
    kind = "half"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    @property
    def images(self) -> int:
        """As many as there are examples: real images beside the set are stored in the same way, and cost as much."""
        return self.n

    def decode(self) -> jax.Array:
        """The images in single precision and at their size, f32[n h w c]."""
        return enlarge(self.pixels.astype(jnp.float32), self.height, self.width)

    def store(self) -> "Half":
        """Returns itself: files can store it."""
        return self

    def like(self) -> "Coded":
        """A `Coded` without images, whose `encode` takes other images to be stored as these are: the same bits a number and factor."""
        return coded("f16", self.factor)

    def nbytes(self) -> int:
        """Bytes of the stored pixels."""
        return self.pixels.nbytes

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """Height and width of the examples under `h` and `w`: the fields `height` and `width`, which `sizes` must hold."""
        return {"h": sizes["height"], "w": sizes["width"]}

    def check(self) -> None:
        """Raises ValueError if the tiles do not have floor(height / factor) rows and floor(width / factor) columns, each at least 1."""
        check_fraction((self.height, self.width), self.factor, tile=self.pixels.shape[1:3])


class Packed(NamedTuple):
    """Images or tiles with few bits a number (`synth.images.quantise`).

    Args:
      payload: u8[p], the codes of n images or tiles of a rows, b columns and c channels in C order, the highest bit of each first.
      low, high: the ends of the range of every channel, in model space.
      bits: of a code, 2 to 8.
      count: n. factor: what divides height and width.
      height, width: the size that the images are shown at.
    """

    payload: UInt8[Array, " p"]
    low: Float[Array, " c"]
    high: Float[Array, " c"]
    bits: int
    count: int
    factor: int
    height: int
    width: int
    kind = "packed"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.count

    @property
    def images(self) -> int:
        """As many as there are examples: real images beside the set are stored in the same way, and cost as much."""
        return self.n

    def decode(self) -> jax.Array:
        """The numbers that the codes stand for, with tiles enlarged to the size of the images, f32[n h w c]."""
        shape = tile_shape((self.height, self.width, len(self.low)), self.factor)
        codes = unpack(jnp.asarray(self.payload), self.bits, (self.count, *shape))
        return enlarge(of_codes(codes, self.low, self.high, self.bits), self.height, self.width)

    def store(self) -> "Packed":
        """Returns itself: files can store it."""
        return self

    def like(self) -> "Coded":
        """A `Coded` without images, whose `encode` takes other images to be stored as these are: the same bits a number and factor."""
        return coded(f"u{self.bits}", self.factor)

    def nbytes(self) -> int:
        """Payload bytes: codes and ranges."""
        return self.payload.nbytes + self.low.nbytes + self.high.nbytes

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """Number, height and width of the examples under `n`, `h`, `w`: the fields `count`, `height`, `width`, which `sizes` must hold."""
        return {"n": sizes["count"], "h": sizes["height"], "w": sizes["width"]}

    def check(self) -> None:
        """Raises ValueError if bits or factor are impossible, the payload is not as long as the codes, or `high` is below `low`
        somewhere."""
        if not LEAST_BITS <= self.bits <= MOST_BITS:
            raise ValueError(f"{self.bits} bits a number; {LEAST_BITS} to {MOST_BITS} is possible")
        check_fraction((self.height, self.width), self.factor)
        numbers = self.count * math.prod(tile_shape((self.height, self.width, len(self.low)), self.factor))
        most = -(-numbers * self.bits // 8)
        if self.count < 1 or len(self.payload) != most:
            raise ValueError(f"the payload has {len(self.payload)} bytes; {self.count} images of this shape take {most}")
        if (np.asarray(self.high) < np.asarray(self.low)).any():
            raise ValueError("high is below low in a channel")


class Coded(NamedTuple):
    """Images that are still learned and will be stored in fewer bytes: f32[n a b c] in model space. Not stored itself.

    Args:
      pixels: the images, or tiles of them.
      code: how a number is stored, `f32`, `f16` or `u2` to `u8`.
      factor: what divides height and width.
      height, width: of the images.
      bounds: mean and standard deviation of the normalisation that limits the pixels; None without limits.
    """

    pixels: Float[Array, "n a b c"]
    code: str
    factor: int
    height: int
    width: int
    bounds: Any = None
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    @property
    def per_image(self) -> int:
        """How many examples take the room of one image: factor^2."""
        return self.factor**2

    def encode(self, images: Float[Array, "n h w c"]) -> "Coded":
        """These images, or the tiles that are nearest to them (least squares), with the same code, factor and bounds; they are not
        clipped."""
        return self._replace(pixels=shrink(images, self.factor), height=images.shape[1], width=images.shape[2])

    def decode(self) -> jax.Array:
        """The images as a file will give them back, rounded and enlarged, f32[n h w c]; the gradient passes the rounding unchanged."""
        return enlarge(as_stored(self.pixels, self.code), self.height, self.width)

    def learned(self) -> Float[Array, "n a b c"]:
        """The pixels of images or tiles, before they are rounded."""
        return self.pixels

    def moved(self, learned: Float[Array, "n a b c"]) -> "Coded":
        """The learned pixels, clipped where there are bounds."""
        return self._replace(pixels=self.clip(learned))

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Coded":
        """The same images with the bounds of this normalisation."""
        return self._replace(bounds=(mean, std))

    def clip(self, images: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Limits images to the bounds, if there are any."""
        return images if self.bounds is None else Bounded(images, *self.bounds).clip(images)

    def store(self) -> "Tiles | Half | Packed":
        """The images as a file holds them: `Tiles` of the code `f32`, `Half` of `f16`, else `Packed`, whose ranges are those of the
        pixels."""
        kept, size = as_stored(self.pixels, self.code), (self.factor, self.height, self.width)
        if self.code == "f32":
            return Tiles(kept, *size)
        if self.code == "f16":
            return Half(kept.astype(jnp.float16), *size)
        bits, (low, high) = bits_of(self.code), span(self.pixels)
        codes = to_codes(self.pixels, low, high, bits)
        return Packed(pack(codes, bits), low, high, bits, self.n, *size)

    def bytes_for(self, n: int, image: tuple[int, ...]) -> int:
        """Bytes of n images of the shape (h, w, c), stored in this code and factor, and 8 more a channel for its range if they are
        packed."""
        ranges = 0 if bits_of(self.code) is None else 2 * 4 * image[-1]
        return -(-bits_needed(n * math.prod(tile_shape(image, self.factor)), self.code) // 8) + ranges

    def nbytes(self) -> int:
        """Bytes that the images take once they are stored."""
        return self.bytes_for(self.n, (self.height, self.width, self.pixels.shape[-1]))


def coded(code: str, factor: int) -> Coded:
    """A `Coded` without images, whose `encode` takes images to be stored in a code (`f32`, `f16` or `u2` to `u8`), as tiles whose sides are
    those of the images divided by `factor` and rounded down."""
    return Coded(jnp.zeros((0, 0, 0, 0)), code, factor, 0, 0)


def check_fraction(size: tuple[int, int], factor: int, *, tile: tuple[int, ...] | None = None) -> None:
    """Raises ValueError if `factor` is below 1 or above a side of images of `size` (h, w), or if `tile` (rows, columns) is not the sides
    divided by it and rounded down."""
    if factor < 1 or min(size) < factor:
        raise ValueError(f"images of {size[0]}x{size[1]} have no tiles of factor {factor}")
    right = size[0] // factor, size[1] // factor
    if tile is not None and tile != right:
        raise ValueError(
            f"tiles of {tile[0]}x{tile[1]}; of images of {size[0]}x{size[1]} and factor {factor} they are {right[0]}x{right[1]}"
        )


# Sizes and options are no arrays: compiled code carries them as a part of the structure.
for _kind, _arrays in ((Tiles, 1), (Half, 1), (Packed, 3)):
    jax.tree_util.register_pytree_node(
        _kind, lambda x, k=_arrays: (tuple(x[:k]), tuple(x[k:])), lambda rest, arrays, kind=_kind: kind(*arrays, *rest)
    )
jax.tree_util.register_pytree_node(
    Coded, lambda x: ((x.pixels, x.bounds), tuple(x[1:5])), lambda rest, arrays: Coded(arrays[0], *rest, arrays[1])
)
