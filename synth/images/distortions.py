"""Random views of images for self-supervised learning: pure functions of the key, on f32[b h w c] in model space, of any size.

Every image of a batch gets parameters of its own. Cropping and scaling is linear interpolation, written as one matrix for the rows and one
for the columns of every image: two products are cheaper than a gather. Blur, solarisation and changes of hue are left out: the images
that the teachers here are for are small, and many are grey.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

Scalar = Float[Array, ""]


class Ranges(NamedTuple):
    """What views are drawn from.

    Args:
      area: least part of the image that a crop covers, in (0, 1]; the most is all of it.
      aspect: most that a crop's width is to its height, or the other way round (>= 1).
      brightness: most that is added or taken away, in model space (where a standard deviation is 1).
      contrast: a factor in [1 - contrast, 1 + contrast] about the image's own mean.
      flips: whether half of the views are mirrored.
    """

    area: float = 0.3
    aspect: float = 4 / 3
    brightness: float = 0.4
    contrast: float = 0.4
    flips: bool = True


def sampling(n: int, low: Scalar, length: Scalar, mirrored: Bool[Array, ""]) -> Float[Array, "n n"]:
    """The matrix that reads n pixels evenly from [low, low + length) of a line of n, linearly between pixels, its ends repeated outside.

    Pixel k covers [k, k + 1); `low` and `length` are in pixels. With `mirrored` the reading runs from the other end; without,
    low = 0 and length = n give the identity.
    """
    at = low + (jnp.arange(n, dtype=low.dtype) + 0.5) * length / n - 0.5
    at = jnp.where(mirrored, at[::-1], at)
    return jnp.maximum(0, 1 - jnp.abs(jnp.clip(at, 0, n - 1)[:, None] - jnp.arange(n, dtype=low.dtype)[None, :]))


def resized_crop(
    x: Float[Array, "h w c"], rows: tuple[Scalar, Scalar], columns: tuple[Scalar, Scalar], mirrored: Bool[Array, ""]
) -> Float[Array, "h w c"]:
    """The rectangle of `rows` = (low, length) and `columns`, in pixels, stretched over the whole image; with `mirrored` left and right are
    exchanged."""
    h, w, _ = x.shape
    down, across = sampling(h, *rows, jnp.zeros_like(mirrored)), sampling(w, *columns, mirrored)
    return jnp.einsum("ih,hwc,jw->ijc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def one_view(key: jax.Array, x: Float[Array, "h w c"], ranges: Ranges) -> Float[Array, "h w c"]:
    """A random crop, resized to the image's size and mirrored or not, then contrast about its mean, then brightness; all within
    `ranges`."""
    h, w, _ = x.shape
    u = jax.random.uniform(key, (7,), x.dtype)
    area = ranges.area + (1 - ranges.area) * u[0]
    ratio = jnp.exp((2 * u[1] - 1) * jnp.log(jnp.asarray(ranges.aspect, x.dtype)))
    tall, wide = h * jnp.minimum(1, jnp.sqrt(area / ratio)), w * jnp.minimum(1, jnp.sqrt(area * ratio))
    mirrored = (u[4] < 0.5) & ranges.flips
    x = resized_crop(x, (u[2] * (h - tall), tall), (u[3] * (w - wide), wide), mirrored)
    mean = x.mean()
    return mean + (x - mean) * (1 + ranges.contrast * (2 * u[5] - 1)) + ranges.brightness * (2 * u[6] - 1)


def views(key: jax.Array, x: Float[Array, "b h w c"], ranges: Ranges) -> Float[Array, "b h w c"]:
    """One random view of every image: a resized crop, mirrored or not, then contrast and brightness, drawn within `ranges` for each
    image."""
    return jax.vmap(lambda key, x: one_view(key, x, ranges))(jax.random.split(key, len(x)), x)
