"""The self-supervised teacher of a distillation."""

import tempfile
from pathlib import Path

from condense.data.images import Data
from condense.runtime.log import note
from condense.teachers.barlow import Config
from condense.teachers.self_supervised import Representer, load_teacher, train_teacher
from synth.errors import BadInput


def find_teacher(data: Data, given: str | Path | None, out: Path | None, *, seed: int = 0, force: bool = False) -> Representer:
    """The teacher in the folder `given`, else the one in OUT/teacher, trained there first if need be and kept where it fits.

    Without a folder to write to, it is trained and forgotten. Raises BadInput where it takes other images than those of `data`.
    """
    if given is not None:
        teacher = load_teacher(given)
    elif out is None:
        with tempfile.TemporaryDirectory() as place:
            teacher = train_teacher(data, place, config=Config(seed=seed))
    else:
        place = out / "teacher"
        note(f"no --teacher is given: {'using' if (place / 'teacher.json').is_file() else 'training'} the one in {place}")
        try:
            teacher = train_teacher(data, place, config=Config(seed=seed))
        except BadInput:
            if not force:
                raise
            teacher = train_teacher(data, place, config=Config(seed=seed), force=True)
    teacher.check_fit(data, "--teacher")
    return teacher
