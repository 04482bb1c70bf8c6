"""Oracles of collages: crops, their scores, which are kept, and where they are laid."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from matchers.decoupled.rded import rded
from synth.errors import BadInput
from synth.images.content import Bytes
from synth.selection import collage
from synth.selection.choose import STARTS
from synth.selection.collage import choose_patches, compose, draw_square, framed, random_collages, shrink
from tests.support.toy_teachers import KEY, committee, started, task


def test_composites_take_patches_in_blocks():
    """Four patches a collage: the i-th shows ranks i, ipc + i, 2 ipc + i and 3 ipc + i, row by row, and cutting it returns them."""
    patches = np.arange(2 * 12, dtype=np.float32).reshape(2, 12, 1, 1, 1)
    made = compose(patches, 2)[..., 0]
    assert made[:3].tolist() == [[[i, 3 + i], [6 + i, 9 + i]] for i in range(3)]
    assert made[3].tolist() == [[12, 15], [18, 21]]
    whole = np.random.default_rng(0).normal(size=(2, 8, 3, 2, 1)).astype(np.float32)
    cut = compose(whole, 2).reshape(2, 2, 2, 3, 2, 2, 1).transpose(0, 2, 4, 1, 3, 5, 6)  # class, cell row, cell column, image
    np.testing.assert_array_equal(cut.reshape(2, 8, 3, 2, 1), whole)
    np.testing.assert_array_equal(compose(whole, 1), whole.reshape(16, 3, 2, 1))


@pytest.mark.parametrize(("box", "cell"), [((2, 3, 6), (3, 3)), ((0, 0, 9), (4, 4)), ((4, 1, 4), (8, 8)), ((1, 2, 5), (5, 5))])
def test_a_crop_is_shrunk_as_pillow_does(box, cell):
    """Bilinear with averaging where it shrinks, and nothing of what lies outside the box."""
    image = np.random.default_rng(1).uniform(size=(9, 9)).astype(np.float32)
    top, left, side = box
    expected = Image.fromarray(image[top : top + side, left : left + side]).resize(cell, Image.Resampling.BILINEAR)
    found = shrink(jnp.asarray(image)[..., None], top, left, side, cell)[..., 0]
    np.testing.assert_allclose(found, np.asarray(expected), atol=1e-5)


def test_squares_lie_inside_and_have_the_share_that_is_asked_for():
    top, left, side = jax.jit(jax.vmap(lambda key: jnp.stack(draw_square(key, (10, 10)))))(jax.random.split(KEY, 2000)).T
    assert min(top.min(), left.min()) >= 0 and max((top + side).max(), (left + side).max()) <= 10
    area = np.asarray(side) ** 2 / 100
    assert area.min() >= 0.08 and area.max() == 1 and abs(area.mean() - 0.54) < 0.02  # sides are rounded
    assert len(np.unique(top)) > 5


@pytest.mark.slow
def test_the_easiest_crop_of_images_of_the_rank_is_chosen():
    """Brute force over every crop that was drawn: of eight images the easiest four, those in the middle or the hardest."""
    (held,), (_, examples) = committee(1), started()
    seen = {}

    def record(key, x, *, count, cell):
        seen[len(seen)] = np.asarray(original(key, x, count=count, cell=cell))
        return jnp.asarray(seen[len(seen) - 1])

    original = collage.draw_crops
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(collage, "draw_crops", record)
        ranks = {rank: choose_patches(KEY, (held,), examples, 1, factor=2, crops=3, rank=rank) for rank in ("easy", "medium", "hard")}
    for label in range(3):
        crops = seen[label].reshape(8, 3, 2, 2, 1)
        assert all(np.array_equal(crops, seen[run + label].reshape(8, 3, 2, 2, 1)) for run in (3, 6))
        logits = held.net.apply(held.vars, framed(jnp.asarray(crops.reshape(24, 2, 2, 1)), (4, 4, 1))).logits
        entropy = -np.asarray(jax.nn.log_softmax(logits))[:, label].reshape(8, 3)
        order = sorted(range(8), key=lambda i: min(entropy[i]))
        best = [crops[i, min(range(3), key=lambda j: entropy[i, j])] for i in order]
        np.testing.assert_array_equal(ranks["easy"][label], best[:4])
        np.testing.assert_array_equal(ranks["medium"][label], best[2:6])
        np.testing.assert_array_equal(ranks["hard"][label], best[4:])


def test_a_crop_is_shown_in_the_middle_of_nothing():
    image = np.asarray(framed(jnp.ones((1, 2, 2, 1)), (4, 6, 1)))[0, ..., 0]
    assert image.sum() == 4 and image[1:3, 2:4].sum() == 4


def test_rded_stores_composites_in_bytes_with_its_teacher_asked_online():
    held, (synth, examples) = committee(2), started(1)
    matcher = rded(held, task(), factor=2, images=8, crops=2, member=2)
    first, second = (matcher.step(KEY, (), synth, examples)[0] for _ in range(2))
    assert isinstance(first.x, Bytes) and first.x.pixels.shape == (3, 4, 4, 1) and first.y.kind == "online"
    np.testing.assert_array_equal(first.x.pixels, second.x.pixels)
    k_patches, _ = jax.random.split(KEY)
    expected = compose(choose_patches(k_patches, held[1:], examples, 1, factor=2, images=8, crops=2), 2)
    scale = float(synth.info.preprocess.std[0])
    assert np.abs(np.asarray(first.x.decode()) - expected).max() * scale * 255 <= 1.01


def test_too_few_images_and_odd_sizes_are_refused():
    held, (synth, examples) = committee(1), started(3)
    with pytest.raises(BadInput, match=r"--ipc: the collages of a class take 12 real images, of 8 that there are"):
        rded(held, task(), factor=2).step(KEY, (), synth, examples)
    few, _ = started(1)
    with pytest.raises(BadInput, match=r"--ipc: the collages of a class take 4 real images, of 3 that there are"):
        rded(held, task(), factor=2, images=3).step(KEY, (), few, examples)
    with pytest.raises(BadInput, match=r"collages of 3x3: images of 4x4 have no such equal cells"):
        choose_patches(KEY, held, examples, 1, factor=3)


def test_random_collages_show_four_different_images():
    _, (_, examples) = committee(1), started()
    constant = examples._replace(x=np.broadcast_to(np.arange(24, dtype=np.float32)[:, None, None, None], (24, 4, 4, 1)).copy())
    made = np.asarray(STARTS["collage"](KEY, constant, 2))
    assert made.shape == (6, 4, 4, 1)
    cells = np.round(made.reshape(6, 2, 2, 2, 2)[:, :, 0, :, 0].reshape(3, 8), 4)  # eight images a class, each of one value
    assert [sorted(row) for row in cells.tolist()] == [list(range(8 * c, 8 * c + 8)) for c in range(3)]
    np.testing.assert_array_equal(made, random_collages(KEY, constant, 2))
