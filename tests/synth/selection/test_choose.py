"""Starts: against scikit-learn, brute force, and the order they promise."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import pairwise_distances_argmin

from condense.data.load import load_data
from condense.engine.initial import initial_set
from matchers import REGISTRY
from synth.base import Examples
from synth.errors import BadInput
from synth.selection.choose import STARTS, choose_herding, choose_kmeans, choose_random, noise
from synth.set import Info

KEY = jax.random.key(0)
CHOICES = {
    "random": choose_random,
    "kmeans": lambda key, y, k: choose_kmeans(key, FEATURES, y, k),
    "herding": lambda key, y, k: choose_herding(FEATURES, y, k),
}
labels = np.random.default_rng(1).permutation(np.repeat([0, 1, 2], [9, 7, 12])).astype(np.int32)
FEATURES = np.random.default_rng(2).normal(size=(len(labels), 5)).astype(np.float32)


@pytest.mark.parametrize("name", CHOICES)
@pytest.mark.parametrize("per_class", [1, 3, 7])
def test_choices_are_distinct_and_class_major(name, per_class):
    chosen = CHOICES[name](KEY, labels, per_class)
    assert chosen.dtype == np.int32 and len(set(chosen.tolist())) == 3 * per_class
    np.testing.assert_array_equal(labels[chosen], np.repeat([0, 1, 2], per_class))


@pytest.mark.parametrize("name", CHOICES)
def test_too_few_examples_name_the_class_and_the_most_there_is(name):
    with pytest.raises(BadInput, match=r"--ipc 8: class 1 has 7 examples beside those for validation; take at most 7"):
        CHOICES[name](KEY, labels, 8)
    with pytest.raises(BadInput, match="at least 1"):
        CHOICES[name](KEY, labels, 0)


@pytest.mark.parametrize("name", CHOICES)
def test_an_empty_class_is_too_few(name):
    with pytest.raises(BadInput, match="class 1 has 0"):
        CHOICES[name](KEY, np.where(labels == 1, 2, labels), 1)


def test_random_is_a_function_of_the_key_and_takes_all_equally_often():
    np.testing.assert_array_equal(choose_random(KEY, labels, 4), choose_random(KEY, jnp.asarray(labels), 4))
    draws = np.concatenate([choose_random(key, labels, 3) for key in jax.random.split(KEY, 600)])
    for c, size in enumerate((9, 7, 12)):
        found = np.bincount(draws, minlength=len(labels))[labels == c]
        assert (found > 0).all()
        # hypergeometric cells: variance 600 p (1 - p); 5 standard deviations
        p = 3 / size
        assert np.abs(found - 600 * p).max() < 5 * np.sqrt(600 * p * (1 - p)), "examples of a class are not drawn alike"


def test_kmeans_finds_the_example_nearest_to_each_planted_centre():
    rng = np.random.default_rng(3)
    centres = 20 * np.stack([np.eye(6)[:4], -np.eye(6)[:4]])  # [class, cluster, d]
    cloud = (centres[:, :, None] + rng.normal(size=(2, 4, 15, 6))).astype(np.float32)
    y = np.repeat([0, 1], 60)
    order = rng.permutation(120)
    features, y = cloud.reshape(120, 6)[order], y[order]
    chosen = choose_kmeans(KEY, features, y, 4)
    means = cloud.mean(2)
    for c in (0, 1):
        members = np.flatnonzero(y == c)
        expected = members[pairwise_distances_argmin(means[c], features[members])]
        assert set(chosen[4 * c : 4 * c + 4]) == set(expected)


def test_one_centre_is_the_mean_and_all_centres_are_everything():
    for c, i in enumerate(choose_kmeans(KEY, FEATURES, labels, 1)):
        members = np.flatnonzero(labels == c)
        assert i == members[np.linalg.norm(FEATURES[members] - FEATURES[members].mean(0), axis=1).argmin()]
    y = np.zeros(len(labels), np.int32)
    assert set(choose_kmeans(KEY, FEATURES, y, len(labels))) == set(range(len(labels)))


def test_kmeans_and_herding_stay_distinct_among_copies():
    same, y = np.ones((8, 3), np.float32), np.zeros(8, np.int32)
    assert len(set(choose_kmeans(KEY, same, y, 5))) == 5
    assert len(set(choose_herding(same, y, 5))) == 5


def test_kmeans_is_a_function_of_the_key():
    rng = np.random.default_rng(4)
    features, y = rng.normal(size=(200, 4)).astype(np.float32), np.zeros(200, np.int32)
    np.testing.assert_array_equal(choose_kmeans(KEY, features, y, 8), choose_kmeans(KEY, features, y, 8))
    assert any((choose_kmeans(KEY, features, y, 8) != choose_kmeans(jax.random.key(i), features, y, 8)).any() for i in (1, 2, 3))


def test_a_start_by_kmeans_has_a_bar_of_its_classes(capsys):
    method, data = REGISTRY["random"].load()(None), load_data("digits")
    for kind, told in (("random", r""), ("kmeans", rf"choosing the first images by k-means among {len(data.train.y):,} 10/10 .*\n")):
        initial_set(jax.random.key(0), method, kind, data, 1, Info(data.classes, data.preprocess))
        assert re.fullmatch(told, capsys.readouterr().err)


def test_herding_is_the_greedy_choice_of_brute_force():
    chosen = choose_herding(FEATURES, labels, 6)
    for c in range(3):
        members, taken = np.flatnonzero(labels == c), []
        mean = FEATURES[members].mean(0, dtype=np.float64)
        for _ in range(6):
            rest = [i for i in members if i not in taken]
            taken.append(min(rest, key=lambda i: np.linalg.norm(mean - FEATURES[[*taken, i]].mean(0, dtype=np.float64))))
        np.testing.assert_array_equal(chosen[6 * c : 6 * c + 6], taken)


def test_herding_of_fewer_is_a_prefix_and_its_mean_beats_random():
    six, two = choose_herding(FEATURES, labels, 6).reshape(3, 6), choose_herding(FEATURES, labels, 2).reshape(3, 2)
    np.testing.assert_array_equal(six[:, :2], two)

    def gap(chosen):
        return sum(np.linalg.norm(FEATURES[chosen[c]].mean(0) - FEATURES[labels == c].mean(0)) for c in range(3))

    assert gap(six) < min(gap(choose_random(key, labels, 6).reshape(3, 6)) for key in jax.random.split(KEY, 20))


def test_noise_is_standard_normal():
    x = np.asarray(noise(KEY, (40, 10, 10, 1)))
    assert x.dtype == np.float32 and x.shape == (40, 10, 10, 1)
    assert abs(x.mean()) < 5 / np.sqrt(x.size) and abs(x.var() - 1) < 5 * np.sqrt(2 / x.size)


@pytest.mark.parametrize("name", STARTS)
def test_every_start_gives_class_major_images(name):
    # every image carries its class in all pixels, so the order shows
    x = (10 * labels[:, None, None, None] + np.random.default_rng(5).uniform(size=(len(labels), 4, 6, 2))).astype(np.float32)
    images = np.asarray(STARTS[name](KEY, Examples(jnp.asarray(x), jnp.asarray(labels)), 3))
    assert images.shape == (9, 4, 6, 2) and images.dtype == np.float32
    if name == "noise":
        assert np.abs(images).max() < 6
    else:
        np.testing.assert_array_equal(images.mean((1, 2, 3)) // 10, np.repeat([0, 1, 2], 3))
        assert name == "collage" or all((image == x).all((1, 2, 3)).any() for image in images)  # cells of a collage: test_rded.py


def test_starts_on_pixels_are_the_choices_on_flat_pixels():
    x = np.random.default_rng(6).normal(size=(len(labels), 3, 3, 1)).astype(np.float32)
    flat, examples = x.reshape(len(labels), -1), Examples(jnp.asarray(x), jnp.asarray(labels))
    np.testing.assert_array_equal(STARTS["kmeans"](KEY, examples, 2), x[choose_kmeans(KEY, flat, labels, 2)])
    np.testing.assert_array_equal(STARTS["herding"](KEY, examples, 2), x[choose_herding(flat, labels, 2)])
    np.testing.assert_array_equal(STARTS["random"](KEY, examples, 2), x[choose_random(KEY, labels, 2)])
