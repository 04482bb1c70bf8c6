"""What installed packages register: entry points of a group, loaded when asked for."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any

from condense.runtime.log import note


@cache
def registered(group: str, kind: type) -> dict[str, Any]:
    """Loads the objects that installed packages registered under a group of entry points, by name. An object that cannot be loaded, or is
    of another type than `kind`, is left out, and a line on stderr says why. The same call again returns the same dictionary."""
    found = {}
    for point in entry_points(group=group):
        try:
            value = point.load()
        except Exception as error:  # an installed package may raise whatever it likes
            note(f"warning: {group}: '{point.name}' ({point.value}) cannot be loaded ({type(error).__name__}: {error})")
            continue
        if isinstance(value, kind):
            found[point.name] = value
        else:
            note(f"warning: {group}: '{point.name}' ({point.value}) is {type(value).__name__}, not {kind.__name__}")
    return found
