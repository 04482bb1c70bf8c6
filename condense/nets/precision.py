"""The precision of the products in a network: matrix products and convolutions, forward and backward.

Under `bf16` the operands of each are rounded to bfloat16, which has the range of f32 and 8 significant bits, and so is its result before
it goes on as f32 (a rounding that XLA may leave out). Norms, activations, losses, weights and the state of the optimiser are f32 as ever
(Micikevicius et al., Mixed Precision Training, ICLR 2018; with the range of f32 no loss need be scaled: Kalamkar et al., A Study of
BFLOAT16 for Deep Learning Training, arXiv 1905.12322). A CPU multiplies the rounded numbers in f32, which gains nothing.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import jax
import jax.numpy as jnp

from condense.nets.registry import NETS
from synth.base import Net
from synth.errors import BadInput
from synth.options import Precision

_PRODUCTS = jax.make_user_context("f32")  # JAX traces anew what it has traced under another value


def products_in(precision: Precision) -> AbstractContextManager:
    """A context in which networks are traced whose products have this precision."""
    return _PRODUCTS(precision)


def product(multiply: Callable, a: jax.Array, b: jax.Array) -> jax.Array:
    """multiply(a, b), bilinear, in the precision that `products_in` says, in the dtype of `a`. Its derivatives are products of the same
    precision, because the slope passes the same rounding."""
    if _PRODUCTS.value == "f32":
        return multiply(a, b)
    return multiply(a.astype(jnp.bfloat16), b.astype(jnp.bfloat16)).astype(a.dtype)


def matmul(a: jax.Array, b: jax.Array) -> jax.Array:
    """The matrix product a b, in the precision that `products_in` says."""
    return product(jnp.matmul, a, b)


def in_precision(net: Net, precision: Precision, spec: str) -> Net:
    """The network that `spec` names with its products in this precision; for f32 the network itself.

    Raises BadInput under bf16 for a network from outside this project, whose products are its own.
    """
    if precision == "f32":
        return net
    if spec.partition(":")[0] not in NETS:
        raise BadInput(f"--precision {precision}: {spec} is a network from outside, and its products are its own; take --precision f32")

    def apply(vars, x, *, train=False, key=None):
        with products_in(precision):
            return net.apply(vars, x, train=train, key=key)

    return Net(net.init, apply)
