"""How far a set has moved from its start, for the log of methods whose images may hardly move."""

from collections.abc import Callable

import numpy as np

from synth.set import SyntheticSet


def moved_from(start: SyntheticSet) -> Callable[[SyntheticSet], dict[str, float]]:
    """Returns a function from a set to the metric `moved`: the root mean square, over all numbers of all examples, of how far they are from
    those of `start`. It is in model space, where a standard deviation of the data is 1."""
    first = np.array(start.x.decode(), np.float64)

    def moved(synth: SyntheticSet) -> dict[str, float]:
        return {"moved": float(np.sqrt(np.mean(np.square(np.asarray(synth.x.decode(), np.float64) - first))))}

    return moved
