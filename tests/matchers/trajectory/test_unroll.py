"""Oracles of differentiating through training: plain loops, finite differences, closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.flatten_util import ravel_pytree

from condense import nets
from matchers.trajectory.unroll import Walk, unroll
from synth.base import Net, Vars
from tests.support.toy_data import blobs, central_differences, smooth_net

STEPS = 3


class Problem:
    """Six images in three classes with logits for labels, batches of four, an aim for the parameters."""

    def __init__(self, net: Net, *, image=(4, 4, 1), steps: int = STEPS, scale: float = 1.0):
        params = jax.tree.map(lambda p: p.astype(jnp.float64), net.init(jax.random.key(0)).params)
        self.start, self.unravel = ravel_pytree(params)
        rng = np.random.default_rng(0)
        self.aim = self.start + scale * jnp.asarray(rng.normal(size=self.start.shape))
        self.learned = {
            "x": jnp.asarray(blobs(2, image=image, dtype=np.float64).x),
            "y": jnp.asarray(rng.normal(size=(6, 3))),
            "serial": jnp.arange(6),
        }
        self.items = jnp.asarray(np.stack([rng.permutation(6)[:4] for _ in range(steps)]))
        self.beta = jnp.float64(0.3)
        self.net = net

    def draw(self, learned, index):
        return learned["x"][index] * 1.1, jax.nn.softmax(learned["y"][index]), jnp.full(len(index), 1 / len(index))

    def cost(self, params, rows):
        images, targets, share = rows
        return jnp.sum(share * optax.softmax_cross_entropy(self.net.apply(Vars(params), images).logits, targets))

    def walk(self, **options) -> Walk:
        return Walk(self.draw, self.cost, self.unravel, **{"marks": (STEPS,), **options})

    def loss(self, walk: Walk):
        """(start, learned, beta) -> the distance of what the walk reaches at its marks from the aim, each with a weight of its own."""

        def value(start, learned, beta):
            return self.compare(unroll(walk, start, {**learned, "serial": self.learned["serial"]}, beta, self.items)[0])

        return value

    def compare(self, reached):
        weights = jnp.arange(1.0, len(reached) + 1)
        return jnp.sum(weights * jnp.sum((reached - self.aim[None]) ** 2, 1) / jnp.sum((self.start - self.aim) ** 2))

    def by_hand(self, walk: Walk, *, hold: bool = False):
        """The same in a Python loop; `hold` differentiates every step's gradient at parameters held constant."""

        def value(start, learned, beta):
            theta, b, reached = start, 0.0, [start]
            for index in self.items:
                at = jax.lax.stop_gradient(theta) if hold else theta
                rows = self.draw(learned, index)
                g = jax.grad(lambda t, rows=rows: self.cost(self.unravel(t), rows))(at)
                b = walk.momentum * b + g
                theta = theta - beta * b
                reached.append(theta)
            return self.compare(jnp.stack([reached[mark] for mark in walk.marks]))

        return value

    def arguments(self):
        return self.start, {"x": self.learned["x"], "y": self.learned["y"]}, self.beta


def gradients(fn, arguments):
    return jax.jit(jax.value_and_grad(fn, argnums=(0, 1, 2)))(*arguments)


