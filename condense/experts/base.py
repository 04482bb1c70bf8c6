"""An expert recipe: the functions with which `synth.training.fit` trains one network."""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import optax

from synth.training.fit import on_examples, sgd, slope


def on_views(net, augment, x, y) -> Callable:
    """The objective most recipes train on, (params, stats, item) -> (loss, stats): the mean cross entropy of augmented mini-batches.

    `x` are all training examples, of which an item takes a mini-batch, and `y` their labels (`synth.labels.Labels`).
    """
    return on_examples(net, x, y, augment=augment)


class ExpertRecipe(NamedTuple):
    """How an expert is trained.

    Args:
      lr, momentum, weight_decay: of SGD as PyTorch defines it (`synth.training.fit.sgd`).
      batch: examples a step.
      objective: (net, augment, x, labels) -> objective as `synth.training.fit.fit` takes it.
      direction: what is descended, as `synth.training.fit.fit` takes it.
      drop: what the step size is multiplied with from epoch `drop_epoch(epochs)` on, where momentum starts anew.
    """

    lr: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    batch: int = 256
    objective: Callable = on_views
    direction: Callable = slope
    drop: float = 1.0

    def drop_epoch(self, epochs: int) -> int:
        """The first epoch, counted from 0, with the smaller step size: `epochs // 2 + 2`; `epochs` if the step size does not drop before
        the end."""
        return epochs if self.drop == 1 else min(epochs, epochs // 2 + 2)

    def optimiser(self, *, dropped=False) -> optax.GradientTransformation:
        """SGD at the step size before or after the drop; `dropped` may be traced."""
        lr = jnp.where(dropped, jnp.float32(self.lr * self.drop), jnp.float32(self.lr))
        return sgd(lr, momentum=self.momentum, weight_decay=self.weight_decay)
