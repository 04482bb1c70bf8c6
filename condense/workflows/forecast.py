"""What a step takes on a machine that is not at hand: its program is traced and counted here, by the choices that are made there, and never
run."""

from typing import Any

import jax

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.engine.loop import STEP, compile_step, faultless, initial_state, stream
from condense.engine.measure import training_batch
from condense.engine.memory import memory_of_step
from condense.engine.operations import Work, count_work
from condense.runtime.devices import batch_shapes
from condense.workflows.lengths import feed_of
from condense.workflows.plan import Plan, stand_in_set
from matchers.base import Matcher
from synth.numerics import backend
from synth.set import SyntheticSet


class Forecast:
    """What one device of a machine has to do for a step of a method, and to hold.

    The step is traced with the part of a batch that one of the devices gets; what depends on the synthetic set alone, each device does.

    Args:
      matcher: the method. synth: a set as large as the one that it learns. batch: what its feed gives for a step.
      platform: of the devices, a name in `synth.numerics.backend.supposing`. count: how many there are.
    """

    def __init__(self, matcher: Matcher, synth: SyntheticSet, batch: Any, platform: str, count: int):
        self.matcher, self.synth, self.platform, self.batch = matcher, synth, platform, batch_shapes(batch, count)
        self.split = self.batch != batch_shapes(batch, 1)  # whether the devices share a batch

    def work(self) -> Work:
        """The products of a step."""
        with backend.supposing(backend.counted_platform(self.platform)):
            step, arguments = self._program()
            return count_work(step.func.trace(*step.args, *arguments).jaxpr)

    def state(self) -> int:
        """Bytes of the set and of the method's state, which a checkpoint holds."""
        return size_of(self._program()[1][1])

    def memory(self) -> int:
        """Bytes that a device holds in a step: set, state and batch, and the working memory of the program, which is compiled for this
        machine's processor. What the libraries of an accelerator take beside that is not in it."""
        with backend.supposing(self.platform):
            step, (key, *arguments) = self._program()
            return size_of(arguments) + memory_of_step(key, step, *arguments)

    def _program(self):
        step, key = compile_step(self.matcher), jax.random.key(0)
        carry = jax.eval_shape(lambda: initial_state(key, self.matcher, self.synth))
        return step, (stream(key, STEP), carry, faultless(), self.batch)


def forecast(made: Plan, platform: str, count: int) -> Forecast:
    """What one of `count` devices of a platform has to do for a step of a plan's method. Stand-ins take the place of missing inputs."""
    return Forecast(made.matcher, stand_in_set(made), feed_of(made)(0), platform, count)


def training_work(name: str, data: Data | GraphData, batch: int, platform: str) -> Work:
    """The products of one mini-batch of the training of a network, named by its specification, on data, for devices of a platform."""
    net = nets.build(name, data.image, len(data.classes))
    begin, train = training_batch(net, data.image, len(data.classes), batch=min(batch, len(data.train.y)))
    with backend.supposing(backend.counted_platform(platform)):
        return count_work(train.trace(jax.eval_shape(begin)).jaxpr)


def size_of(tree: Any) -> int:
    """Bytes of all arrays of a PyTree, or of those that its shapes describe."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
