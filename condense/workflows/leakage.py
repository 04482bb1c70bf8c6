"""Leakage of soft labels on data and a network of the user's."""

from typing import Annotated

import jax
import jax.numpy as jnp

from condense import nets
from condense.data.load import Given, load_data
from condense.data.modality import usual_net
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import note
from evals.leakage import Leakage
from evals.leakage import measure_leakage as measure
from synth.base import Net, take_all
from synth.errors import BadInput
from synth.options import Positive, check_option

KNOWN = 0.9  # of the teacher's own labels; below, its answers carry too few of them


def measure_leakage(
    data: Given, *, net: str | Net | None = None, temperature: float = 20.0, epochs: int = 300, lr: float = 3e-3, seed: int = 0
) -> Leakage:
    """How many labels, which only a teacher has seen, a student learns from the teacher's soft answers to other images.

    The training images get labels at random, so that nothing but its training set tells them. A teacher memorises two thirds of them; a
    student of the same network learns from its answers to half of these. What the student then knows of the other half, beyond what it
    knows of the third that nobody has seen, has leaked through the answers. The data's own labels do not matter.

    Args:
      data: images as `load_data` takes them; few enough that the network can memorise two thirds of them (`?limit=N`).
      net: of teacher and student, a specification or a value; by default the data's usual one.
      temperature: of the answers (> 0).
      epochs: passes of either training (>= 1), by Adam in batches of 64.
      lr: step size of that (> 0).
      seed: of labels, parts, networks and batches.

    Returns:
      Four accuracies on the random labels, fractions in [0, 1], and `leakage`, a difference of two. A note says where the teacher has not
      memorised its labels, so that the numbers say little.

    Example:
      >>> import condense
      >>> found = condense.measure_leakage("digits?limit=60", net="mlp:width=64", epochs=2)
      >>> found._fields, -1 <= found.leakage <= 1
      (('memorised', 'shown', 'held', 'unseen'), True)

    Raises:
      BadInput: for data that hold no images, an unknown network and numbers out of range.
    """
    temperature, lr = (check_option(name, value, Annotated[float, Positive]) for name, value in (("temperature", temperature), ("lr", lr)))
    epochs, seed, data = check_whole("epochs", epochs), check_seed(seed), load_data(data)
    if data.modality != "images":
        raise BadInput(f"{data.spec}: leakage is measured on images, and these are {data.modality}; give other data")
    name, classes = nets.named(usual_net(data) if net is None else net, data.image, len(data.classes)), len(data.classes)
    built = nets.build(name, data.image, classes)
    images = jnp.asarray(take_all(data.train).x)
    found = measure(jax.random.key(seed), built, images, classes, temperature=temperature, epochs=epochs, lr=lr)
    if found.memorised < KNOWN:
        remedy = "give more epochs, a larger net or fewer images"
        note(f"warning: the teacher knows {100 * found.memorised:.0f} % of its random labels, so little can leak; {remedy}")
    return found
