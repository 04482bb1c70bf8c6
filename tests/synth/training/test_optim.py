"""Muon against Newton-Schulz steps and Adam written out in numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.training.optim import muon

A, B, C = 3.4445, -4.7750, 2.0315  # of the polynomial a x + b x^3 + c x^5 on singular values


def orthogonal(matrix: np.ndarray) -> np.ndarray:
    """The polynomial five times on the singular values of a matrix that was divided by its Frobenius norm."""
    u, s, v = np.linalg.svd(matrix / np.linalg.norm(matrix), full_matrices=False)
    for _ in range(5):
        s = A * s + B * s**3 + C * s**5
    return u * s @ v


def test_muon_moves_matrices_by_orthogonal_steps_and_other_arrays_by_adam():
    """Two steps, of momentum 0.95 looked ahead and corrected for its start: on a kernel of four axes, whose last one is the outputs, a
    matrix with more columns than rows, and a bias."""
    rng, lr, decay = np.random.default_rng(0), 0.01, 0.5
    shapes = {"kernel": (3, 3, 2, 5), "wide": (4, 7), "bias": (6,)}
    params = {name: rng.normal(size=shape) for name, shape in shapes.items()}
    slopes = [{name: rng.normal(size=shape) for name, shape in shapes.items()} for _ in range(2)]
    given = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), (params, slopes))
    tx = muon(jnp.float32(lr), weight_decay=decay)
    state, step, found = tx.init(given[0]), jax.jit(tx.update), []
    for slope in given[1]:
        updates, state = step(slope, state, given[0])  # from the same parameters, whose decay is then the same
        found.append(updates)
    for name in ("kernel", "wide"):
        mean = np.zeros(shapes[name])
        for t, slope in enumerate(slopes, 1):
            mean = 0.95 * mean + 0.05 * slope[name]
            ahead = 0.95 * mean / (1 - 0.95 ** (t + 1)) + 0.05 * slope[name] / (1 - 0.95**t)
            matrix = ahead.reshape(-1, shapes[name][-1])
            expected = -lr * (0.2 * np.sqrt(max(matrix.shape)) * orthogonal(matrix).reshape(shapes[name]) + decay * params[name])
            np.testing.assert_allclose(found[t - 1][name], expected, rtol=2e-4, atol=2e-6)
    mean = square = np.zeros(6)
    for t, slope in enumerate(slopes, 1):
        mean, square = 0.9 * mean + 0.1 * slope["bias"], 0.999 * square + 0.001 * slope["bias"] ** 2
        ahead = 0.9 * mean / (1 - 0.9 ** (t + 1)) + 0.1 * slope["bias"] / (1 - 0.9**t)
        np.testing.assert_allclose(found[t - 1]["bias"], -lr * ahead / np.sqrt(square / (1 - 0.999**t)), rtol=1e-4)


@pytest.mark.slow
def test_the_steps_of_muon_are_as_large_as_adams():
    """Root mean square about 0.2 lr, whatever the shape."""
    rng = np.random.default_rng(1)
    grads = {str(shape): jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((64, 8), (8, 64), (3, 3, 8, 8))}
    tx = muon(jnp.float32(1.0))
    updates, _ = jax.jit(tx.update)(grads, tx.init(grads), grads)
    assert all(0.14 < float(jnp.sqrt(jnp.mean(update**2))) < 0.26 for update in updates.values())
