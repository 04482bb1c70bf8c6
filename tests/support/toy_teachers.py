"""Small trained networks for tests of what works from teachers: smooth, with two batch norms, written by hand."""

from dataclasses import replace
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np

from matchers.base import Computed, Task, conclude
from synth.base import Net, Out, Teacher, Vars
from synth.images.preprocess import Standard
from synth.images.views import View
from synth.labelling import LabelPlan
from synth.set import Info
from tests.support.toy_data import as_set, blobs

KEY = jax.random.key(5)
MEAN, STD = np.array([0.4], np.float32), np.array([0.25], np.float32)
PLAIN = {"crop": 1.0, "roll": 0.0}  # no jitter
PLAN = LabelPlan(epochs=2, batch=4, view=View(flip=True, mix="cutmix"), temperature=4.0)


def bn_net(image=(4, 4, 1), classes: int = 3, *, width: int = 4, dtype=jnp.float32, average: bool = True) -> Net:
    """1x1 linear map, norm, tanh, twice, on 2x2 means of pixels; then the mean over pixels (or all of them) and a linear head."""
    h, w, c = image[0] // 2, image[1] // 2, image[2]
    last = width if average else h * w * width

    def init(key):
        a, b, d, e = jax.random.split(key, 4)
        params = {
            "a": jax.random.normal(a, (4 * c, width), dtype),
            "b": jax.random.normal(b, (width, width), dtype),
            "head": {"kernel": jax.random.normal(d, (last, classes), dtype), "bias": jax.random.normal(e, (classes,), dtype)},
        }
        means = 0.3 * jax.random.normal(jax.random.fold_in(key, 1), (2, width), dtype)
        return Vars(params, {"mean": means, "var": 1 + means**2})

    def apply(vars, x, *, train=False, key=None):
        p, stats, taps = vars.params, vars.stats, {}
        z = x.reshape(len(x), h, 2, w, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(len(x), h, w, 4 * c)
        for i, kernel in enumerate((p["a"], p["b"])):
            taps[f"conv_input{i}"] = z
            z = z @ kernel
            mean, var = z.mean((0, 1, 2)), z.var((0, 1, 2))
            running = stats["mean"][i], stats["var"][i]
            taps |= {f"norm_input{i}": z, f"norm{i}": (mean, var), f"running{i}": running}
            mean, var = (mean, var) if train else running
            z = jnp.tanh((z - mean[None, None, None]) / jnp.sqrt(var + 1e-5)[None, None, None])
        embed = z.mean((1, 2)) if average else z.reshape(len(x), -1)
        moved = {"mean": 0.9 * stats["mean"], "var": 0.9 * stats["var"]} if train else stats
        return Out(embed @ p["head"]["kernel"] + p["head"]["bias"][None], embed, {"conv": z, **taps}, moved)

    return Net(init, apply)


_net = cache(bn_net)  # one network for all teachers, so that what is compiled for one serves the others


@cache
def teacher(seed: int = 0, **options) -> Teacher:
    """A network with fixed variables."""
    net = _net(**options)
    return Teacher(net, jax.jit(net.init)(jax.random.key(seed)), f"toy{seed}")


def committee(count: int = 3, **options) -> tuple[Teacher, ...]:
    """Teachers of one architecture and different weights."""
    return tuple(teacher(seed, **options) for seed in range(count))


def priors(count: int = 3):
    """What hands over priors 60, 61, ..."""
    return lambda **options: tuple(60.0 + k for k in range(count))


def task(image=(4, 4, 1), *, flips: bool = False, steps: int = 4) -> Task:
    """A run whose recipe is `PLAN`."""
    return Task(image, flips, steps, lambda name: PLAN)


def started(n: int = 2, *, dtype=np.float32):
    """A set of `n` images a class within the bounds of raw images, and the examples it comes from."""
    examples = blobs(8, dtype=dtype)
    low, high = -MEAN[0] / STD[0], (1 - MEAN[0]) / STD[0]
    examples = examples._replace(x=np.clip(examples.x * dtype(0.5), low, high).astype(dtype))
    kept = examples.x.reshape(3, 8, 4, 4, 1)[:, :n].reshape(-1, 4, 4, 1), examples.y.reshape(3, 8)[:, :n].ravel()
    info = Info(("a", "b", "c"), Standard(MEAN, STD))
    return replace(as_set(examples._replace(x=kept[0], y=kept[1])), info=info), examples


def ran(matcher, synth, examples, steps: int, *, key=KEY):
    """The set before the first step, after the last and at the end, and the last metrics."""
    before = matcher.prepare(key, synth, examples) if matcher.prepare else synth
    now, state = before.bare(), matcher.init(key, before.bare())
    step, given = jax.jit(matcher.step), matcher.feed.of(examples) if isinstance(matcher.feed, Computed) else matcher.feed.value
    for number in range(steps):
        now, state, metrics = step(jax.random.fold_in(key, number), state, now, given)
    return before, now, replace(conclude(key, matcher, state, replace(now, info=before.info)), info=None), metrics
