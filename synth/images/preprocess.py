"""Model space and back. Raw images are u8[n h w c] in 0..255 or f32[n h w c] in [0, 1], raw vectors f32[n d] in their own units; networks
and synthetic sets see model space.

`apply` and `undo` take and give float images (raw ones in [0, 1], see `unit`) and work on numpy and JAX arrays alike. A preprocessing is
`elementwise` where each number of its result depends on one number of the image; then an image has the same bits in every batch.
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from synth.errors import BadInput, nearest

Raw = UInt8[np.ndarray, "n ..."] | Float[np.ndarray, "n ..."]
CHUNK = 2048  # images that are read and normalised at a time
MOST_WHITENED = 64 * 64 * 3  # numbers an image: the matrix and its inverse travel with every set


@runtime_checkable
class Images(Protocol):
    """Raw images [n h w c] or vectors [n d] that `fit` reads slice by slice: an array, or an object with its shape, dtype and
    slices."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> np.dtype: ...

    def __len__(self) -> int: ...

    def __getitem__(self, where: slice) -> Raw: ...


class Standard(NamedTuple):
    """x' = (x - mean) / std, a channel of images at a time, or a number of vectors; both of raw examples."""

    mean: Float32[np.ndarray, " c"]
    std: Float32[np.ndarray, " c"]
    kind = "standard"
    elementwise = True

    def apply(self, x):
        """Converts raw f32[n h w c] or f32[n d] to model space."""
        return (x - _last(self.mean, x)) / _last(self.std, x)

    def undo(self, x):
        """Converts model space to raw examples. Values of images may leave [0, 1]."""
        return x * _last(self.std, x) + _last(self.mean, x)

    def fits(self, image: tuple[int, ...]) -> bool:
        """Whether examples of this shape, (h, w, c) or (d,), have as many channels (or numbers) as this was fitted on."""
        return self.mean.shape == image[-1:]

    def check(self) -> None:
        """Raises ValueError where a standard deviation is not positive."""
        if np.min(self.std) <= 0:
            raise ValueError(f"std is {np.min(self.std)} in a channel; every one must be positive")


class Whiten(NamedTuple):
    """ZCA whitening of flattened images: x' = (x - mean) T, and back by the inverse of T.

    By default `fit_zca` makes T = U diag((S + 0.1)^-1/2) U^T of the covariance U diag(S) U^T of the images.
    """

    mean: Float32[np.ndarray, " d"]
    matrix: Float32[np.ndarray, "d d"]
    inverse: Float32[np.ndarray, "d d"]
    kind = "zca"
    elementwise = False

    def apply(self, x):
        """Converts raw f32[n h w c] to model space."""
        return ((x.reshape(len(x), -1) - self.mean[None]) @ self.matrix).reshape(x.shape)

    def undo(self, x):
        """Converts model space f32[n h w c] to raw images. Values may leave [0, 1]."""
        return (x.reshape(len(x), -1) @ self.inverse + self.mean[None]).reshape(x.shape)

    def fits(self, image: tuple[int, ...]) -> bool:
        """Whether images h w c have as many numbers as the training images of this preprocessing."""
        return self.mean.shape == (int(np.prod(image)),)

    def check(self) -> None:
        """Raises ValueError if `inverse` does not undo `matrix` (tested on one vector, to 1 %)."""
        probe = np.cos(np.arange(len(self.mean), dtype=np.float32))
        if not np.abs(probe @ self.matrix @ self.inverse - probe).max() < 1e-2:
            raise ValueError("inverse does not undo matrix; both must come from the same whitening")


class Nothing(NamedTuple):
    """x' = x: the preprocessing of data without normalisation, such as graphs."""

    kind = "none"
    elementwise = True

    def apply(self, x):
        """Returns the examples unchanged."""
        return x

    def undo(self, x):
        """Returns the examples unchanged."""
        return x

    def fits(self, image) -> bool:
        """Always True."""
        return True


Preprocess = Standard | Whiten | Nothing
KINDS = {kind.kind: kind for kind in (Standard, Whiten, Nothing)}


def _last(channels: Float32[np.ndarray, " c"], x):
    """Numbers of every channel against an array that ends with the channels."""
    return channels.reshape((1,) * (x.ndim - 1) + (-1,))


def unit(x: Raw) -> Float32[np.ndarray, "n ..."]:
    """Raw images as f32 in [0, 1]: bytes are divided by 255; the values of floats, and so of vectors, are kept."""
    return x.astype(np.float32) / np.float32(255) if x.dtype == np.uint8 else x.astype(np.float32, copy=False)


