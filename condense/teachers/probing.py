"""How much of the labels a linear probe finds in the features of a teacher that was trained without them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from condense.data.images import Data
from evals.transfer import draw_balanced, probe
from synth.base import Vars
from synth.training.stream import Chosen, read_over

PROBED = 5000  # training images that the probes are fitted to that are logged while a teacher is trained
FEATURES = 1 << 29  # bytes of the features that a probe is fitted to, and of those that it is scored on, where nothing else is said


def probe_accuracy(read: Callable, vars: Vars, data: Data, *, most: int | None = None) -> float | None:
    """Accuracy, a fraction, on validation images of a linear probe that is fitted to about `most` training images, as many of every
    class, and scored on `most` validation images, or on all where they are no more; None if there are none.

    Args:
      read: (vars, x) -> f32[b d], the features.
      most: by default as many as have features of 512 MiB.
    """
    if not len(data.val.y):
        return None
    width = jax.eval_shape(read, vars, jax.ShapeDtypeStruct((1, *data.image), jnp.float32)).shape[1]
    most = most or max(1, FEATURES // (4 * width))
    train = Chosen(data.train, draw_balanced(jax.random.key(0), data.train.y, min(1.0, most / len(data.train.y))))
    n = len(data.val.y)
    val = Chosen(data.val, np.sort(np.random.default_rng(0).choice(n, min(n, most), replace=False)))
    features, held_out = (jnp.asarray(read_over(read, vars, part)) for part in (train, val))
    found = probe(features, jnp.asarray(train.y), held_out, classes=len(data.classes))
    return float(np.mean(np.asarray(found) == val.y))
