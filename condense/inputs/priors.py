"""The priors of teachers, which `cvdd` takes as weights: how well networks do on data recovered from each teacher alone.

The measure is the method's own baseline, SRe2L++ (`cvdd` with a single member) at the run's settings but for its steps, scored on the
validation split by three fresh networks, of one kind for all members. It is taken once: `priors.json` in the teachers' folder keeps it, by
the settings and the digest of the member.
"""

import contextlib
import json
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import jax
import numpy as np

from condense.data.images import Data
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set, set_info
from condense.engine.loop import run, stream
from condense.engine.schedule import Schedule
from condense.evaluation.validation import validation_score
from condense.inputs.context import Context, Input, Provider, ToMake
from condense.inputs.task import task_of
from condense.runtime.checks import more_validation
from condense.runtime.lock import locked, sign
from condense.runtime.log import note
from condense.runtime.processes import one_by_one
from condense.runtime.run_folder import digest as settings_digest
from evals.recipes import recipe
from matchers import REGISTRY
from matchers.decoupled.common import FACTOR
from matchers.decoupled.cvdd import cvdd
from synth.base import Teacher
from synth.errors import BadInput, RunFailed
from synth.files.atomic import write_bytes
from synth.files.records import ListOf, Real, Table, read_record
from synth.labelling import teacher_digest

FILE, MEASURES_DIR = "priors.json", "priors"
HELD = ListOf(Table({"settings": Table(), "priors": Table(rest=Real(0, 100))}))
IPC, STEPS, SEEDS = 10, 300, 3
METHOD, RECIPE = "cvdd", "cvdd"


