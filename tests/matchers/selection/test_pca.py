"""Prune, combine, augment: which images are kept, where they stand, and what networks are shown of them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from condense.data.load import load_data
from condense.engine import loop
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set
from matchers.selection.pca import pca
from matchers.selection.select import select
from synth.base import Examples, take_all
from synth.errors import BadInput
from synth.selection.collage import whole_collages
from synth.set import Info
from tests.support.three_classes import clouds, rows_of
from tests.support.toy_ranks import toy_ranks

KEY, CLASSES, IPC = jax.random.key(0), 3, 2


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Grey 8x8 images of three classes."""
    np.savez(path := tmp_path_factory.mktemp("data") / "toy.npz", **clouds())
    return load_data(f"npz:{path}")


def made(data, ipc=IPC, **options):
    """The set of a run, and the log that it read."""
    ranks = toy_ranks(data.train.y)
    matcher = pca(ranks, **options)
    first = initial_set(KEY, matcher, None, data, ipc, Info(data.classes, data.preprocess))
    return loop.run(KEY, matcher, first, make_feed(matcher.feed, data.train, CLASSES, seed=0), loop.Schedule(1)), ranks


def error(ranks) -> np.ndarray:
    """EL2N by hand: the mean of the norms over networks and epochs, of which there are fewer than ten."""
    return np.asarray(ranks.read("error"), np.float64).mean((0, 1))


def parts(images, grid: int) -> np.ndarray:
    """[n grid^2 p q] of collages, the cells of each row by row."""
    n, h, w, _ = images.shape
    return (
        np.asarray(images).reshape(n, grid, h // grid, grid, w // grid).transpose(0, 1, 3, 2, 4).reshape(n, grid**2, h // grid, w // grid)
    )


@pytest.mark.parametrize("grid", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_collages_show_the_easiest_images_of_every_class_whole(data, grid):
    """Cell k of the i-th collage holds the image of rank k ipc + i of the class, resized by JAX; grid^2 ipc of a class, each once."""
    ipc = 1 if grid == 4 else IPC
    (synth, ranks), real = made(data, ipc=ipc, grid=grid), take_all(data.train)
    assert (synth.cells, len(synth), synth.y.kind) == (grid, CLASSES * ipc, "hard")
    assert synth.y.index.tolist() == np.repeat(np.arange(CLASSES), ipc).tolist()
    small = np.asarray(jax.image.resize(real.x, (len(real.y), 8 // grid, 8 // grid, 1), "bilinear"))[..., 0]
    shown = parts(synth.x.decode(), grid).reshape(CLASSES, ipc, grid**2, 8 // grid, 8 // grid)
    for c in range(CLASSES):
        members = np.flatnonzero(real.y == c)
        easiest = members[np.argsort(error(ranks)[members])][: grid**2 * ipc]
        for i in range(ipc):
            np.testing.assert_allclose(shown[c, i], small[easiest[i::ipc]], atol=1e-5)


def test_a_grid_of_one_is_pruning(data):
    """The images of `select`, bit for bit, shown as other images are: the easiest of every class."""
    (synth, ranks), real = made(data, grid=1), take_all(data.train)
    assert synth.cells == 1
    kept = np.concatenate([np.flatnonzero(real.y == c)[np.argsort(error(ranks)[real.y == c])][:IPC] for c in range(CLASSES)])
    np.testing.assert_array_equal(synth.x.decode(), np.asarray(real.x)[kept])
    pruned = select(ranks).step(KEY, (), synth, data.train)[0]
    np.testing.assert_array_equal(pruned.x.decode(), synth.x.decode())
    np.testing.assert_array_equal(pruned.y.index, synth.y.index)


def test_each_part_can_be_left_out(data):
    """Without P the collages are of random images, without A they are the same collages shown whole, without C and A they are pruning."""
    usual, _ = made(data)
    whole, _ = made(data, inside=False)
    np.testing.assert_array_equal(whole.x.decode(), usual.x.decode())
    assert (usual.cells, whole.cells) == (2, 1)
    drawn, _ = made(data, rule="random")
    assert drawn.cells == 2 and (np.asarray(drawn.x.decode()) != np.asarray(usual.x.decode())).any()
    small = np.asarray(jax.image.resize(take_all(data.train).x, (len(data.train.y), 4, 4, 1), "bilinear"))[..., 0]
    gaps = np.abs(parts(drawn.x.decode(), 2).reshape(-1, 1, 4, 4) - small[None]).max((2, 3))
    index = gaps.argmin(1)
    assert gaps.min(1).max() < 1e-5 and len(set(index)) == 4 * IPC * CLASSES
    assert data.train.y[index].tolist() == np.repeat(np.arange(CLASSES), 4 * IPC).tolist()
    plain, _ = made(data, rule="random", grid=1)
    assert plain.cells == 1 and {*rows_of(plain.x.decode())} <= {*rows_of(take_all(data.train).x)}


def test_another_score_keeps_other_images(data):
    usual, _ = made(data)
    other, _ = made(data, by="aum")
    assert (np.asarray(other.x.decode()) != np.asarray(usual.x.decode())).any()


def test_what_cannot_be_combined_is_refused(data):
    with pytest.raises(BadInput, match="--by love: unknown score"):
        pca(toy_ranks(data.train.y), by="love")
    with pytest.raises(BadInput, match="is of other examples than the training split"):
        pca(toy_ranks(data.train.y[1:])).step(KEY, (), made(data)[0], data.train)
    with pytest.raises(BadInput, match=r"collages of 3x3: images of 8x8 have no such equal cells"):
        made(data, ipc=1, grid=3)
    with pytest.raises(
        BadInput, match=r"--ipc: pca combines 4 images into one, and 30 a class take 120 of each; the smallest class has 90"
    ):
        made(data, ipc=30)


def test_collages_of_images_of_any_proportions():
    """Of 4x6 pixels in 2x2 cells of 2x3; classes of one and of two collages."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(12, 4, 6, 2)).astype(np.float32), np.repeat([0, 1], [4, 8]).astype(np.int32)
    images, labels = whole_collages(Examples(jnp.asarray(x), y), np.arange(12)[::-1].copy(), factor=2)
    assert images.shape == (3, 4, 6, 2) and labels.tolist() == [0, 1, 1]
    small = np.asarray(jax.image.resize(x, (12, 2, 3, 2), "bilinear"))
    for image, ranks in zip(images, ([3, 2, 1, 0], [11, 9, 7, 5], [10, 8, 6, 4]), strict=True):
        cells = image.reshape(2, 2, 2, 3, 2).transpose(0, 2, 1, 3, 4).reshape(4, 2, 3, 2)
        np.testing.assert_allclose(cells, small[ranks], atol=1e-5)
