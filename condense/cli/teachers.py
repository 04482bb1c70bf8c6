"""`condense teachers`."""

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from condense.cli.flags import DEVICE, DRY_RUN, about, check_estimate, few
from condense.runtime.interrupts import defer_interrupt
from synth.errors import BadInput

NUMBERS, COMMITTEE = (
    ("epochs", "lr", "batch", "precision"),
    ("optimizer", "decay", "fraction"),
)  # flags whose defaults are those of whoever trains


@dataclass(frozen=True)
class Flags:
    """Train a committee of networks, or with --ssl one that reads no labels; the same command again resumes."""

    data: Annotated[str, about("data to train on", metavar="SPEC")]
    out: Annotated[str, about("folder of the teachers; the same command again resumes there", metavar="DIR")]
    net: Annotated[
        tuple[str, ...] | None,
        about(
            "members, each with what of its recipe is its own behind an @, as in resnet18:norm=batch@lr=0.1,epochs=9; by default five"
            " of different kinds, with --ssl one ConvNet with batch norm",
            metavar="NET",
        ),
    ] = None
    ssl: Annotated[str | None, about("learn without labels, by this method", metavar="barlow")] = None
    epochs: Annotated[int | None, about("epochs of every member; by default 5, or more for 50 steps, with --ssl 4,000 steps")] = None
    lr: Annotated[float | None, about("largest step size; by default 0.05, with --ssl Adam's 0.002")] = None
    batch: Annotated[int | None, about("images a step; by default 128, with --ssl 256")] = None
    precision: Annotated[
        str | None, about("of the products in the networks while they are trained; by default f32", metavar="f32|bf16")
    ] = None
    optimizer: Annotated[str | None, about("of a committee's training; by default sgd", metavar="sgd|adam")] = None
    decay: Annotated[float | None, about("weight decay of a committee's training; by default 0.0005")] = None
    fraction: Annotated[float | None, about("part of the training images that a committee sees; by default all")] = None
    dry_run: Annotated[bool, about(DRY_RUN)] = False
    device: Annotated[str | None, about(DEVICE, metavar="KIND[xN]")] = None
    seed: Annotated[int, about("seed of weights, order and views, and of the validation split")] = 0
    force: Annotated[bool, about("start anew where DIR holds other teachers, or these and they are done")] = False


def act(call: Flags) -> None:
    """Trains a committee, or one self-supervised teacher, and prints the accuracy on validation images."""
    if call.ssl not in (None, "barlow"):
        raise BadInput(f"--ssl: unknown way to learn '{call.ssl}' (known: barlow)")
    check_estimate(call.device, dry_run=call.dry_run)
    words = ["condense", "teachers", "--data", call.data, "--out", call.out, "--seed", str(call.seed)]
    words += ["--net", *call.net] if call.net else []
    words += ["--ssl", call.ssl] if call.ssl else []
    for flag in NUMBERS + COMMITTEE:
        words += [] if (value := getattr(call, flag)) is None else [f"--{flag}", str(value)]
    (learn_alone if call.ssl else learn_classes)(call, shlex.join(words))


def chosen(call: Flags, flags: tuple[str, ...]) -> dict[str, Any]:
    """Of the settings that `flags` names those that the call gives, by name. Settings that it leaves out are not in the result."""
    return {name: value for name in flags if (value := getattr(call, name)) is not None}


def learn_classes(call: Flags, command: str) -> None:
    """Trains the committee that the call asks for, and prints each member's accuracy on validation images and what to do next. `command` is
    what run.json records."""
    with defer_interrupt():
        from condense.data.load import load_data
        from condense.inputs.teachers import plan_teachers
        from condense.runtime.checks import check_seed
        from condense.teachers.train import BATCH, LR, TeacherRecipe, kept_epochs, part_of, settle_committee, train_teachers, usual_epochs
        from condense.workflows.preview import preview_inputs
        from matchers.decoupled.common import FACTOR
        from synth.files.memory import forcing

    given = chosen(call, NUMBERS + COMMITTEE)
    with forcing(call.force):
        data = load_data(call.data, seed=check_seed(call.seed))
    if call.dry_run:
        data, recipe = part_of(data, call.fraction), {"lr": LR, "batch": BATCH} | {k: v for k, v in given.items() if k != "fraction"}
        recipe.setdefault("epochs", kept_epochs(Path(call.out)) or usual_epochs(len(data.train.y), batch=max(1, recipe["batch"])))
        members = settle_committee(data, call.net, TeacherRecipe(**recipe).checked())
        print("\n".join(preview_inputs(plan_teachers(data, members, Path(call.out)), data, device=call.device)))
        return
    made = train_teachers(data, call.out, net=call.net, seed=call.seed, force=call.force, command=command, **given)
    for member, accuracy in zip(made.members, made.accuracies, strict=True):
        print(f"{100 * accuracy:5.1f} % of validation images  {member.name}" if accuracy == accuracy else f"trained  {member.name}")
    print(f"{call.out} is ready; next:")
    words = ["--data", call.data, "--ipc", few(data, images=FACTOR**2), "--teachers", call.out, "--out", "RUN"]
    print("  " + shlex.join(["condense", "distill", "cvdd", *words]))


def learn_alone(call: Flags, command: str) -> None:
    """Trains one self-supervised teacher, and prints its probe's accuracy on validation images. `command` is what run.json records.

    Raises BadInput for flags of a committee, and for several networks.
    """
    with defer_interrupt():
        from condense.data.load import load_data
        from condense.data.modality import check_modality
        from condense.inputs.teacher import plan_teacher
        from condense.runtime.checks import check_seed
        from condense.runtime.processes import is_first, one_by_one
        from condense.teachers.barlow import Config, complete
        from condense.teachers.self_supervised import train_ssl_teacher
        from condense.workflows.preview import preview_inputs

    if alien := chosen(call, COMMITTEE):
        raise BadInput(f"--{next(iter(alien))}: is for a committee; leave it out with --ssl")
    if call.net and len(call.net) > 1:
        raise BadInput(f"--net {' '.join(call.net)}: a teacher without labels is one network; give one")
    given = {"net": call.net[0] if call.net else None, "seed": call.seed, **chosen(call, NUMBERS)}
    if call.dry_run:
        data = check_modality(load_data(call.data, seed=check_seed(call.seed)), "images", flag="--data")
        config = complete(Config(**given), data.image, len(data.train.y))
        print("\n".join(preview_inputs([plan_teacher(data, config, Path(call.out))], data, device=call.device)))
        return
    force = call.force and is_first()
    teacher = one_by_one(lambda: train_ssl_teacher(call.data, call.out, **given, command=command, force=force))
    accuracy = teacher.about["probe"]["accuracy"]
    probed = "" if accuracy is None else f"; a linear probe on it: {100 * accuracy:.1f} % of validation images"
    print(f"{call.out} holds the teacher{probed}")


RECORD = Flags
