"""Selection: real images of the right class, compared in the space that is asked for."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense import nets
from matchers import REGISTRY
from matchers.selection.kmeans import kmeans
from synth.base import Examples
from synth.labels.plain import Hard
from synth.selection.choose import choose_herding, choose_kmeans
from synth.set import SyntheticSet
from synth.training.fit import train_on
from synth.vectors import Vectors, write_columns
from tests.support.matching import (
    KEY,
)
from tests.support.toy_data import as_set, blobs, smooth_net


@pytest.mark.parametrize("name", ["random", "kmeans", "herding"])
def test_selection_keeps_real_images_of_the_right_class(name):
    examples = blobs(9)
    matcher = REGISTRY[name].load()(None) if name == "random" else REGISTRY[name].load()(smooth_net(), space="pixels")
    start = as_set(blobs(2, seed=4))
    synth, _, _ = matcher.step(KEY, matcher.init(KEY, start), start, examples)
    chosen = [np.flatnonzero((examples.x == image).all((1, 2, 3))) for image in np.asarray(synth.x.pixels)]
    assert all(len(found) == 1 for found in chosen) and len({int(found[0]) for found in chosen}) == 6
    assert [int(examples.y[found[0]]) for found in chosen] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("name", ["kmeans", "herding"])
def test_selection_compares_what_a_network_trained_on_the_examples_embeds(name):
    """Not what it embeds before its training, and not pixels; the bar counts the epochs, and the classes in either space."""
    net, examples, start = smooth_net(), blobs(30, seed=2), as_set(blobs(2, seed=4))
    k_space, k_choose = jax.random.split(KEY) if name == "kmeans" else (KEY, None)

    def choice(features):
        features = np.asarray(features).reshape(90, -1)
        chosen = choose_herding(features, examples.y, 2) if name == "herding" else choose_kmeans(k_choose, features, examples.y, 2)
        return examples.x[chosen]

    by_epochs = [choice(net.apply(train_on(k_space, net, *examples, 3, epochs=epochs), examples.x).embed) for epochs in (0, 40)]
    for space, epochs, wanted in (("pixels", 0, choice(examples.x)), ("embed", 40, by_epochs[1])):
        matcher, done = REGISTRY[name].load()(net, space=space, epochs=40), []
        picked = matcher.step(KEY, (), start, examples, lambda done=done: done.append(1))[0].x.pixels
        np.testing.assert_array_equal(picked, wanted)
        assert len(done) + 1 == matcher.host(start) == 3 + epochs
    assert all((other != by_epochs[1]).any() for other in (by_epochs[0], choice(examples.x)))


def test_kmeans_takes_the_vectors_in_the_middle_of_clumps_that_a_glance_finds():
    clump = np.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1]])  # the first is its middle
    x = np.concatenate([clump + shift for shift in ((0, 0), (100, 0), (0, 50), (0, 500))]).astype(np.float32)
    y = np.repeat(np.int32([0, 1]), 10)
    start = SyntheticSet(Vectors(jnp.zeros((4, 2)), write_columns([["a"], ["b"]])), Hard(jnp.int32([0, 0, 1, 1]), 2))
    matcher = kmeans(nets.build("linear", (2,), 2))
    chosen = matcher.step(KEY, (), start, Examples(x, y), lambda: None)[0].x
    assert chosen.columns == start.x.columns
    assert {tuple(row) for row in np.asarray(chosen.decode()[:2]).tolist()} == {(0, 0), (100, 0)}
    assert {tuple(row) for row in np.asarray(chosen.decode()[2:]).tolist()} == {(0, 50), (0, 500)}