def measured(
    data: Data,
    teachers: Sequence[Teacher],
    *,
    folder: Path | None,
    ipc: int = IPC,
    steps: int = STEPS,
    epochs: int | None = None,
    **options: Any,
) -> tuple[float, ...]:
    """The prior of every teacher in their order: the accuracy in per cent of the data recovered from it.

    Args:
      data: that the teachers know.
      teachers: the committee.
      folder: of the teachers, where what is measured is kept; without one it is measured each time. A run that was stopped resumes there.
      ipc, steps: images a class, fewer where there are not as many real images as their collages show, and steps of the recovery;
        `epochs` of the scoring networks, by default the recipe's.
      options: of the method, as the run has them that asks.

    Raises:
      BadInput: as the method does. RunFailed: as a run does.
    """
    smallest = int(np.bincount(data.train.y, minlength=len(data.classes)).min())
    ipc = min(ipc, max(1, smallest // FACTOR**2))
    settings = {"ipc": ipc, "steps": steps, "recipe": RECIPE, "epochs": epochs, "net": teachers[0].name, "data": data.digest}
    settings |= {"split_seed": data.seed, "seeds": SEEDS, "options": options}
    kept = _kept(folder, settings)
    for number, teacher in enumerate(teachers):
        place = folder and folder / MEASURES_DIR / f"{number}-{settings_digest(settings)}"  # nothing else goes on from what was left
        if teacher_digest(teacher) in kept:
            _forget(place)
        else:
            with locked(place) if place else contextlib.nullcontext() as lock:
                if lock:
                    sign(lock)
                more = {"owner": settings_digest({**settings, "teacher": teacher_digest(teacher)}), "folder": place, "options": options}
                accuracy = worth(data, teacher, teachers[0].name, ipc=ipc, steps=steps, epochs=epochs, **more)
            kept[teacher_digest(teacher)] = accuracy
            note(f"prior of {teacher.name}: {accuracy:.1f} % of validation images")
            if folder:  # read again: other runs, at these or other settings, may have written in the hours that a measure takes
                kept = _kept(folder, settings) | kept
                others = [record for record in _records(folder) if record[0] != settings]
                told = [{"settings": said, "priors": priors} for said, priors in (*others, (settings, kept))]
                write_bytes(folder / FILE, (json.dumps(told, indent=1) + "\n").encode())
                shutil.rmtree(place, ignore_errors=True)
    if folder:
        with contextlib.suppress(OSError):  # it stays while another run measures at other settings
            (folder / MEASURES_DIR).rmdir()
    return tuple(kept[teacher_digest(teacher)] for teacher in teachers)


def _forget(place: Path | None) -> None:
    """Removes what is left of a measure that is kept, unless another process is measuring there."""
    if place and place.is_dir():
        with contextlib.suppress(BadInput, RunFailed), locked(place):
            shutil.rmtree(place, ignore_errors=True)


def worth(
    data: Data,
    teacher: Teacher,
    net: str,
    *,
    ipc: int,
    steps: int,
    epochs: int | None,
    folder: Path | None,
    options: dict[str, Any],
    owner: str = "",
) -> float:
    """Recovers data from this teacher alone, trains three fresh networks on them, and returns their mean accuracy in per cent on the
    validation split.

    Args:
      net: specification of the networks that are trained.
      ipc, steps: images a class, and steps of the recovery. epochs: of the networks; None for the recipe's.
      folder: keeps checkpoints of the recovery, from which the same call goes on; None keeps none.
      options: of `cvdd`, the method that recovers.
      owner: what tells this recovery from others; checkpoints of another are refused.
    """
    context = Context(REGISTRY[METHOD], data, net, data.seed, folder, steps)
    matcher = cvdd((teacher,), lambda: (0.0,), task_of(context), member=1, label_epochs=epochs, **options)
    chosen = recipe(RECIPE, epochs=epochs)
    config = {"method": METHOD, "net": net, "teacher": teacher_digest(teacher)}
    info = set_info(data, config, seed=data.seed, recipe=chosen.name)
    key = stream(jax.random.key(data.seed), int(teacher_digest(teacher)[:7], 16))
    synth = run(
        key,
        matcher,
        initial_set(key, matcher, matcher.start, data, ipc, info),
        make_feed(matcher.feed, data.train, len(data.classes), seed=data.seed),
        Schedule(steps, max(1, steps // 100), max(1, steps // 20)),
        folder=folder,
        owner=owner,
        description=f"prior of {teacher.name.split(':')[0]}",
    )
    return 100 * validation_score(data, net, chosen, seed=data.seed, teachers=(teacher,), seeds=SEEDS)(synth)


def _kept(folder: Path | None, settings: dict[str, Any]) -> dict[str, float]:
    return next((priors for said, priors in _records(folder) if said == settings), {})


def _records(folder: Path | None) -> list[tuple[dict[str, Any], dict[str, float]]]:
    """What was measured before: settings, and accuracies by the digest of the member."""
    if folder is None or not (folder / FILE).is_file():
        return []
    try:
        told = read_record(folder / FILE, HELD, what="holds no priors", remedy="they are measured again")
    except BadInput as error:
        note(f"warning: {error}")
        return []
    return [(one["settings"], {name: float(value) for name, value in one["priors"].items()}) for one in told]


def folder_of(context: Context) -> Path | None:
    """The folder of the run's teachers, in which their measured priors are kept; None if the run writes nothing."""
    place = context.places.get("teachers") or (context.out and context.out / "teachers")
    return place and Path(place)


class Unmeasured:
    """Takes the place of the priors in a plan: all teachers are equal. `asked` tells whether the method has read it. `data` are those that
    the teachers know."""

    def __init__(self, teachers: Sequence[Teacher], data: Data):
        self.teachers, self.data, self.asked = teachers, data, False

    def __call__(self, **options: Any) -> tuple[float, ...]:
        """Returns 0 for every teacher, whatever the options. Raises BadInput where the data have no validation images to measure on."""
        if not len(self.data.val.y):
            remedy = f"give --prior-numbers or --prior equal, or {more_validation(self.data.spec)}"
            raise BadInput(f"--prior distilled: {self.data.spec} has no validation images that say what a teacher is worth; {remedy}")
        self.asked = True
        return (0.0,) * len(self.teachers)


def find(context: Context) -> Input:
    """Gives a stand-in for the function that `make` gives, because measuring takes long: it returns 0 for every teacher. If the method
    calls it, the priors are to be made."""
    teachers = context.values["teachers"]
    recipe = f"cvdd from each teacher alone, {IPC} a class, {STEPS} steps, then {SEEDS} networks on the validation split"
    names = tuple(teacher.name for teacher in teachers)
    return Input(Unmeasured(teachers, context.data), to_make=ToMake("priors", names, recipe, folder_of(context), gradients=0))


def make(context: Context) -> Input:
    """Gives a function (**options of the method) -> the prior of every teacher in per cent. Once called it reads those that are kept in the
    teachers' folder, and measures the others."""
    measure = partial(measured, context.data, context.values["teachers"], folder=folder_of(context))
    return Input(lambda **options: one_by_one(lambda: measure(**options)))


PROVIDER = Provider(find, make)
