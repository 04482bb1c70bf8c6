"""`condense list`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, aligned
from condense.studies.shipped import list_suites
from condense.workflows.lists import LISTS as OF_PARTS
from synth.errors import BadInput

LISTS = {**OF_PARTS, "suites": list_suites}


@dataclass(frozen=True)
class Flags:
    """List what there is: methods, data, nets, presets, recipes or suites."""

    what: Annotated[Positional[str], about("which list", metavar="|".join(LISTS))]


def act(call: Flags) -> None:
    """Prints one of the lists."""
    if call.what not in LISTS:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(LISTS)})")
    print(aligned(LISTS[call.what]()))


RECORD = Flags
