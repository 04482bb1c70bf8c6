"""Measures the cost of a step before a run. It writes nothing and throws the results away."""

import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp

from condense.engine.loop import STEP, compile_step, faultless, initial_state, stream
from condense.engine.memory import memory_of_step
from condense.runtime.devices import place_batch, replicate
from condense.runtime.processes import on_first
from matchers.base import Matcher
from synth.base import Net
from synth.labels.plain import Hard
from synth.set import SyntheticSet
from synth.training.fit import Fit, epoch_items, fit, init_fit, on_examples, sgd

LONGEST = 20.0  # seconds of steps that are timed


class Cost(NamedTuple):
    """What a compiled step takes.

    Args:
      compiling: seconds to compile it. seconds: of the fastest step after that. memory: bytes that it works in, 0 where not known.
      mean: seconds of a step in the mean, because those of some methods differ.
    """

    compiling: float
    seconds: float
    memory: int
    mean: float


def measure_step(
    key: jax.Array,
    matcher: Matcher,
    synth: SyntheticSet,
    feed: Callable[[int], object],
    *,
    most: int = 3,
    longest: float = LONGEST,
    clock: Callable[[], float] = time.perf_counter,
) -> Cost:
    """Measures the cost of a step of a method: runs the step that compiles, and then at least one and up to `most` more within about
    `longest` seconds of `clock`. `synth` is the set before the first step, and `feed` gives the batch of a step; `synth` stays as it is."""
    carry, step = initial_state(key, matcher, synth), compile_step(matcher)
    bad, k_step = faultless(), replicate(stream(key, STEP))
    batch = place_batch(feed(0))
    began = clock()
    memory = memory_of_step(k_step, step, carry, bad, batch)
    carry, bad, metrics = step(k_step, carry, bad, batch)
    jax.block_until_ready((carry, metrics))
    spans = [clock() - began]
    while on_first(lambda: len(spans) < 2 or (len(spans) <= most and sum(spans[1:]) < longest)):  # one clock for all processes
        began = clock()
        carry, bad, metrics = step(k_step, carry, bad, place_batch(feed(len(spans))))
        jax.block_until_ready((carry, metrics))
        spans.append(clock() - began)
    return Cost(*on_first(lambda: (spans[0], min(spans[1:]), memory, sum(spans[1:]) / len(spans[1:]))))


def training_batch(net: Net, image: tuple[int, ...], classes: int, *, batch: int) -> tuple[Callable[[], Fit], Callable[[Fit], Fit]]:
    """Builds what trains a network on one mini-batch of `batch` random examples of the shape `image` and their classes: the function that
    makes the state before it, and the compiled one from there to the state after it."""
    key, tx = jax.random.key(0), sgd(0.01, momentum=0.9)
    x = jax.random.normal(key, (batch, *image), jnp.float32)
    y = Hard(jax.random.randint(key, (batch,), 0, classes), classes)

    @jax.jit
    def train(state):
        return fit(on_examples(net, x, y), tx, state, epoch_items(key, 0, batch, batch=batch))[0]

    return lambda: init_fit(key, net, tx), train


def measure_training(net: Net, image: tuple[int, ...], classes: int, *, batch: int) -> Cost:
    """What one mini-batch of the training of a network takes, of `batch` random examples of the shape `image` and their classes; its memory
    is not measured (0)."""
    begin, train = training_batch(net, image, classes, batch=batch)
    began = time.perf_counter()
    state = jax.block_until_ready(train(begin()))
    compiled = time.perf_counter()
    jax.block_until_ready(train(state))
    seconds = time.perf_counter() - compiled
    return Cost(compiled - began, seconds, 0, seconds)
