"""Differentiable siamese augmentation, as pure functions of the key.

Images are f32[h w c] (one) or f32[b h w c] (a batch) in model space, unbounded; crop, cutout, scale and rotate fill with 0. Operations act
on one image and take explicit parameters; drawing the parameters is separate, so that a batch can share them. Every operation is affine in
the image.

`dsa` picks one branch of `lax.switch`: a `vmap` over its key runs every branch, so callers that have one key a class on a CPU use
`lax.map` (`synth.numerics.backend.map_batched`).
"""

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from synth.errors import BadInput

BRIGHTNESS, SATURATION, CONTRAST = 0.5, (0.0, 2.0), (0.5, 1.5)
SHIFT, CUT, SCALE, DEGREES, FLIP = 0.125, 0.5, 1.2, 15.0, 0.5
CUT_STREAM = 0xC07  # key stream of `cut_each`, apart from that of a view which the same key draws

Image = Float[Array, "h w c"]
Scalar = Float[Array, ""]
Draw = Float[Array, "3 *shape"]
Size = tuple[int, int]


@runtime_checkable
class Augment(Protocol):
    """`(key, x, *, siamese) -> x'`. Siamese: one draw for the whole batch, the same for batches of any size under the same key; otherwise
    the same operation with parameters drawn for every image."""

    def __call__(self, key: jax.Array, x: Float[Array, "b h w c"], *, siamese: bool) -> Float[Array, "b h w c"]: ...


def brightness(x: Image, r: Scalar) -> Image:
    """x + r."""
    return x + r


def saturation(x: Image, r: Scalar) -> Image:
    """m + r (x - m) with m the channel mean of every pixel: the identity on one channel."""
    mean = x.mean(-1, keepdims=True)
    return mean + r * (x - mean)


def contrast(x: Image, r: Scalar) -> Image:
    """m + r (x - m) with m the mean of the whole image."""
    mean = x.mean()
    return mean + r * (x - mean)


def color(x: Image, b: Scalar, s: Scalar, c: Scalar) -> Image:
    """Brightness, then saturation, then contrast."""
    return contrast(saturation(brightness(x, b), s), c)


def translate(x: Image, dy: Int[Array, ""], dx: Int[Array, ""], *, outside: Literal["constant", "edge"] = "constant") -> Image:
    """x'[i, j] = x[i + dy, j + dx]. Outside the image it is 0, or with `edge` the nearest pixel. Shifts beyond +-int(side / 8 + 1/2)
    are clipped."""
    h, w, c = x.shape
    py, px = _most(h), _most(w)
    padded = jnp.pad(x, ((py, py), (px, px), (0, 0)), mode=outside)
    return jax.lax.dynamic_slice(padded, (py + dy, px + dx, jnp.zeros_like(dy)), (h, w, c))


def cutout(x: Image, y: Int[Array, ""], u: Int[Array, ""]) -> Image:
    """The image with zeros in the rectangle of half its sides (rounded, a half up) around row `y` and column `u`, as far as it lies
    inside."""
    h, w, _ = x.shape
    rows, columns = _within(y, h), _within(u, w)
    return jnp.where((rows[:, None] & columns[None, :])[..., None], jnp.zeros_like(x), x)


def flip(x: Image, on: Bool[Array, ""]) -> Image:
    """Exchanges left and right if `on`."""
    return jnp.where(on, x[:, ::-1], x)


def scale(x: Image, sy: Scalar, sx: Scalar) -> Image:
    """x' at (i, j) is x at (s_y i, s_x j), pixels from the centre, bilinear, 0 outside: a factor above 1 shrinks the picture."""
    down, across = (_tent(s * _centred(n, x)[:, None] - _centred(n, x)[None, :]) for s, n in ((sy, x.shape[0]), (sx, x.shape[1])))
    # two products are cheaper than a gather and its transpose; an accelerator's default precision would round the pixels to fewer bits
    return jnp.einsum("ih,hwc,jw->ijc", down, x, across, precision=jax.lax.Precision.HIGHEST)