def _chunks(x: Images) -> Iterator[Float[np.ndarray, "m ..."]]:
    for at in range(0, len(x), CHUNK):
        yield unit(x[at : at + CHUNK]).astype(np.float64)


def _levels(x: Images) -> Int[np.ndarray, "c 256"]:
    """How often every channel of images that are bytes has each of the 256 levels."""
    counts = np.zeros((x.shape[-1], 256), np.int64)
    for at in range(0, len(x), CHUNK):
        part = x[at : at + CHUNK]
        for channel, own in enumerate(counts):
            own += np.bincount(part[..., channel].ravel(), minlength=256)
    return counts


def moments(x: Images) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
    """Mean and (population) standard deviation of every channel of images, or of every number of vectors, in double precision;
    bytes are divided by 255 first. Of bytes the levels are counted, which takes one pass."""
    count, axes = math.prod(x.shape[:-1]), tuple(range(len(x.shape) - 1))
    if x.dtype == np.uint8:
        levels, counts = unit(np.arange(256, dtype=np.uint8)).astype(np.float64), _levels(x)
        mean = counts @ levels / count
        return mean, np.sqrt((counts * (levels[None] - mean[:, None]) ** 2).sum(1) / count)
    mean = sum(part.sum(axes) for part in _chunks(x)) / count
    return mean, np.sqrt(sum(((part - mean) ** 2).sum(axes) for part in _chunks(x)) / count)


def fit_standard(x: Images) -> Standard:
    """Fits mean and (population) standard deviation of every channel of images, whose bytes are divided by 255, or of every number of
    vectors. A constant one gets std 1."""
    mean, std = moments(x)
    return Standard(mean.astype(np.float32), np.where(std > 1e-6, std, 1.0).astype(np.float32))


def fit_zca(x: Images, *, epsilon: float = 0.1, relative: bool = False, done: Callable[[], None] = lambda: None) -> Whiten:
    """Whitening fitted on raw images: as the trajectory-matching papers do it (no standardisation before it), or as FRePo does it.

    Args:
      x: n >= 2 images of d = h w c numbers each, d at most 12,288 (64x64x3).
      epsilon: > 0, added to every eigenvalue S of the covariance (n - 1 in its denominator) of images in [0, 1].
      relative: divides every channel by its deviation first, and adds epsilon times the mean eigenvalue of what results (n in the
        denominator); as FRePo's release (yongchaoz/FRePo, lib/dataset/ops.py).
      done: called after every CHUNK (2,048) of images that entered the covariance; what follows the last call is one part more of the work.

    Raises:
      BadInput: the images are too large, or fewer than two.
    """
    n, d = len(x), int(np.prod(x.shape[1:]))
    if d > MOST_WHITENED or n < 2:
        raise BadInput(f"normalise=zca: needs 2 or more images of at most {MOST_WHITENED} numbers, got {n} of {d}; use normalise=standard")
    spread = np.resize(fit_standard(x).std.astype(np.float64), d) if relative else np.ones(d)  # channels come last
    mean = sum(part.sum(0) for part in _chunks(x)).ravel() / n
    covariance = np.zeros((d, d))
    for part in _chunks(x):
        centred = (part.reshape(len(part), d) - mean) / spread
        covariance += centred.T @ centred
        done()
    values, vectors = np.linalg.eigh(covariance / (n if relative else n - 1))
    root = np.sqrt(np.maximum(values, 0) + (epsilon * values.mean() if relative else epsilon))
    forward, inverse = (vectors / root) @ vectors.T / spread[:, None], (vectors * root) @ vectors.T * spread[None]
    return Whiten(mean.astype(np.float32), forward.astype(np.float32), inverse.astype(np.float32))


FITS = {
    "standard": lambda x, done: fit_standard(x),
    "zca": lambda x, done: fit_zca(x, done=done),
    "zca_relative": lambda x, done: fit_zca(x, relative=True, done=done),
}


def fit(kind: str, x: Images, *, done: Callable[[], None] = lambda: None) -> Preprocess:
    """Fits a preprocessing to raw training images or vectors. Kinds are `standard`, `zca` and `zca_relative` (see `fit_zca`).

    `done` is called after every CHUNK (2,048) of images that whitening has gone over; `standard` never calls it. Raises BadInput for
    another kind, and as `fit_zca` for images too large or fewer than two.
    """
    if kind not in FITS:
        raise BadInput(f"unknown normalisation '{kind}' (known: {', '.join(FITS)}){nearest(kind, FITS)}")
    return FITS[kind](x, done)
