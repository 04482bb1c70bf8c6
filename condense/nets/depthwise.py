"""How a convolution of every channel by itself is computed. Images are f32[b h w c], kernels f32[k k c], k odd; any value range.

XLA's grouped convolutions are slow on a CPU. There, where `condense.nets.conv` chooses so, the convolution and its two derivatives are
primitives that differentiate into each other, each k k shifted products.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from condense.nets.conv import convolve, trilinear
from condense.nets.forms import Window, shifted, shifts


def depthwise(x: Float[Array, "b h w c"], kernel: Float[Array, "k k c"], *, stride: int = 1) -> Float[Array, "b h2 w2 c"]:
    """Cross-correlation of every channel with its own kernel, p = (k - 1) / 2 zero pixels on every side.

    y[b,i,j,c] = sum_{u,v} x[b, stride*i+u-p, stride*j+v-p, c] kernel[u,v,c], with h2 = (h - 1) // stride + 1, and w2 alike.
    """
    kernel, (c,) = kernel[:, :, None], kernel.shape[2:]
    return convolve(x, kernel, Window(x.shape[1:], kernel.shape, stride, len(kernel) // 2), by_out, groups=c)


def _bordered(x, w):
    # behind the barrier the border is stored, else each of the shifts computes again what made the image
    border = (w.padding, w.padding)
    return jax.lax.optimization_barrier(jnp.pad(x, ((0, 0), border, border, (0, 0))))


def _out(x, kernel, w):
    x = _bordered(x, w)
    return sum(shifted(x, w, i, j) * kernel[i, j, 0][None, None, None] for i, j in shifts(w))


def _image(out, kernel, w):
    """The same with the kernel turned, on an output whose rows and columns stand `stride` apart."""
    (h, v, _), s = w.image, w.stride
    (h2, v2, _), zero = w.out, jnp.zeros((), out.dtype)
    spread = [(0, 0, 0), (0, h - s * (h2 - 1) - 1, s - 1), (0, v - s * (v2 - 1) - 1, s - 1), (0, 0, 0)]
    return _out(jax.lax.pad(out, zero, spread), kernel[::-1, ::-1], Window(w.image, w.kernel, 1, w.padding))


def _kernel(x, out, w):
    """Image after image: a reduction over all of them at once would go down the channels in long strides."""
    x, out = _bordered(x, w), jax.lax.optimization_barrier(out)

    def add(total, pair):
        image, slope = pair
        return total + jnp.stack([jnp.sum(shifted(image, w, i, j) * slope, (0, 1)) for i, j in shifts(w)]), None

    return jax.lax.scan(add, jnp.zeros((len(shifts(w)), w.out[-1]), x.dtype), (x, out))[0].reshape(w.kernel)


by_out, by_image, by_kernel = trilinear("depthwise", _out, _image, _kernel)
