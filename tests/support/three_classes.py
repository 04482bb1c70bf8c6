"""Three small classes of images to score sets on, shared by the tests of scoring."""

from dataclasses import replace
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from condense.data.images import Data
from condense.data.load import load_data
from synth.base import take_all
from synth.images.content import Pixels
from synth.labels.plain import Hard
from synth.set import Info, SyntheticSet

NET, IMAGE = "mlp:width=8", (4, 4, 1)


def three_classes(folder: Path) -> Data:
    """Overlapping classes of grey images, 40, 30 and 50 of them for training, 20 each for the test; no two images are the same."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.3, 0.7, size=(3, *IMAGE))

    def draw(counts):
        y = np.repeat(np.arange(3), counts)
        x = np.clip(centres[y] + 0.15 * rng.normal(size=(len(y), *IMAGE)), 0, 1)
        return x.astype(np.float32), y.astype(np.int64)

    (x, y), (x_test, y_test) = draw([40, 30, 50]), draw([20, 20, 20])
    np.savez(folder / "three.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test, class_names=np.array(["ant", "bee", "cow"]))
    return load_data(f"npz:{folder / 'three.npz'}")


def clouds() -> dict[str, np.ndarray]:
    """Three clouds of grey 8x8 images, a hundred of each for training."""
    rng = np.random.default_rng(0)
    means = rng.uniform(0.2, 0.8, (3, 1, 8, 8, 1))

    def part(n):
        x = np.clip(means + rng.normal(0, 0.1, (3, n, 8, 8, 1)), 0, 1)
        return x.reshape(-1, 8, 8, 1).astype(np.float32), np.repeat(np.arange(3), n)

    (x_train, y_train), (x_test, y_test) = part(100), part(5)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def make_set(data: Data, counts=(2, 2, 2), **changes) -> SyntheticSet:
    """The first training images of every class."""
    index = np.concatenate([np.flatnonzero(data.train.y == c)[:count] for c, count in enumerate(counts)])
    told = {"data": data.spec, "data_digest": data.digest, "method": "hand", "config": "c0ffee", "net": NET, "recipe": "quick"}
    info = Info(data.classes, data.preprocess, **told)
    y = Hard(jnp.asarray(data.train.y[index]), 3)
    return replace(SyntheticSet(Pixels(jnp.asarray(take_all(data.train).x[index])), y, info=info), **changes)


def without(synth: SyntheticSet, **info) -> SyntheticSet:
    """The set with other words in its info."""
    return replace(synth, info=replace(synth.info, **info))


def rows_of(x) -> list[bytes]:
    """Every image as bytes, to be looked up."""
    return [row.tobytes() for row in np.asarray(x)]
