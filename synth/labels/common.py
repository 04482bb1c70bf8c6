"""Shared parts of the label kinds that teachers make.

Each has the class of every example (`index`), its `temperature`, which `teachers` answered, and how. Logits are stored in half precision.
`teachers` names them as DIGEST*WEIGHT, joined by '+', with the weights of their logits; `statistics` says what their batch norms
normalised by: `running`, the batch's own (`batch`), or those of each of k parts of it (`batch/k`). `probs` is the class that an example
stands for.
"""

import math
import re

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Float16, Int

from synth.errors import BadInput
from synth.images.views import BatchView, view_of
from synth.labels.contract import Labels, check_index, option_parameters
from synth.options import check_option

HALF = 60000.0  # logits are clipped here, safely below 65504, the largest number of half precision
STATISTICS = re.compile(r"running|batch(/[1-9][0-9]?)?")
MEMBER = re.compile(r"[0-9a-f]{12}\*-?[0-9.]+(e-?[0-9]+)?")


def divergence(probs: Float[Array, "b c"], logits: Float[Array, "b c"], temperature: float) -> Float[Array, " b"]:
    """KL(p || softmax(z / T)) of every example, in nats, without the factor T^2 of Hinton et al."""
    return -jnp.sum(probs * jax.nn.log_softmax(logits / temperature), -1) + jnp.sum(jax.scipy.special.xlogy(probs, probs), -1)


def tempered(logits: Float[Array, "b c"], temperature: float) -> Float[Array, "b c"]:
    """softmax(z / T)."""
    return jax.nn.softmax(logits / temperature)


def centred(probs: Float[Array, "b c"], temperature: float) -> Float[Array, "b c"]:
    """The logits z, of mean 0 over the classes, whose softmax(z / T) are these probabilities. Those below 1e-30 count as that."""
    logits = temperature * jnp.log(jnp.maximum(probs, 1e-30))
    return logits - logits.mean(-1, keepdims=True)


def halved(logits: Float[Array, "*b c"]) -> Float16[Array, "*b c"]:
    """Logits as float16, as they are stored. Values above 60,000 or below -60,000 become these, so none becomes infinite; NaN stays NaN."""
    return jnp.clip(logits, -HALF, HALF).astype(jnp.float16)


def place(labels: Labels, index: Int[Array, " b"], view: BatchView) -> Int[Array, " b"]:
    """The positions of a mini-batch's rows among the stored rows of its epoch: they follow from its number, `view.batch`; of `index` only
    the length is read. Padding rows of the last batch, which do not count, are clipped to the last position."""
    return jnp.minimum(view.batch * labels.batch + jnp.arange(len(index)), len(labels.index) - 1)


def check_taught(labels: Labels) -> None:
    """Raises ValueError if an option, or a field that all labels by teachers have, is out of range."""
    check_index(labels.index, labels.classes)
    if not (0 < labels.temperature < math.inf):
        raise ValueError(f"temperature is {labels.temperature}; a number above 0 is right")
    if not STATISTICS.fullmatch(labels.statistics):
        raise ValueError(f"statistics is '{labels.statistics[:20]}'; running, batch or batch/2 are right")
    if not (labels.records and not labels.teachers) and not all(MEMBER.fullmatch(member) for member in labels.teachers.split("+")):
        raise ValueError("teachers must be DIGEST*WEIGHT of each, joined by '+'")
    if labels.replays:
        view_of(labels.view)
        if labels.seed < 0 or labels.seed >= 2**32 or labels.batch < 1:
            raise ValueError(f"seed {labels.seed} and batch {labels.batch} must be whole numbers, in [0, 2^32) and of at least 1")
    for name, p in option_parameters(type(labels)).items():
        try:
            check_option(name, getattr(labels, name), p.annotation)
        except BadInput as error:
            raise ValueError(str(error).removeprefix("--")) from error
