"""The teachers of a distillation: loaded and checked, or a committee made in its folder."""

import contextlib
import tempfile
from pathlib import Path

from condense.runtime.log import note
from condense.teachers.store import load_teachers
from condense.teachers.train import EPOCHS, default_committee, make_teachers
from synth.base import Teacher
from synth.errors import BadInput

USED = {"sre2l": 1, "rded": 1, "nrr": 1, "infer": 4}  # of the default committee, by methods that do not use all


def provide_teachers(context) -> tuple[Teacher, ...]:
    """The teachers of a run: those of the folder that its flag names, else those it makes in its own folder, as many as its method uses.

    Args:
      context: a `condense.inputs.context.Context`.
    """
    if context.given:
        return load_teachers(context.given, context.data)
    names = default_committee(context.data.image)[: USED.get(context.method)]
    with contextlib.ExitStack() as stack:
        folder = context.out / "teachers" if context.out else Path(stack.enter_context(tempfile.TemporaryDirectory()))
        note(f"{context.method} works from teachers and was given none: {len(names)} of {EPOCHS} epochs in {folder}")
        try:
            make_teachers(context.data, folder, net=names, seed=context.seed)
        except BadInput:  # the folder holds another committee; one that fits is kept
            if not context.force:
                raise
            make_teachers(context.data, folder, net=names, seed=context.seed, force=True)
        return load_teachers(folder, context.data)
