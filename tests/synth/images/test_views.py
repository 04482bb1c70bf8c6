"""Views against resizing by JAX itself, boxes worked out by hand, and what must hold for every draw."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from synth.errors import BadInput
from synth.images.views import (
    View,
    cutmix,
    draw_box,
    every_cell,
    mixup,
    narrowed,
    random_flip,
    random_resized_crop,
    random_roll,
    random_shift,
    resample,
    shuffle_grid,
    shuffle_patches,
    view_of,
    within_cells,
)

KEY = jax.random.key(0)


def pictures(n=5, size=(8, 8), c=2, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, *size, c)), jnp.float32)


@pytest.mark.parametrize("box", [(0, 0, 8, 8), (2, 1, 4, 5), (7, 7, 1, 1), (0, 3, 8, 2)])
def test_a_resized_box_is_what_jax_makes_of_the_cut_out_pixels(box):
    x, (top, left, h, w) = pictures(1)[0], box
    expected = jax.image.resize(x[top : top + h, left : left + w], (8, 8, 2), "bilinear")
    np.testing.assert_allclose(resample(x, *box), expected, atol=1e-5)


def test_boxes_keep_area_ratio_and_place():
    """A thousand of them: inside the image, of an area and a ratio in their ranges (up to rounding of sides), uniform in place."""
    top, left, h, w = (np.asarray(a) for a in jax.vmap(lambda key: draw_box(key, (64, 48), (0.2, 0.5)))(jax.random.split(KEY, 1000)))
    assert (top >= 0).all() and (left >= 0).all() and (top + h <= 64).all() and (left + w <= 48).all()
    share, ratio = h * w / (64 * 48), w / h
    assert 0.19 < share.min() < 0.22 and 0.48 < share.max() < 0.52
    assert ((w - 0.5) / (h + 0.5) <= 4 / 3).all() and ((w + 0.5) / (h - 0.5) >= 3 / 4).all()
    assert ratio.min() < 0.8 and ratio.max() > 1.25
    assert abs((top / (64 - h)).mean() - 0.5) < 0.03 and top.min() == 0 and (top + h).max() == 64


def test_a_box_that_never_fits_is_the_whole_image():
    """The whole area at any ratio but one sticks out; ratios that round to the image's own sides fit."""
    boxes = np.stack([np.stack(jax.jit(lambda key: draw_box(key, (64, 8), (1.0, 1.0)))(key)) for key in jax.random.split(KEY, 5)])
    np.testing.assert_array_equal(boxes, np.broadcast_to([0, 0, 64, 8], (5, 4)))


