"""Images at a fraction of their height and width, and the bilinear interpolation that brings them back.

A tile has floor(h / factor) rows and floor(w / factor) columns, so factor^2 tiles take the room of one image. This is the multi-formation
of IDC (Kim et al., "Dataset condensation via efficient synthetic-data parameterization", ICML 2022), whose stored image is its tiles side
by side. IDC pads images whose side the factor does not divide; here a tile is rounded down.
"""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def tile_shape(image: tuple[int, ...], factor: int) -> tuple[int, int, int]:
    """Rows, columns and channels of a tile of images of the shape (h, w, c): the sides divided by `factor` and rounded down."""
    h, w, c = image
    return h // factor, w // factor, c


def enlarge(tiles: Float[Array, "n a b c"], height: int, width: int) -> Float[Array, "n h w c"]:
    """Tiles at the size of the images, interpolated as PyTorch's `interpolate(mode="bilinear")` does. The same size changes nothing."""
    n, a, b, c = tiles.shape
    if (a, b) == (height, width):
        return tiles
    return jax.image.resize(tiles, (n, height, width, c), "bilinear")


def shrink(images: Float[Array, "n h w c"], factor: int) -> Float[Array, "n a b c"]:
    """The tiles, floor(h / factor) x floor(w / factor) pixels each, that `enlarge` brings nearest to the images (least sum of squared
    errors).

    Factor 1 returns the images unchanged. Values are not clipped, so they may leave the range of the images.
    """
    if factor == 1:
        return images
    _, h, w, c = images.shape
    a, b, _ = tile_shape((h, w, c), factor)
    rows, columns = jnp.asarray(_inverse(a, h)), jnp.asarray(_inverse(b, w))
    return jnp.einsum("ah,nhwc,bw->nabc", rows, images, columns, precision="highest")


@cache
def _inverse(small: int, large: int) -> np.ndarray:
    """The pseudo-inverse f32[small large] of the matrix that enlarges `small` numbers to `large`, which are weighed as by PyTorch."""
    at = np.clip((np.arange(large) + 0.5) * small / large - 0.5, 0, small - 1)
    weights = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(small)[None]))
    return np.linalg.pinv(weights).astype(np.float32)
