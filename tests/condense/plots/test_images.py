"""The picture of a set: where images land, what their pixels are, and that names stand at the left."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from condense.plots import fonts
from condense.plots.fonts import drawable, font_with, write_names
from condense.plots.images import draw_grid
from condense.plots.modalities import save_grid
from synth.errors import BadInput
from synth.images.content import Pixels
from synth.images.preprocess import fit_standard, fit_zca
from synth.labels.plain import Hard, Soft
from synth.set import Info, SyntheticSet

FITS = {"standard": fit_standard, "zca": fit_zca}


def a_set(raw, y, *, preprocess="standard", classes=("zero", "one", "two")):
    """A set that stands for these raw images."""
    fitted = FITS[preprocess](np.random.default_rng(5).random((40, *raw.shape[1:])).astype(np.float32))
    return SyntheticSet(Pixels(jnp.asarray(fitted.apply(raw))), y, info=Info(classes, fitted))


def cell(picture, row, column, columns, size):
    """The pixels of a cell, counted from the right edge and the top."""
    side, gap = size, 2
    left, top = picture.width - (columns - column) * (side + gap), gap + row * (side + gap)
    return np.asarray(picture)[top : top + side, left : left + side]


@pytest.mark.parametrize("preprocess", FITS)
@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_by_class_undone_and_enlarged(preprocess, channels):
    raw = np.random.default_rng(0).random((5, 8, 8, channels)).astype(np.float32)
    picture = draw_grid(a_set(raw, Hard(jnp.int32([2, 0, 2, 2, 0]), 3), preprocess=preprocess), per_class=2)
    assert picture.mode == "RGB" and picture.height == 2 + 3 * 34
    for row, column, image in ((0, 0, 1), (0, 1, 4), (2, 0, 0), (2, 1, 2)):
        expected = np.kron(raw[image], np.ones((4, 4, 1))) * 255 * np.ones(3)
        np.testing.assert_allclose(cell(picture, row, column, 2, 32), expected, atol=0.6)
    assert (cell(picture, 1, 0, 2, 32) == 255).all(), "a class without images leaves its row empty"


def test_soft_labels_go_to_their_largest_class():
    raw = np.stack([np.full((40, 40, 1), shade, np.float32) for shade in (0.2, 0.4, 0.6)])
    picture = draw_grid(a_set(raw, Soft(jnp.float32([[0, 1, 3], [5, 1, 0], [0, 9, 8]]))))
    assert [cell(picture, row, 0, 1, 120).mean().round() for row in range(3)] == [102, 153, 51]


def test_values_are_clipped_or_stretched():
    raw = np.zeros((2, 32, 32, 1), np.float32)
    raw[0, :16], raw[0, 16:], raw[1, :16], raw[1, 16:] = -1, 1.5, 0.4, 0.6
    synth = a_set(raw, Hard(jnp.int32([0, 1]), 3))
    for stretch, expected in ((False, [[0, 255], [102, 153]]), (True, [[0, 255], [0, 255]])):
        picture = draw_grid(synth, stretch=stretch)
        np.testing.assert_array_equal([cell(picture, row, 0, 1, 96)[[0, 95], 0, 0] for row in (0, 1)], expected)


def test_names_stand_at_the_left():
    raw = np.ones((3, 32, 32, 1), np.float32)
    drawn = {}
    for name in ("", "one", "a name that is much too long to be drawn"):
        picture = draw_grid(a_set(raw, Hard(jnp.int32([0, 1, 2]), 3), classes=("zero", name, "two")))
        margin = np.asarray(picture)[:, : picture.width - 98]
        drawn[name] = [(margin[2 + row * 98 : 98 + row * 98] < 128).any() for row in range(3)]
        assert margin.shape[1] < 200
    assert drawn == {"": [True, False, True], "one": [True] * 3, "a name that is much too long to be drawn": [True] * 3}


def test_saved_picture_is_the_drawn_one(tmp_path):
    synth = a_set(np.random.default_rng(1).random((4, 8, 8, 3)).astype(np.float32), Hard(jnp.int32([0, 1, 2, 0]), 3))
    save_grid(tmp_path / "grid.png", synth, per_class=1, stretch=True)
    with Image.open(tmp_path / "grid.png") as picture:
        assert picture.format == "PNG"
        np.testing.assert_array_equal(picture, draw_grid(synth, per_class=1, stretch=True))
    with pytest.raises(BadInput, match=r"none/grid\.png: cannot write"):
        save_grid(tmp_path / "none" / "grid.png", synth)


def test_more_than_a_hundred_classes_are_cut():
    raw = np.random.default_rng(2).random((120, 4, 4, 1)).astype(np.float32)
    picture = draw_grid(a_set(raw, Hard(jnp.arange(120, dtype=jnp.int32), 120), classes=tuple(map(str, range(120)))))
    assert picture.height == 2 + 100 * 34
    np.testing.assert_allclose(cell(picture, 99, 0, 1, 32)[:, :, 0], np.kron(raw[99, :, :, 0], np.ones((8, 8))) * 255, atol=0.6)


def test_wrong_calls():
    synth = a_set(np.zeros((1, 4, 4, 1), np.float32), Hard(jnp.int32([0]), 3))
    with pytest.raises(BadInput, match="per_class is 0"):
        draw_grid(synth, per_class=0)
    with pytest.raises(ValueError, match="without info"):
        draw_grid(synth.bare())
    with pytest.raises(BadInput, match="no images"):
        draw_grid(SyntheticSet(Pixels(jnp.zeros((1, 4))), synth.y, info=synth.info))


@pytest.mark.parametrize(
    ("name", "drawn"),
    [
        ("Grün", "Grun"),
        ("ñandú", "nandu"),
        ("Straße", "Strasse"),
        ("Łódź", "Lodz"),
        ("猫", "class 3"),
        ("кот", "class 3"),
        ("T-shirt/top", "T-shirt/top"),
    ],
)
def test_names_are_drawn_in_letters_that_the_font_has(name, drawn):
    assert drawable(name, "class 3") == drawn


def test_names_keep_their_accents_where_a_font_has_them(monkeypatch):
    """Every font lacks something: then accents go, and names in other scripts give way."""
    ttf = pytest.importorskip("matplotlib", reason="brings a font with accents").get_data_path() + "/fonts/ttf/DejaVuSans.ttf"
    pairs = [("Grün", "class 0"), ("кот", "class 1")]
    font_with.cache_clear()
    monkeypatch.setattr(fonts, "FILES", ("missing.ttf", ttf))
    names, font = write_names(pairs)
    assert names == ["Grün", "кот"] and fonts.has_all(font, "Grünкот") and not fonts.has_all(font, "猫")
    assert write_names([*pairs, ("猫", "class 2")])[0] == ["Grun", "class 1", "class 2"]
    font_with.cache_clear()
    monkeypatch.setattr(fonts, "FILES", ())
    assert write_names(pairs)[0] == ["Grun", "class 1"]
    assert write_names([("T-shirt", "class 0")])[0] == ["T-shirt"]
    font_with.cache_clear()
