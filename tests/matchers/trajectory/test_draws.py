"""What trajectory methods draw: an augmentation for every image and every step of the student, noise for every kernel, correct examples."""

from dataclasses import replace
from inspect import signature

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from scipy import stats

from matchers import REGISTRY
from matchers.base import Piece
from matchers.trajectory.common import Student, distance, perturbed
from matchers.trajectory.datm import choose_correct
from tests.support.toy_data import ToyExperts, as_set, blobs, smooth_net

KEY = jax.random.key(11)
METHODS = [name for name, method in REGISTRY.items() if {"experts", "inner_steps"} <= signature(method.load()).parameters.keys()]


def stretch(experts: ToyExperts) -> Piece:
    """The second epoch of an expert, and where it led."""
    rows = experts.read(0, [1, 2, 3])
    return Piece(jnp.asarray(rows[0]), jnp.asarray(rows[1:]), jnp.int32(1))


def test_a_student_draws_an_augmentation_for_every_step_and_one_for_every_image():
    """Of five steps at three images each no two show the same; another step of the method shows others, the same key the same."""
    drawn = []

    def augment(key, x, *, siamese):
        assert siamese is False, "one draw would serve all images of a batch"
        jax.debug.callback(lambda value: drawn.append(float(value)), jax.random.uniform(key))
        return x

    loss = jax.jit(distance(smooth_net(), augment, Student(5, 3)))
    synth, found = replace(as_set(blobs(2)), lr=jnp.float32(0.1)), []
    at = stretch(ToyExperts(smooth_net()))
    for key in (KEY, jax.random.key(12), KEY):
        jax.block_until_ready(loss(key, synth, at._replace(targets=at.targets[-1:])))
        jax.effects_barrier()
        found.append(set(drawn))
        drawn.clear()
    assert [len(values) for values in found] == [5, 5, 5]
    assert found[0] == found[2] and not found[0] & found[1]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_hands_its_augmentation_to_the_student(name):
    """Called for batches of the student alone, with parameters for every image."""
    seen, experts = [], ToyExperts(smooth_net())

    def augment(key, x, *, siamese):
        seen.append((siamese, x.shape))
        return x

    matcher = REGISTRY[name].load()(smooth_net(), augment, experts, inner_steps=4, batch=4, max_start=2)
    synth = matcher.prepare(KEY, as_set(blobs(2)), blobs(9))
    at = stretch(experts)
    given = at if matcher.feed.every else at._replace(targets=at.targets[-1:])
    jax.eval_shape(lambda: matcher.step(KEY, matcher.init(KEY, synth), synth, given))
    assert set(seen) == {(False, (4, 4, 4, 1))}


def test_every_kernel_has_noise_of_its_own():
    """Kernels of one shape differ in it, and so do two steps; the noise has no share in common with the order of the images."""
    ones, unravel = ravel_pytree({"first": jnp.ones((3, 3, 2, 2)), "second": jnp.ones((3, 3, 2, 2))})
    once, again = (unravel(perturbed(key, unravel, ones, 1.0)) for key in jax.random.split(KEY))
    noise = [np.asarray(tree[name]).ravel() - 1 for tree in (once, again) for name in ("first", "second")]
    correlations = np.corrcoef(noise)[np.triu_indices(4, 1)]
    assert np.abs(correlations).max() < 0.6 and min(np.abs(part).max() for part in noise) > 0.1


def correct(classes: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that are right about every example, and the classes, one after another."""
    y = np.tile(np.arange(classes), each)
    return np.eye(classes, dtype=np.float32)[y], y


def test_correct_examples_are_drawn_from_all_of_their_class():
    """Each as often as any other: 4 of 12 in 400 draws, hypergeometric cells, within 5 standard deviations."""
    z, y = correct(2, 12)
    chosen = np.stack([choose_correct(key, [z], y, 8) for key in jax.random.split(KEY, 400)])
    for c, part in enumerate((chosen[:, :4], chosen[:, 4:])):
        counts = np.bincount(part.ravel(), minlength=24)[y == c]
        assert counts.sum() == 1600 and np.abs(counts - 400 / 3).max() < 5 * np.sqrt(400 * (1 / 3) * (2 / 3)), counts


def test_correct_examples_differ_by_class_and_by_key():
    """Places within a class tell nothing of those in another; the same key gives the same."""
    z, y = correct(2, 12)
    keys = jax.random.split(KEY, 200)
    places = np.stack([choose_correct(key, [z], y, 8) // 2 for key in keys])
    first, second = places[:, 0], places[:, 4]
    assert abs(stats.pearsonr(first, second).statistic) < 0.3 and (first != second).mean() > 0.8
    assert len({tuple(row) for row in places.tolist()}) == 200
    np.testing.assert_array_equal(choose_correct(keys[0], [z], y, 8) // 2, places[0])


def test_examples_that_a_later_network_adds_are_drawn_too():
    """Where the first is right about one example alone, the second gives the others, in no order of theirs."""
    z, y = correct(2, 12)
    first = z.copy()
    first[2:] = first[2:, ::-1]  # right about the first of each class
    rest = np.stack([choose_correct(key, [first, z], y, 8) for key in jax.random.split(KEY, 60)])
    assert set(rest[:, 0]) == {0} and set(rest[:, 4]) == {1}
    assert len(set(rest[:, 1:4].ravel())) == len(set(rest[:, 5:].ravel())) == 11
