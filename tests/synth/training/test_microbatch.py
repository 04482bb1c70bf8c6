"""Work in pieces against the same work at once."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from synth.base import Vars
from synth.labels.plain import Hard
from synth.numerics import backend
from synth.training import microbatch as pieces
from synth.training.fit import Item, on_examples
from synth.training.microbatch import rows_of, summed, total
from tests.support.toy_data import smooth_net


@pytest.fixture
def small(monkeypatch):
    """Pieces of at most four images of 4x4, which count as 8x8."""
    monkeypatch.setattr(pieces, "PIXELS", 4 * 64)


def test_a_piece_fits_and_needs_little_filling(monkeypatch):
    most = pieces.PIXELS // 32**2
    for b in range(1, 300):
        rows = rows_of(b, (28, 28, 1))
        assert rows <= max(most, 1) or rows == b
        assert rows == b if b <= most else most // 2 < rows <= most
        if b > most:
            assert -(-b // rows) * rows == min(-(-b // r) * r for r in range(most // 2 + 1, most + 1))
    assert rows_of(5, (256, 256, 3)) == 1
    monkeypatch.setattr(backend, "is_cpu", lambda: False)
    assert rows_of(300, (32, 32, 3)) == 300


def problem(b: int):
    """A network's cost of b rows with integer labels, its parameters and the rows."""
    r, net = np.random.default_rng(0), smooth_net()
    rows = jnp.asarray(r.normal(size=(b, 4, 4, 1))), jnp.asarray(r.integers(0, 3, b)), jnp.asarray(r.uniform(size=b))

    def cost(params, rows):
        x, y, share = rows
        return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(net.apply(Vars(params), x).logits, y) * share)

    return cost, jax.tree.map(lambda leaf: leaf.astype(jnp.float64), net.init(jax.random.key(0)).params), rows


@pytest.mark.slow
@pytest.mark.parametrize("b", [3, 4, 10, 12])
def test_a_total_and_its_slopes_are_those_of_all_rows_at_once(float64, b):
    """Value, gradients by parameters, images and shares, and the gradient by images of a gradient by parameters."""
    cost, params, rows = problem(b)

    def ours(params, x, share):
        return total(cost, params, (x, rows[1], share), 4)

    def plain(params, x, share):
        return cost(params, (x, rows[1], share))

    def second(fn):
        return lambda params, x, share: sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(jax.grad(fn)(params, x, share)))

    for level in (lambda fn: fn, second):
        found, expected = (jax.jit(jax.value_and_grad(level(fn), (0, 1, 2)))(params, rows[0], rows[2]) for fn in (ours, plain))
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), found, expected)


def test_values_of_rows_come_back_in_order():
    x = jnp.arange(10.0)
    (double,), values = summed(lambda part: ((2 * jnp.sum(part),), part + 1), x, 4)
    assert float(double) == 90
    np.testing.assert_array_equal(values, np.arange(10.0) + 1)


def test_training_computes_no_piece_twice(small):
    """Twelve images in pieces of four: the gradient by parameters takes as many products as one pass of twelve, no more; the part by images
    is dropped by the compiler."""
    r, net = np.random.default_rng(0), smooth_net(hidden=64)
    x, y = jnp.asarray(r.normal(size=(12, 4, 4, 1)), jnp.float32), Hard(jnp.asarray(r.integers(0, 3, 12), jnp.int32), 3)
    item = Item(jax.random.key(0), jnp.arange(12), jnp.ones(12), (jnp.int32(0), jnp.int32(0)))
    params = net.init(jax.random.key(0)).params

    def dots(size):
        pieces.PIXELS = size * 64
        slope = jax.jit(jax.grad(on_examples(net, x, y), has_aux=True))
        text = slope.lower(params, (), item).compile().as_text()
        return sum(" dot(" in line for line in text.splitlines())

    assert dots(4) == dots(12) > 0
