"""Contents of images: they are made of f32[n h w c] in model space, and decode to that."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

HAIR = 1 / 512  # of a grey level: a pixel that came from a byte stays that byte, although float32 may bring it back a little lower


class Pixels(NamedTuple):
    """Images stored as they are: f32[n h w c] in model space, unbounded."""

    pixels: Float[Array, "n h w c"]
    kind = "pixels"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    @property
    def images(self) -> int:
        """How many images are stored."""
        return self.n

    @classmethod
    def encode(cls, images: Float[Array, "n h w c"]) -> "Pixels":
        """These images as a content, unchanged."""
        return cls(images)

    def decode(self) -> jax.Array:
        """The examples themselves, f32[n h w c]."""
        return self.pixels

    def learned(self) -> "Pixels":
        """Returns itself: all pixels are learned."""
        return self

    def moved(self, learned: "Pixels") -> "Pixels":
        """Returns the learned images unchanged; there are no bounds."""
        return learned

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Bounded":
        """The same images as `Bounded`, which keeps them within these bounds and stores them as bytes."""
        return Bounded(self.pixels, mean, std)

    def clip(self, images: Float[Array, "n h w c"]) -> Float[Array, "n h w c"]:
        """Returns the images unchanged."""
        return images

    def store(self) -> "Pixels":
        """Returns itself: files can store it."""
        return self

    @classmethod
    def bytes_for(cls, n: int, image: tuple[int, ...]) -> int:
        """The bytes of n images of a shape (h, w, c): four a number."""
        return 4 * n * math.prod(image)

    def nbytes(self) -> int:
        """Bytes of the pixels."""
        return self.pixels.nbytes


class Bytes(NamedTuple):
    """Images with 8 bits a channel, and the normalisation from [0, 1] to model space."""

    pixels: UInt8[Array, "n h w c"]
    mean: Float[Array, " c"]
    std: Float[Array, " c"]
    kind = "bytes"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    @property
    def images(self) -> int:
        """How many images are stored."""
        return self.n

    def decode(self) -> jax.Array:
        """(pixels / 255 - mean) / std, f32[n h w c]."""
        return normalised(self.pixels.astype(jnp.float32) / 255, self.mean, self.std)

    def store(self) -> "Bytes":
        """Returns itself: files can store it."""
        return self

    def check(self) -> None:
        """Raises ValueError if a standard deviation is not positive."""
        _positive(self.std)

    def nbytes(self) -> int:
        """Payload bytes: the pixels. The normalisation is preprocessing, which counts apart."""
        return self.pixels.nbytes


class Compensated(NamedTuple):
    """Real images, and additions ("compensators") that are each added to one real image of every class, as in INFER (ICLR 2025).

    base u8[m h w c] holds s images of each of m / s classes, class-major. delta u8[s k h w c] holds k additions for the i-th image of every
    class, i < s, as 128 + 127 d of a difference d in [-1, 1] between raw images, rounded.
    The examples are, for every class and i, the image itself and its k sums, kept within [0, 1]: n = m (k + 1), class-major.
    """

    base: UInt8[Array, "m h w c"]
    delta: UInt8[Array, "s k h w c"]
    mean: Float[Array, " c"]
    std: Float[Array, " c"]
    kind = "compensated"
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.base.shape[0] * (self.delta.shape[1] + 1)

    @property
    def images(self) -> int:
        """How many images are stored: m + s k."""
        return self.base.shape[0] + self.delta.shape[0] * self.delta.shape[1]

    def decode(self) -> jax.Array:
        """The examples, f32[n h w c], class-major: every image, followed by its k sums, which are kept within [0, 1] before
        normalisation."""
        raw = self.base.astype(jnp.float32) / 255
        summed = with_sums(raw, (self.delta.astype(jnp.float32) - 128) / 127)
        return normalised(jnp.clip(summed, 0, 1), self.mean, self.std)

    def store(self) -> "Compensated":
        """Returns itself: files can store it."""
        return self

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """The number of examples: n = m (k + 1)."""
        return {"n": sizes["m"] * (sizes["k"] + 1)}

    def check(self) -> None:
        """Raises ValueError if a standard deviation is not positive, or if the classes cannot have s images each."""
        _positive(self.std)
        if self.base.shape[0] % self.delta.shape[0]:
            raise ValueError(f"{self.base.shape[0]} images are not {self.delta.shape[0]} of every class")

    def nbytes(self) -> int:
        """Payload bytes: images and additions. The normalisation is preprocessing, which counts apart."""
        return self.base.nbytes + self.delta.nbytes


class Bounded(NamedTuple):
    """Images that are still learned and will be stored as `Bytes`: f32[n h w c] in model space, with their normalisation. Not stored
    itself."""

    pixels: Float[Array, "n h w c"]
    mean: Float[Array, " c"]
    std: Float[Array, " c"]
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.pixels.shape[0]

    def encode(self, images: Float[Array, "n h w c"]) -> "Bounded":
        """These images as a content with the same bounds; they are not clipped."""
        return self._replace(pixels=images)

    def decode(self) -> jax.Array:
        """The images as they are now, f32[n h w c]: neither rounded to bytes nor clipped."""
        return self.pixels

    def learned(self) -> Float[Array, "n h w c"]:
        """The images; the normalisation stays."""
        return self.pixels

    def moved(self, learned: Float[Array, "n h w c"]) -> "Bounded":
        """The learned images, clipped to the bounds."""
        return self._replace(pixels=self.clip(learned))

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Bounded":
        """The same images with the bounds of the given normalisation."""
        return Bounded(self.pixels, mean, std)

    def clip(self, pixels: Float[Array, "... h w c"]) -> Float[Array, "... h w c"]:
        """Limits images of this normalisation to the values that raw images can have: [-mean / std, (1 - mean) / std] in every channel."""
        ends = (jnp.full((1,) * (pixels.ndim - 1) + self.mean.shape, end, pixels.dtype) for end in (0, 1))
        return jnp.clip(pixels, *(normalised(end, self.mean, self.std) for end in ends))

    def store(self) -> Bytes:
        """The images as `Bytes`: values outside the bounds are clipped, and what lies between two grey levels is rounded down."""
        return Bytes(to_bytes(raw_of(self.pixels, self.mean, self.std)), self.mean, self.std)

    @classmethod
    def bytes_for(cls, n: int, image: tuple[int, ...]) -> int:
        """The bytes of n images of a shape (h, w, c): one a number."""
        return n * math.prod(image)

    def nbytes(self) -> int:
        """Bytes that the images take once they are stored: one a number."""
        return self.pixels.size


class Summed(NamedTuple):
    """Images and additions that are still learned and will be stored as `Compensated`: f32[m h w c] and f32[s k h w c] in model space. Not
    stored itself."""

    base: Float[Array, "m h w c"]
    delta: Float[Array, "s k h w c"]
    mean: Float[Array, " c"]
    std: Float[Array, " c"]
    modality = "images"

    @property
    def n(self) -> int:
        """How many examples there are."""
        return self.base.shape[0] * (self.delta.shape[1] + 1)

    def decode(self) -> jax.Array:
        """The examples, f32[n h w c], class-major: every image, followed by its k sums, limited to the values that raw images can have."""
        return Bounded(self.base, self.mean, self.std).clip(with_sums(self.base, self.delta))

    def learned(self) -> Float[Array, "s k h w c"]:
        """The additions alone. The images stay real."""
        return self.delta

    def moved(self, learned: Float[Array, "s k h w c"]) -> "Summed":
        """The learned additions, not clipped. Sums are clipped when they are decoded."""
        return self._replace(delta=learned)

    def nbytes(self) -> int:
        """Payload bytes of images and additions, a byte for each number."""
        return self.base.size + self.delta.size

    def store(self) -> Compensated:
        """Images and additions as bytes. An addition outside [-1, 1] is clipped, which changes no example."""
        difference = jnp.clip(self.delta * along(self.std, self.delta.ndim), -1, 1)
        delta = jnp.round(128 + 127 * difference).astype(jnp.uint8)
        return Compensated(to_bytes(raw_of(self.base, self.mean, self.std)), delta, self.mean, self.std)


def along(channels: Float[Array, " c"], ndim: int) -> Float[Array, "... c"]:
    """Reshapes one number a channel so that it broadcasts against arrays of `ndim` axes whose last axis is the channel."""
    return jnp.reshape(channels, (1,) * (ndim - 1) + (-1,))


def normalised(raw: Float[Array, "... c"], mean: Float[Array, " c"], std: Float[Array, " c"]) -> Float[Array, "... c"]:
    """Converts raw images in [0, 1] to model space: (raw - mean) / std in every channel, which is the last axis."""
    return (raw - along(mean, raw.ndim)) / along(std, raw.ndim)


def raw_of(pixels: Float[Array, "... c"], mean: Float[Array, " c"], std: Float[Array, " c"]) -> Float[Array, "... c"]:
    """Converts images from model space to raw images: pixels std + mean in every channel. Nothing is clipped to [0, 1]."""
    return pixels * along(std, pixels.ndim) + along(mean, pixels.ndim)


def to_bytes(raw: Float[Array, "..."]) -> UInt8[Array, "..."]:
    """Raw images in [0, 1] as bytes: 255 times the value, cut to 0..255 and rounded down, as the papers' released code stores images.
    A 512th of a grey level is added before, against float32 rounding."""
    return jnp.floor(jnp.clip(raw * 255 + HAIR, 0, 255)).astype(jnp.uint8)


def with_sums(base: Float[Array, "m h w c"], delta: Float[Array, "s k h w c"]) -> Float[Array, "n h w c"]:
    """Every image, followed by its sums with each of k additions: n = m (k + 1). `base` is class-major with s images a class, and
    `delta[i]` belongs to the i-th image of every class. Nothing is clipped."""
    images = base.reshape(-1, len(delta), 1, *base.shape[1:])
    added = jnp.concatenate([jnp.zeros_like(delta[:, :1]), delta], 1)
    return (images + added[None]).reshape(-1, *base.shape[1:])


def _positive(std) -> None:
    if np.min(std) <= 0:
        raise ValueError(f"std is {np.min(std)} in a channel; every one must be positive")
