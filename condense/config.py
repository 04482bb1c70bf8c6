"""Choices of a distillation run: its budget, its method and the method's options, checked once."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from matchers import REGISTRY
from matchers.base import Matcher
from synth.errors import BadInput

HANDED = ("net", "augment")  # what the workbench hands to a factory whose signature asks for it


@dataclass(frozen=True)
class Budget:
    """How large a set may be; exactly one of the three is given.

    Args:
      ipc: examples a class (>= 1).
      size: examples in all, a multiple of the number of classes.
      bytes: payload bytes, content and labels together.
    """

    ipc: int | None = None
    size: int | None = None
    bytes: int | None = None

    def per_class(self, image: tuple[int, int, int], classes: int) -> int:
        """Examples a class under this budget, for float32 pixels with int32 labels. Raises BadInput where it buys none."""
        given = {name: value for name, value in asdict(self).items() if value is not None}
        if len(given) != 1:
            raise BadInput(f"give exactly one of --ipc, --size and --bytes (given: {', '.join('--' + g for g in given) or 'none'})")
        (name, value), each = *given.items(), (image[0] * image[1] * image[2] + 1) * 4
        if name == "size" and value % classes:
            raise BadInput(f"--size {value}: not a multiple of the {classes} classes; the nearest are {value // classes * classes} and {(value // classes + 1) * classes}")
        if value < {"ipc": 1, "size": classes, "bytes": classes * each}[name]:
            raise BadInput(f"--{name} {value}: one image a class needs at least {'1' if name == 'ipc' else classes if name == 'size' else classes * each}")
        return {"ipc": value, "size": value // classes, "bytes": value // (classes * each)}[name]


def find_method(name: str) -> Callable[..., Matcher]:
    """A method's factory. Raises BadInput naming the known ones."""
    if name not in REGISTRY:
        raise BadInput(f"unknown method '{name}' (known: {', '.join(REGISTRY)})")
    return REGISTRY[name]


def option_parameters(factory: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a factory that a user sets, by name, with their defaults and types."""
    return {name: p for name, p in inspect.signature(factory, eval_str=True).parameters.items() if name not in HANDED}


def complete_options(method: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of a method: the given ones over the defaults. Raises BadInput for an unknown one, naming the known."""
    known = option_parameters(find_method(method))
    for name in options:
        if name not in known:
            raise BadInput(f"{method} has no option --{name.replace('_', '-')} (known: {', '.join('--' + k.replace('_', '-') for k in known) or 'none'})")
    return {name: options.get(name, parameter.default) for name, parameter in known.items()}


def build_method(method: str, options: dict[str, Any], **handed: Any) -> Matcher:
    """Calls the factory with its options and with whatever of `handed` its signature asks for."""
    factory = find_method(method)
    wanted = inspect.signature(factory).parameters
    return factory(**{name: value for name, value in handed.items() if name in wanted}, **options)
