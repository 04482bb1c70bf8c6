"""`condense tune`: the flags of `condense distill` that make sense for many runs, and those of the search."""

import shlex
from dataclasses import MISSING
from typing import Annotated, Any

from condense.cli.distill import COMMON, read_call
from condense.cli.flags import about
from condense.runtime.interrupts import defer_interrupt

RECORD = None
SHARED = ("data", "ipc", "size", "bytes", "fraction", "net", "seed", "start", "store", "factor", "bases", "preset")
FLAGS: dict[str, tuple[Any, Any]] = {name: COMMON[name] for name in SHARED} | {
    "out": (Annotated[str, about("folder of the search; the same command again goes on there", metavar="DIR")], MISSING),
    "minutes": (Annotated[float, about("of this machine, for all runs and scores", metavar="M")], MISSING),
    "vary": (
        Annotated[tuple[str, ...] | None, about("options that are varied; by default those that the method names", metavar="NAME ...")],
        None,
    ),
    "trials": (Annotated[int, about("trials of the first, shortest rung")], 16),
    "seeds": (Annotated[int, about("networks that score a set")], 2),
}


def act(args: list[str]) -> None:
    """Look for a method's options on your data by short runs, scored on validation; the same command again goes on."""
    if (read := read_call("tune", args, FLAGS)) is None:
        return
    with defer_interrupt():
        from condense.plots.tables import print_table
        from condense.studies.tune import tune
        from condense.studies.tuned import PRESET
    given = dict(read.given)
    data = given.pop("data", read.preset.get("data"))
    found = tune(read.method, data, command="condense tune " + shlex.join(args), **given)
    print_table(found.table())
    print(f"{found.out / PRESET} holds the best settings, {found.preset.claim}; next:")
    print("  " + shlex.join(found.next_words(read.flags.data)))
