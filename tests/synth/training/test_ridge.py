"""Kernel ridge regression against scikit-learn, its limits and invariances; the neural tangent kernel against finite networks."""

from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge

from synth.training.ridge import arc_one, arc_zero, centred, linear, ntk, regression, solve, strength, with_bias
from tests.support.toy_data import central_differences


def problem(n=6, d=9, c=3, m=5, *, seed=0, dtype=np.float64):
    """Features and labels of n synthetic examples, features of m real ones."""
    rng = np.random.default_rng(seed)
    return tuple(jnp.asarray(rng.normal(size=s), dtype) for s in ((n, d), (n, c), (m, d)))


@partial(jax.jit, static_argnames=("reg", "rule", "detached"))
def predict(f, y, t, *, reg, rule="mean", detached=False):
    return regression(f, y, reg=reg, rule=rule, detached=detached)(t)


@pytest.mark.parametrize(("rule", "d"), [("mean", 9), ("mean", 4), ("trace", 9), ("trace", 4)])
def test_predictions_equal_scikit_learns_in_the_dual_and_in_the_primal(float64, rule, d):
    """With more features than examples, and with fewer, where the head is solved for in the other form."""
    f, y, t = problem(d=d)
    lam = float(strength(linear(f, f), reg=1e-3, rule=rule))
    np.testing.assert_allclose(lam, 1e-3 * (np.asarray(f) ** 2).sum() / (6 if rule == "mean" else 1), rtol=1e-12)
    ours = predict(f, y, t, reg=1e-3, rule=rule)
    dual = KernelRidge(alpha=lam, kernel="linear").fit(f, y).predict(t)
    given = KernelRidge(alpha=lam, kernel="precomputed").fit(np.asarray(f @ f.T), y).predict(np.asarray(t @ f.T))
    primal = Ridge(alpha=lam, fit_intercept=False).fit(f, y).predict(t)
    for theirs in (dual, given, primal):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)


def test_a_column_of_ones_is_the_intercept_of_ridge_regression(float64):
    """Of one whose bias is penalised as the weights are: with centred features and targets it is zero, otherwise it is not."""
    f, y, t = problem()
    assert with_bias(f).shape == (6, 10) and (np.asarray(with_bias(f))[:, -1] == 1).all()
    lam = float(strength(linear(with_bias(f), with_bias(f)), reg=1e-3))
    ours = predict(with_bias(f), y, with_bias(t), reg=1e-3)
    w = np.linalg.solve(np.asarray(with_bias(f).T @ with_bias(f)) + lam * np.eye(10), np.asarray(with_bias(f).T @ y))
    np.testing.assert_allclose(ours, np.asarray(with_bias(t)) @ w, atol=1e-9)
    assert np.abs(ours - predict(f, y, t, reg=1e-3)).max() > 1e-2


def test_the_scale_of_features_changes_nothing_without_a_bias_and_something_with_one(float64):
    f, y, t = problem()
    for rule in ("mean", "trace"):
        np.testing.assert_allclose(predict(f, y, t, reg=1e-2, rule=rule), predict(7 * f, y, 7 * t, reg=1e-2, rule=rule), atol=1e-12)
    plain, scaled = (predict(with_bias(s * f), y, with_bias(s * t), reg=1e-2, rule="trace") for s in (1, 7))
    assert np.abs(plain - scaled).max() > 1e-3


def test_repeated_rows_halve_lambda_under_the_mean_rule_alone(float64):
    """Every row twice is the same predictor at lambda / 2; lambda per trace doubles with the rows, lambda per mean does not."""
    f, y, t = problem()
    f2, y2 = jnp.concatenate([f, f]), jnp.concatenate([y, y])
    np.testing.assert_allclose(predict(f2, y2, t, reg=1e-2), predict(f, y, t, reg=5e-3), atol=1e-12)
    np.testing.assert_allclose(predict(f2, y2, t, reg=1e-2, rule="trace"), predict(f, y, t, reg=1e-2, rule="trace"), atol=1e-12)
    assert np.abs(predict(f2, y2, t, reg=1e-2) - predict(f, y, t, reg=1e-2)).max() > 1e-3


def test_the_order_of_the_synthetic_rows_changes_nothing(float64):
    f, y, t = problem()
    order = np.array([3, 0, 5, 1, 4, 2])
    np.testing.assert_allclose(predict(f[order], y[order], t, reg=1e-3), predict(f, y, t, reg=1e-3), atol=1e-12)


