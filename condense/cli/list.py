"""`condense list`."""

from dataclasses import dataclass
from importlib import import_module
from operator import attrgetter, methodcaller
from typing import Annotated, Any

from tyro.conf import Positional

from condense.cli.flags import about, aligned, first_line
from synth.errors import BadInput

LISTS = {
    "methods": ("condense.workflows.methods", "known_methods", attrgetter("summary")),
    "data": ("condense.data.named", "NAMED", attrgetter("about")),
    "nets": ("condense.nets", "known_nets", first_line),
    "presets": ("condense.presets", "PRESETS", methodcaller("record")),
    "recipes": ("evals.recipes", "ABOUT", str),
}


@dataclass(frozen=True)
class Flags:
    """List what there is: methods, data, nets, presets or recipes."""

    what: Annotated[Positional[str], about("which list", metavar="methods|data|nets|presets|recipes")]


def listed(module: str, registry: str) -> dict[str, Any]:
    """The things of a list by name: a dictionary of a module, or what its function of that name returns."""
    found = getattr(import_module(module), registry)
    return found() if callable(found) else found


def act(call: Flags) -> None:
    """Prints one of the lists."""
    if call.what not in LISTS:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(LISTS)})")
    module, registry, say = LISTS[call.what]
    print(aligned({name: say(thing) for name, thing in listed(module, registry).items()}))


RECORD = Flags
