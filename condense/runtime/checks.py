"""Choices of a distillation run: its numbers, its budget, its method and the method's options, checked once.

Every check raises BadInput with the flag, what was given and what would be right, whether it came from a command line or from a notebook.
"""

import math
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from synth.errors import BadInput

SEEDS = 2**32  # a larger seed would be cut to this many bits and give another's draws


def dashed(name: str) -> str:
    """A keyword argument as a flag: `eval_every` is `--eval-every`."""
    return "--" + name.strip("_").replace("_", "-")


def check_whole(name: str, value: Any, *, least: int = 1, most: int | None = None) -> int:
    """A whole number in [least, most], as an int."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least or (most is not None and value > most):
        wanted = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise BadInput(f"{dashed(name)} {value}: give a whole number {wanted}")
    return int(value)


def check_seed(value: Any) -> int:
    """A seed: a whole number in [0, 2^32)."""
    return check_whole("seed", value, least=0, most=SEEDS - 1)


def check_real(name: str, value: Any) -> float:
    """A finite number as a float: a momentum in [0, 1), a learning rate (`lr`, `..._lr`) or regularisation (`reg`) above 0."""
    wanted = "in [0, 1)" if name == "momentum" else "above 0" if name.split("_")[-1] in ("lr", "reg") else "that is finite"
    right = not isinstance(value, bool) and isinstance(value, Real) and math.isfinite(value)
    if not right or (wanted == "in [0, 1)" and not 0 <= value < 1) or (wanted == "above 0" and value <= 0):
        raise BadInput(f"{dashed(name)} {value}: give a number {wanted}")
    return float(value)


def check_option(name: str, value: Any, kind: Any) -> Any:
    """The value of a method's option, under its annotation: counts are at least 1, or 0 where their name starts with `min_`; numbers are
    as in `check_real`, literals one of theirs."""
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            raise BadInput(f"{dashed(name)} {value}: give one of {', '.join(map(str, get_args(kind)))}")
        return value
    kinds = get_args(kind) or (kind,)
    if value is None and NoneType in kinds:
        return None
    if several := [kind for kind in kinds if get_origin(kind) is tuple]:
        each = value if isinstance(value, tuple | list) else (value,)  # one number alone stands for itself
        return tuple(check_option(name, one, get_args(several[0])[0]) for one in each)
    if int in kinds:
        return check_whole(name, value, least=0 if name.startswith("min_") else 1)
    return check_real(name, value) if float in kinds else value


def check_validation(eval_every: int | None, data: Any) -> None:
    """Raises BadInput where sets shall be scored on the way and the data's validation split is empty."""
    if eval_every and not len(data.val.y):
        raise BadInput(f"--eval-every {eval_every}: {data.spec} is too small for a validation split; use more data, or leave it out")
