"""Kernel ridge regression and its kernels. Features are f32[n d], gram matrices f32[m n] between m and n examples, targets f32[n c].

All functions are pure and take any float dtype. A prediction for real examples t from synthetic ones s is K_ts (K_ss + lambda I)^-1 Y_s.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Float

Rule = Literal["mean", "trace"]
TRIES = 16  # of factorisations, each with ten times the jitter of the one before
FLOOR = 10.0  # machine epsilons times the trace: a smaller pivot of a gram matrix is as much rounding as kernel


def linear(a: Float[Array, "m d"], b: Float[Array, "n d"]) -> Float[Array, "m n"]:
    """K_ij = <a_i, b_j>, in full precision even if an accelerator's default is lower."""
    return jnp.matmul(a, b.T, precision=jax.lax.Precision.HIGHEST)


def with_bias(features: Float[Array, "n d"]) -> Float[Array, "n e"]:
    """The features and, behind them, a column of ones (e = d + 1), so that the ridge head has a bias."""
    return jnp.concatenate([features, jnp.ones((len(features), 1), features.dtype)], 1)


def strength(gram: Float[Array, "n n"], *, reg: float, rule: Rule = "mean", detached: bool = False) -> Float[Array, ""]:
    """lambda = reg tr(K) / n (`mean`) or reg tr(K) (`trace`). With `detached`, no derivative passes through it.

    Both follow the scale of the features. Under `trace` a set with every row twice predicts as the set does; under `mean` its lambda an
    image is half.
    """
    trace = jnp.trace(gram) * jnp.asarray(reg, gram.dtype)
    value = trace / len(gram) if rule == "mean" else trace
    return jax.lax.stop_gradient(value) if detached else value


def solve(a: Float[Array, "n n"], b: Float[Array, "n c"], *, floor: float = 0.0) -> Float[Array, "n c"]:
    """a^-1 b for symmetric positive definite a, by Cholesky.

    Where rounding leaves `a` without a factor, or with a pivot below `floor` machine epsilons times its trace, the diagonal grows by the
    epsilon times its mean, ten times more at every further try: an answer for a slightly larger lambda instead of NaN or noise.
    Derivatives are those of the matrix that was factored: one more solve each, never through the factorisation.
    """
    return _solve(a, b, floor)[0]


def _solve(a, b, floor):
    """(the solution, what the diagonal grew by)."""
    jitter, factor = _factor(jax.lax.stop_gradient(a), floor)
    a = a + jitter * jnp.eye(len(a), dtype=a.dtype)
    return jax.lax.custom_linear_solve(lambda x: linear(a, x.T), b, lambda _, x: cho_solve((factor, True), x), symmetric=True), jitter


def _factor(a, floor):
    """(the jitter that it took, the lower Cholesky factor)."""
    eye, unit = jnp.eye(len(a), dtype=a.dtype), jnp.finfo(a.dtype).eps * jnp.trace(a)

    def attempt(jitter):
        return jitter, cho_factor(a + jitter * eye, lower=True)[0]

    def failed(carry):
        tries, _, factor = carry
        good = jnp.isfinite(factor).all() & (jnp.diag(factor).min() ** 2 >= floor * unit)
        return ~good & (tries < TRIES)

    def again(carry):
        tries, jitter, _ = carry
        return tries + 1, *attempt(jnp.where(tries == 0, unit / len(a), jitter * 10))

    _, jitter, factor = jax.lax.while_loop(failed, again, (0, *attempt(jnp.zeros_like(unit))))
    return jitter, factor


class Head(NamedTuple):
    """A fitted ridge head. Called on features, it gives predictions.

    Args:
      predict: features of other examples f32[m d] -> f32[m c].
      jitter: what the diagonal grew by beyond lambda, as a share of it: above 1 it is the jitter that regularises, not lambda.
    """

    predict: Callable
    jitter: Float[Array, ""]

    def __call__(self, other: Float[Array, "m d"] | tuple) -> Float[Array, "m c"]:
        """The predictions for m other examples, from their features."""
        return self.predict(other)


