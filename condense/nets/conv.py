"""The one place that chooses how a convolution is computed. Images are f32[b h w c], kernels f32[kh kw c d]; any value range.

On a CPU a convolution is a trilinear form

  T(image, kernel, out) = sum_{b,i,j,u,v,c,d} image[b, s*i+u-p, s*j+v-p, c] kernel[u,v,c,d] out[b,i,j,d],

and the convolution and its two derivatives are the gradients of T by one argument, with the other two given. So three primitives
differentiate into each other: derivatives of any order, forward or reverse, run the same few fast forms, those of `condense.nets.forms`.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array, Float

from condense.nets.forms import Window, compute_image, compute_kernel, compute_out, direct_out
from condense.nets.precision import matmul, product
from synth.numerics import backend
from synth.training.microbatch import rows_of, split_rows


def conv2d(
    x: Float[Array, "b h w c"], kernel: Float[Array, "kh kw c d"], *, stride: int = 1, padding: int = 0
) -> Float[Array, "b h2 w2 d"]:
    """Cross-correlation with zero padding: y[b,i,j,d] = sum_{u,v,c} x[b, stride*i+u-padding, stride*j+v-padding, c] kernel[u,v,c,d].

    Args:
      x: images, any float dtype.
      kernel: weights, the dtype of `x`.
      stride: step between windows in pixels, >= 1.
      padding: zero pixels added to each of the four sides, >= 0.

    Returns:
      h2 = (h + 2 padding - kh) // stride + 1, and w2 alike.

    Raises:
      ValueError: the channels of `x` and `kernel` differ, or the padded image is smaller than the kernel.
    """
    window = Window(x.shape[1:], kernel.shape, stride, padding)
    if x.shape[-1] != kernel.shape[2]:
        raise ValueError(f"conv2d: the images have {x.shape[-1]} channels, the kernel expects {kernel.shape[2]}")
    if min(window.out[:2]) < 1:
        raise ValueError(f"conv2d: {x.shape[1]}x{x.shape[2]} images padded by {padding} are smaller than the {kernel.shape[:2]} kernel")
    if backend.has_own_convolutions() and math.prod(kernel.shape[:2]) == stride == 1 and not padding:
        return matmul(x, kernel[0, 0])
    return convolve(x, kernel, window, by_out)


def convolve(
    x: Float[Array, "b h w c"], kernel: Float[Array, "kh kw k d"], window: Window, primitive: Primitive, *, groups: int = 1
) -> Float[Array, "b h2 w2 d"]:
    """The convolution that `window` describes, by `primitive` on a CPU, by XLA's own elsewhere. XLA's works in `groups` of channels; a CPU
    does not read `groups`, so the primitive must be one for them."""
    if backend.has_own_convolutions():
        return product(functools.partial(primitive.bind, window=window), x, kernel)
    return product(lambda a, b: direct_out(a, b, window, groups=groups), x, kernel)


# --- the three primitives


def bilinear(name: str, compute: Callable, shape: Callable) -> Primitive:
    """Makes a JAX primitive for compute(a, b, window), linear in a and in b, which a CPU alone can run; it has no derivatives yet.
    `shape(batch, window)` is the shape of the result, with batch = len(a). Only a leads with a batch of images, and under `vmap` with one b
    these become one larger batch; where the name ends in `kernel`, b leads with one too, and `vmap` computes one after another."""
    primitive = Primitive(name)

    def run(a, b, *, window):
        with jax.named_scope(f"{name}_{'wide' if window.wide else 'thin'}"):
            if a.dtype == jnp.bfloat16:  # in f32, as an accelerator adds; Winograd's sums would lose all of so few bits
                return compute(a.astype(jnp.float32), b.astype(jnp.float32), window).astype(a.dtype)
            return compute(a, b, window)

    def batch(args, axes, *, window):
        if not name.endswith("kernel") and axes[1] is None:  # images side by side are one larger batch
            x = jnp.moveaxis(args[0], axes[0], 0)
            y = primitive.bind(x.reshape(-1, *x.shape[2:]), args[1], window=window)
            return y.reshape(*x.shape[:2], *y.shape[1:]), 0
        n = next(a.shape[i] for a, i in zip(args, axes, strict=True) if i is not None)
        args = [jnp.broadcast_to(a, (n, *a.shape)) if i is None else jnp.moveaxis(a, i, 0) for a, i in zip(args, axes, strict=True)]
        # a product with many kernels at once is far slower than one after another
        return jax.lax.map(lambda ab: primitive.bind(*ab, window=window), tuple(args)), 0

    primitive.def_impl(jax.jit(run, static_argnames="window"))
    primitive.def_abstract_eval(lambda a, b, *, window: jax.core.ShapedArray(shape(a.shape[0], window), a.dtype))
    mlir.register_lowering(primitive, mlir.lower_fun(run, multiple_results=False), platform="cpu")  # elsewhere JAX refuses it
    batching.primitive_batchers[primitive] = batch
    return primitive


def trilinear(name: str, out: Callable, image: Callable, kernel: Callable) -> tuple[Primitive, Primitive, Primitive]:
    """The three gradients of a form T(image, kernel, out), linear in each of the three, as JAX primitives that differentiate into each
    other.

    Args:
      name: begins the names of the primitives, which end in `_out`, `_image` and `_kernel`.
      out: computes the gradient by out: (image, kernel, window) -> out.
      image: the same by the image: (out, kernel, window) -> image.
      kernel: the same by the kernel: (image, out, window) -> kernel.

    Returns:
      the primitives in this order.
    """
    by_out = bilinear(f"{name}_out", out, lambda b, w: (b, *w.out))
    by_image = bilinear(f"{name}_image", image, lambda b, w: (b, *w.image))
    by_kernel = bilinear(f"{name}_kernel", kernel, lambda b, w: w.kernel)

    def gradients(primitive, *derivatives):
        """Derivatives by the first and the second given argument of T: functions of (cotangent, first, second, window)."""
        ad.defbilinear(primitive, *(lambda ct, a, b, *, window, d=d: d(ct, a, b, window) for d in derivatives))

    gradients(by_out, lambda out, x, k, w: by_image.bind(out, k, window=w), lambda out, x, k, w: by_kernel.bind(x, out, window=w))
    gradients(by_image, lambda x, out, k, w: by_out.bind(x, k, window=w), lambda x, out, k, w: by_kernel.bind(x, out, window=w))
    gradients(by_kernel, lambda k, x, out, w: by_image.bind(out, k, window=w), lambda k, x, out, w: by_out.bind(x, k, window=w))
    return by_out, by_image, by_kernel


by_out, by_image, by_kernel = trilinear("conv", compute_out, compute_image, compute_kernel)


def in_pieces(fn: Callable, x: Float[Array, "b ..."]):
    """Computes fn(x) in pieces of the batch. `fn` must treat each example by itself and return arrays, or a PyTree of them, with the batch
    first.

    A CPU takes the batch in pieces that stay in its cache (`synth.training.microbatch`), and recomputes a piece when its gradient is asked
    for: faster than one pass over the whole batch, and the memory does not grow with it. Elsewhere, and for small batches, `fn(x)` itself.
    """
    b, rows = len(x), rows_of(len(x), x.shape[1:])
    if rows == b:
        return fn(x)
    y = jax.lax.map(jax.checkpoint(fn, prevent_cse=False), split_rows(x, rows))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:b], y)


def avg_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """Mean over 2x2 windows with stride 2; a last odd row or column is dropped. Strided slices run twice as fast as reshape and mean."""
    h, w = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    total = x[:, 0:h:2, 0:w:2] + x[:, 1:h:2, 0:w:2] + x[:, 0:h:2, 1:w:2] + x[:, 1:h:2, 1:w:2]
    return total * jnp.asarray(0.25, x.dtype)


def instance_norm(
    x: Float[Array, "b h w c"], scale: Float[Array, " c"], bias: Float[Array, " c"], *, epsilon: float = 1e-5
) -> Float[Array, "b h w c"]:
    """(x - mean) / sqrt(var + epsilon) * scale + bias, statistics over the pixels of each image and channel, biased variance.

    Ulyanov et al., arXiv 1607.08022, eq. 4. Written as x*s + (bias - mean*s) with var = E[x^2] - mean^2, clipped at 0: half the time of the
    textbook form, a third in second order.
    """
    mean = jnp.mean(x, axis=(1, 2), keepdims=True)
    var = jnp.maximum(jnp.mean(x * x, axis=(1, 2), keepdims=True) - mean * mean, jnp.asarray(0, x.dtype))
    s = jax.lax.rsqrt(var + jnp.asarray(epsilon, x.dtype)) * scale[None, None, None]
    return x * s + (bias[None, None, None] - mean * s)
