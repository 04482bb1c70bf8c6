"""What a run says and refuses before its first step."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from condense.engine import loop
from condense.engine import memory as estimate
from condense.engine.memory import Gauge, parts, snapshots
from matchers.base import Piece
from matchers.trajectory.mtt import mtt
from synth.errors import RunFailed
from synth.images.augment import none
from tests.support import toy_run as toy

SIDE = 256


def step(scale, key, carry, bad, batch):
    """One product that needs a second matrix beside its result."""
    return carry + scale * jnp.tanh(carry @ batch) @ batch, bad, {"loss": jnp.float32(0)}


def gauge(**more) -> Gauge:
    return Gauge("toy", partial(jax.jit(step, static_argnums=0, donate_argnums=2), 2), **more)


def inputs():
    matrix = jnp.ones((SIDE, SIDE), jnp.float32)
    return jax.random.key(0), matrix, jnp.int32(-1), jnp.ones((SIDE, SIDE), jnp.float32)


def test_the_memory_of_a_step_is_said_and_what_was_compiled_is_not_compiled_again(capsys):
    made = gauge()
    made.before(*inputs())
    said = capsys.readouterr().err
    matrix = SIDE * SIDE * 4 / 1e6
    assert f"toy: set and state {matrix:.3g} MB, batch {matrix:.3g} MB, working memory of a step" in said
    working = float(said.split("working memory of a step ")[1].split()[0])
    assert matrix * 0.99 <= working <= matrix * 4  # tanh's result at least
    with jax.log_compiles(), pytest.MonkeyPatch.context() as patch:
        seen = []
        patch.setattr("logging.Logger.handle", lambda self, record: seen.append(record.getMessage()))
        made.step(*inputs())
    assert not [line for line in seen if "Finished XLA compilation of jit(step)" in line]
    made.calls = 1
    made.before(*inputs())
    assert capsys.readouterr().err == ""


def test_a_step_that_does_not_fit_is_refused_with_the_numbers_and_tried_by_force(monkeypatch, capsys):
    monkeypatch.setattr(estimate, "free_memory", lambda: 100_000)
    with pytest.raises(RunFailed, match=r"a step needs 0\.\d+ MB of memory and 0\.1 MB are free: .* --force to try it"):
        gauge().before(*inputs())
    gauge(force=True).before(*inputs())
    assert "warning: a step needs 0." in capsys.readouterr().err


def test_the_loop_refuses_before_the_first_step(monkeypatch):
    monkeypatch.setattr(estimate, "free_memory", lambda: 1)
    fed = []

    def feed(number):
        fed.append(number)
        return jnp.zeros((toy.CLASSES, 8, *toy.SHAPE))

    with pytest.raises(RunFailed, match="of memory and 1e-06 MB are free"):
        loop.run(jax.random.key(0), toy.matcher(), toy.start(), feed, loop.Schedule(2))
    assert fed == [0]
    loop.run(jax.random.key(0), toy.matcher(), toy.start(), feed, loop.Schedule(2), force=True)


def test_seconds_a_step_are_said_once_where_they_add_up(monkeypatch, capsys):
    clock = iter([10.0, 10.5, 99.0])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    long, short = gauge(), gauge()
    for left in (101, 100, 99):
        long.after({}, left)
    assert capsys.readouterr().err == "toy: 0.5 s a step after the first\n"
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: 0.0)
    for left in (3, 2, 1, 0):
        short.after({}, left)
    assert capsys.readouterr().err == ""


def test_a_piece_says_its_snapshots():
    assert (
        snapshots(Piece(np.zeros(1234, np.float32), np.zeros((3, 1234), np.float32), np.int32(0))) == " (4 snapshots of 1,234 parameters)"
    )
    assert snapshots(jnp.zeros(3)) == ""


def test_the_memory_of_a_trajectory_step_is_vectors_and_activations():
    piece = Piece(np.zeros(250_000, np.float32), np.zeros((1, 250_000), np.float32), np.int32(0))
    assert parts(14_000_000, piece, 11) == " (11 parameter vectors 11 MB, activations of one step of the student 3 MB)"
    assert parts(14_000_000, jnp.zeros(3), 0) == ""


def test_trajectory_methods_say_how_many_vectors_a_step_keeps():
    """theta_0 ... theta_N, as the measured growth of the compiled step is (tests/matchers/trajectory/test_unroll.py)."""
    net = nets.build("mlp", (4, 4, 1), 3)
    assert mtt(net, none, None, inner_steps=10).feed.kept == 11
