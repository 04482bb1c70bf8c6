"""`condense list`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, aligned
from condense.workflows.lists import LISTS
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """List what there is: methods, data, nets, presets or recipes."""

    what: Annotated[Positional[str], about("which list", metavar="|".join(LISTS))]


def act(call: Flags) -> None:
    """Prints one of the lists."""
    if call.what not in LISTS:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(LISTS)})")
    print(aligned(LISTS[call.what]()))


RECORD = Flags