def test_limits_of_lambda(float64):
    """None: the synthetic labels themselves are predicted. Infinite: nothing is."""
    f, y, t = problem()
    np.testing.assert_allclose(predict(f, y, f, reg=1e-13), y, atol=1e-9)
    assert np.abs(predict(f, y, t, reg=1e12)).max() < 1e-9


@pytest.mark.slow
@pytest.mark.parametrize(("detached", "d"), [(False, 9), (True, 9), (True, 4)])
def test_gradients_equal_central_differences(float64, detached, d):
    """By features and by labels. A detached lambda is a constant of the differences; a test at large lambda tells the two apart."""
    f, y, t = problem(d=d)
    real = jnp.asarray(np.random.default_rng(1).normal(size=(5, 3)))
    lam = strength(linear(f, f), reg=1e-2)

    def loss(f, y, lam=None):
        gram = linear(f, f)
        if lam is None:
            return jnp.sum((regression(f, y, reg=1e-2, detached=detached)(t) - real) ** 2) / 2
        return jnp.sum((linear(t, f) @ jnp.linalg.solve(gram + lam * jnp.eye(6), y) - real) ** 2) / 2

    by_f, by_y = jax.jit(jax.grad(loss, (0, 1)))(f, y)
    reference = jax.jit(lambda f: loss(f, y, lam if detached else strength(linear(f, f), reg=1e-2)))
    np.testing.assert_allclose(by_f, central_differences(reference, f), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(by_y, central_differences(jax.jit(lambda y: loss(f, y)), y), rtol=1e-6, atol=1e-7)
    other = jax.grad(lambda f: loss(f, y, strength(linear(f, f), reg=1e-2) if detached else lam))(f)
    assert np.abs(by_f - other).max() > 1e-3 * np.abs(by_f).max()


@pytest.mark.slow
def test_repeated_rows_without_any_lambda_give_finite_numbers_in_float32():
    """Where Cholesky fails, and only there, the diagonal grows until it does not; the labels are still fitted to rounding."""
    f, y, t = problem(dtype=np.float32)
    twice = jnp.concatenate([f, f * jnp.float32(1 + 1e-7)])
    gram, labels = linear(twice, twice), jnp.concatenate([y, y])
    assert not np.isfinite(np.asarray(jax.scipy.linalg.cholesky(gram - 1e-6 * jnp.eye(12)))).all()
    alpha, slope = jax.jit(jax.value_and_grad(lambda g: (linear(t, twice) @ solve(g, labels)).sum()))(gram - 1e-6 * jnp.eye(12))
    assert np.isfinite(float(alpha)) and np.isfinite(np.asarray(slope)).all()
    fitted = gram @ solve(gram - 1e-6 * jnp.eye(12), labels)
    np.testing.assert_allclose(fitted, labels, atol=1e-2)
    well = linear(f, f) + jnp.eye(6)
    np.testing.assert_allclose(
        solve(well, y), np.linalg.solve(np.asarray(well, np.float64), np.asarray(y, np.float64)), rtol=1e-4, atol=1e-6
    )


def test_kernels_of_less_than_full_rank_predict_what_double_precision_does():
    """Forty examples of 20 features, then of 60 features of rank 20, at a lambda below float32's rounding of the gram matrix: without
    another form, or a larger lambda, numbers of order one would be off by as much."""
    rng = np.random.default_rng(0)
    base, y = np.maximum(rng.normal(size=(60, 20)) + 0.5, 0), rng.normal(size=(40, 3))
    for f, off in ((base, 1e-4), (base @ np.maximum(rng.normal(size=(20, 60)), 0) / 20, 0.15)):
        f, t = f[:40], f[40:]
        gram = f @ f.T
        reference = t @ f.T @ np.linalg.solve(gram + 1e-8 * np.trace(gram) / 40 * np.eye(40), y)
        ours = predict(*(jnp.asarray(a, jnp.float32) for a in (f, y, t)), reg=1e-8)
        assert np.abs(ours - reference).max() < off * np.abs(reference).max()
    naive = t @ f.T @ np.linalg.solve((gram + 1e-8 * np.trace(gram) / 40 * np.eye(40)).astype(np.float32), y.astype(np.float32))
    assert np.abs(naive - reference).max() > 0.15 * np.abs(reference).max()


def products(jaxpr):
    """The matrix products of a program, those of its inner programs too."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation
        for value in jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda v: hasattr(v, "eqns") or hasattr(v, "jaxpr")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                yield from products(inner)


@pytest.mark.parametrize(("d", "gram"), [(4, linear), (9, linear), (9, ntk)])
def test_every_product_is_of_full_precision_on_any_device(d, gram):
    """Of the prediction and its gradient: an accelerator's default would cost the solution its digits after the solve."""
    f, y, t = problem(d=d, dtype=np.float32)
    program = jax.make_jaxpr(jax.grad(lambda f, y: regression(f, y, gram=gram)(t).sum(), (0, 1)))(f, y)
    found = list(products(program.jaxpr))
    assert len(found) >= 4
    for equation in found:
        assert set(jax.tree.leaves(equation.params["precision"])) == {jax.lax.Precision.HIGHEST}, equation


def cubic(a, b):
    return (1 + linear(a, b)) ** 3


def test_a_diagonal_grows_where_pivots_are_within_rounding():
    """Not where they are large. That takes no near repeats: sixty numbers under a cubic kernel, whose pivots fall to lambda, at either
    rule's 1e-6."""
    f, y, _ = problem(dtype=np.float32)
    assert float(regression(f, y).jitter) == 0
    rng = np.random.default_rng(0)
    x, labels = (jnp.asarray(draw, jnp.float32) for draw in (rng.uniform(-1, 1, (60, 1)), rng.normal(size=(60, 3))))
    for rule in ("trace", "mean"):
        assert float(regression(x, labels, gram=cubic, rule=rule).jitter) > 0


@pytest.mark.parametrize("rule", ["trace", "mean"])
def test_a_head_says_what_its_diagonal_grew_by(rule):
    """It is the head of lambda (1 + jitter). Of a kernel with eigenvectors u and eigenvalues s it keeps s / (s + lambda (1 + jitter)) of
    what the labels have along each u: there are eigenvalues about every lambda, so that twice the lambda would be off by 0.17."""
    u, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(60, 60)))
    s = np.geomspace(1, 1e-12, 60)
    f, y = (jnp.asarray(array, jnp.float32) for array in (u * np.sqrt(s), u.sum(1, keepdims=True)))
    head = regression(f, y, gram=lambda a, b: linear(a, b), rule=rule)  # not `linear` itself, which has a form of its own
    lam = 1e-6 * s.sum() / (60 if rule == "mean" else 1) * (1 + float(head.jitter))
    assert np.abs(u.T @ np.asarray(head(f), np.float64)[:, 0] - s / (s + lam)).max() < 0.05
    assert (float(head.jitter) > 1) == (rule == "mean")


