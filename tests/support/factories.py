"""Methods of the registry as functions: their factories, built from options and from whatever inputs a test has."""

from typing import Any

from condense.workflows.options import settle
from matchers import REGISTRY
from matchers.base import Matcher
from matchers.inputs import input_names
from matchers.method import Method


def build_method(name: str, options: dict[str, Any], **inputs: Any) -> Matcher:
    """The method, from these options and those of the inputs that its factory asks for."""
    factory = REGISTRY[name].load()
    return factory(**{one: inputs[one] for one in input_names(factory) if one in inputs}, **options)


def complete_options(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """All options of a method, checked."""
    return settle(REGISTRY[name], REGISTRY[name].load(), None, {}, options).options


def record_of(factory: Any) -> Method:
    """The record of a method that a test makes up."""
    return Method(factory.__name__, factory, (factory.__doc__ or factory.__name__).splitlines()[0])
