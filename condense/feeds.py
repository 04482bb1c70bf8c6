"""Real data, a step at a time: a batch is a pure function of the seed and the step number, so a resumed run sees what it would have seen.

Images are f32[h w c] in model space, as `condense.data` hands them over; class indices are i32.
"""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from matchers.base import Feed, Given, PerClass, Shuffled
from synth.base import Examples
from synth.errors import BadInput

PER_CLASS, SHUFFLED = 1, 2  # each feed draws from a stream of its own


def make_feed(request: Feed, examples: Examples, classes: int, *, seed: int) -> Callable[[int], object]:
    """The feed that a matcher asks for, as step -> batch.

    Args:
      request: `PerClass(n)` gives f32[classes n h w c], `Shuffled(n)` gives `Examples` of n rows, `Whole()` all
        of `examples`, `Given(value)` that value, None nothing.
      examples: the training split, as numpy arrays.
      classes: how many; labels are in [0, classes).
      seed: of the run, >= 0.
    Raises BadInput where a class is empty or where the data is smaller than one shuffled batch.
    """
    if seed < 0:
        raise BadInput(f"--seed {seed} is negative; give 0 or more")
    match request:
        case PerClass(n):
            return _per_class(n, examples, classes, seed)
        case Shuffled(n):
            return _shuffled(n, examples, seed)
        case Given(value):
            return lambda step: value
        case None:
            return lambda step: None
    return lambda step: examples


def _rng(*entropy: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(entropy)))


def _per_class(n: int, examples: Examples, classes: int, seed: int) -> Callable:
    rows = [np.flatnonzero(examples.y == c) for c in range(classes)]
    empty = [c for c, members in enumerate(rows) if not len(members)]
    if empty:
        raise BadInput(f"--data has no training example of class {empty[0]}; this method draws from each of the {classes} classes")

    def feed(step: int):
        rng = _rng(seed, PER_CLASS, step)
        chosen = np.stack([members[rng.choice(len(members), n, replace=len(members) < n)] for members in rows])
        return np.take(examples.x, chosen, axis=0)

    return feed


def _shuffled(n: int, examples: Examples, seed: int) -> Callable:
    size = len(examples.y)
    if size < n:
        raise BadInput(f"--data has {size} training examples, fewer than the {n} of one batch; choose a batch of at most {size}")
    permutation = lru_cache(1)(lambda epoch: _rng(seed, SHUFFLED, epoch).permutation(size))

    def feed(step: int):
        epoch, place = divmod(step, size // n)
        chosen = permutation(epoch)[place * n : (place + 1) * n]
        return Examples(examples.x[chosen], examples.y[chosen])

    return feed
