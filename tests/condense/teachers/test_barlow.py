"""How a self-supervised teacher's step size rises and falls, what decays, and what of it a training uses."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.teachers import barlow
from condense.teachers.barlow import Config, make_training, optimiser
from synth.images.distortions import Ranges

CONFIG = Config("mlp:width=4,norm=batch", 4, batch=8, projector=2, lr=0.05, weight_decay=0.2)


@pytest.mark.parametrize(("epochs", "steps", "rise"), [(4, 10, 2), (1, 3, 1)])
def test_the_step_size_rises_for_a_twentieth_and_falls_to_nothing_as_half_a_cosine(epochs, steps, rise):
    """A gradient that stays 1 moves Adam by the step size, and decoupled decay by as much of the parameter; at the end nothing moves."""
    tx, p = optimiser(CONFIG._replace(epochs=epochs), steps), {"x": jnp.full(2, 3.0)}
    state, whole = tx.init(p), epochs * steps
    update, moves = jax.jit(tx.update), []
    for _ in range(whole + 2):
        moved, state = update(jax.tree.map(jnp.ones_like, p), state, p)
        moves.append(float(moved["x"][0]))
    t = np.arange(whole + 2)
    factor = np.minimum(1, (t + 1) / rise) * (1 + np.cos(np.pi * np.minimum(t / whole, 1))) / 2
    np.testing.assert_allclose(moves, -0.05 * (1 + 0.2 * 3) * factor, rtol=1e-4, atol=1e-7)
    assert moves[whole] == moves[-1] == 0


def test_a_training_moves_by_that_optimiser(monkeypatch):
    """Both its first state and every step: made from the configuration and the batches of an epoch, a short last one left out."""
    asked, used, whole = [], [], barlow.fit
    monkeypatch.setattr(barlow, "optimiser", lambda *args: (asked.append(args), optimiser(*args))[1])
    monkeypatch.setattr(barlow, "fit", lambda objective, tx, *rest: (used.append(tx), whole(objective, tx, *rest))[1])
    x = jnp.zeros((21, 4, 4, 1))
    training = make_training(nets.build(CONFIG.net, (4, 4, 1), 3), CONFIG, x.shape, ranges=Ranges())
    assert asked == [(CONFIG, 2)] and training.steps == 2
    start, number = jax.eval_shape(training.init, jax.random.key(1)), jnp.int32(0)
    jax.eval_shape(training.advance, start, training.order(jax.random.key(2), number), x, number, number, number)
    tx = optimiser(CONFIG, 2)
    assert jax.tree.structure(start.fit.opt) == jax.tree.structure(jax.eval_shape(tx.init, start.fit.vars.params))
    assert used and {updated.update.__code__ for updated in used} == {tx.update.__code__}
