"""Leakage of soft labels, measured from outside: on data by name, with what is said where a teacher has learned nothing."""

import jax
import jax.numpy as jnp
import pytest

import condense
from condense import nets
from evals.leakage import measure_leakage
from synth.base import take_all
from tests.support.three_classes import NET, three_classes


def test_it_is_that_of_the_training_images_with_the_network_by_name(tmp_path, capsys):
    data = three_classes(tmp_path)
    found = condense.measure_leakage(data, net=NET, epochs=3, lr=1e-2, temperature=4, seed=5)
    net, images = nets.build(nets.named(NET, data.image, 3), data.image, 3), jnp.asarray(take_all(data.train).x)
    assert found == measure_leakage(jax.random.key(5), net, images, 3, temperature=4.0, epochs=3, lr=1e-2)
    assert "of its random labels, so little can leak; give more epochs, a larger net or fewer images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"data": "toy_graphs"}, "toy_graphs: leakage is measured on images, and these are graphs"),
        ({"net": "mlp:widht=3"}, "widht"),
        ({"epochs": 0}, "--epochs 0: give a whole number of at least 1"),
        ({"temperature": 0}, "--temperature 0: give a number"),
        ({"lr": -1.0}, "--lr -1.0: give a number"),
        ({"seed": -1}, "--seed -1: give a whole number"),
    ],
)
def test_wrong_calls_are_refused(change, words):
    with pytest.raises(condense.BadInput, match=words):
        condense.measure_leakage(**{"data": "digits", **change})
