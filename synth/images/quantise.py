"""Quantisers: what few bits leave of numbers, and how a method learns through them.

Arrays are images f32[n a b c] in model space. A code is a whole number of 2 to 8 bits; a channel's codes divide its range evenly:

    code = round((2^bits - 1) (x - low) / (high - low)),    value = (1 - t) low + t high with t = code / (2^bits - 1)

where `low` and `high` are the least and the largest number of a channel over all images of the set. As the range follows the images, no
number lies outside it.
"""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from synth.errors import BadInput

LEAST_BITS, MOST_BITS = 2, 8
HALF_MOST = 65504.0  # the largest number of half precision


def bits_of(store: str) -> int | None:
    """The bits of a name, `u2` to `u8`; None for `f32` and `f16`. Raises BadInput for other names."""
    if store in ("f32", "f16"):
        return None
    if store[:1] == "u" and store[1:].isascii() and store[1:].isdigit() and LEAST_BITS <= int(store[1:]) <= MOST_BITS:
        return int(store[1:])
    raise BadInput(f"--store {store}: unknown; give f32, f16, or u{LEAST_BITS} to u{MOST_BITS}")


def bits_needed(count: int, store: str) -> int:
    """The bits that `count` numbers take under a name (`f32`, `f16` or `u2` to `u8`), without the ends of the channels' ranges."""
    return count * (bits_of(store) or {"f32": 32, "f16": 16}[store])


def span(x: Float[Array, "n a b c"]) -> tuple[Float[Array, " c"], Float[Array, " c"]]:
    """The least and the largest number of every channel, over all pixels of all images; 0 where there are no images."""
    return x.min((0, 1, 2), initial=jnp.inf if x.size else 0), x.max((0, 1, 2), initial=-jnp.inf if x.size else 0)


def to_codes(x: Float[Array, "n a b c"], low: Float[Array, " c"], high: Float[Array, " c"], bits: int) -> UInt8[Array, "n a b c"]:
    """The nearest code of every number: codes 0 to 2^bits - 1 divide [low, high] of its channel evenly. Numbers outside the range get the
    code at its end."""
    least, wide = low[None, None, None], jnp.where(high > low, high - low, 1)[None, None, None]
    most = 2**bits - 1
    return jnp.clip(jnp.round((x - least) / wide * most), 0, most).astype(jnp.uint8)


def of_codes(codes: UInt8[Array, "n a b c"], low: Float[Array, " c"], high: Float[Array, " c"], bits: int) -> Float[Array, "n a b c"]:
    """The number that every code stands for: 0 to 2^bits - 1 lie evenly in [low, high]. The first is exactly `low`, the last exactly
    `high`."""
    share = codes.astype(jnp.float32) / (2**bits - 1)
    return (1 - share) * low[None, None, None] + share * high[None, None, None]


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def as_stored(x: Float[Array, "n a b c"], store: str) -> Float[Array, "n a b c"]:
    """What is left of numbers that are stored as `f32`, `f16` or `u2` to `u8`, read again as floats. Under few bits the range of a channel
    runs from its least number in `x` to its largest; under `f16`, numbers beyond +-65,504 become these. The gradient is that of the
    identity.

    This is the straight-through estimator of Bengio, Leonard and Courville ("Estimating or propagating gradients through stochastic
    neurons", 2013), as QuADD (2026) has it in the loop of a distillation. The identity holds everywhere: no number is outside the range.
    """
    if store == "f32":
        return x
    if store == "f16":  # a pair of casts may be compiled away
        return jax.lax.reduce_precision(jnp.clip(x, -HALF_MOST, HALF_MOST), exponent_bits=5, mantissa_bits=10)
    low, high = span(x)
    return of_codes(to_codes(x, low, high, bits_of(store)), low, high, bits_of(store))


@as_stored.defjvp
def _straight_through(store, primals, tangents):
    return as_stored(primals[0], store), tangents[0]


def pack(codes: UInt8[Array, "n a b c"], bits: int) -> UInt8[Array, " p"]:
    """Codes behind each other in C order, the `bits` lowest bits of each, highest first; the last byte is filled with zeros."""
    places = jnp.arange(bits - 1, -1, -1, dtype=jnp.uint8)
    return jnp.packbits((codes.reshape(-1, 1) >> places[None]) & 1)


def unpack(payload: UInt8[Array, " p"], bits: int, shape: tuple[int, ...]) -> UInt8[Array, "n a b c"]:
    """The codes that `pack` has packed with as many bits each, in the given shape (n, a, b, c)."""
    count = math.prod(shape)
    found = jnp.unpackbits(payload, count=count * bits).reshape(count, bits)
    places = jnp.arange(bits - 1, -1, -1, dtype=jnp.uint8)
    return (found << places[None]).sum(1, dtype=jnp.uint8).reshape(shape)
