"""Trajectory guided dataset distillation (Ran, Pu, Liu, Bi and Xiao, AAAI 2026)."""

from collections.abc import Callable
from typing import Annotated

import jax.numpy as jnp
import optax

from matchers.base import Matcher, PerClass, Stages, descend, flat_parameters
from matchers.distribution.common import augmented, by_class, embed, mean_distance
from synth.base import Net, Vars
from synth.options import BelowOne, NonNegative, Positive


def tgdd(
    net: Net,
    augment: Callable,
    experts,
    *,
    lr: Annotated[float, Positive] = 1.0,
    momentum: Annotated[float, BelowOne] = 0.5,
    batch: int = 64,
    window: int = 5,
    weight: Annotated[float, NonNegative] = 0.1,
) -> Matcher:
    """Matches class means in the features of experts while these are trained, and keeps the set recognisable to later ones.

    L = sum_c || mean_i psi_t(A(x_ci)) - mean_j psi_t(A(s_cj)) ||^2 + lambda sum_c mean_j l(f_t'(A(s_cj)), y_cj) over real images x and
    synthetic images s of class c. psi_t is the flattened last feature map of an expert after t epochs, f_t' are the logits of the same
    expert after t' epochs, l the cross entropy with the label y, and A one augmentation that all of them share. Every step takes another
    expert, t uniform in 0 ... K - 1 and t' uniform in t + 1 ... min(t + L, K), where K epochs are recorded.

    Args:
      net: the experts' network; one with batch statistics is refused.
      augment: siamese augmentation (key, x, siamese) -> x.
      experts: recorded trajectories, recipe `sgd`.
      lr: step size of the images (> 0).
      momentum: of the images' optimiser, in [0, 1).
      batch: real images a class and step.
      window: L, the most epochs from the first snapshot to the later one. The released code has 7, of which the first is t itself.
      weight: lambda >= 0 of the cross entropy; 0 leaves distribution matching along the trajectory. The released code has 1 by default.

    Raises:
      BadInput: a network with batch statistics.
    """
    unravel = flat_parameters(net)

    def loss(key, synth, aux, fed):
        examples, (earlier, later) = fed
        real, fake = (augmented(key, augment, x) for x in (examples, by_class(synth, len(examples))))
        matching = mean_distance(*(embed(net, Vars(unravel(earlier)), views) for views in (real, fake)))
        logits = net.apply(Vars(unravel(later)), fake.reshape(-1, *fake.shape[2:]), train=True).logits
        targets = synth.y.targets(jnp.arange(len(logits)), None)
        constraint = jnp.sum(synth.y.loss(logits, targets)) / fake.shape[1]
        return matching + weight * constraint, {"matching": matching, "cross_entropy": constraint}

    return descend(loss, optax.sgd(lr, momentum=momentum), feed=(PerClass(batch), Stages(window)), start="random")
