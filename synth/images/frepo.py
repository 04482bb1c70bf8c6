"""FRePo's augmentation, as pure functions of the key, on f32[h w c] (one image) or f32[b h w c] (a batch) in model space.

It differs from DSA's in ranges and borders: what comes in from outside repeats the edge, shifts are fractions of a pixel, zooms keep the
picture's shape and move it, a cutout lies inside and has a quarter of the side, contrast and saturation are log-uniform.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from synth.images.augment import Augment, Image, Operation, brightness, contrast, flip, one_of, saturation
from synth.images.distortions import resized_crop

BRIGHTNESS, LOG_CONTRAST, ZOOM, SHIFT, DEGREES = 0.25, 0.25, 1.25, 0.125, 15.0

Scalar = Float[Array, ""]
Draw = Float[Array, "3 *shape"]
Size = tuple[int, int]


def color(x: Image, b: Scalar, c: Scalar, s: Scalar) -> Image:
    """Brightness, then contrast, then saturation."""
    return saturation(contrast(brightness(x, b), c), s)


def zoom(x: Image, by: Scalar, dy: Scalar, dx: Scalar) -> Image:
    """x' at (i, j) is x at ((i + dy) / by, (j + dx) / by), pixels from the centre, bilinear, the edge repeated outside."""
    sides = [jnp.asarray(n, x.dtype) / by for n in x.shape[:2]]
    rows, columns = (((n - side) / 2 + d / by, side) for n, side, d in zip(x.shape[:2], sides, (dy, dx), strict=True))
    return resized_crop(x, rows, columns, jnp.bool_(False))


def translate(x: Image, dy: Scalar, dx: Scalar) -> Image:
    """x' at (i, j) is x at (i - dy, j - dx), which may be fractions of a pixel, bilinear, the edge repeated outside."""
    rows, columns = ((-d, jnp.asarray(n, x.dtype)) for n, d in zip(x.shape[:2], (dy, dx), strict=True))
    return resized_crop(x, rows, columns, jnp.bool_(False))


def rotate(x: Image, angle: Scalar) -> Image:
    """x' at (i, j) is x at (i cos + j sin, j cos - i sin), pixels from the centre, bilinear, the edge repeated outside. `angle` is in
    radians."""
    h, w, c = x.shape
    i, j = ((jnp.arange(n, dtype=x.dtype) - (n - 1) / 2) for n in (h, w))
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    row = jnp.clip(cos * i[:, None] + sin * j[None, :] + (h - 1) / 2, 0, h - 1).ravel()
    column = jnp.clip(cos * j[None, :] - sin * i[:, None] + (w - 1) / 2, 0, w - 1).ravel()
    flat, out = x.reshape(h * w, c), jnp.zeros((h * w, c), x.dtype)
    for p in (jnp.floor(row), jnp.floor(row) + 1):
        for q in (jnp.floor(column), jnp.floor(column) + 1):
            weight = jnp.maximum(0, 1 - jnp.abs(row - p)) * jnp.maximum(0, 1 - jnp.abs(column - q))
            source = jnp.minimum(p, h - 1) * w + jnp.minimum(q, w - 1)  # what lies beyond the last pixel has no weight
            out += weight[:, None] * flat[source.astype(jnp.int32)]
    return out.reshape(x.shape)


def cutout(x: Image, top: Int[Array, ""], left: Int[Array, ""]) -> Image:
    """The image with zeros in the rectangle of a quarter of its sides, rounded down, that begins at row `top` and column `left`."""
    rows, columns = ((jnp.arange(n) >= at) & (jnp.arange(n) < at + n // 4) for n, at in zip(x.shape[:2], (top, left), strict=True))
    return jnp.where((rows[:, None] & columns[None, :])[..., None], jnp.zeros_like(x), x)


def _within(u, most: float):
    return (2 * u - 1) * most


def draw_color(u: Draw, size: Size) -> tuple:
    """(brightness, contrast, saturation) from uniform draws `u` in [0, 1): U(-1/4, 1/4), and twice exp(U(-1/4, 1/4)). `size` is not
    read."""
    return _within(u[0], BRIGHTNESS), jnp.exp(_within(u[1], LOG_CONTRAST)), jnp.exp(_within(u[2], LOG_CONTRAST))


def draw_zoom(u: Draw, size: Size) -> tuple:
    """(zoom, down, right) from uniform draws `u` in [0, 1): a factor, log-uniform from 0.8 to 1.25, and shifts in pixels that keep a larger
    picture over the whole frame of `size` (h, w), or a smaller one inside."""
    by = jnp.exp(_within(u[0], 1.0) * jnp.log(ZOOM))
    return by, *(_within(v, 1.0) * jnp.abs(n * by - n) / 2 for v, n in zip(u[1:], size, strict=True))


def draw_translate(u: Draw, size: Size) -> tuple:
    """Shifts of (rows, columns) in pixels from uniform draws `u` in [0, 1), for images of `size` (h, w): U(-1/8, 1/8) of the side."""
    return tuple(_within(v, n * SHIFT) for v, n in zip(u, size, strict=False))


def draw_rotate(u: Draw, size: Size) -> tuple:
    """(an angle,), U(-15, 15) degrees, in radians, from the first of the uniform draws `u` in [0, 1). `size` is not read."""
    return (_within(u[0], DEGREES * jnp.pi / 180),)


def draw_cutout(u: Draw, size: Size) -> tuple:
    """(first row, first column) of a cutout that lies inside images of `size` (h, w), integers, from uniform draws `u` in [0, 1)."""
    return tuple(jnp.floor(v * (n - n // 4 + 1)).astype(jnp.int32) for v, n in zip(u, size, strict=False))


def draw_flip(u: Draw, size: Size) -> tuple:
    """(a fair coin,): whether the first of the uniform draws `u` in [0, 1) is below 1/2. `size` is not read."""
    return (u[0] < 0.5,)


OPERATIONS = {
    "flip": Operation(draw_flip, flip),
    "color": Operation(draw_color, color),
    "crop": Operation(draw_zoom, zoom),
    "rotate": Operation(draw_rotate, rotate),
    "translate": Operation(draw_translate, translate),
    "cutout": Operation(draw_cutout, cutout),
}


def frepo(flips: bool) -> Augment:
    """FRePo's augmentation: one of its operations a call, drawn uniformly, with parameters drawn for every image, or once (siamese).

    Zhou, Nezhadarya and Ba, NeurIPS 2022; yongchaoz/FRePo, lib/dataset/augmax/export.py. Grey images are not mirrored, as the release does
    not mirror MNIST and Fashion-MNIST.

    Args:
      flips: whether a mirrored image keeps its label, so that mirroring is among the operations.
    """

    def augment(key, x, *, siamese):
        mirrored = flips and x.shape[-1] > 1
        return one_of([operation for name, operation in OPERATIONS.items() if mirrored or name != "flip"])(key, x, siamese=siamese)

    return augment
