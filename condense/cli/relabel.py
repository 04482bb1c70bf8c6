"""`condense relabel`."""

import shlex
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from condense.cli.flags import about, check_place
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Give a set labels of another kind from teachers; the same command again resumes."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    teachers: Annotated[str, about("committee that answers", metavar="DIR")]
    kind: Annotated[str, about("hard, static, interpolated, committee, online or distances", metavar="KIND")]
    out: Annotated[str, about("the new set", metavar="SET")]
    data: Annotated[str | None, about("data that teachers are checked on; by default what the set was made from", metavar="SPEC")] = None
    recipe: Annotated[str | None, about("recipe that networks will be trained with; by default the set's, or cvdd", metavar="NAME")] = None
    epochs: Annotated[int | None, about("epochs of that training; by default the recipe's")] = None
    temperature: Annotated[float | None, about("of the labels; by default the recipe's, and 1 for distances")] = None
    members: Annotated[tuple[int, ...] | None, about("which teachers answer, from 1; by default all", metavar="N")] = None
    weights: Annotated[tuple[float, ...] | None, about("of their logits; by default equal", metavar="X")] = None
    statistics: Annotated[str, about("of their batch norms: running, or the batch's own: batch, batch/2 (in halves)")] = "running"
    alpha: Annotated[float, about("weight of the distances' loss")] = 1.0
    norm: Annotated[str, about("of the distances' loss: l1, l2 or huber")] = "l1"
    sce: Annotated[str, about("cross entropy beside the distances' gaps: mixed, smoothed or soft")] = "mixed"
    seed: Annotated[int, about("seed of the views")] = 0


def act(call: Flags) -> None:
    """Labels, and says what the labels weigh."""
    check_place("--out", call.out)

    with defer_interrupt():
        from condense.workflows.relabel import relabel
        from evals.storage import count_bytes

    names = ("data", "recipe", "epochs", "temperature", "members", "weights", "statistics", "alpha", "norm", "sce", "seed")
    made = relabel(call.what, call.out, call.teachers, call.kind, **{name: getattr(call, name) for name in names})
    counted = count_bytes(made)
    print(f"{call.out}: {call.kind} labels of {counted['labels']:,} bytes beside {counted['content']:,} bytes of images; next:")
    print("  " + shlex.join(["condense", "evaluate", call.out, "--teachers", call.teachers]))


RECORD = Flags
