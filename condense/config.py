"""Choices of a distillation run: its numbers, its budget, its method and the method's options, checked once.

Every check raises BadInput with the flag, what was given and what would be right, whether it came from a command line or from a notebook.
"""

import inspect
import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from numbers import Integral, Real
from types import NoneType
from typing import Any, Literal, get_args, get_origin

from condense.handed import HANDED, flagged
from matchers import REGISTRY
from matchers.base import Matcher
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


@dataclass(frozen=True)
class Budget:
    """How large a set may be; exactly one of the three is given, a whole number.

    Args:
      ipc: examples a class (>= 1).
      size: examples in all, a multiple of the number of classes.
      bytes: payload bytes, content and labels together.
    """

    ipc: int | None = None
    size: int | None = None
    bytes: int | None = None

    def check(self) -> tuple[str, int]:
        """The one that is given, and its value. Raises BadInput where that is none or several."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) != 1:
            raise BadInput(f"give exactly one of --ipc, --size and --bytes (given: {', '.join(map(dashed, given)) or 'none'})")
        ((name, value),) = given.items()
        return name, value

    def per_class(self, image: tuple[int, int, int], classes: int) -> int:
        """Examples a class under this budget, for float32 pixels with int32 labels. Raises BadInput where it buys none."""
        name, value = self.check()
        unit = {"ipc": 1, "size": classes, "bytes": classes * (math.prod(image) + 1) * 4}[name]  # what one image a class takes
        if value < unit:
            raise BadInput(f"{dashed(name)} {value}: one image a class needs at least {unit}")
        if name == "size" and value % classes:
            near = f"{value // classes * classes} and {(value // classes + 1) * classes}"
            raise BadInput(f"--size {value}: not a multiple of the {classes} classes; the nearest are {near}")
        return value // unit


def budget_of(config: dict[str, Any]) -> str:
    """Which of the three a run's configuration gives; empty where it gives none."""
    return next((name for name in Budget.__dataclass_fields__ if config.get(name) is not None), "")


def find_method(name: str) -> Callable[..., Matcher]:
    """A method's factory. Raises BadInput naming the known ones."""
    if name not in REGISTRY:
        raise BadInput(f"unknown method '{name}' (known: {', '.join(REGISTRY)})")
    return REGISTRY[name]


def option_parameters(factory: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a factory that a user sets, by name, with their defaults and types."""
    return {name: p for name, p in inspect.signature(factory, eval_str=True).parameters.items() if name not in HANDED}


def complete_options(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of a method, checked: the given ones over the defaults, without the places of what is handed over.

    Raises BadInput for an unknown one, naming the known.
    """
    factory = find_method(method)
    known, places = option_parameters(factory), flagged(factory)
    if unknown := [name for name in options if name not in known and name not in places]:
        raise BadInput(f"{method} has no option {dashed(unknown[0])} (known: {', '.join(map(dashed, [*known, *places])) or 'none'})")
    return {name: check_option(name, options.get(name, p.default), p.annotation) for name, p in known.items()}


def build_method(method: str, options: dict[str, Any], **handed: Any) -> Matcher:
    """Calls the factory with its options and with whatever of `handed` its signature asks for."""
    factory = find_method(method)
    wanted = inspect.signature(factory).parameters
    return factory(**{name: value for name, value in handed.items() if name in wanted}, **options)
