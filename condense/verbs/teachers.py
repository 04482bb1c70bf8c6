"""`condense teachers`."""

import shlex
from dataclasses import dataclass
from typing import Annotated

from condense.flags import about
from condense.interrupts import whole


@dataclass(frozen=True)
class Flags:
    """Train a committee of networks on real data; the same command again resumes, or says what it reached."""

    data: Annotated[str, about("data to train on", metavar="SPEC")]
    out: Annotated[str, about("folder of the committee", metavar="DIR")]
    net: Annotated[tuple[str, ...] | None, about("members; by default five of different kinds", metavar="NET")] = None
    epochs: Annotated[int, about("epochs of every member")] = 5
    lr: Annotated[float, about("step size of the first step")] = 0.05
    batch: Annotated[int, about("images a step")] = 128
    seed: Annotated[int, about("seed of weights, order and views, and of the validation split")] = 0
    force: Annotated[bool, about("remove another committee that DIR holds, and start anew")] = False


def act(call: Flags) -> None:
    """Trains, and prints every member's validation accuracy."""
    with whole():
        from condense.teachers import make_teachers

    command = shlex.join(["condense", "teachers", "--data", call.data, "--out", call.out])
    given = {name: getattr(call, name) for name in ("net", "epochs", "lr", "batch", "seed", "force")}
    made = make_teachers(call.data, call.out, **given, command=command)
    for member, accuracy in zip(made.members, made.accuracies, strict=True):
        print(f"{100 * accuracy:5.1f} % of validation images  {member.name}")
    print(f"{call.out} is ready; next:")
    print("  " + shlex.join(["condense", "distill", "cvdd", "--data", call.data, "--ipc", "10", "--teachers", call.out, "--out", "RUN"]))


RECORD = Flags
