"""A method's options: the factory's signature is its configuration."""

import inspect
from collections.abc import Callable
from typing import Any

from condense.inputs.registry import PROVIDERS, flagged
from condense.runtime.checks import check_option, dashed
from matchers import REGISTRY
from matchers.base import Matcher
from synth.errors import BadInput


def find_method(name: str) -> Callable[..., Matcher]:
    """A method's factory. Raises BadInput naming the known ones."""
    if name not in REGISTRY:
        raise BadInput(f"unknown method '{name}' (known: {', '.join(REGISTRY)})")
    return REGISTRY[name]


def option_parameters(factory: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a factory that a user sets, by name, with their defaults and types."""
    return {name: p for name, p in inspect.signature(factory, eval_str=True).parameters.items() if name not in PROVIDERS}


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
