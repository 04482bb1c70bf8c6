"""A method whose step costs next to nothing, with a rule for its length, for tests of what stands around methods."""

from collections.abc import Mapping
from typing import Annotated, Any

import jax.numpy as jnp
import optax

from matchers.base import Matcher, PerClass, descend
from matchers.method import Method
from synth.options import BelowOne, Positive


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """Ten steps go as far as one."""
    return {"lr": min(0.5, 1 / steps)}


def pull(*, lr: Annotated[float, Positive] = 0.5, momentum: Annotated[float, BelowOne] = 0.0, batch: int = 4) -> Matcher:
    """Pulls every image to the mean of its class; the set is scored by a closed form."""

    def loss(key, synth, aux, real):
        target = jnp.repeat(real.mean(1), len(synth) // len(real), 0)
        return ((synth.x.decode() - target) ** 2).sum() / 2, {}

    return descend(loss, optax.sgd(lr, momentum=momentum), feed=PerClass(batch), start="noise")._replace(recipe="krr-ntk")


PULL = Method("pull", pull, "Pulls every image to the mean of its class; the set is scored by a closed form.", scaled=scaled)
