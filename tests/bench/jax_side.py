"""The units of work as the library does them: its methods' steps and its evaluator's training, from a network that is given."""

import time
from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree

from condense.nets import build
from evals.retrain import make_trainer, stack
from evals.retraining import EvalRecipe
from matchers.base import Piece, Task
from matchers.distribution.dm import dm
from matchers.gradient.dc import dc
from matchers.kernel.common import Ridge, descend_ridge, embed, one_hot_targets
from matchers.kernel.frepo import frepo, margin, start_labels
from matchers.kernel.pool import PoolSchedule
from matchers.trajectory.common import Student, distance
from matchers.trajectory.mtt import mtt
from synth.base import Examples, Vars
from synth.images.augment import none
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import SyntheticSet
from synth.training.fit import sgd
from tests.bench import problem
from tests.bench.problem import CLASSES, DEPTH, SIDE


def to_params(numbers: dict) -> dict:
    """The library's parameter tree of a ConvNet."""
    blocks = numbers["blocks"]
    return jax.tree.map(
        jnp.asarray,
        {
            "convs": tuple({"kernel": k, "bias": b} for k, b, _, _ in blocks),
            "head": dict(zip(("kernel", "bias"), numbers["head"], strict=True)),
            "norms": tuple({"bias": shift, "scale": scale} for _, _, scale, shift in blocks),
        },
    )


def make(sizes: problem.Sizes, numbers: dict) -> dict:
    """{work: function without arguments that returns arrays}, compiled at the first call."""
    net = build(f"convnet:width={sizes.width},depth={DEPTH}", (SIDE, SIDE, 1), CLASSES)
    params = to_params(numbers)
    assert jax.tree.structure(params) == jax.tree.structure(net.init(jax.random.key(0)).params)
    labels = Hard(jnp.repeat(jnp.arange(CLASSES), sizes.synthetic), CLASSES)
    fixed = net._replace(init=lambda key: Vars(params))
    synth = SyntheticSet(Pixels(jnp.asarray(numbers["synthetic"]).reshape(-1, SIDE, SIDE, 1)), labels)
    real, key = jnp.asarray(numbers["real"]), jax.random.key(0)

    def step(matcher, synth=synth, batch=real):
        @jax.jit
        def first(key, synth, batch):
            after, _, metrics = matcher.step(key, matcher.init(key, synth), synth, batch)
            return metrics["loss"], after.x.pixels

        return partial(first, key, synth, batch)

    image = {"lr": problem.LR_IMAGE, "momentum": problem.MOMENTUM_IMAGE}
    recipe = EvalRecipe("bench", problem.EPOCHS, lr=problem.LR_NET, momentum=problem.MOMENTUM_NET, weight_decay=problem.DECAY_NET)
    trainer = make_trainer(fixed, recipe, None)

    @jax.jit
    def retrain(keys, synths):
        states = trainer.init(keys, synths)
        stop = jnp.int32(problem.EPOCHS)
        return trainer.advance(states, keys, synths, jnp.int32(0), stop, stop).vars.params

    soft, batch = start_labels(key, synth, None), Examples(*(jnp.asarray(part) for part in problem.mixed(numbers["real"])))
    options = {"lr": problem.LR_LAMB, "pool": problem.POOL, "net_lr": problem.LR_POOL, "reg": problem.REG}
    pooled = frepo(fixed, Task((SIDE, SIDE, 1), False, 10**6, None), **options)

    @jax.jit
    def ridge_step(key, state, synth, batch):
        after, state, metrics = pooled.step(key, state, synth, batch)
        return metrics["loss"], after.x.pixels, after.y.values, state.aux.vars

    return {
        "frepo": partial(ridge_step, key, pooled.init(key, soft), soft, batch._replace(y=batch.y.astype(jnp.int32))),
        "dm": step(dm(fixed, none, **image)),
        "dc": step(dc(fixed, outer=1, **image)),
        "retrain": partial(retrain, key[None], stack([synth])),
        "mtt": step(
            mtt(net, none, None, inner_steps=sizes.steps, lr_lr=problem.LR_STEP_SIZE, **image),
            replace(synth, lr=jnp.float32(problem.STEP_SIZE)),
            piece(numbers),
        ),
    }


