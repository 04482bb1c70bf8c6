"""Checks of numbers that a call gives.

Every check raises BadInput with the flag, what was given and what would be right, whether it came from a command line or from a notebook.
"""

from numbers import Integral
from typing import Any

from synth.errors import BadInput
from synth.options import flag_of

SEEDS = 2**32  # a larger seed would be cut to this many bits and give another's draws


def check_whole(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """Returns a whole number in [least, most] as an int; None for `most` is no upper end. Raises BadInput, with the flag of the argument
    `name`, for everything else, True and False too."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise BadInput(f"{flag_of(name)} {value}: give a whole number {wanted}")
    return int(value)


def check_seed(value: Any) -> int:
    """Returns a seed as an int. Raises BadInput where it is no whole number in [0, 2^32)."""
    return check_whole("seed", value, least=0, most=SEEDS - 1)


def check_validation(eval_every: int | None, data: Any) -> None:
    """Raises BadInput if a run is to score sets on the way (`eval_every` is neither None nor 0) and the data has no validation examples."""
    if eval_every and not len(data.val.y):
        why = "keeps no validation split" if keeps_none(data.spec) else "is too small for a validation split"
        raise BadInput(f"--eval-every {eval_every}: {data.spec} {why}; {more_validation(data.spec)}, or leave this flag out")


def keeps_none(spec: str) -> bool:
    """Whether the specification of data has the option `validation=0`, so that all training examples are trained on."""
    return "validation=0" in spec.partition("?")[2].split("&")


def more_validation(spec: str) -> str:
    """What a user does for validation examples of these data, which have none, for messages."""
    return "leave validation=0 out of the data" if keeps_none(spec) else "use more data"
