"""How a set starts: what it says of its labels."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import pytest

from condense.engine.initial import initial_set
from matchers.base import once
from synth.labels.plain import Target
from synth.set import Info
from tests.support.three_classes import three_classes


@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_learned_without_labels_belongs_to_no_class(labelled, tmp_path):
    """Three numbers an image, as many as there are classes: of a method that reads labels they are scores, of another representations."""
    data, key = three_classes(tmp_path), jax.random.key(0)
    matcher = once(lambda key, synth, examples: synth)._replace(
        prepare=lambda key, synth, examples: replace(synth, y=Target(jnp.zeros((len(synth), 3))))
    )
    synth = initial_set(key, matcher, "random", data, 2, Info(data.classes, data.preprocess), labelled=labelled)
    assert synth.represents != labelled and synth.y.classes == len(data.classes)
