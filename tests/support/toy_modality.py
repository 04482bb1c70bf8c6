"""A modality in one file: signals, f32[n t c] in model space, which are t measurements of c channels.

`SIGNALS` is its record, and the other capitals are the lines that the tables of the rooms get.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from jaxtyping import Array, Float
from PIL import Image

from condense.data import images
from condense.data.load import Builder
from condense.data.modality import Modality
from condense.data.readers.base import Reader, Spec
from condense.data.readers.source import ArraySource
from condense.data.rows import InMemory
from condense.evaluation.baselines import BASELINES
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.images import retraining


class Signals(NamedTuple):
    """Signals stored as they are."""

    values: Float[Array, "n t c"]
    kind = "signals"
    modality = "signals"

    @property
    def n(self):
        return len(self.values)

    @property
    def images(self):
        return self.n

    @classmethod
    def encode(cls, images):
        return cls(images)

    def decode(self):
        return self.values

    def learned(self):
        return self.values

    def moved(self, learned):
        return Signals(learned)

    def bounded(self, mean, std):
        return self

    def clip(self, images):
        return images

    def store(self):
        return self

    @classmethod
    def bytes_for(cls, n, image):
        return 4 * n * math.prod(image)

    def nbytes(self):
        return self.values.nbytes

    @staticmethod
    def example_axes(sizes):
        return {"h": 1, "w": sizes["t"]}

    def check(self):
        pass


@dataclass(frozen=True, eq=False)
class SignalSource(ArraySource):
    """Raw signals."""

    flips: ClassVar[bool] = False
    modality: ClassVar[str] = "signals"
    axes: ClassVar[str] = "n time channels"


def read(spec: Spec) -> SignalSource:
    """Waves of three frequencies with noise and any phase, 90 to train on and 30 for the test."""
    rng, parts = np.random.default_rng(0), []
    for count in (90, 30):
        y = (np.arange(count) % 3).astype(np.int32)
        phase = rng.uniform(0, 2 * np.pi, (count, 1, 1)) + np.array([0, np.pi / 2])
        wave = np.sin((y + 1)[:, None, None] * np.linspace(0, 2 * np.pi, 16)[None, :, None] + phase)
        parts.append(InMemory((wave + 0.1 * rng.normal(size=wave.shape)).astype(np.float32), y))
    return SignalSource(spec.name, spec.text, *parts, ("slow", "medium", "fast"))


def draw(synth, *, per_class: int, stretch: bool) -> Image.Image:
    """Signals as rows of grey."""
    x = np.asarray(synth.x.decode()).reshape(len(synth), -1)
    return Image.fromarray(np.uint8(255 * (x - x.min()) / np.ptp(x)))


READER = Reader("waves", "signals of three frequencies, wherever", read, {})
SIGNALS = Modality("signals", "signal", lambda shape, examples: "mlp:width=16", "dc", 2, "--data waves:HERE", lambda data: Signals)
BUILDER = Builder(images.build, images.check_examples)
EVALUATOR = Evaluator(retraining, BASELINES, trained_nets=False)
