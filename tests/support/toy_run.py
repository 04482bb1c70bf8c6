"""A tiny method, its data and its run, for tests of the loop; as a program, a process that tests may kill."""

import sys
import time
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.runtime import run_folder as runs
from matchers.base import Matcher, PerClass, descend
from synth.base import Examples
from synth.files.format import save_set
from synth.images.content import Pixels
from synth.images.preprocess import Standard
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet

CLASSES, SHAPE = 2, (3, 3, 1)


def data() -> Examples:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(CLASSES, dtype=np.int32), 12)
    return Examples(rng.normal(size=(24, *SHAPE)).astype(np.float32), y)


def start() -> SyntheticSet:
    info = Info(("zero", "one"), Standard(np.zeros(1, np.float32), np.ones(1, np.float32)), data="toy", method="toy")
    x = jax.random.normal(jax.random.key(9), (CLASSES, *SHAPE))
    return SyntheticSet(Pixels(x), Hard(jnp.arange(CLASSES, dtype=jnp.int32), CLASSES), info=info)


@cache
def matcher(*, lr: float = 0.05, poison: int = -1) -> Matcher:
    """Pulls every image to a linear map of its class mean; the map moves at each step, as networks do. The loss is NaN at `poison`."""

    def init(key, synth):
        return {"map": jax.random.normal(key, (9, 9)) / 3, "age": 0, "mean": 0.0, "nothing": jnp.zeros((0, 3))}  # weakly typed, and empty

    def loss(key, synth, aux, batch):
        noise = jax.random.normal(key, (CLASSES, 9)) * jnp.float32(0.1)
        target = batch.reshape(CLASSES, -1, 9).mean(1) @ aux["map"] + noise
        value = ((synth.x.decode().reshape(CLASSES, 9) - target) ** 2).sum()
        return jnp.where(aux["age"] == poison, jnp.nan, value), {"age": aux["age"]}

    def after(key, synth, aux):
        return {
            **aux,
            "map": aux["map"] * 0.99 + jax.random.normal(key, (9, 9)) * jnp.float32(0.02),
            "age": aux["age"] + 1,
            "mean": aux["map"].mean(),
        }

    return descend(loss, optax.sgd(lr, momentum=0.5), init=init, after=after, feed=PerClass(8))


def run(steps: int, *, folder=None, seed: int = 0, nap: float = 0.0, log_every=3, checkpoint_every=5, method=None, feed=None, **more):
    """The toy run; `nap` seconds pass at every step."""
    method = method or matcher()
    drawn = feed or make_feed(method.feed, data(), CLASSES, seed=seed)

    def slow(step: int):
        time.sleep(nap)
        return drawn(step)

    schedule = loop.Schedule(steps, log_every, checkpoint_every, more.pop("eval_every", 0))
    return loop.run(jax.random.key(seed), method, start(), slow, schedule, folder=folder, **more)


def held_run(folder: Path, steps: int, *, config=None, force=False, **more) -> SyntheticSet | None:
    """The toy run in a run folder, as the workbench does it; None where it is done."""
    with runs.open_run(folder, config or {"method": "toy", "lr": 0.05}, steps=steps, command="toy", data_digest="d", force=force) as held:
        if held.done:
            return None
        synth = run(steps, folder=folder, starting=held.begin, saved=held.saved, **more)
        save_set(folder / "set.npz", synth)
    return synth


def pixels(synth: SyntheticSet) -> bytes:
    return np.asarray(synth.x.pixels).tobytes()


if __name__ == "__main__":  # FOLDER STEPS NAP
    from tests import conftest  # noqa: F401 (the same devices and compiler settings, and so the same bits)

    try:
        held_run(Path(sys.argv[1]), int(sys.argv[2]), nap=float(sys.argv[3]))
    except KeyboardInterrupt:
        sys.exit(130)