def rotate(x: Image, angle: Scalar) -> Image:
    """x' at (i, j) is x at (i cos + j sin, j cos - i sin), pixels from the centre, bilinear, 0 outside; `angle` in radians."""
    h, w, c = x.shape
    i, j = _centred(h, x)[:, None], _centred(w, x)[None, :]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    row, column = (cos * i + sin * j + (h - 1) / 2).ravel(), (cos * j - sin * i + (w - 1) / 2).ravel()
    top, left = jnp.floor(row), jnp.floor(column)
    flat, out = x.reshape(h * w, c), jnp.zeros((h * w, c), x.dtype)
    for p in (top, top + 1):
        for q in (left, left + 1):
            inside = (p >= 0) & (p < h) & (q >= 0) & (q < w)
            weight = jnp.where(inside, _tent(row - p) * _tent(column - q), 0)
            source = jnp.where(inside, p * w + q, 0).astype(jnp.int32)
            out += weight[:, None] * flat[source]
    return out.reshape(x.shape)


def _tent(distance):
    return jnp.maximum(0, 1 - jnp.abs(distance))


def _centred(n: int, x: Image):
    return jnp.arange(n, dtype=x.dtype) - (n - 1) / 2


def _within(centre, n: int):
    side = _side(n)
    offset = jnp.arange(n, dtype=centre.dtype) - centre + side // 2
    return (offset >= 0) & (offset < side)


def _side(n: int) -> int:
    return int(n * CUT + 0.5)


def _most(n: int) -> int:
    return int(n * SHIFT + 0.5)


def _between(u: Float[Array, " *shape"], low: float, high: float) -> Float[Array, " *shape"]:
    return low + (high - low) * u


def _below(u: Float[Array, " *shape"], n: int) -> Int[Array, " *shape"]:
    """Uniform integers in [0, n); u < 1 keeps u n below n in f32 too."""
    return jnp.floor(u * n).astype(jnp.int32)


def draw_color(u: Draw, size: Size) -> tuple:
    """(brightness, saturation, contrast) from uniform draws `u` in [0, 1): U(-.5, .5), U(0, 2), U(.5, 1.5). `size` is not read."""
    return _between(u[0], -BRIGHTNESS, BRIGHTNESS), _between(u[1], *SATURATION), _between(u[2], *CONTRAST)


def draw_crop(u: Draw, size: Size, *, most: int | None = None) -> tuple:
    """Shifts of (rows, columns) from uniform draws `u` in [0, 1), for images of `size` (h, w): integers in +-int(side / 8 + 1/2), which is
    4 at 28 and 32 pixels; at most `most`."""
    bounds = [_most(n) if most is None else min(most, _most(n)) for n in size]
    return tuple(_below(v, 2 * bound + 1) - bound for v, bound in zip(u, bounds, strict=False))


def draw_cutout(u: Draw, size: Size) -> tuple:
    """The (row, column) around which is cut, from uniform draws `u` in [0, 1), for images of `size` (h, w): integers in [0, side) where the
    cut, half a side, is odd, in [0, side] where it is even."""
    return tuple(_below(v, n + 1 - _side(n) % 2) for v, n in zip(u, size, strict=False))


def draw_flip(u: Draw, size: Size) -> tuple:
    """(a fair coin,): whether the first of the uniform draws `u` in [0, 1) is below 1/2. `size` is not read."""
    return (u[0] < FLIP,)


def draw_scale(u: Draw, size: Size) -> tuple:
    """Independent factors U(1/1.2, 1.2) of (rows, columns) from uniform draws `u` in [0, 1). `size` is not read."""
    return _between(u[0], 1 / SCALE, SCALE), _between(u[1], 1 / SCALE, SCALE)


def draw_rotate(u: Draw, size: Size) -> tuple:
    """(an angle,), U(-15, 15) degrees, in radians, from the first of the uniform draws `u` in [0, 1). `size` is not read."""
    return (_between(u[0], -1, 1) * (DEGREES * jnp.pi / 180),)


class Operation(NamedTuple):
    """`draw(u, (h, w))` makes the parameters of U[0, 1) draws f32[3 ...], `apply(x, *parameters)` uses one of each on one image."""

    draw: Callable
    apply: Callable


OPERATIONS = {
    "color": Operation(draw_color, color),
    "crop": Operation(draw_crop, translate),
    "cutout": Operation(draw_cutout, cutout),
    "flip": Operation(draw_flip, flip),
    "scale": Operation(draw_scale, scale),
    "rotate": Operation(draw_rotate, rotate),
}


