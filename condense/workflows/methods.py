"""Methods by name: this project's, and those that installed packages register. Needs no JAX."""

from condense.runtime.entry_points import registered
from matchers import REGISTRY
from matchers.method import Method
from synth.errors import BadInput, nearest

ENTRY_POINTS = "condense.methods"  # a package outside names its `matchers.method.Method` records there


def known_methods() -> dict[str, Method]:
    """All methods by name: those of this project in its order, then those that installed packages register under other names."""
    return {**REGISTRY, **{method.name: method for method in registered(ENTRY_POINTS, Method).values() if method.name not in REGISTRY}}


def find_method(name: str) -> Method:
    """The record of the method of this name. Raises BadInput, naming the known ones, for an unknown name."""
    if name in REGISTRY:
        return REGISTRY[name]
    known = known_methods()
    if name not in known:
        raise BadInput(
            f"unknown method '{name}' (known: {', '.join([*REGISTRY, *sorted(known.keys() - REGISTRY.keys())])}){nearest(name, known)}"
        )
    return known[name]