def regression(
    features: Float[Array, "n d"] | tuple,
    y: Float[Array, "n c"],
    *,
    gram: Callable = linear,
    reg: float = 1e-6,
    rule: Rule = "mean",
    detached: bool = False,
    weight: Float[Array, " n"] | None = None,
) -> Head:
    """Fits a ridge head, a function from features of other examples t to K_ts (K_ss + lambda I)^-1 Y_s, f32[m d] -> f32[m c].

    A linear kernel of fewer features than examples has no full rank, and float32 loses what cancels in K_ts alpha: there the head is
    (F_s^T F_s + lambda I)^-1 F_s^T Y_s, which is the same. Other kernels get a jitter where a pivot is within rounding (see `solve`). Near
    repeats bring it there, and in float32 so does a lambda below `FLOOR` epsilons of the trace, as reg 1e-6 gives under either rule, on any
    kernel whose eigenvalues fall fast.

    Args:
      features, y: of the n synthetic examples; features f32[n d], or a tuple that the kernel takes.
      gram: the kernel, (features of m examples, features of n) -> f32[m n].
      reg, rule, detached: lambda, which is reg tr(K_ss) / n (`mean`) or reg tr(K_ss) (`trace`), as `strength` computes it.
      weight: how many equal rows an example counts as; 1 by default. The n of `mean` is still the number of examples.
    """
    root = None if weight is None else jnp.sqrt(weight)[:, None]
    if gram is linear:
        features = features if root is None else features * root
        root, y = None, y if root is None else y * root
        if features.shape[1] < len(features):
            lam = strength(jnp.diag(jnp.sum(features**2, 1)), reg=reg, rule=rule, detached=detached)
            within = linear(features.T, features.T) + lam * jnp.eye(features.shape[1], dtype=features.dtype)
            w, jitter = _solve(within, linear(features.T, y.T), 0.0)
            return Head(lambda other: linear(other, w.T), jitter / lam)
    within = gram(features, features)
    if root is not None:
        within, y = within * root * root.T, y * root
    lam = strength(within, reg=reg, rule=rule, detached=detached)
    alpha, jitter = _solve(within + lam * jnp.eye(len(within), dtype=within.dtype), y, FLOOR)
    alpha = alpha if root is None else alpha * root
    return Head(lambda other: linear(gram(other, features), alpha.T), jitter / lam)


def centred(index, classes: int, *, dtype=jnp.float32) -> Float[Array, "n classes"]:
    """One-hot rows of class indices minus 1 / classes: regression targets whose rows sum to 0."""
    return jax.nn.one_hot(index, classes, dtype=dtype) - jnp.asarray(1 / classes, dtype)


def ntk(a: Float[Array, "m d"], b: Float[Array, "n d"], *, hidden: int = 1, w: float = 2**0.5, bias: float = 0.1) -> Float[Array, "m n"]:
    """Neural tangent kernel of an infinitely wide fully-connected ReLU network in the NTK parametrisation.

    S_0 = w^2 <x, x'> / d + bias^2 and T_0 = S_0, then for each hidden layer, with q = sqrt(S(x, x) S(x', x')) and cos t = S(x, x') / q,
    S = w^2 q (sin t + (pi - t) cos t) / (2 pi) + bias^2 and T = T w^2 (pi - t) / (2 pi) + S.

    Cho and Saul, NeurIPS 2009; Jacot et al., NeurIPS 2018. As KIP has it: one hidden layer, w = sqrt 2, bias = 0.1.

    Args:
      a, b: inputs, flattened.
      hidden: ReLU layers (>= 1).
      w, bias: standard deviations of weights (times sqrt of the fan-in) and biases.
    """
    w2, b2 = jnp.asarray(w * w, a.dtype), jnp.asarray(bias * bias, a.dtype)
    size = jnp.asarray(a.shape[1], a.dtype)
    s = w2 * linear(a, b) / size + b2
    sa, sb = (w2 * jnp.sum(x * x, 1) / size + b2 for x in (a, b))
    t, half = s, jnp.asarray(0.5, a.dtype)
    for _ in range(hidden):
        q = jnp.sqrt(sa)[:, None] * jnp.sqrt(sb)[None, :]
        cosine = s / q
        s = w2 * q * arc_one(cosine) * half + b2
        t = t * w2 * arc_zero(cosine) * half + s
        sa, sb = (w2 * v * half + b2 for v in (sa, sb))
    return t


@jax.custom_jvp
def arc_zero(c: Float[Array, "..."]) -> Float[Array, "..."]:
    """(pi - arccos c) / pi for c in [-1, 1]. Within rounding of the ends it takes the end's value and, in place of the infinite one, a
    derivative of 0: the end 1 belongs to a pair of equal inputs, whose angle stays 0 however they move together.
    """
    _, inside = _rest(c)
    return 1 - jnp.arccos(jnp.where(inside, c, jnp.sign(c))) / np.asarray(np.pi, c.dtype)


@arc_zero.defjvp
def _(primals, tangents):
    (c,), (dc,) = primals, tangents
    rest, inside = _rest(c)
    return arc_zero(c), jnp.where(inside, jax.lax.rsqrt(rest), 0) / np.asarray(np.pi, c.dtype) * dc


def _rest(c):
    """1 - c^2, and where it is more than rounding; 1 elsewhere."""
    rest = 1 - c * c
    inside = rest > 8 * jnp.finfo(c.dtype).eps
    return jnp.where(inside, rest, 1), inside


@jax.custom_jvp
def arc_one(c: Float[Array, "..."]) -> Float[Array, "..."]:
    """(sin t + (pi - t) cos t) / pi with t = arccos c, for c in [-1, 1], with sin t = 0 within rounding of the ends. Its derivative is
    `arc_zero`."""
    rest, inside = _rest(c)
    return jnp.where(inside, jnp.sqrt(rest), 0) / np.asarray(np.pi, c.dtype) + arc_zero(c) * c


@arc_one.defjvp
def _(primals, tangents):
    (c,), (dc,) = primals, tangents
    return arc_one(c), arc_zero(c) * dc
