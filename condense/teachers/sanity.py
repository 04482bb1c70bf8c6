"""Checks that a teacher knows the data. A teacher near chance was trained on other classes or with another normalisation."""

import math
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from condense.data.images import Data
from synth.base import Net, Split, Teacher
from synth.errors import BadInput
from synth.training.stream import Chosen, read_over

LOOKED_AT, FEW = 2000, 500  # validation images
MARGIN = 0.05


@lru_cache(maxsize=16)
def _reader(net: Net):
    return lambda vars, x: net.apply(vars, x).logits.argmax(-1)


def some(examples: Split, count: int) -> Split:
    """At most `count` examples, in the order of the split, the same in every call. They are drawn at random, because files may be sorted by
    class."""
    index = np.sort(np.random.default_rng(0).permutation(len(examples.y))[:count])
    return examples.take(index) if examples.in_memory else Chosen(examples, index)


def answers(teacher: Teacher, examples: Split) -> Int[np.ndarray, " n"]:
    """The class index that a teacher gives each of the examples. Its batch norms use running statistics."""
    return read_over(_reader(teacher.net), teacher.vars, examples)


def classify(teacher: Teacher, examples: Split) -> float:
    """The fraction of the examples, or of 2,000 of them where there are more, that a teacher classifies right; NaN where there are none."""
    part = some(examples, LOOKED_AT)
    return float((answers(teacher, part) == np.asarray(part.y)).mean()) if len(part.y) else float("nan")


def check_sense(teacher: Teacher, data: Data, *, failed: type[Exception] = BadInput, advice: str, known: float | None = None) -> None:
    """Raises `failed` if the teacher is near chance on validation images of the data, or at most half as good as its recorded accuracy
    `known`, a fraction (None or NaN: not compared).

    Near chance is within five points, or three standard deviations if that is more, of always naming the most frequent class. At most 2,000
    validation images are looked at; where there are fewer than 500, as many as 500 training images too. `advice` ends the message.
    """
    parts = [some(data.val, LOOKED_AT)]
    if len(parts[0].y) < FEW:
        parts = [part for part in (*parts, some(data.train, FEW)) if len(part.y)]
    known = None if known is None or math.isnan(known) else known
    labels = np.concatenate([part.y for part in parts])
    accuracy = float((np.concatenate([answers(teacher, part) for part in parts]) == labels).mean())
    chance = np.bincount(labels).max() / len(labels)
    near = chance + max(MARGIN, 3 * np.sqrt(chance * (1 - chance) / len(labels)))
    if accuracy > near and (known is None or accuracy > known / 2):
        return
    once = "" if known is None else f", and once had {100 * known:.1f} %"
    why = "" if known is None else " (classes in another order, or another normalisation, look like this)"
    there = f"{100 * accuracy:.1f} % of {data.spec}, where chance is {100 * chance:.1f} %"
    raise failed(f"teacher {teacher.name} is right on {there}{once}{why}: {advice}")
