"""The forms in which a CPU computes a convolution and its derivatives by the image and by the kernel, and which of them where.

Images are f32[b h w c], kernels f32[kh kw c d]. There are three: patches times matrix; Winograd's; and XLA's own convolution, which is fast
as it stands. Its derivatives are slow, above all inside loops, and so they are written here as convolutions and products.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Winograd F(4x4, 3x3) (Lavin and Gray, arXiv 1509.09308, section 4): output tile A^T [(G k G^T) * (B^T d B)] A, `*` summed over channels,
# from the points 0, 1, -1, 2, -2 and infinity: a quarter of the direct products. In float32 it errs by 1e-5 of the largest output.
BT = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))
G = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6), (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))
AT = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
TILE, STEP = len(BT), len(AT)
THIN = 4  # channels up to which patches times matrix beats what works channel by channel
DEEP = 32  # channels from above which Winograd beats XLA's own convolution


class Window(NamedTuple):
    """The static half of a convolution: image, kernel and output shapes (without the batch), stride and padding."""

    image: tuple[int, int, int]
    kernel: tuple[int, int, int, int]
    stride: int
    padding: int

    @property
    def out(self) -> tuple[int, int, int]:
        """Height, width and channels of the result."""
        (h, w, _), (kh, kw, _, d) = self.image, self.kernel
        return (h + 2 * self.padding - kh) // self.stride + 1, (w + 2 * self.padding - kw) // self.stride + 1, d

    @property
    def wide(self) -> bool:
        """Whether Winograd's form applies and pays for the derivative by the kernel: kernels of 3x3, stride 1, at most 2 pixels of padding,
        more than 4 channels before and after, and more than 2 pixels a side."""
        large = min(self.image[:2] + self.out[:2]) > STEP // 2  # a tile's products are not fewer than those of 2x2 pixels
        return self.kernel[:2] == (3, 3) and self.stride == 1 and self.padding <= 2 and min(self.kernel[2:]) > THIN and large

    @property
    def deep(self) -> bool:
        """Whether it pays for the convolution and the derivative by the image too, which pads by 2 - padding."""
        return self.wide and min(self.kernel[2:]) > DEEP

    @property
    def thin(self) -> bool:
        """Whether the image has so few channels that its patches are read in whole rows of pixels: colours."""
        return self.kernel[2] <= THIN


def shifts(w: Window) -> list[tuple[int, int]]:
    """Row and column of every pixel of the kernel."""
    return [(i, j) for i in range(w.kernel[0]) for j in range(w.kernel[1])]


def shifted(x: Float[Array, "*b h w c"], w: Window, i: int, j: int) -> Float[Array, "*b h2 w2 c"]:
    """The pixels of padded images that the windows see at the pixel (i, j) of the kernel."""
    (h, v, _), s = w.out, w.stride
    return x[..., i : i + s * (h - 1) + 1 : s, j : j + s * (v - 1) + 1 : s, :]


# --- patches: every window as a column, so that all products are plain and the copies run along rows of pixels


def _columns(x, w):
    """f32[kh*kw*c, b*h2*w2]: channel by channel, the pixel that each window sees at each kernel position."""
    x = jnp.pad(x.transpose(3, 0, 1, 2), ((0, 0), (0, 0), (w.padding, w.padding), (w.padding, w.padding)))
    parts = [shifted(x[..., None], w, i, j) for i, j in shifts(w)]
    return jnp.stack(parts).reshape(math.prod(w.kernel[:3]), -1)


def _patches_out(x, kernel, w):
    columns = _columns(x, w)
    return _dot(columns, kernel.reshape(len(columns), -1)).reshape(-1, *w.out)


def _patches_image(out, kernel, w):
    columns = kernel.reshape(-1, w.out[-1]) @ out.reshape(-1, w.out[-1]).T
    image = jax.ShapeDtypeStruct((len(out), *w.image), out.dtype)
    return jax.linear_transpose(functools.partial(_columns, w=w), image)(columns)[0]


def _patches_kernel(x, out, w):
    return (_columns(x, w) @ out.reshape(-1, w.out[-1])).reshape(w.kernel)


# --- direct: XLA's own convolution, and for the kernel a product at each of its pixels


AXES = ("NHWC", "HWIO", "NHWC")


def direct_out(x: Float[Array, "b h w c"], kernel: Float[Array, "kh kw k d"], w: Window, *, groups: int = 1) -> Float[Array, "b h2 w2 d"]:
    """The convolution that `w` describes as XLA computes it, in `groups` of channels."""
    strides, padding = (w.stride, w.stride), [(w.padding, w.padding)] * 2
    return jax.lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=AXES, feature_group_count=groups)


def _direct_image(out, kernel, w):
    """The pixels in rows i + s n and columns j + s m see every s-th row and column of the kernel: a convolution for each (i, j)."""
    (h, v, c), s, turned = w.image, w.stride, kernel.swapaxes(2, 3)
    rows, columns = -(-h // s), -(-v // s)

    def phase(i, j):
        (ahead, first), (across, left) = divmod(i + w.padding, s), divmod(j + w.padding, s)
        k = turned[first::s, left::s][::-1, ::-1]
        if not k.size:
            return jnp.zeros((len(out), rows, columns, c), out.dtype)
        # of a negative padding XLA cuts off as much
        padding = (k.shape[0] - 1 - ahead, rows - w.out[0] + ahead), (k.shape[1] - 1 - across, columns - w.out[1] + across)
        return jax.lax.conv_general_dilated(out, k, (1, 1), padding, dimension_numbers=AXES)

    y = jnp.stack([jnp.stack([phase(i, j) for j in range(s)], 3) for i in range(s)], 2)
    return y.reshape(-1, rows * s, columns * s, c)[:, :h, :v]


def _direct_kernel(x, out, w):
    x, out = jnp.pad(x, ((0, 0), (w.padding, w.padding), (w.padding, w.padding), (0, 0))), out.reshape(-1, w.out[-1])
    seen = (shifted(x, w, i, j).reshape(-1, w.image[-1]) for i, j in shifts(w))
    return jnp.stack([_dot(one, out) for one in seen]).reshape(w.kernel)


def _dot(a, b):
    """a^T b. Stated on matrices: with more axes XLA transposes an operand by a slow copy first."""
    return jax.lax.dot_general(a, b, (((0,), (0,)), ((), ())))


# --- Winograd: thirty-six separate products, which run near the speed of one large one


def _combine(coefficients, terms):
    """Sum of coefficient * term over the non-zero coefficients, without multiplying by one."""
    parts = [t if a == 1 else -t if a == -1 else jnp.asarray(a, t.dtype) * t for a, t in zip(coefficients, terms, strict=True) if a]
    return sum(parts[1:], start=parts[0])


def _tiles(x, w, matrix, padding):
    """matrix @ tile @ matrix^T of every tile, one for each STEP x STEP outputs: rows of f32[b*tiles, c], one array for each position."""
    size, (th, tv) = len(matrix[0]), (-(-n // STEP) for n in w.out[:2])
    rows, columns = ((padding, STEP * (n - 1) + size - padding - m) for n, m in zip((th, tv), x.shape[1:3], strict=True))
    x = jnp.pad(x, ((0, 0), rows, (0, 0), (0, 0)))
    half = [_combine(row, [x[:, u : u + STEP * (th - 1) + 1 : STEP] for u in range(size)]) for row in matrix]
    # behind a pad XLA stores a half, else each of its uses computes it again
    half = [jnp.pad(h, ((0, 0), (0, 0), columns, (0, 0))) for h in half]
    lines = [[h[:, :, v : v + STEP * (tv - 1) + 1 : STEP] for v in range(size)] for h in half]
    return [[_combine(row, line).reshape(-1, x.shape[-1]) for row in matrix] for line in lines]


def _squared(dtype):
    """G kron G, f[36, 9]: G k G^T for all channels as one product, which compiles faster than thirty-six sums."""
    return jnp.asarray(np.kron(G, G), dtype)


def _winograd_out(x, kernel, w):
    (h, v, d), positions = w.out, range(TILE)
    k = jnp.tensordot(_squared(kernel.dtype), kernel.reshape(9, *kernel.shape[2:]), 1)
    t = _tiles(x, w, BT, w.padding)
    m = [[t[i][j] @ k[TILE * i + j] for j in positions] for i in positions]
    half = [[_combine(row, column) for column in zip(*m, strict=True)] for row in AT]
    th, tv = -(-h // STEP), -(-v // STEP)
    y = jnp.stack([jnp.stack([_combine(row, line).reshape(-1, th, tv, d) for row in AT], 3) for line in half], 2)
    return y.reshape(-1, th * STEP, tv * STEP, d)[:, :h, :v]


def _winograd_image(out, kernel, w):
    turned = kernel[::-1, ::-1].swapaxes(2, 3)
    return _winograd_out(out, turned, Window(w.out, turned.shape, 1, 2 - w.padding))


def _winograd_kernel(x, out, w):
    t, g = _tiles(x, w, BT, w.padding), _tiles(out, w, tuple(zip(*AT, strict=True)), 0)
    k = jnp.stack([_dot(t[i][j], g[i][j]) for i in range(TILE) for j in range(TILE)])
    return jnp.tensordot(_squared(k.dtype).T, k, 1).reshape(w.kernel)


# --- which form


def compute_out(x: Float[Array, "b h w c"], kernel: Float[Array, "kh kw c d"], w: Window) -> Float[Array, "b h2 w2 d"]:
    """The convolution that `w` describes, in the form that is fastest for its channels."""
    return (_winograd_out if w.deep else _patches_out if w.kernel[2] == 1 else direct_out)(x, kernel, w)


def compute_image(out: Float[Array, "b h2 w2 d"], kernel: Float[Array, "kh kw c d"], w: Window) -> Float[Array, "b h w c"]:
    """Its derivative by the image, for the cotangent `out` of its result."""
    return (_winograd_image if w.deep else _patches_image if w.thin else _direct_image)(out, kernel, w)


def compute_kernel(x: Float[Array, "b h w c"], out: Float[Array, "b h2 w2 d"], w: Window) -> Float[Array, "kh kw c d"]:
    """Its derivative by the kernel, for the cotangent `out` of its result."""
    return (_winograd_kernel if w.wide else _patches_kernel if w.thin else _direct_kernel)(x, out, w)
