"""`condense relabel`: flags come from one record and from the options that a kind of labels declares."""

import shlex
from dataclasses import dataclass, field, fields, make_dataclass
from itertools import pairwise
from typing import Annotated, Any

from tyro.conf import Positional

from condense.cli.flags import about, argument_helps, check_place, first_line, parse
from condense.runtime.interrupts import defer_interrupt

RECORD = None


@dataclass(frozen=True)
class Flags:
    """Give a set labels of another kind from teachers; the same command again resumes."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    teachers: Annotated[str, about("committee that answers", metavar="DIR")]
    kind: str
    out: Annotated[str, about("the new set", metavar="SET")]
    data: Annotated[str | None, about("data that teachers are checked on; by default what the set was made from", metavar="SPEC")] = None
    recipe: Annotated[str | None, about("recipe that networks will be trained with; by default the set's, or cvdd", metavar="NAME")] = None
    epochs: Annotated[int | None, about("epochs of that training; by default the recipe's")] = None
    temperature: Annotated[float | None, about("of the labels; by default the kind's own, else the recipe's")] = None
    members: Annotated[tuple[int, ...] | None, about("which teachers answer, from 1; by default all", metavar="N")] = None
    weights: Annotated[tuple[float, ...] | None, about("of their logits; by default equal", metavar="X")] = None
    statistics: Annotated[str, about("of their batch norms: running, or the batch's own: batch, batch/2 (in halves)")] = "running"
    seed: Annotated[int, about("seed of the views")] = 0


def kind_record(name: str | None) -> type:
    """Makes the dataclass of the flags of `condense relabel`: the common ones, and the own options of the kind of labels of this name; the
    common ones alone for None. Raises BadInput for an unknown kind."""
    from synth.labels import find_kind, made_kinds, option_parameters

    text = f"{', '.join(made_kinds())}; `--kind KIND --help` shows a kind's own flags"
    rows: list[tuple] = [("kind", Annotated[str, about(text, metavar="KIND")])]
    kind = None if name is None else find_kind(name)
    helps = argument_helps(kind.make) if kind else {}
    for flag, p in option_parameters(kind).items() if kind else ():
        rows.append((flag, Annotated[p.annotation, about(helps[flag])], field(default=p.default)))
    if kind and kind.default_temperature is not None:
        text = about(f"of the labels; by default {kind.default_temperature:g}")
        rows.append(("temperature", Annotated[float | None, text], field(default=None)))
    made = make_dataclass("Flags", rows, bases=(Flags,), frozen=True)
    made.__doc__ = Flags.__doc__ + (f"\n\nLabels of kind {name}. {first_line(kind)}" if kind else "")
    return made


def act(args: list[str]) -> None:
    """Give a set labels of another kind from teachers; the same command again resumes."""
    with defer_interrupt():
        from condense.workflows.relabel import relabel
        from evals.storage import count_bytes

    tokens = [part for token in args for part in token.split("=", 1)]
    kind = dict(pairwise(tokens)).get("--kind")
    call: Any = parse(kind_record(kind), args, "condense relabel" + (f" --kind {kind}" if kind else ""))
    check_place("--out", call.out)
    options = {f.name: getattr(call, f.name) for f in fields(call) if f.name not in ("what", "out", "teachers", "kind")}
    made = relabel(call.what, call.out, call.teachers, call.kind, **options)
    counted = count_bytes(made)
    print(f"{call.out}: {call.kind} labels of {counted['labels']:,} bytes beside {counted['content']:,} bytes of images; next:")
    print("  " + shlex.join(["condense", "evaluate", call.out, "--teachers", call.teachers]))
