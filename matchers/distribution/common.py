"""What the methods of distribution matching share: both sides seen through one augmentation and one network, and the distance of means.

Examples are f32[classes n ...] in model space, class by class; features are f32[classes n d], the flattened last feature map.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from synth.base import Net, Vars
from synth.numerics.backend import map_batched
from synth.set import SyntheticSet


def by_class(synth: SyntheticSet, classes: int) -> Float[Array, "classes m ..."]:
    """The examples of a set that holds the same number of each of `classes` classes, one class after another, with an axis of classes."""
    examples = synth.x.decode()
    return examples.reshape(classes, -1, *examples.shape[1:])


def augmented(key: jax.Array, augment: Callable, examples: Float[Array | np.ndarray, "classes n ..."]) -> Float[Array, "classes n ..."]:
    """Every class under an augmentation of its own, with the same parameters for all its examples. The same key gives the same ones,
    however many examples there are, so that real and synthetic examples are changed alike. `augment` is (key, x, siamese) -> x, called
    with siamese."""
    keys = jax.random.split(key, len(examples))
    return map_batched(lambda key, x: augment(key, x, siamese=True), keys, examples)


def embed(net: Net, vars: Vars, views: Float[Array, "classes n ..."]) -> Float[Array, "classes n d"]:
    """The features of all examples under a network with variables `vars`. They go through it together, in train mode, which matters to
    batch normalisation alone."""
    across = views.swapaxes(0, 1)  # devices that share the n examples of every class can share an axis that n leads
    features = net.apply(vars, across.reshape(-1, *views.shape[2:]), train=True).embed
    return features.reshape(*across.shape[:2], -1).swapaxes(0, 1)


def mean_distance(real: Float[Array, "classes n d"], fake: Float[Array, "classes m d"]) -> Float[Array, ""]:
    """sum_c || mean_i real_ci - mean_j fake_cj ||^2 of features by class. No gradient goes to the real ones."""
    gap = jax.lax.stop_gradient(real.mean(1)) - fake.mean(1)
    return jnp.sum(gap**2)
