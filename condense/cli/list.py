"""`condense list`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, aligned
from condense.studies.shipped import list_suites
from condense.workflows.lists import LISTS as OF_PARTS
from condense.workflows.lists import list_presets
from synth.errors import BadInput

LISTS = {**OF_PARTS, "suites": list_suites}


@dataclass(frozen=True)
class Flags:
    """List what there is: methods, data, nets, presets, recipes or suites."""

    what: Annotated[Positional[str], about("which list", metavar="|".join(LISTS))]
    method: Annotated[Positional[str | None], about("of presets those of this method alone", metavar="METHOD")] = None
    data: Annotated[str | None, about("of presets those of this data alone, as in cifar10", metavar="SPEC")] = None


def act(call: Flags) -> None:
    """Prints one of the lists."""
    if call.what not in LISTS:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(LISTS)})")
    if call.what == "presets":
        print(aligned(list_presets(method=call.method, data=call.data)))
        return
    if call.method is not None or call.data is not None:
        given = call.method if call.method is not None else f"--data {call.data}"
        raise BadInput(f"list {call.what}: {given} chooses among presets; leave it out, or use `condense list presets`")
    print(aligned(LISTS[call.what]()))


RECORD = Flags
