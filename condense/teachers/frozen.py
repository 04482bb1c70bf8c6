"""Trained networks on whose features a ridge head is fitted: a committee's members, or a self-supervised teacher."""

from pathlib import Path

from condense.data.images import Data
from condense.teachers.self_supervised import load_ssl_teacher
from condense.teachers.store import INDEX, take_teachers
from synth.base import Teacher
from synth.errors import BadInput


def load_frozen(place: str | Path, data: Data) -> dict[str, Teacher]:
    """Loads the networks of a folder made by `condense teachers`, adapted to the model space of `data`. The keys are their specification
    and number.

    Raises BadInput where there is none, or where they take other images than the data's.
    """
    if (Path(place) / INDEX).is_file():
        known = take_teachers(place, data, flag="--frozen")
    elif not (Path(place) / "teacher.json").is_file():
        raise BadInput(f"--frozen {place}: holds no trained networks; give the folder of a finished `condense teachers`, --ssl or not")
    else:
        found = load_ssl_teacher(place)
        found.check_fit(data, f"--frozen {place}")
        known = (Teacher(found.net, found.vars, found.net_name),)
    return {f"{teacher.name} (frozen {number})": teacher for number, teacher in enumerate(known, 1)}