def one_each(key: jax.Array, x: Float[Array, "b h w c"], *, siamese: bool) -> Float[Array, "b h w c"]:
    """Shifts, zooms or rotates every image, one of the three drawn for each; `siamese` is ignored. Gradient matching trains digits with it.

    Shifts of rows and columns are integers in [-m, m), m an eighth of the side (4 at 28 and 32), zooms of both sides U(0.8, 1.2), angles
    whole degrees in [-45, 45); what comes in from outside is the batch's mean of the channel.
    Zhao, Mopuri and Bilen, arXiv 2006.05929; the released code's ranges.
    """
    mean = x.mean((0, 1, 2), keepdims=True)

    def one(key, image):
        k_which, k_draw = jax.random.split(key)
        u = jax.random.uniform(k_draw, (2,), jnp.float32)
        down, right = (_below(v, 2 * _most(n)) - _most(n) for v, n in zip(u, x.shape[1:3], strict=True))
        zoom = (1 / _between(u, 0.8, 1.2)).astype(image.dtype)  # `scale` stretches the grid, which shrinks the picture
        angle = ((_below(u[0], 90) - 45).astype(image.dtype)) * (jnp.pi / 180)
        views = translate(image, down, right), scale(image, zoom[0], zoom[1]), rotate(image, angle)
        return jnp.stack(views)[jax.random.randint(k_which, (), 0, len(views))]

    return jax.vmap(one)(jax.random.split(key, len(x)), x - mean) + mean


def cut_each(key: jax.Array, x: Float[Array, "b h w c"], *, siamese: bool) -> Float[Array, "b h w c"]:
    """Sets a rectangle of half the sides to 0 in every image, around a place drawn for each; `siamese` is ignored. A part may lie outside.

    DeVries and Taylor, arXiv 1708.04552.
    """
    u = jax.random.uniform(jax.random.fold_in(key, CUT_STREAM), (3, len(x)), jnp.float32)
    return jax.vmap(cutout)(x, *draw_cutout(u, x.shape[1:3]))


def none(key: jax.Array, x: Float[Array, "b h w c"], *, siamese: bool) -> Float[Array, "b h w c"]:
    """Returns the images unchanged; `key` and `siamese` are ignored."""
    return x


def dsa_strategy(flips: bool) -> str:
    """The names of all operations of DSA, joined by '_'. Without `flips` the flip is left out, for images whose mirror image means
    something else (digits)."""
    return "_".join(name for name in OPERATIONS if flips or name != "flip")


def one_of(operations: Sequence[Operation]) -> Augment:
    """An augmentation that applies one of the operations a call, drawn uniformly, with parameters drawn once (siamese) or for every
    image."""

    def branch(operation: Operation, siamese: bool):
        def run(u, x):
            drawn = operation.draw(u, x.shape[1:3])
            drawn = [p.astype(x.dtype) if jnp.issubdtype(p.dtype, jnp.floating) else p for p in drawn]
            return jax.vmap(operation.apply, in_axes=(0, *[None if siamese else 0] * len(drawn)))(x, *drawn)

        return run

    def augment(key, x, *, siamese):
        k_which, k_draw = jax.random.split(key)
        which = jax.random.randint(k_which, (), 0, len(operations))
        u = jax.random.uniform(k_draw, (3,) if siamese else (3, len(x)), jnp.float32)
        return jax.lax.switch(which, [branch(operation, siamese) for operation in operations], u, x)

    return augment


def dsa(strategy: str) -> Augment:
    """An augmentation: one operation of the strategy a call, drawn uniformly, with parameters drawn once (siamese) or for every image.

    Zhao and Bilen, Dataset Condensation with Differentiable Siamese Augmentation, ICML 2021, section 3.2; the released code's ranges.

    Args:
      strategy: names of `OPERATIONS` joined by '_', as `dsa_strategy` gives them.

    Raises:
      BadInput: an unknown operation.
    """
    names = strategy.split("_")
    if unknown := [name for name in names if name not in OPERATIONS]:
        raise BadInput(f"augmentation '{strategy}': unknown operation '{unknown[0]}' (known: {', '.join(OPERATIONS)}, joined by '_')")
    return one_of([OPERATIONS[name] for name in names])
