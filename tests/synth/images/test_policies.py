"""Operations on bytes against Pillow, and the draws of AutoAugment, RandAugment and colour jitter."""

import colorsys
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from synth.images import pixel_operations as op
from synth.images import policies
from synth.images.preprocess import Nothing, Standard

RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (9, 12, 3), np.uint8)
DIM = (NOISE // 5 + 40).astype(np.uint8)  # few values, in the middle
STRENGTHS = (0.113, 0.5717, 1.0, 1.3371, 1.8713)  # times a difference of bytes they are no whole numbers, which floats may miss by a hair
IMAGES = {"noise": NOISE, "dim": DIM, "flat": np.full((9, 12, 3), 77, np.uint8), "grey": NOISE[..., :1]}


def ours(change, image, *more):
    return np.asarray(jax.jit(change)(jnp.asarray(image, jnp.float32), *map(jnp.float32, more)))


def theirs(change, image):
    made = np.asarray(change(Image.fromarray(image if image.shape[-1] > 1 else image[..., 0])))
    return made.reshape(image.shape)


def affine(image, *coefficients):
    return image.transform(image.size, Image.Transform.AFFINE, coefficients, Image.Resampling.NEAREST)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(
    ("change", "oracle", "strengths"),
    [
        (op.brightness, lambda f: lambda x: ImageEnhance.Brightness(x).enhance(f), STRENGTHS),
        (op.contrast, lambda f: lambda x: ImageEnhance.Contrast(x).enhance(f), STRENGTHS),
        (op.color, lambda f: lambda x: ImageEnhance.Color(x).enhance(f), STRENGTHS),
        (op.sharpness, lambda f: lambda x: ImageEnhance.Sharpness(x).enhance(f), STRENGTHS),
        (op.solarize, lambda t: lambda x: ImageOps.solarize(x, t), (0, 85, 128, 255)),
        (op.posterize, lambda b: lambda x: ImageOps.posterize(x, int(b)), (8, 7, 5, 4)),
        (op.shear_x, lambda s: lambda x: affine(x, 1, s, 0, 0, 1, 0), (-0.3, -0.1, 0.0, 0.26)),
        (op.shear_y, lambda s: lambda x: affine(x, 1, 0, 0, s, 1, 0), (-0.3, -0.1, 0.0, 0.26)),
        (op.translate_x, lambda s: lambda x: affine(x, 1, 0, int(s * x.size[0]), 0, 1, 0), (-0.45, -0.2, 0.05, 0.3)),
        (op.translate_y, lambda s: lambda x: affine(x, 1, 0, 0, 0, 1, int(s * x.size[1])), (-0.45, -0.2, 0.05, 0.3)),
        (op.rotate, lambda a: lambda x: x.rotate(a, Image.Resampling.NEAREST), (-30.0, -6.7, 0.0, 13.3, 26.7)),
    ],
)
def test_operations_with_a_strength_are_pillows(name, change, oracle, strengths):
    for strength in strengths:
        np.testing.assert_array_equal(ours(change, IMAGES[name], strength), theirs(oracle(strength), IMAGES[name]), str(strength))


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize(("change", "oracle"), [(op.invert, ImageOps.invert), (op.equalize, ImageOps.equalize)])
def test_operations_without_a_strength_are_pillows(name, change, oracle):
    large = np.tile(IMAGES[name], (4, 4, 1))  # with fewer than 256 pixels nothing is equalised
    np.testing.assert_array_equal(ours(change, large), theirs(oracle, large))


@pytest.mark.parametrize("name", IMAGES)
def test_autocontrast_is_pillows_but_for_what_floats_miss_there(name):
    image = IMAGES[name]
    low, high = image.min((0, 1)).astype(int), image.max((0, 1)).astype(int)
    wanted = np.where(high > low, (image - low) * 255 // np.maximum(high - low, 1), image)
    made = ours(op.autocontrast, image)
    np.testing.assert_array_equal(made, wanted)
    short = made - theirs(ImageOps.autocontrast, image)
    assert ((short == 0) | (short == 1)).all() and (short == 0).mean() > 0.9, "its doubles fall short of some whole numbers"


def test_a_turn_of_the_hue_is_that_of_the_colour_circle():
    for turns in (-0.2, -0.03, 0.0, 0.11, 0.5):
        wanted = np.empty(NOISE.shape)
        for at in np.ndindex(NOISE.shape[:2]):
            h, s, v = colorsys.rgb_to_hsv(*(NOISE[at] / 255))
            wanted[at] = np.multiply(colorsys.hsv_to_rgb((h + turns) % 1, s, v), 255)
        assert np.abs(ours(op.hue, NOISE, turns) - wanted).max() <= 0.501, "rounded to whole numbers"
    np.testing.assert_array_equal(ours(op.hue, IMAGES["grey"], 0.2), IMAGES["grey"])


def test_the_policy_is_25_pairs_of_known_operations_with_probabilities_and_levels():
    assert len(policies.CIFAR10) == 25
    for name, share, level in (one for pair in policies.CIFAR10 for one in pair):
        assert name in policies.OPERATIONS and 0 <= share <= 1 and level in range(10)
    assert len(policies.RANDOM) == 14


def batch(*images):
    return jnp.asarray(np.stack(images), jnp.float32)


def test_autoaugment_gives_what_a_pair_of_the_policy_gives(monkeypatch):
    """With one pair and certain draws: the two operations in order, at their levels, with either sign."""
    x = np.tile(NOISE, (3, 3, 1))
    pair = (("TranslateX", 1.0, 3), ("Posterize", 1.0, 7))
    shift = int(36 * 150 / 331 * 3 / 9)
    monkeypatch.setattr(policies, "CIFAR10", (pair,))
    wanted = [theirs(lambda image, a=a: ImageOps.posterize(affine(image, 1, 0, a, 0, 1, 0), 5), x) for a in (shift, -shift)]
    seen = set()
    for seed in range(12):
        made = np.asarray(policies.autoaugment(jax.random.key(seed), batch(x, x)))
        np.testing.assert_array_equal(made[0], made[1], "one draw a mini-batch")
        (which,) = [number for number, one in enumerate(wanted) if (one == made[0]).all()]
        seen.add(which)
    assert seen == {0, 1}
    monkeypatch.setattr(policies, "CIFAR10", (tuple((name, 0.0, level) for name, _, level in pair),))
    np.testing.assert_array_equal(policies.autoaugment(jax.random.key(0), batch(x))[0], x)


def test_randaugment_applies_each_of_its_operations_about_equally_often():
    x = batch(np.tile(DIM, (3, 3, 1)))
    change = jax.jit(policies.randaugment)
    found = [np.asarray(change(jax.random.key(seed), x)).tobytes() for seed in range(420)]
    level = jnp.float32(9 / 30)
    singles = {}
    for name in policies.RANDOM:
        kind = policies.OPERATIONS[name]
        signs = (1, -1) if kind.signed else (1,)
        results = [np.asarray(jax.jit(jax.vmap(kind.apply, (0, None)))(x, sign * level * kind.most)).tobytes() for sign in signs]
        singles[name] = sum(found.count(one) for one in dict.fromkeys(results))
    assert sum(singles.values()) >= 420, "nothing else is done"
    assert all(count >= 10 for count in singles.values()), singles


def test_jitter_changes_all_four_within_their_ranges():
    grey = batch(np.full((4, 4, 3), 100, np.uint8))
    change = jax.jit(policies.jitter)
    means = np.array([np.asarray(change(jax.random.key(seed), grey)).mean() for seed in range(60)])
    assert 58 <= means.min() < 70 and 130 < means.max() <= 140, "of one grey, brightness alone changes"
    colours = np.array([np.asarray(change(jax.random.key(seed), batch(NOISE))) for seed in range(20)])
    assert np.abs(colours - np.round(colours)).max() == 0 and colours.min() >= 0 and colours.max() <= 255
    assert all((a != b).any() for a, b in pairwise(colours))


def test_on_bytes_goes_to_pixels_and_back():
    how = Standard(np.float32([0.4, 0.5, 0.6]), np.float32([0.2, 0.3, 0.1]))
    raw = batch(NOISE, DIM)
    same = policies.on_bytes(how, lambda key, x: x)(jax.random.key(0), how.apply(raw / 255), siamese=False)
    np.testing.assert_allclose(how.undo(same) * 255, raw, atol=1e-3)
    beyond = policies.on_bytes(Nothing(), lambda key, x: x)(jax.random.key(0), jnp.full((1, 2, 2, 1), 1.5), siamese=False)
    np.testing.assert_array_equal(beyond, 1.0)
    turned = policies.on_bytes(how, lambda key, x: jax.vmap(op.invert)(x))(jax.random.key(0), how.apply(raw / 255), siamese=False)
    np.testing.assert_allclose(how.undo(turned) * 255, 255 - raw, atol=1e-3)
    half = how.apply(raw / 255).astype(jnp.bfloat16)
    assert policies.on_bytes(how, policies.jitter)(jax.random.key(3), half, siamese=False).dtype == jnp.bfloat16