def test_a_weight_counts_as_equal_rows(float64):
    """Of a linear kernel in the form of few features, and of another kernel; under the trace rule lambda is the same too."""
    for d, gram in ((4, linear), (4, ntk)):
        f, y, t = problem(d=d)
        often = np.array([1, 2, 1, 3, 1, 1])
        options = {"reg": 1e-2, "rule": "trace", "gram": gram}
        predict = jax.jit(lambda f, y, w, options=options, t=t: regression(f, y, **options, weight=w)(t))
        weighted = predict(f, y, jnp.asarray(often, jnp.float64))
        repeated = jax.jit(lambda f, y, options=options, t=t: regression(f, y, **options)(t))(*(np.repeat(a, often, 0) for a in (f, y)))
        np.testing.assert_allclose(weighted, repeated, atol=1e-10)
        assert np.abs(weighted - predict(f, y, jnp.ones(6))).max() > 1e-3


def test_a_matrix_that_is_no_number_stays_none():
    """The growth of the diagonal ends, so that the loop above sees the run fail instead of waiting for ever."""
    assert np.isnan(np.asarray(jax.jit(solve)(jnp.full((3, 3), jnp.nan), jnp.ones((3, 1))))).all()


def test_centred_rows_sum_to_zero():
    rows = np.asarray(centred(jnp.array([0, 2, 1]), 4))
    np.testing.assert_allclose(rows.sum(1), 0, atol=1e-6)
    np.testing.assert_allclose(rows[1], [-0.25, -0.25, 0.75, -0.25])


