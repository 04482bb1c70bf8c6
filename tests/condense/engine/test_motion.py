"""How far a set has moved from its start."""

import jax.numpy as jnp
import numpy as np

from condense.engine.motion import moved_from
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import SyntheticSet


def test_motion_is_the_root_mean_square_of_all_pixels():
    """Four of twelve pixels move by 3 to either side: sqrt(4 * 9 / 12)."""
    x, y = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype(np.float32), Hard(jnp.zeros(3, jnp.int32), 2)
    moved = moved_from(SyntheticSet(Pixels(jnp.asarray(x)), y))
    assert moved(SyntheticSet(Pixels(jnp.asarray(x)), y)) == {"moved": 0.0}
    x[1] += np.array([3, -3, 3, -3]).reshape(2, 2, 1)
    np.testing.assert_allclose(moved(SyntheticSet(Pixels(jnp.asarray(x)), y))["moved"], np.sqrt(3), rtol=1e-6)
