"""`condense suite`."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import DEVICE, about, check_estimate
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput, RunFailed


@dataclass(frozen=True)
class Flags:
    """Run a suite: methods x data x budgets x draws, each scored; the same command again does what is missing."""

    what: Annotated[Positional[str], about("a file, or the name of a suite that ships: `condense list suites`", metavar="FILE.toml|NAME")]
    out: Annotated[
        str | None, about("folder of the suite: results.json, suite.json, a run folder a set, inputs that runs share", metavar="DIR")
    ] = None
    jobs: Annotated[int, about("runs at a time, each in a process with its share of the processors")] = 1
    dry_run: Annotated[bool, about("print runs, scorings, and estimated hours and bytes, and write nothing")] = False
    device: Annotated[str | None, about(DEVICE, metavar="KIND[xN]")] = None


def act(call: Flags) -> None:
    """Runs a suite and prints its comparison, or what it would do. A suite with failed runs ends with 1."""
    if call.out is None and not call.dry_run:
        raise BadInput("suite: give --out DIR, the folder of the suite")
    check_estimate(call.device, dry_run=call.dry_run)
    with defer_interrupt():
        from condense.plots.tables import print_table
        from condense.studies.compare import compare
        from condense.studies.foresight import preview_suite
        from condense.studies.suite import suite

    if call.dry_run:
        print("\n".join(preview_suite(call.what, out=call.out, device=call.device)))
        return
    found = suite(call.what, call.out, jobs=call.jobs)
    if found.results:
        print_table(compare(call.out).table())
    print(f"{call.out}/results.json holds all scores; `condense compare {call.out} --to FILE.md` writes the table")
    if found.failed:
        raise RunFailed(
            f"suite: {len(found.failed)} of {len(found.runs)} runs failed, such as {found.failed[0]}; the same command tries them again"
        )


RECORD = Flags