def piece(numbers: dict) -> Piece:
    """From the network's parameters to those that the expert ends with."""
    start, end = (ravel_pytree(to_params(part))[0] for part in (numbers, numbers["aim"]))
    return Piece(start, end[None], jnp.int32(0))


def exact(sizes: problem.Sizes, numbers: dict) -> list[np.ndarray]:
    """The student's loss and its gradient by images and step size, in double precision."""
    with jax.enable_x64(True):
        numbers = jax.tree.map(np.float64, numbers)
        net = build(f"convnet:width={sizes.width},depth={DEPTH}", (SIDE, SIDE, 1), CLASSES)
        net = net._replace(init=lambda key: Vars(to_params(numbers)))
        labels, loss = Hard(jnp.repeat(jnp.arange(CLASSES), sizes.synthetic), CLASSES), distance(net, none, Student(sizes.steps))

        def value(x, lr):
            return loss(jax.random.key(0), SyntheticSet(Pixels(x), labels, lr=lr), piece(numbers))[0]

        x = jnp.asarray(numbers["synthetic"]).reshape(-1, SIDE, SIDE, 1)
        value, (by_images, by_lr) = jax.jit(jax.value_and_grad(value, argnums=(0, 1)))(x, jnp.float64(problem.STEP_SIZE))
        return [np.asarray(value), np.asarray(by_images).reshape(CLASSES, -1, SIDE, SIDE, 1), np.asarray(by_lr)]


def answers(works: dict) -> dict[str, list[np.ndarray]]:
    """Results in the layout of problem.numbers: dm, dc and mtt (loss, images); retrain (first kernel, last kernel, head)."""
    trained = jax.tree.map(lambda leaf: leaf[0], works["retrain"]())  # one seed
    results = {name: works[name]() for name in ("dm", "dc", "mtt")}
    _, state, synth, batch = works["frepo"].args
    return {
        "frepo": gradients(jax.tree.map(lambda leaf: leaf[0], state.aux.vars), synth, batch),
        **{name: [np.asarray(loss), np.asarray(x).reshape(CLASSES, -1, SIDE, SIDE, 1)] for name, (loss, x) in results.items()},
        "retrain": [np.asarray(a) for a in (trained["convs"][0]["kernel"], trained["convs"][2]["kernel"], trained["head"]["kernel"])],
    }


def gradients(vars: Vars, synth: SyntheticSet, batch: Examples) -> list[np.ndarray]:
    """[loss, its gradient by the images, and by the labels] of the kernel ridge step, by one step of plain descent: those that LAMB would
    take have the sign of the smallest numbers."""
    width = vars.params["convs"][0]["kernel"].shape[-1]
    fixed = build(f"convnet:width={width},depth={DEPTH}", (SIDE, SIDE, 1), CLASSES)._replace(init=lambda key: vars)
    life = PoolSchedule(fixed, sgd(0.0), lambda synth: None, size=1, most=0)
    ridge = Ridge(embed(fixed), one_hot_targets, reg=problem.REG, penalty=margin)
    matcher, key = descend_ridge(ridge, sgd(1.0), batch=len(batch.y), life=lambda synth: life), jax.random.key(0)
    after, _, metrics = jax.jit(matcher.step)(key, matcher.init(key, synth), synth, batch)
    by_image = np.asarray(synth.x.pixels - after.x.pixels).reshape(CLASSES, -1, SIDE, SIDE, 1)
    return [np.asarray(metrics["loss"]), by_image, np.asarray(synth.y.values - after.y.values)]


def timed(fn) -> tuple[float, float]:
    """(wall seconds, processor seconds of all threads) of one call."""
    wall, processor = time.perf_counter(), time.process_time()
    jax.block_until_ready(fn())
    return time.perf_counter() - wall, time.process_time() - processor


def matmul() -> float:
    """GFLOP/s of the better of five 2048x2048 products."""
    a = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return max(2 * 2048**3 / timed(lambda: product(a))[0] / 1e9 for _ in range(6))
