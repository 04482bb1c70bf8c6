"""`condense compare`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """Compare methods: accuracy, bytes, steps and seconds side by side, and which is better over several sets."""

    what: Annotated[
        Positional[tuple[str, ...]],
        about("folders of runs and suites, and files of `evaluate --json`; a run is scored as `condense evaluate` does", metavar="PLACE"),
    ]
    to: Annotated[str | None, about("also write it there", metavar="FILE.md|csv|tex|json")] = None
    against: Annotated[
        str | None, about("test all others against this method alone, chosen before looking; by default all pairs", metavar="LABEL")
    ] = None


def act(call: Flags) -> None:
    """Prints the comparison, and writes it where a file is named."""
    if not call.what:
        raise BadInput("compare: give runs, suites or files of scores")
    with defer_interrupt():
        from condense.plots.tables import print_table
        from condense.studies.compare import compare
        from condense.studies.texts import check_file

    if call.to is not None:
        check_file(call.to)
        check_place("--to", call.to)
    print_table(compare(call.what, to=call.to, against=call.against).table())


RECORD = Flags
