"""`condense report`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """Write a report of runs and suites: one HTML file with tables, charts, images and commands, which needs no network."""

    what: Annotated[Positional[tuple[str, ...]], about("folders of finished runs, and of suites", metavar="RUN|SUITE ...")]
    out: Annotated[str, about("the report", metavar="FILE.html")] = "report.html"


def act(call: Flags) -> None:
    """Writes the report and prints its name."""
    if not call.what:
        raise BadInput("report: give RUN or SUITE, the folders of finished runs and of suites")
    if not call.out.endswith((".html", ".htm")):
        raise BadInput(f"--out {call.out}: give a file that ends in .html")
    check_place("--out", call.out)
    with defer_interrupt():
        from condense.reports.write import report

    print(report(call.what, call.out))


RECORD = Flags
