"""`condense describe`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Say what data, a set, a run or a preset is: size, classes, ranges, duplicates, bytes, what it was made by."""

    what: Annotated[
        Positional[str],
        about("data, a set's file, the folder of a run, or a preset by name or from its JSON file", metavar="SPEC_OR_SET_OR_DIR_OR_PRESET"),
    ]
    cost: Annotated[bool, about("of data, train the usual network for a moment to say what training costs here")] = False


def act(call: Flags) -> None:
    """Prints the description."""
    with defer_interrupt():
        from condense.workflows.describe import describe
        from synth.errors import one_line

    for line in describe(call.what, cost=call.cost).lines():
        print(one_line(line))


RECORD = Flags
