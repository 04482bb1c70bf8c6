"""What starts and collages draw: each class for itself, each key anew, and a crop of its own for every cell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.base import Examples, Teacher, Vars
from synth.selection import collage
from synth.selection.choose import choose_kmeans, choose_random
from synth.selection.graphs import choose_within
from tests.support.toy_data import smooth_net
from tests.support.toy_graphs import some_examples

KEY, OTHER = jax.random.key(3), jax.random.key(4)
EACH = 10
HELD = Teacher(smooth_net(), Vars(()))
COLLAGES = {
    "patches": lambda key, examples: collage.choose_patches(key, (HELD,), examples, 1, factor=2, images=6, crops=2),
    "critical": lambda key, examples: collage.critical_patches(key, HELD, examples, 1, factor=2, images=6, crops=2, keep=1),
    "random": lambda key, examples: collage.random_collages(key, examples, 1, factor=2),
}


def numbered() -> Examples:
    """Three classes, one after another; the pixels of an image are its place within its class."""
    x = np.tile(np.arange(EACH, dtype=np.float32), 3)
    return Examples(np.broadcast_to(x[:, None, None, None], (3 * EACH, 4, 4, 1)).copy(), np.repeat(np.arange(3, dtype=np.int32), EACH))


@pytest.fixture
def drawn(monkeypatch):
    """For every class the places of the images whose crops are drawn, and the key of the crops; teachers find all of them alike."""
    seen = []

    def crops(key, x, *, count, cell):
        seen.append((tuple(np.asarray(x)[:, 0, 0, 0].astype(int).tolist()), tuple(np.asarray(jax.random.key_data(key)).tolist())))
        return jnp.zeros((len(x), count, *cell, x.shape[-1]))

    monkeypatch.setattr(collage, "draw_crops", crops)
    monkeypatch.setattr(collage, "difficulty", lambda teachers, x, label: np.zeros(len(x)))
    monkeypatch.setattr(collage, "in_batches", lambda read, asked, x: jnp.zeros(x.shape[:3]))
    monkeypatch.setattr(collage, "_maps", lambda net: None)
    return seen


@pytest.mark.parametrize("name", COLLAGES)
def test_every_class_draws_its_images_and_crops_for_itself(name, drawn):
    """Three classes under six keys are 18 choices of images and 18 keys of crops; the same key gives the same three."""
    keys = jax.random.split(KEY, 6)
    for key in (*keys, keys[0]):
        COLLAGES[name](key, numbered())
    once, again = drawn[:18], drawn[18:]
    assert len({images for images, _ in once}) == len({key for _, key in once}) == 18 and again == once[:3]
    assert all(len(set(images)) == len(images) for images, _ in once), "no image serves twice where there are others"
    assert {place for images, _ in once for place in images} == set(range(EACH))


def test_every_crop_of_every_image_is_drawn_for_itself():
    """Of six equal images four crops each: most of 24 boxes differ, though large ones are few; another key gives others."""
    ramp = jnp.broadcast_to(jnp.linspace(0, 1, 256).reshape(1, 16, 16, 1), (6, 16, 16, 1))
    found = [np.asarray(collage.draw_crops(key, ramp, count=4, cell=(2, 2))).reshape(24, -1) for key in (KEY, OTHER)]
    boxes = [{row.tobytes() for row in part} for part in found]
    assert min(map(len, boxes)) >= 16 and len(boxes[0] & boxes[1]) <= 8


def test_random_choices_of_a_class_tell_nothing_of_another():
    """Places within classes of one size, over 150 keys; and every key is another choice."""
    y = np.tile(np.arange(2), EACH)
    places = np.stack([choose_random(key, y, 3) // 2 for key in jax.random.split(KEY, 150)])
    assert abs(np.corrcoef(places[:, 0], places[:, 3])[0, 1]) < 0.3 and (places[:, 0] != places[:, 3]).mean() > 0.75
    assert len({tuple(row) for row in places.tolist()}) > 145


def test_kmeans_starts_every_class_for_itself():
    """Equal features in two classes, without groups: some starts end at other examples."""
    features = np.repeat(np.random.default_rng(0).normal(size=(40, 2)), 2, 0)
    chosen = [choose_kmeans(key, features, np.tile([0, 1], 40), 6) // 2 for key in jax.random.split(KEY, 3)]
    assert any(set(row[:6]) != set(row[6:]) for row in chosen)


@pytest.mark.parametrize("budget", [("ipc", 3), ("bytes", 120)])
def test_random_graphs_differ_by_class_and_key(budget):
    examples = some_examples(4, count=40)
    chosen = [choose_within(key, examples, budget).tolist() for key in (KEY, OTHER, KEY)]
    assert chosen[0] == chosen[2] != chosen[1]
    first, second = ([g // 2 for g in chosen[0] if examples.y[g] == c] for c in range(2))
    assert len(first) > 1 and len(second) > 1 and first != second
