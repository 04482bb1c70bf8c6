"""Labels that need no teachers: what a mini-batch is trained on, example by example."""

import jax.numpy as jnp
import numpy as np
import pytest

from synth.labels.plain import Hard, Runs, Soft, Target

SCORES = np.random.default_rng(0).normal(size=(6, 4)).astype(np.float32)
ONE_HOT = np.eye(4)[[0, 0, 2, 2, 2, 3]]  # no example of class 1
KINDS = {
    "hard": (Hard(jnp.array([0, 0, 2, 2, 2, 3]), 4), ONE_HOT),
    "runs": (Runs(jnp.array([2, 0, 3, 1]), jnp.array([7, 5, 9, 4])), ONE_HOT),
    "soft": (Soft(jnp.asarray(SCORES)), np.exp(SCORES) / np.exp(SCORES).sum(1, keepdims=True)),
    "target": (Target(jnp.asarray(SCORES)), SCORES),
}


@pytest.mark.parametrize("name", KINDS)
def test_targets_are_those_of_the_examples_that_are_asked_for(name):
    """In the order of the batch, repeated where it repeats, at the borders of classes too."""
    labels, expected = KINDS[name]
    for index in ([0, 1, 2, 3, 4, 5], [5, 2, 2, 0], [1], [4]):
        np.testing.assert_allclose(labels.targets(jnp.asarray(index), None), expected[index], rtol=1e-5)


def test_runs_count_examples_and_keep_the_weights_of_classes_apart():
    labels, _ = KINDS["runs"]
    assert labels.classes == 4 and labels.index().tolist() == [0, 0, 2, 2, 2, 3] and labels.index().dtype == np.int32
    np.testing.assert_array_equal(labels.probs(), ONE_HOT)
    for wrong in (
        Runs(jnp.array([-1, 2]), jnp.array([1, 1])),
        Runs(jnp.array([0, 0]), jnp.array([1, 1])),
        Runs(jnp.array([1, 1]), jnp.zeros(2, int)),
    ):
        with pytest.raises(ValueError, match="0 or more, and not all 0"):
            wrong.check()