@pytest.mark.slow
def test_arc_cosine_kernels_and_their_derivatives(float64):
    """Against E 1[u > 0] 1[v > 0] and E relu(u) relu(v) of Gaussians with correlation c, by quadrature over the angle."""
    phi = (np.arange(200_000) + 0.5) / 200_000 * 2 * np.pi
    for c in (-0.9, -0.2, 0.0, 0.4, 0.95):
        u, v = np.cos(phi), np.cos(phi - np.arccos(c))
        np.testing.assert_allclose(float(arc_zero(jnp.float64(c))), 2 * ((u > 0) & (v > 0)).mean(), atol=1e-4)
        np.testing.assert_allclose(float(arc_one(jnp.float64(c))), 4 * (np.maximum(u, 0) * np.maximum(v, 0)).mean(), atol=1e-6)
    points = jnp.array([-0.9, -0.2, 0.4, 0.95])
    for f in (arc_zero, arc_one):
        slopes = jax.vmap(jax.grad(f))(points)
        np.testing.assert_allclose(slopes, (np.asarray(f(points + 1e-6)) - np.asarray(f(points - 1e-6))) / 2e-6, rtol=1e-6)
    assert np.isfinite(np.asarray(jax.vmap(jax.grad(arc_zero))(jnp.array([-1.0, 1.0, 1 + 1e-12])))).all()


@pytest.mark.slow
def test_ntk_is_symmetric_positive_and_differentiable(float64):
    """Pairs of different inputs against central differences; those of equal ones, where rounding spoils differences, in closed form."""
    f, y, _ = problem(d=5)
    gram = np.asarray(ntk(f, f))
    np.testing.assert_allclose(gram, gram.T, atol=1e-12)
    assert np.linalg.eigvalsh(gram).min() > 0
    weights = y @ y.T * (1 - jnp.eye(6))
    loss = jax.jit(lambda f: jnp.sum(ntk(f, f, hidden=2) * weights))
    np.testing.assert_allclose(jax.grad(loss)(f), central_differences(loss, f), rtol=1e-5, atol=1e-6)
    own = jax.grad(lambda f: jnp.trace(ntk(f, f, w=1.5)))(f)  # T(x, x) = w^2 S_0 + b^2
    np.testing.assert_allclose(own, 2 * 1.5**4 * np.asarray(f) / 5, rtol=1e-10)


@pytest.mark.slow
@pytest.mark.parametrize("hidden", [1, 2])
def test_ntk_equals_that_of_wide_networks(hidden):
    """Autodiff kernels of eight networks of width 4096 in the NTK parametrisation: each near, their mean nearer."""
    f, _, t = problem(n=3, d=5, m=2, dtype=np.float32)
    x, (w, b, width) = jnp.concatenate([f, t]), (2**0.5, 0.1, 4096 if hidden == 1 else 1024)
    sizes = [5, *[width] * hidden, 1]

    def draw(key):
        keys = jax.random.split(key, 2 * len(sizes)).reshape(len(sizes), 2)
        pairs = list(pairwise(sizes))
        return [(jax.random.normal(k[0], s), jax.random.normal(k[1], s[1:])) for k, s in zip(keys, pairs, strict=False)]

    def net(params, x):
        for i, (kernel, bias) in enumerate(params):
            x = w / np.float32(np.sqrt(len(kernel))) * x @ kernel + b * bias
            x = jax.nn.relu(x) if i < hidden else x
        return x[0]

    @jax.jit
    def empirical(key):
        slopes = jax.vmap(lambda row: jax.grad(net)(draw(key), row))(x)
        flat = jnp.concatenate([leaf.reshape(len(x), -1) for leaf in jax.tree.leaves(slopes)], 1)
        return flat @ flat.T

    closed = np.asarray(ntk(x, x, hidden=hidden))
    grams = np.stack([np.asarray(empirical(key)) for key in jax.random.split(jax.random.key(0), 8)])
    errors = [np.linalg.norm(g - closed) / np.linalg.norm(closed) for g in grams]
    assert max(errors) < 0.06 if hidden == 1 else max(errors) < 0.15
    assert np.linalg.norm(grams.mean(0) - closed) / np.linalg.norm(closed) < 0.025 * (1 if hidden == 1 else 2)
