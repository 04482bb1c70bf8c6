"""The recovery step as the library does it: `matchers.decoupled.common.recover`, one jitted step, from networks that are drawn here."""

import jax
import jax.numpy as jnp
import numpy as np

from condense.nets import build
from matchers.base import Task
from matchers.decoupled.common import batches_of, recover
from matchers.decoupled.loss import Jitter, RecoverySettings, vote
from synth.base import Teacher, Vars
from synth.images.content import Bounded
from synth.labels.plain import Hard
from synth.set import SyntheticSet
from tests.bench.recovery import CLASSES, SETTINGS, SIDE, SLOTS


class Unlabelled:
    """No labelling: only the step is timed."""

    recipe = "cvdd"


def moved(vars: Vars, seed: int) -> Vars:
    """The network with running statistics of its own, which those of a new one are not."""
    leaves, tree = jax.tree.flatten(vars.stats)
    rng = np.random.default_rng(seed)
    return vars._replace(
        stats=jax.tree.unflatten(tree, [jnp.asarray(leaf * rng.uniform(0.5, 1.5, leaf.shape), jnp.float32) for leaf in leaves])
    )


def make(names: list[str], images: np.ndarray):
    """(the networks' arrays as nested numpy, the first step's gradient f32[slots classes h w], a step without arguments)."""
    teachers = []
    for seed, name in enumerate(names):
        net = build(name, (SIDE, SIDE, 1), CLASSES)
        teachers.append(Teacher(net, moved(net.init(jax.random.key(seed)), seed), name))
    settings = RecoverySettings(SETTINGS["lr"], SETTINGS["alpha_bn"], SETTINGS["first"], Jitter(1.0, 0.0, False))
    weights = np.full((SLOTS, len(teachers)), 1 / len(teachers))
    matcher = recover(teachers, Task((SIDE, SIDE, 1), False, 100, None), lambda slots: weights, settings, Unlabelled(), batch=CLASSES)
    pixels = jnp.asarray(images.swapaxes(0, 1).reshape(-1, SIDE, SIDE, 1))  # class-major
    synth = SyntheticSet(Bounded(pixels, jnp.full(1, 0.3), jnp.full(1, 0.3)), Hard(jnp.repeat(jnp.arange(CLASSES), SLOTS), CLASSES))
    key, vars = jax.random.key(0), matcher.feed.value
    state, step = matcher.init(key, synth), jax.jit(matcher.step)
    x, y = (batches_of(leaf, CLASSES, CLASSES) for leaf in (pixels, synth.y.index))
    slopes, _ = jax.jit(lambda x: vote(key, teachers, vars, weights, x, y, settings))(x)
    arrays = [jax.tree.map(np.asarray, teacher.vars._asdict()) for teacher in teachers]
    return arrays, np.asarray(slopes)[..., 0], lambda: jax.block_until_ready(step(key, state, synth, vars))
