"""How fast this machine is at the steps of a method: measured on two small networks, for estimates of larger ones."""

import time
from collections.abc import Callable

import numpy as np

from condense.data.load import from_arrays
from condense.engine.machines import HERE, Fitted, Machine, fit_rates
from condense.engine.memory import free_memory
from condense.runtime.devices import devices
from condense.workflows.forecast import forecast
from condense.workflows.lengths import step_cost
from condense.workflows.plan import Plan, plan
from synth.numerics import backend

WIDTHS = 32, 64  # of the networks that are timed
IMAGE, CLASSES, BATCH = (32, 32, 3), 4, 16
STEPS = 5  # that are timed of each; the fastest counts


def calibrate(*, clock: Callable[[], float] = time.perf_counter) -> Machine:
    """Measures this machine: steps of `dm` on random images, by networks of the widths in `WIDTHS`, and fits to their times how many
    operations and bytes a second the products of such steps come to. `clock` gives seconds."""
    platform, count = backend.platform_here(), len(devices())
    plans = [problem(width) for width in WIDTHS]
    works = [forecast(made, platform, count).work() for made in plans]
    flops, bandwidth = fit_rates(works, [step_cost(made, most=STEPS, clock=clock).seconds for made in plans])
    return Machine(HERE, count, Fitted(flops, free_memory(), bandwidth, platform))


def problem(width: int) -> Plan:
    """A small distillation by a ConvNet of so many channels: 16 random images of each of 4 classes a step."""
    rng, n = np.random.default_rng(0), 3 * BATCH * CLASSES
    x = rng.integers(0, 256, (n, *IMAGE), np.uint8)
    data = from_arrays(x, np.arange(n) % CLASSES, name="noise")
    return plan("dm", data, ipc=1, net=f"convnet:width={width}", batch=BATCH)
