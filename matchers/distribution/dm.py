"""Distribution matching (Zhao and Bilen, WACV 2023)."""

from collections.abc import Callable
from typing import Annotated

import jax
import optax

from matchers.base import Matcher, PerClass, descend
from matchers.distribution.common import augmented, by_class, embed, mean_distance
from synth.base import Net
from synth.options import BelowOne, Positive


def dm(
    net: Net, augment: Callable, *, lr: Annotated[float, Positive] = 1.0, momentum: Annotated[float, BelowOne] = 0.5, batch: int = 64
) -> Matcher:
    """Matches the mean embedding of every class under freshly drawn random networks.

    L = sum_c || mean_i psi(A(x_ci)) - mean_j psi(A(s_cj)) ||^2 over real images x and synthetic images s of class c, where psi is the
    flattened last feature map of a network drawn anew each step and A one augmentation shared by both sides (paper, eq. 4).

    Args:
      net: the family of networks; all classes are embedded together, in train mode, which matters to batch normalisation alone.
      augment: siamese augmentation (key, x, siamese) -> x.
      lr: step size of the images (> 0); as published 1, and 10 from 100 images a class.
      momentum: of the images' optimiser, in [0, 1).
      batch: real images a class and step; as published 256.
    """

    def loss(key, synth, aux, real):
        k_net, k_augment = jax.random.split(key)
        drawn = net.init(k_net)
        features = (embed(net, drawn, augmented(k_augment, augment, x)) for x in (real, by_class(synth, len(real))))
        return mean_distance(*features), {}

    return descend(loss, optax.sgd(lr, momentum=momentum), feed=PerClass(batch), start="random")
