"""Arrays of a released set as a set of this workbench: what its labels mean, and whether its pixels look like the stated normalisation."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from condense.data.images import Data, fitted
from condense.data.named import STATED
from condense.runtime.log import note
from synth.errors import BadInput
from synth.images.content import Bytes, Pixels
from synth.images.preprocess import FITS, Preprocess, Standard, unit
from synth.labels import Labels
from synth.labels.plain import Hard, Soft, Target
from synth.set import Info, SyntheticSet

SAMPLE = 2000  # training images whose numbers stand beside the release's
FAR, NARROW, WIDE = 0.75, 0.4, 3.0  # deviations of the mean, and ratios of deviations, from which on pixels look otherwise
LEAST = 1e-8  # a probability below is none whose logarithm could be a label


class Found(NamedTuple):
    """What a reader takes from a release.

    Args:
      images: bytes, or floats that are normalised as the call says; channels last.
      labels: classes [n], scores [n classes], or labels that are complete.
      regression: whether scores are regression values; else they are probabilities where they look like some, and logits otherwise.
      lr: a step size that was learned.
      method: what the set's info says of its origin.
      recipe: what it is to be trained with, where the release says so.
    """

    images: UInt8[np.ndarray, "n h w c"] | Float[np.ndarray, "n h w c"]
    labels: np.ndarray | Labels
    method: str
    regression: bool = False
    lr: float | None = None
    recipe: str = ""


def build(found: Found, data: Data, normalise: str, shown: str) -> SyntheticSet:
    """Makes a set of what was found.

    Args:
      data: what the set was made from.
      normalise: the normalisation of the release, in the words of `take_preprocess`, such as `standard` or `none`; bytes are normalised by
        it, floats are so already.
      shown: begins messages.

    Raises BadInput where what was found does not fit the data; warns where pixels look as if they were normalised otherwise.
    """
    images = found.images
    if not len(images):
        raise BadInput(f"{shown}: holds no images; give another file of the release")
    if images.shape[1:] != data.image:
        here, there = ("x".join(map(str, shape)) for shape in (images.shape[1:], data.image))
        raise BadInput(
            f"{shown}: its images are {here}, those of --data {data.spec} {there}; give data of that size, as by ?size={images.shape[1]}"
        )
    if images.dtype.kind == "f" and not np.isfinite(images).all():
        raise BadInput(f"{shown}: holds pixels that are not finite; give another file of the release")
    preprocess = take_preprocess(normalise, data)
    if images.dtype == np.uint8 and isinstance(preprocess, Standard):
        x = Bytes(jnp.asarray(images), jnp.asarray(preprocess.mean), jnp.asarray(preprocess.std))
    else:
        pixels = preprocess.apply(unit(images)) if images.dtype == np.uint8 else images
        x = Pixels(jnp.asarray(pixels, jnp.float32))
    compare(np.asarray(x.decode()), data, preprocess, shown)
    y = found.labels if isinstance(found.labels, Labels) else take_labels(found, data, shown)
    if y.classes != len(data.classes) or len(y.probs()) != len(images):
        raise BadInput(
            f"{shown}: has labels of {y.classes} classes for {len(y.probs())} of {len(images)} images, --data {len(data.classes)} classes"
        )
    try:
        y.check()
    except ValueError as error:
        raise BadInput(f"{shown}: {error}; give labels of the same images") from error
    if found.lr is not None and not (np.isfinite(found.lr) and found.lr > 0):
        raise BadInput(f"{shown}: holds the learned step size {found.lr:g}, which is no number above 0; leave its file out")
    told = {"data": data.spec, "data_digest": data.digest, "data_path": data.located, "split_seed": data.seed}
    lr = None if found.lr is None else jnp.float32(found.lr)
    return SyntheticSet(x, y, lr=lr, info=Info(data.classes, preprocess, method=found.method, recipe=found.recipe, **told))


def take_preprocess(normalise: str, data: Data) -> Preprocess:
    """The preprocessing that a release's images have gone through.

    Args:
      normalise: `standard`, `zca` or `zca_relative`, fitted to all training images of the data, as released code does; `published` or
        `imagenet`, numbers that releases state; `none` for images in [0, 1]; or the numbers of every channel, MEAN,.../STD,...

    Raises BadInput for anything else.
    """
    channels = data.image[-1]
    if normalise in (*FITS, *STATED):
        return fitted(normalise, data.source.train, data.spec)
    if normalise == "none":
        return Standard(np.zeros(channels, np.float32), np.ones(channels, np.float32))
    try:
        mean, std = (np.array([float(word) for word in part.split(",")], np.float32) for part in normalise.split("/"))
    except ValueError:
        known = f"{', '.join((*FITS, *STATED))}, none, or numbers as in 0.49,0.48,0.45/0.25,0.24,0.26"
        raise BadInput(f"--normalise {normalise}: unknown kind (known: {known})") from None
    if mean.shape != (channels,) or std.shape != (channels,) or not np.isfinite(mean).all() or not (np.isfinite(std) & (std > 0)).all():
        raise BadInput(f"--normalise {normalise}: give {channels} finite means and {channels} deviations above 0, for --data {data.spec}")
    return Standard(mean, std)


def take_labels(found: Found, data: Data, shown: str) -> Labels:
    """The labels that numbers stand for: whole numbers [n] are classes; scores [n classes] are regression values where `found` says so,
    else probabilities where they are at least 0 and sum to 1, else logits. Probabilities are kept as their logarithms, no smaller than that
    of 1e-8. A line says which of the last two were taken.

    Raises BadInput for other shapes, classes or numbers. `shown` begins messages.
    """
    numbers, classes = np.asarray(found.labels), len(data.classes)
    if numbers.dtype.kind not in "biuf" or not numbers.size:
        raise BadInput(f"{shown}: labels are {numbers.dtype} of shape {list(numbers.shape)}; classes [n] or scores [n {classes}] are right")
    with np.errstate(over="ignore"):
        if not np.isfinite(numbers.astype(np.float32)).all():
            raise BadInput(f"{shown}: labels hold NaN or infinite numbers; give another file of the release")
    if (numbers.ndim == 1 and numbers.dtype.kind in "iu") or (numbers.ndim == 1 and (numbers == np.floor(numbers)).all()):
        if numbers.min() < 0 or numbers.max() >= classes:
            raise BadInput(f"{shown}: labels run from {numbers.min()} to {numbers.max()}, --data {data.spec} has {classes} classes")
        return Hard(jnp.asarray(numbers, jnp.int32), classes)
    if numbers.ndim != 2 or numbers.shape[1] != classes:
        raise BadInput(f"{shown}: labels have the shape {list(numbers.shape)}; [n] or [n {classes}] would be right for --data {data.spec}")
    numbers = numbers.astype(np.float32)
    if found.regression:
        return Target(jnp.asarray(numbers))
    if numbers.min() >= 0 and np.allclose(numbers.sum(-1), 1, atol=1e-3):
        note(f"{shown}: labels are taken for probabilities: they are 0 or more, and those of an image sum to 1")
        return Soft(jnp.asarray(np.log(np.maximum(numbers, LEAST))))
    note(f"{shown}: labels are taken for logits, whose softmax are the probabilities")
    return Soft(jnp.asarray(numbers))


def compare(images: Float[np.ndarray, "n h w c"], data: Data, preprocess: Preprocess, shown: str) -> None:
    """Warns, with the numbers, where images, in model space, do not look like the data's under the preprocessing: where the deviation of
    all numbers is less than 0.4 or more than 3 times the data's, or their means are more than 0.75 of the data's deviations apart. Of the
    data up to 2,000 training images are looked at."""
    rows = np.linspace(0, len(data.train.y) - 1, min(SAMPLE, len(data.train.y))).astype(np.int64)
    real, images = np.asarray(data.under(preprocess).train.take(rows).x), images.astype(np.float64)
    ratio, away = images.std() / max(float(real.std()), 1e-9), abs(images.mean() - real.mean()) / max(float(real.std()), 1e-9)
    if NARROW <= ratio <= WIDE and away <= FAR:
        return
    here, there = (f"mean {a.mean():.3f}, deviation {a.std():.3f}, range {a.min():.3f} to {a.max():.3f}" for a in (images, real))
    note(f"warning: {shown}: pixels do not look like the stated normalisation: {here}; the data's: {there}; --normalise says another")
