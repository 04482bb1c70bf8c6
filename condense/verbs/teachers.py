"""`condense teachers`."""

import shlex
from dataclasses import dataclass
from typing import Annotated

from condense.flags import about
from condense.interrupts import whole
from synth.errors import BadInput


@dataclass(frozen=True)
class Flags:
    """Train a self-supervised teacher, whose representations label what transfers; the same command again resumes."""

    data: Annotated[str, about("data to train on, without its labels", metavar="SPEC")]
    out: Annotated[str, about("folder of the teacher; the same command again resumes there", metavar="DIR")]
    ssl: Annotated[str, about("how it learns", metavar="barlow")] = "barlow"
    net: Annotated[str | None, about("network; by default a ConvNet of width 32 with batch norm", metavar="NET")] = None
    epochs: Annotated[int | None, about("passes over the images; by default as many as make about 4,000 steps")] = None
    seed: Annotated[int, about("seed of weights, order and views, and of the validation split")] = 0
    force: Annotated[bool, about("remove another teacher that DIR holds, and start anew")] = False


def act(call: Flags) -> None:
    """Trains the teacher and says how well its representations tell the classes apart."""
    if call.ssl != "barlow":
        raise BadInput(f"--ssl: unknown way to learn '{call.ssl}' (known: barlow)")

    with whole():
        from condense.barlow import Config
        from condense.config import check_seed
        from condense.data import load_data
        from condense.ssl import train_teacher

    config = Config(net=call.net, epochs=call.epochs, seed=check_seed(call.seed))
    words = ["condense", "teachers", "--ssl", call.ssl, "--data", call.data, "--out", call.out, "--seed", str(call.seed)]
    words += ["--net", call.net] if call.net else []
    words += ["--epochs", str(call.epochs)] if call.epochs else []
    teacher = train_teacher(load_data(call.data, seed=call.seed), call.out, config=config, command=shlex.join(words), force=call.force)
    accuracy = teacher.about["probe"]["accuracy"]
    print(
        f"{call.out} holds the teacher"
        + ("" if accuracy is None else f"; a linear probe on it: {100 * accuracy:.1f} % on validation images")
    )


RECORD = Flags
