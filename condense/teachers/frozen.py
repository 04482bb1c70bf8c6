"""Trained networks on whose features a ridge head is fitted: a committee's members, or a self-supervised teacher."""

from pathlib import Path

from condense.data.images import Data
from condense.teachers.self_supervised import load_ssl_teacher
from condense.teachers.store import INDEX, take_teachers, warn_of_split
from synth.base import Teacher
from synth.errors import BadInput


def load_frozen(place: str | Path, data: Data, *, split: str = "test") -> dict[str, Teacher]:
    """The networks in a folder of `condense teachers`, in the model space of `data`, by specification and number from 1, as in
    `mobilenet:width=16,depth=2 (frozen 3)`.

    A note on stderr says where `split`, on which sets are scored (`test` or `val`), may hold images that they were trained on.

    Raises BadInput where there is none, where they take other images than the data's, or where one of a committee is near chance on them.
    """
    if (Path(place) / INDEX).is_file():
        known = take_teachers(place, data, flag="--frozen", split=split)
    elif not (Path(place) / "teacher.json").is_file():
        raise BadInput(f"--frozen {place}: holds no trained networks; give the folder of a finished `condense teachers`, --ssl or not")
    else:
        found = load_ssl_teacher(place)
        found.check_fit(data, f"--frozen {place}")
        warn_of_split(f"--frozen {place}", found.about.get("split_seed"), data, split)
        known = (Teacher(found.net, found.vars, found.net_name),)
    return {f"{teacher.name} (frozen {number})": teacher for number, teacher in enumerate(known, 1)}
