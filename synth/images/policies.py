"""Augmentations of retraining that work on pixels of 8 bits: AutoAugment, RandAugment and colour jitter.

Each leaves model space, cuts to [0, 1], rounds to bytes, changes them, and goes back. A mini-batch has one draw, as it has in DC-Bench
(Cui et al., NeurIPS 2022), which hands whole mini-batches to its image library; so a step computes one operation and not all of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from synth.images import pixel_operations as op
from synth.images.augment import Augment
from synth.images.content import to_bytes
from synth.images.preprocess import Preprocess

Images = Float[Array, "b h w c"]
Change = Callable[[jax.Array, Images], Images]

LEVELS, RAND_LEVEL, RAND_LEVELS = 9, 9, 30  # highest level of AutoAugment; level of RandAugment here, of so many
ENHANCED, TURN, SHEAR, SHIFT, FEWEST = 0.9, 30.0, 0.3, 150 / 331, 4
JITTER, JITTER_HUE = 0.4, 0.2  # brightness, contrast and saturation from 1 - JITTER to 1 + JITTER; hue in turns


class Kind(NamedTuple):
    """One operation of a policy: `apply(image, strength)`; `most` is the strength at the highest level, from 0 at level 0; `signed` where
    its sign is drawn."""

    apply: Callable
    most: float = 0.0
    signed: bool = False


def _alone(change: Callable) -> Kind:
    return Kind(lambda x, strength: change(x))


def _from_one(change: Callable) -> Kind:
    return Kind(lambda x, strength: change(x, 1 + strength), ENHANCED, True)


OPERATIONS = {
    "ShearX": Kind(op.shear_x, SHEAR, True),
    "ShearY": Kind(op.shear_y, SHEAR, True),
    "TranslateX": Kind(op.translate_x, SHIFT, True),
    "TranslateY": Kind(op.translate_y, SHIFT, True),
    "Rotate": Kind(op.rotate, TURN, True),
    "Brightness": _from_one(op.brightness),
    "Color": _from_one(op.color),
    "Contrast": _from_one(op.contrast),
    "Sharpness": _from_one(op.sharpness),
    "Posterize": Kind(lambda x, strength: op.posterize(x, 8 - jnp.round(strength)), 8.0 - FEWEST),
    "Solarize": Kind(lambda x, strength: op.solarize(x, op.TOP - strength), float(op.TOP)),
    "AutoContrast": _alone(op.autocontrast),
    "Equalize": _alone(op.equalize),
    "Invert": _alone(op.invert),
    "Identity": _alone(lambda x: x),
}
NAMES = tuple(OPERATIONS)
RANDOM = tuple(name for name in NAMES if name != "Invert")  # of RandAugment

# Cubuk et al., AutoAugment, CVPR 2019: the policy found on CIFAR-10, two operations each with its probability and level.
CIFAR10 = (
    (("Invert", 0.1, 7), ("Contrast", 0.2, 6)),
    (("Rotate", 0.7, 2), ("TranslateX", 0.3, 9)),
    (("Sharpness", 0.8, 1), ("Sharpness", 0.9, 3)),
    (("ShearY", 0.5, 8), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.5, 8), ("Equalize", 0.9, 2)),
    (("ShearY", 0.2, 7), ("Posterize", 0.3, 7)),
    (("Color", 0.4, 3), ("Brightness", 0.6, 7)),
    (("Sharpness", 0.3, 9), ("Brightness", 0.7, 9)),
    (("Equalize", 0.6, 5), ("Equalize", 0.5, 1)),
    (("Contrast", 0.6, 7), ("Sharpness", 0.6, 5)),
    (("Color", 0.7, 7), ("TranslateX", 0.5, 8)),
    (("Equalize", 0.3, 7), ("AutoContrast", 0.4, 8)),
    (("TranslateY", 0.4, 3), ("Sharpness", 0.2, 6)),
    (("Brightness", 0.9, 6), ("Color", 0.2, 8)),
    (("Solarize", 0.5, 2), ("Invert", 0.0, 3)),
    (("Equalize", 0.2, 0), ("AutoContrast", 0.6, 0)),
    (("Equalize", 0.2, 8), ("Equalize", 0.6, 4)),
    (("Color", 0.9, 9), ("Equalize", 0.6, 6)),
    (("AutoContrast", 0.8, 4), ("Solarize", 0.2, 8)),
    (("Brightness", 0.1, 3), ("Color", 0.7, 0)),
    (("Solarize", 0.4, 5), ("AutoContrast", 0.9, 3)),
    (("TranslateY", 0.9, 9), ("TranslateY", 0.7, 9)),
    (("AutoContrast", 0.9, 2), ("Solarize", 0.8, 3)),
    (("Equalize", 0.8, 8), ("Invert", 0.1, 3)),
    (("TranslateY", 0.7, 9), ("AutoContrast", 0.9, 1)),
)


def on_bytes(preprocess: Preprocess, change: Change) -> Augment:
    """The augmentation that applies `change(key, pixels)` to mini-batches of whole numbers in 0..255, one draw for all images; `siamese` is
    ignored. `preprocess` leads from model space to [0, 1] and back."""

    def augment(key, x, *, siamese):
        pixels = to_bytes(preprocess.undo(x.astype(jnp.float32))).astype(jnp.float32)
        return preprocess.apply(change(key, pixels) / op.TOP).astype(x.dtype)

    return augment


def autoaugment(key: jax.Array, x: Images) -> Images:
    """One of the 25 pairs of operations of AutoAugment's CIFAR-10 policy, drawn uniformly; each of the two with its probability, at its
    level of 0 to 9, and with a drawn sign. Pixels f32[b h w c] are whole numbers in 0..255.

    Cubuk et al., AutoAugment, CVPR 2019.
    """
    which = jnp.array([[NAMES.index(name) for name, _, _ in pair] for pair in CIFAR10])
    chance = jnp.array([[share for _, share, _ in pair] for pair in CIFAR10])
    level = jnp.array([[most for _, _, most in pair] for pair in CIFAR10]) / LEVELS
    k_pair, *keys = jax.random.split(key, 3)
    pair = jax.random.randint(k_pair, (), 0, len(CIFAR10))
    for place, k in enumerate(keys):
        k_on, k_sign = jax.random.split(k)
        number = jnp.where(jax.random.uniform(k_on) < chance[pair, place], which[pair, place], NAMES.index("Identity"))
        x = _apply(k_sign, x, number, level[pair, place])
    return x


def randaugment(key: jax.Array, x: Images) -> Images:
    """One of 14 operations, drawn uniformly, at level 9 of 30 and with a drawn sign. Pixels f32[b h w c] are whole numbers in 0..255.

    Cubuk et al., RandAugment, CVPR workshops 2020; one operation is what DC-Bench takes.
    """
    k_which, k_sign = jax.random.split(key)
    number = jnp.array([NAMES.index(name) for name in RANDOM])[jax.random.randint(k_which, (), 0, len(RANDOM))]
    return _apply(k_sign, x, number, RAND_LEVEL / RAND_LEVELS)


def jitter(key: jax.Array, x: Images) -> Images:
    """Brightness, contrast and saturation, each by a factor U(0.6, 1.4), and hue by U(-0.2, 0.2) turns, in a drawn order. Pixels
    f32[b h w c] are whole numbers in 0..255."""
    k_order, k_factor, k_hue = jax.random.split(key, 3)
    factors = jax.random.uniform(k_factor, (3,), minval=1 - JITTER, maxval=1 + JITTER)
    amounts = jnp.append(factors, jax.random.uniform(k_hue, (), minval=-JITTER_HUE, maxval=JITTER_HUE))
    changes = [jax.vmap(change, (0, None)) for change in (op.brightness, op.contrast, op.color, op.hue)]
    for number in jax.random.permutation(k_order, len(changes)):
        x = jax.lax.switch(number, changes, x, amounts[number])
    return x


def _apply(key: jax.Array, x: Images, number, share) -> Images:
    """The operation `number` of NAMES at a share of its highest strength, with a drawn sign where it has one."""
    sign = jnp.where(jax.random.bernoulli(key), 1.0, -1.0)

    def branch(kind: Kind):
        return lambda x, share: jax.vmap(kind.apply, (0, None))(x, share * kind.most * (sign if kind.signed else 1.0))

    return jax.lax.switch(number, [branch(kind) for kind in OPERATIONS.values()], x, jnp.float32(share))
