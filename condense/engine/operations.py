"""Counts the arithmetic of a program without running it, from the form in which JAX traces it (a jaxpr).

Matrix products and convolutions are counted, because they are nearly all the arithmetic of training a network. Norms, activations, pooling,
random numbers and factorisations of matrices are not: they add time that an estimate from these counts does not see.
"""

from collections.abc import Iterable
from math import prod
from typing import Any, NamedTuple

import numpy as np
from jax.interpreters.partial_eval import dce_jaxpr


class Work(NamedTuple):
    """The matrix products and convolutions of a program.

    Args:
      flops: floating-point operations, a multiplication and an addition for each product of two numbers.
      bytes: of the operands and results of all products, as if each were read from memory and written there once. What a compiler keeps in
        registers or caches makes this too much, and what passes through memory between the products is not in it.
      open_loops: loops with products whose length is known only when they run. They are counted as if they ran once.
    """

    flops: int = 0
    bytes: int = 0
    open_loops: int = 0


def count_work(program: Any) -> Work:
    """Counts the work of a closed jaxpr, without what none of its results depends on: a compiler removes that too.

    A scan counts as often as it repeats, of a condition the branch with most operations counts, and of a linear solver with its own rule
    the solution alone, since the products by the matrix are there for derivatives. What `shard_map` holds counts as one device does it.
    """
    used, _ = dce_jaxpr(program.jaxpr, [True] * len(program.out_avals))
    return _count(used)


def _count(program: Any) -> Work:
    """As `count_work`, of a jaxpr that is open or closed, and all of it."""
    return total(_work_of(equation.primitive.name, equation) for equation in program.eqns)


def total(parts: Iterable[Work]) -> Work:
    """The sum of some work; of no work, zeros."""
    return Work(*map(sum, zip(Work(), *parts, strict=True)))


def repeated(work: Work, times: int) -> Work:
    """The work of doing something so often. Its loops of unknown length are still the same loops."""
    return Work(work.flops * times, work.bytes * times, work.open_loops)


def _work_of(name: str, equation: Any) -> Work:
    params = equation.params
    match name:
        case "dot_general":
            return Work(_matrix_flops(equation), _touched(equation))
        case "conv_general_dilated":
            return Work(_convolution_flops(equation), _touched(equation))
        case "scan":
            return repeated(_count(params["jaxpr"]), params["length"])
        case "while":
            once = total(map(_count, (params["cond_jaxpr"], params["body_jaxpr"])))
            return once._replace(open_loops=once.open_loops + bool(once.flops))
        case "cond":
            return max(map(_count, params["branches"]))
        case "custom_linear_solve":
            return _count(params["jaxprs"].solve)
    inner = [value for given in params.values() for value in (given if isinstance(given, tuple | list) else (given,))]
    return total(_count(value) for value in inner if hasattr(value, "eqns"))


def _touched(equation: Any) -> int:
    return sum(each.aval.size * each.aval.dtype.itemsize for each in (*equation.invars, *equation.outvars))


def _matrix_flops(equation: Any) -> int:
    (summed, _), _ = equation.params["dimension_numbers"]
    left, out = equation.invars[0].aval.shape, equation.outvars[0].aval.shape
    return 2 * prod(out) * prod(left[axis] for axis in summed)


def _convolution_flops(equation: Any) -> int:
    """Twice the products of a convolution, those with a zero of the padding, or of a gap between the numbers of a dilated operand, left
    out. A convolution and its two derivatives then take the same, as many as the trilinear form that all three are."""
    params, (image, kernel), out = equation.params, (each.aval.shape for each in equation.invars), equation.outvars[0].aval.shape
    (_, _, *rows), (_, inputs, *taps), (batch, features, *places) = params["dimension_numbers"]
    strides, padding = params["window_strides"], params["padding"]
    meetings = 1
    for axis, stride in enumerate(strides):
        gaps, spread = params["lhs_dilation"][axis], params["rhs_dilation"][axis]
        at = np.arange(out[places[axis]])[:, None] * stride + np.arange(kernel[taps[axis]]) * spread - padding[axis][0]
        meetings *= int(np.sum((at >= 0) & (at <= (image[rows[axis]] - 1) * gaps) & (at % gaps == 0)))
    return 2 * out[batch] * out[features] * kernel[inputs] * meetings