DRAWS = {
    "crop": lambda key, x, shared: random_resized_crop(key, x, scale=(0.2, 0.6), shared=shared),
    "flip": lambda key, x, shared: random_flip(key, x, shared=shared),
    "roll": lambda key, x, shared: random_roll(key, x, least=0, most=5, shared=shared),
    "shift": lambda key, x, shared: random_shift(key, x, most=3, shared=shared),
    "shuffle": lambda key, x, shared: shuffle_patches(key, x, factor=2, shared=shared),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
def test_a_draw_is_shared_or_each_image_has_its_own(name):
    same = jnp.repeat(pictures(1), 8, 0)
    together, apart = (jax.jit(DRAWS[name], static_argnums=2)(KEY, same, shared) for shared in (True, False))
    np.testing.assert_array_equal(together, jnp.repeat(together[:1], 8, 0))
    assert len({row.tobytes() for row in np.asarray(apart)}) > 1
    np.testing.assert_array_equal(apart, DRAWS[name](KEY, same, False))


def test_a_shift_shows_a_window_of_the_padded_image_and_a_roll_loses_nothing():
    x = pictures()
    padded = np.pad(np.asarray(x), ((0, 0), (2, 2), (2, 2), (0, 0)))
    for i, row in enumerate(np.asarray(random_shift(KEY, x, most=2, shared=False))):
        assert any((padded[i, a : a + 8, b : b + 8] == row).all() for a in range(5) for b in range(5))
    rolled = np.asarray(random_roll(KEY, x, least=1, most=3, shared=True))
    matches = [(a, b) for a in range(8) for b in range(8) if (np.roll(np.asarray(x), (a, b), (1, 2)) == rolled).all()]
    assert len(matches) == 1 and all(1 <= shift <= 3 for shift in matches[0])


def test_patches_are_permuted_whole():
    x = pictures(3)

    def cells(x):
        return np.asarray(x).reshape(3, 2, 4, 2, 4, 2).transpose(0, 1, 3, 2, 4, 5).reshape(3, 4, -1)

    before, after = cells(x), cells(shuffle_patches(KEY, x, factor=2, shared=False))
    for a, b in zip(before, after, strict=True):
        assert sorted(row.tobytes() for row in a) == sorted(row.tobytes() for row in b)
    assert (before != after).any()
    with pytest.raises(BadInput, match="8x8 cannot be cut into 3x3"):
        shuffle_patches(KEY, x, factor=3, shared=False)


def test_mixup_is_the_sum_it_says():
    x = pictures()
    made, (partner, lam) = mixup(KEY, x, alpha=0.8)
    np.testing.assert_allclose(made, lam * x + (1 - lam) * x[partner], atol=1e-6)
    assert sorted(partner.tolist()) == list(range(5)) and 0 <= lam <= 1


def test_cutmix_shows_the_partner_in_one_box_of_the_batch_and_tells_its_share():
    x, shares = pictures(4, (10, 10)), []
    for key in jax.random.split(KEY, 30):
        made, (partner, lam) = jax.jit(cutmix, static_argnames="alpha")(key, x, alpha=1.0)
        moved = np.asarray(partner) != np.arange(4)
        inside = (np.asarray(made) != np.asarray(x)).any(-1)[moved]
        if inside.size and inside.any():
            assert (inside == inside[0]).all()
            rows, columns = inside[0].any(1), inside[0].any(0)
            assert (inside[0] == (rows[:, None] & columns[None])).all()
            assert (np.diff(np.flatnonzero(rows)) == 1).all() and (np.diff(np.flatnonzero(columns)) == 1).all()
            np.testing.assert_array_equal(np.asarray(made)[:, inside[0]], np.asarray(x)[np.asarray(partner)][:, inside[0]])
            assert lam == pytest.approx(1 - inside[0].mean(), abs=1e-6)
        shares.append(float(lam))
    assert 0.4 < np.mean(shares) < 0.95 and np.std(shares) > 0.1


def test_the_sides_of_a_box_of_cutmix_go_with_the_root_of_its_share(monkeypatch):
    """Of 40 x 20 pixels a quarter of the area is a box of 20 x 10, not of 10 x 5; for 0.15 the sides 40 and 20 sqrt(0.15) = 15.49 and 7.75
    are cut off to 15 and 7, and then to twice their halves. A box within the border is the largest there is."""
    x = jnp.broadcast_to(jnp.arange(2.0)[:, None, None, None], (2, 40, 20, 1))
    for share, sides in ((0.25, (20, 10)), (0.15, (14, 6))):
        monkeypatch.setattr("synth.images.views._share", lambda key, alpha, share=share: jnp.float32(1 - share))
        draw = jax.jit(lambda key, x: cutmix(key, x, alpha=1.0)[0])  # traced under this share
        boxes = []
        for key in jax.random.split(KEY, 40):
            first = np.asarray(draw(key, x))[0, :, :, 0] > 0  # shows the other image there, where that is its partner
            boxes.append((int(first.any(1).sum()), int(first.any(0).sum())))
        assert max(boxes) == sides and max(width for _, width in boxes) == sides[1]


def test_a_view_draws_its_operations_from_the_key_alone():
    x, view = pictures(), View(shuffle=2, crop=(0.3, 1.0), pad=1, flip=True, mix="cutmix")
    draw = jax.jit(View.sample, static_argnums=0)
    (a, mixed), (b, _), (c, _) = draw(view, KEY, x), draw(view, KEY, x), draw(view, jax.random.key(1), x)
    np.testing.assert_array_equal(a, b)
    assert (np.asarray(a) != np.asarray(c)).any()
    plain, unmixed = View().sample(KEY, x)
    np.testing.assert_array_equal(plain, x)
    assert unmixed.partner.tolist() == [0, 1, 2, 3, 4] and unmixed.lam == 1
    single, _ = draw(View(mix="cutmix"), KEY, x)
    assert {row.tobytes() for row in np.asarray(single)} != {row.tobytes() for row in np.asarray(a)} and mixed.partner.shape == (5,)


@pytest.mark.parametrize(
    "view",
    [
        View(),
        View(crop=(0.08, 1.0), flip=True, mix="cutmix"),
        View(shuffle=2, pad=4, mix="mixup", alpha=0.8),
        View(flip=True),
        View(cells=2, crop=(0.08, 1.0), narrow=300),
    ],
)
def test_a_view_is_named_by_its_text(view):
    assert view_of(str(view)) == view


@pytest.mark.parametrize(
    "text",
    [
        "",
        "crop=0.5",
        "crop=0-1",
        "crop=0.8-0.2",
        "cutmix=0",
        "cutmix=nan",
        "flip,crop=0.1-1",
        "turn=3",
        "shuffle=900",
        "pad=x",
        "cells=0",
        "cells=99",
        "narrow=9",
        "crop=0.1-1,narrow=-1",
    ],
)
def test_a_text_that_names_no_view_is_refused(text):
    with pytest.raises(ValueError):
        view_of(text)


@pytest.mark.slow
def test_every_crop_of_a_collage_lies_in_one_cell():
    """Ten thousand draws on an image whose cells are 0, 1, 2 and 3: a view that read two of them would show a number between."""
    collage = jnp.repeat(jnp.repeat(jnp.arange(4.0, dtype=jnp.float32).reshape(1, 2, 2, 1), 4, 1), 4, 2)
    draw = jax.jit(View.sample, static_argnums=0)
    seen, _ = draw(View(cells=2, shuffle=2, crop=(0.08, 1.0), flip=True), KEY, jnp.repeat(collage, 10_000, 0))
    shown = np.asarray(seen).reshape(10_000, -1)
    np.testing.assert_array_equal(shown, np.round(shown))
    np.testing.assert_array_equal(shown.min(1), shown.max(1))
    assert (np.abs(np.bincount(shown[:, 0].astype(int)) / 10_000 - 0.25) < 0.02).all(), "all cells are as probable"
    anywhere, _ = draw(View(crop=(0.08, 1.0), flip=True), KEY, jnp.repeat(collage, 100, 0))
    assert (np.asarray(anywhere).max((1, 2, 3)) > np.asarray(anywhere).min((1, 2, 3))).any(), "other crops see several"


@pytest.mark.slow
def test_a_cell_is_shown_as_large_as_the_collage():
    """Without a crop: each cell cut out and resized by JAX, whatever its proportions."""
    x = pictures(3, (8, 12))
    cut = np.asarray(x).reshape(3, 2, 4, 2, 6, 2).transpose(0, 1, 3, 2, 4, 5).reshape(12, 4, 6, 2)
    expected = jax.image.resize(cut, (12, 8, 12, 2), "bilinear")
    np.testing.assert_allclose(every_cell(x, 2), expected, atol=1e-5)
    seen, _ = within_cells(None, 2).sample(KEY, x)
    gaps = np.abs(np.asarray(seen)[:, None] - np.asarray(expected).reshape(3, 4, 8, 12, 2)).max((2, 3, 4))
    assert gaps.min(1).max() < 1e-5
    assert within_cells(None, 1) is None and within_cells(View(flip=True), 2) == View(cells=2, flip=True)


def test_crops_narrow_from_the_whole_image_to_their_range():
    """CDA's schedule of the least share, for 0.08 to 1: at epoch e of 10 it is 0.08 + 0.92 (1 + cos(pi e / 10)) / 2, then 0.08."""
    least = [float(narrowed((0.08, 1.0), epoch, 10)[0]) for epoch in range(13)]
    np.testing.assert_allclose(least[:11], [0.08 + 0.92 * (1 + np.cos(np.pi * e / 10)) / 2 for e in range(11)], rtol=1e-6)
    assert least[0] == 1 and least[10] == pytest.approx(0.08) and least[10:] == least[10:11] * 3
    low, high = narrowed((0.1, 0.5), 0, 10)
    assert (float(low), float(high)) == (1, 1) and narrowed((0.1, 0.5), 7, 0) == (0.1, 0.5)
    x, view = pictures(), View(crop=(0.08, 0.3), narrow=10)
    draw = jax.jit(View.sample, static_argnums=0)
    np.testing.assert_allclose(draw(view, KEY, x, epoch=0)[0], x, atol=1e-6)
    np.testing.assert_array_equal(draw(view, KEY, x, epoch=10)[0], draw(View(crop=(0.08, 0.3)), KEY, x)[0])


def test_a_grid_shuffles_columns_and_then_rows_of_patches():
    """As LINs-lab/RDED shuffles them: four arrangements of four patches, in which patches of a row stay in one row; all are seen."""
    image = jnp.arange(4.0).reshape(2, 2).repeat(2, 0).repeat(2, 1)[None, :, :, None]
    x = jnp.tile(image, (64, 1, 1, 1))
    seen = {tuple(np.asarray(one[::2, ::2, 0]).ravel().astype(int)) for one in shuffle_grid(KEY, x, factor=2)}
    assert seen == {(0, 1, 2, 3), (1, 0, 3, 2), (2, 3, 0, 1), (3, 2, 1, 0)}
    with pytest.raises(BadInput, match="cannot be cut into 3x3"):
        shuffle_grid(KEY, x, factor=3)
    assert str(view_of("grid=2,flip")) == "grid=2,flip"
