"""Operations on pixels of 8 bits, as image libraries define them, on floats that hold whole numbers.

Images are f32[h w c] with whole numbers in 0..255. Each function is what Pillow does to bytes: `ImageOps` (invert, solarize, posterize,
autocontrast, equalize), `ImageEnhance` (brightness, contrast, color, sharpness) and `Image.transform` (nearest pixel, black outside). They
have no useful gradient: sets are trained on through them, not made.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

TOP = 255
LUMA = (19595, 38470, 7471)  # of red, green and blue in 65,536ths, ITU-R 601-2
SMOOTH = ((1, 1, 1), (1, 5, 1), (1, 1, 1))  # the blur that sharpness is measured from

Image = Float[Array, "h w c"]
Scalar = Float[Array, ""]


def grey(x: Image) -> Float[Array, "h w 1"]:
    """The luma of three channels, rounded; the mean of any other number of them."""
    if x.shape[-1] != 3:
        return jnp.round(x.mean(-1, keepdims=True))
    return jnp.floor((x @ jnp.asarray(LUMA, x.dtype) + 32768) / 65536)[..., None]


def blend(base: Float[Array, "*#shape"], x: Image, factor: Scalar) -> Image:
    """base + factor (x - base), cut to 0..255, its fraction dropped: 0 gives `base`, 1 the image, 2 twice as far from `base`."""
    return jnp.floor(jnp.clip(base + factor * (x - base), 0, TOP))


def brightness(x: Image, factor: Scalar) -> Image:
    """Blends from black."""
    return blend(jnp.zeros_like(x), x, factor)


def contrast(x: Image, factor: Scalar) -> Image:
    """Blends from the mean luma of the image, rounded."""
    return blend(jnp.floor(grey(x).mean() + 0.5), x, factor)


def color(x: Image, factor: Scalar) -> Image:
    """Blends from the grey image: the identity on one channel."""
    return blend(grey(x), x, factor)


def sharpness(x: Image, factor: Scalar) -> Image:
    """Blends from the image after a blur over 3x3 pixels, whose border stays as it is."""
    h, w, _ = x.shape
    if h < 3 or w < 3:
        return x
    near = sum(SMOOTH[i][j] * x[i : h - 2 + i, j : w - 2 + j] for i in range(3) for j in range(3))
    return blend(x.at[1:-1, 1:-1].set(jnp.floor(near / sum(map(sum, SMOOTH)) + 0.5)), x, factor)


def invert(x: Image) -> Image:
    """255 - x."""
    return TOP - x


def solarize(x: Image, threshold: Scalar) -> Image:
    """Inverts the pixels at or above the threshold."""
    return jnp.where(x >= threshold, TOP - x, x)


def posterize(x: Image, bits: Scalar) -> Image:
    """Keeps the first `bits` of the 8 bits."""
    step = 2.0 ** (8 - bits)
    return jnp.floor(x / step) * step


def autocontrast(x: Image) -> Image:
    """Stretches every channel from 0 to 255, its fraction dropped; one of a single value stays."""
    low, high = x.min((0, 1), keepdims=True), x.max((0, 1), keepdims=True)
    stretched = ((x - low) * TOP).astype(jnp.int32) // jnp.maximum(high - low, 1).astype(jnp.int32)
    return jnp.where(high > low, stretched.astype(x.dtype), x)


def equalize(x: Image) -> Image:
    """Spreads the values of every channel so that all are about equally frequent; one of few values stays."""

    def channel(v):
        at = v.astype(jnp.int32)
        count = jnp.zeros(TOP + 1, jnp.int32).at[at.ravel()].add(1)
        step = (count.sum() - count[at.max()]) // TOP
        table = jnp.clip((step // 2 + jnp.cumsum(count) - count) // jnp.maximum(step, 1), 0, TOP)
        return jnp.where(step > 0, table[at].astype(v.dtype), v)

    return jax.vmap(channel, in_axes=-1, out_axes=-1)(x)


def warp(x: Image, matrix: Float[Array, "2 3"]) -> Image:
    """The pixel at (column, row) + 1/2 is that of the image at `matrix` times (column + 1/2, row + 1/2, 1): the one that this lies in, 0
    outside."""
    h, w, c = x.shape
    column, row = jnp.meshgrid(jnp.arange(w, dtype=x.dtype) + 0.5, jnp.arange(h, dtype=x.dtype) + 0.5)
    across, down = (jnp.floor(line[0] * column + line[1] * row + line[2]).astype(jnp.int32) for line in matrix)
    inside = (across >= 0) & (across < w) & (down >= 0) & (down < h)
    taken = x.reshape(h * w, c)[jnp.where(inside, down * w + across, 0)]
    return jnp.where(inside[..., None], taken, 0)


def shear_x(x: Image, by: Scalar) -> Image:
    """Shifts every row by `by` pixels a row, from the first one on."""
    return warp(x, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).at[0, 1].set(by))


def shear_y(x: Image, by: Scalar) -> Image:
    """Shifts every column by `by` pixels a column, from the first one on."""
    return warp(x, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).at[1, 0].set(by))


def translate_x(x: Image, share: Scalar) -> Image:
    """Shifts the image by a share of its width, in whole pixels."""
    return warp(x, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).at[0, 2].set(jnp.trunc(share * x.shape[1])))


def translate_y(x: Image, share: Scalar) -> Image:
    """Shifts the image by a share of its height, in whole pixels."""
    return warp(x, jnp.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]).at[1, 2].set(jnp.trunc(share * x.shape[0])))


def rotate(x: Image, degrees: Scalar) -> Image:
    """Turns the image about its middle, against the clock."""
    h, w, _ = x.shape
    cos, sin = jnp.cos(jnp.deg2rad(degrees)), jnp.sin(jnp.deg2rad(degrees))
    middle = jnp.array([w / 2, h / 2])
    turn = jnp.stack([jnp.stack([cos, -sin]), jnp.stack([sin, cos])])
    return warp(x, jnp.concatenate([turn, (middle - turn @ middle)[:, None]], 1))


def hue(x: Image, turns: Scalar) -> Image:
    """Moves the hue of three channels by a fraction of the colour circle, in HSV; any other number of channels stays. Rounded."""
    if x.shape[-1] != 3:
        return x
    high, low = x.max(-1), x.min(-1)
    span = jnp.where(high > low, high - low, 1)
    red, green, blue = jnp.moveaxis(x, -1, 0)
    angle = jnp.where(high == red, (green - blue) / span, jnp.where(high == green, 2 + (blue - red) / span, 4 + (red - green) / span))
    angle = (angle / 6 + turns) * 6
    # of a full colour at this angle: red, green and blue are 1 within a sixth of a turn, 0 beyond a third
    weights = [jnp.clip(jnp.abs(jnp.mod(angle - offset, 6) - 3) - 1, 0, 1) for offset in (0, 2, 4)]
    return jnp.round(low[..., None] + (high - low)[..., None] * jnp.stack(weights, -1))
