"""`condense rank`."""

import shlex
from dataclasses import dataclass, fields
from typing import Annotated

from condense.cli.flags import about, few
from condense.runtime.interrupts import defer_interrupt


@dataclass(frozen=True)
class Flags:
    """Train proxies, and log what they say of every training example: `distill select` and rows of `evaluate` choose by scores of it."""

    data: Annotated[str, about("data to rank, without its validation split", metavar="SPEC")]
    out: Annotated[str, about("folder of the log; the same command again resumes there", metavar="DIR")]
    net: Annotated[str | None, about("network of the proxies; by default the usual one for few examples", metavar="NET")] = None
    networks: Annotated[int, about("how many proxies are trained")] = 4
    epochs: Annotated[int, about("passes over the training examples of each; all are logged")] = 4
    lr: Annotated[float, about("first step size of SGD with momentum 0.9, which falls along a cosine")] = 0.05
    batch: Annotated[int, about("examples a step")] = 128
    full_gradient: Annotated[bool, about("also log the norm of every example's gradient by all parameters, for the score grand; slow")] = (
        False
    )
    seed: Annotated[int, about("seed of everything that is drawn, the validation split too")] = 0
    dry_run: Annotated[bool, about("print what would be done, with an estimate, and write nothing")] = False
    force: Annotated[bool, about("start anew where DIR holds another run or one that is done")] = False


def act(call: Flags) -> None:
    """Ranks the examples and prints what is logged; with `dry_run` prints what that would take, and writes nothing."""
    given = {name: getattr(call, name) for name in ("net", "networks", "epochs", "lr", "batch", "full_gradient", "seed")}
    with defer_interrupt():
        from condense.ranking.preview import preview_ranking
        from condense.ranking.train import rank, settle_ranking
        from synth.files.memory import forcing
        from synth.selection.ranks import PER_EPOCH

    with forcing(call.force):
        ranking = settle_ranking(call.data, **given)
    if call.dry_run:
        print("\n".join(preview_ranking(ranking, call.out, force=call.force)))
        return
    ranks = rank(ranking.data, call.out, **given, force=call.force, command=shlex.join(command_of(call)))
    examples = f"{ranks.examples:,} examples by {ranks.networks} networks of {ranks.epochs} epochs"
    print(f"{call.out} holds the log of {examples}: {', '.join(PER_EPOCH)}; next:")
    words = ["condense", "distill", "select", "--ranks", call.out, "--data", call.data, "--ipc", few(ranking.data), "--out", "runs/select"]
    print("  " + shlex.join(words))


def command_of(call: Flags) -> list[str]:
    """The words of the command that a call came from, `condense` first, without the flags that stand at their defaults."""
    words = ["condense", "rank"]
    for flag in fields(call):
        value, name = getattr(call, flag.name), flag.name.replace("_", "-")
        if value != flag.default:
            words += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return words


RECORD = Flags