def assert_same(ours, theirs, *, rtol):
    for a, b in zip(jax.tree.leaves(ours), jax.tree.leaves(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=rtol * float(np.abs(b).max()))


def relative(ours, theirs) -> float:
    a, b = (np.asarray(ravel_pytree(tree)[0]) for tree in (ours, theirs))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


CASES = [
    {},
    {"rows": 3},
    {"momentum": 0.9, "marks": (0, 1, 2, STEPS), "rows": 1},
    {"marks": (2,)},
]


@pytest.mark.slow
@pytest.mark.parametrize("options", CASES, ids=str)
def test_the_adjoint_equals_differentiation_through_a_plain_loop(float64, options):
    problem = Problem(smooth_net(dtype=jnp.float64))
    walk = problem.walk(**options)
    ours = gradients(problem.loss(walk), problem.arguments())
    assert_same(ours, gradients(problem.by_hand(walk), problem.arguments()), rtol=1e-12)


def test_the_gradient_equals_finite_differences(float64):
    """By images, label logits and step size, through momentum and a comparison on the way."""
    problem = Problem(smooth_net(dtype=jnp.float64))
    loss = jax.jit(problem.loss(problem.walk(momentum=0.5, marks=(2, STEPS), rows=3)))
    start, learned, beta = problem.arguments()
    _, (by_start, by_learned, by_beta) = gradients(loss, problem.arguments())
    for name in learned:
        slope = central_differences(lambda value, name=name: loss(start, {**learned, name: value}, beta), learned[name])
        np.testing.assert_allclose(by_learned[name], slope, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(by_beta, central_differences(lambda value: loss(start, learned, value), beta), rtol=1e-6)
    shift = np.random.default_rng(1).normal(size=start.shape)
    along = central_differences(lambda value: loss(start + value * shift, learned, beta), 0.0)
    np.testing.assert_allclose(by_start @ shift, along, rtol=1e-6)


@pytest.mark.slow
def test_a_small_convnet_with_pieces_equals_a_plain_loop(float64):
    net = nets.build("convnet:width=6,depth=1,act=swish", (8, 8, 1), 3)
    problem = Problem(net, image=(8, 8, 1), scale=0.1, steps=2)
    walk = problem.walk(rows=3, marks=(2,))
    ours = gradients(problem.loss(walk), problem.arguments())
    assert_same(ours, gradients(problem.by_hand(walk), problem.arguments()), rtol=1e-11)


@pytest.mark.slow
def test_what_is_reached_and_lost_is_plain_descent(float64):
    problem = Problem(smooth_net(dtype=jnp.float64))
    walk = problem.walk(marks=(0, 1), momentum=0.5)
    reached, losses = jax.jit(lambda *arrays: unroll(walk, *arrays))(problem.start, problem.learned, problem.beta, problem.items)
    rows = problem.draw(problem.learned, problem.items[0])
    loss, g = jax.jit(jax.value_and_grad(lambda t: problem.cost(problem.unravel(t), rows)))(problem.start)
    np.testing.assert_allclose(reached, [problem.start, problem.start - problem.beta * g], rtol=1e-12)
    np.testing.assert_allclose(losses[0], loss, rtol=1e-12)
    assert losses.shape == (STEPS,)


def test_tesla_is_the_gradient_with_each_steps_parameters_held(float64):
    problem = Problem(smooth_net(dtype=jnp.float64))
    walk = problem.walk(exact=False, rows=3)
    _, (_, *ours) = gradients(problem.loss(walk), problem.arguments())
    _, (_, *held) = gradients(problem.by_hand(walk, hold=True), problem.arguments())
    assert_same(ours, held, rtol=1e-12)
    _, (_, *exact) = gradients(problem.loss(problem.walk()), problem.arguments())
    assert relative(ours, exact) > 1e-2


def test_tesla_is_exact_for_one_step(float64):
    problem = Problem(smooth_net(dtype=jnp.float64), steps=1)
    both = [gradients(problem.loss(problem.walk(exact=exact, marks=(1,))), problem.arguments())[1][1:] for exact in (True, False)]
    assert_same(*both, rtol=1e-12)


def test_teslas_error_is_of_the_order_of_the_step_size(float64):
    problem = Problem(smooth_net(dtype=jnp.float64))
    exact, tesla = (jax.jit(jax.grad(problem.loss(problem.walk(exact=kind)), argnums=1)) for kind in (True, False))
    start, learned, _ = problem.arguments()
    errors = [relative(tesla(start, learned, beta), exact(start, learned, beta)) for beta in (0.02, 0.01, 0.005)]
    np.testing.assert_allclose([errors[0] / errors[1], errors[1] / errors[2]], 2, rtol=0.1)
    assert errors[-1] > 1e-5


def test_tesla_is_exact_where_the_loss_is_linear_in_the_parameters(float64):
    problem = Problem(smooth_net(dtype=jnp.float64))
    problem.cost = lambda params, rows: jnp.sum(rows[2] * jnp.sum(rows[0].reshape(len(rows[0]), -1) @ params["w"], 1) * rows[1][:, 0])
    both = [gradients(problem.loss(problem.walk(exact=exact)), problem.arguments())[1][1:] for exact in (True, False)]
    assert_same(*both, rtol=1e-12)


@pytest.mark.slow
def test_teslas_released_code_halves_the_images_gradient_alone(float64):
    """Its second pass: d/dx_i of < beta (theta*_{t+M} - theta*_t) + beta^2 G, g_i > / D, G the constant sum of all gradients."""
    problem = Problem(smooth_net(dtype=jnp.float64))
    start, learned, beta = problem.arguments()
    scale = jnp.sum((start - problem.aim) ** 2)
    theta, points = start, []
    for index in problem.items:
        g = jax.grad(lambda t, index=index: problem.cost(problem.unravel(t), problem.draw(learned, index)))(theta)
        points.append((theta, index, g))
        theta = theta - beta * g
    total = sum(g for *_, g in points)

    def second_pass(x):
        rows = [problem.draw({**learned, "x": x}, index) for _, index, _ in points]
        slopes = [jax.grad(lambda t, r=r: problem.cost(problem.unravel(t), r))(at) for (at, *_), r in zip(points, rows, strict=True)]
        return sum(jnp.sum((beta * (problem.aim - start) + beta**2 * total) * g) for g in slopes) / scale

    _, (_, by_learned, by_beta) = gradients(problem.loss(problem.walk(exact=False)), problem.arguments())
    np.testing.assert_allclose(jax.grad(second_pass)(learned["x"]), by_learned["x"] / 2, rtol=1e-9, atol=1e-12)
    released = jax.grad(lambda b: jnp.sum((start - b * total - problem.aim) ** 2) / scale)(beta)
    np.testing.assert_allclose(by_beta, released, rtol=1e-10)


def test_both_passes_see_the_same_draw():
    """The rows of a step are a function of its item: with a random draw the gradient must be that of the very same numbers."""
    net = smooth_net()
    start, unravel = ravel_pytree(net.init(jax.random.key(0)).params)

    def draw(x, key):
        return x * jax.random.normal(key, (len(x), 1, 1, 1)), jnp.full((len(x), 3), 1 / 3), jnp.ones(len(x))

    def cost(params, rows):
        return jnp.sum(rows[2] * optax.softmax_cross_entropy(net.apply(Vars(params), rows[0]).logits, rows[1]))

    keys, x, beta = jax.random.split(jax.random.key(1), 3), jnp.asarray(blobs(1).x), jnp.float32(0.1)

    def loss(x):
        return jnp.sum(unroll(Walk(draw, cost, unravel, marks=(3,)), start, x, beta, keys)[0] ** 2)

    def by_hand(x):
        theta = start
        for i in range(len(keys)):
            theta = theta - beta * jax.grad(lambda t, i=i: cost(unravel(t), draw(x, keys[i])))(theta)
        return jnp.sum(theta**2)

    np.testing.assert_allclose(jax.jit(jax.grad(loss))(x), jax.jit(jax.grad(by_hand))(x), rtol=1e-4, atol=1e-5)


def temporaries(steps: int, *, exact: bool = True, adjoint: bool = True) -> tuple[int, int]:
    """(temporary bytes of the compiled gradient, bytes of a parameter vector) with activations that outweigh the parameters."""
    net = smooth_net(hidden=64)
    start, unravel = ravel_pytree(net.init(jax.random.key(0)).params)
    x, y = jnp.ones((512, 4, 4, 1)), jnp.full((512, 3), 1 / 3)

    def draw(x, item):
        return x, y, jnp.full(512, 1 / 512)

    def cost(params, rows):
        return jnp.sum(rows[2] * optax.softmax_cross_entropy(net.apply(Vars(params), rows[0]).logits, rows[1]))

    def loss(x, beta):
        if adjoint:
            return jnp.sum(unroll(Walk(draw, cost, unravel, 0.0, (steps,), exact), start, x, beta, jnp.arange(steps))[0] ** 2)

        def step(theta, item):
            return theta - beta * jax.grad(lambda t: cost(unravel(t), draw(x, item)))(theta), None

        return jnp.sum(jax.lax.scan(step, start, jnp.arange(steps))[0] ** 2)

    compiled = jax.jit(jax.grad(loss, argnums=(0, 1))).lower(x, jnp.float32(0.1)).compile()
    return compiled.memory_analysis().temp_size_in_bytes, start.nbytes


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "tesla"])
def test_memory_grows_by_one_parameter_vector_a_step(exact):
    (few, vector), (some, _), (many, _) = (temporaries(steps, exact=exact) for steps in (10, 20, 40))
    assert 0.9 * vector < (some - few) / 10 < 1.5 * vector
    assert 0.9 * vector < (many - some) / 20 < 1.5 * vector


def test_without_the_adjoint_memory_grows_by_activations():
    (few, vector), (many, _) = (temporaries(steps, adjoint=False) for steps in (10, 40))
    assert (many - few) / 30 > 10 * vector
