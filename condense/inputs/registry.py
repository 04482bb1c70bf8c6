"""What the workbench hands to a method whose factory asks for it by a parameter's name.

A value with a flag (`--experts DIR`) is loaded from there, or made in the run's folder where the flag is not given.
"""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from condense.inputs.context import Context, Provider
from condense.inputs.task import task_of
from matchers.inputs import EXPERTS, TEACHER, TEACHERS
from synth.errors import BadInput


def _net(context: Context):
    from condense import nets

    return nets.build(context.net, context.data.image, len(context.data.classes))


def _augment(context: Context):
    from synth.images.augment import dsa, dsa_strategy

    return dsa(dsa_strategy(context.data.flips))


def _experts(context: Context):
    from condense.inputs.experts import provide

    return provide(context)


def _experts_identity(experts) -> str:
    return experts.identity()


def _experts_split(place: str) -> int:
    from condense.experts.store import read_header

    return read_header(Path(place)).split_seed


def _teacher(context: Context):
    from condense.inputs.teacher import find_teacher

    return find_teacher(context.data, context.given, context.out, seed=context.seed, force=context.force)


def _teacher_split(place: str) -> int | None:
    from condense.teachers.self_supervised import load_teacher

    return load_teacher(place).about.get("split_seed")


def _teachers(context: Context):
    from condense.inputs.teachers import provide_teachers

    return provide_teachers(context)


def _teachers_split(place: str) -> int | None:
    from condense.teachers.store import read_teachers

    return read_teachers(place).split_seed


def _members(teachers) -> list[str]:
    from synth.labelling import digest

    return [digest(teacher) for teacher in teachers]


def _priors(context: Context):
    from condense.inputs.priors import measured

    place = context.places.get("teachers") or (context.out and context.out / "teachers")
    return partial(measured, context.data, context.values["teachers"], folder=place and Path(place))


PROVIDERS = {
    "net": Provider(_net),
    "augment": Provider(_augment),
    "experts": Provider(_experts, EXPERTS, _experts_identity, _experts_split),
    "teacher": Provider(_teacher, TEACHER, lambda teacher: teacher.digest, _teacher_split),
    "teachers": Provider(_teachers, TEACHERS, _members, _teachers_split),
    "task": Provider(task_of),
    "priors": Provider(_priors),
    "budget": Provider(lambda context: context.budget),
}


def flagged(factory: Callable) -> dict[str, Provider]:
    """The values with a flag that a factory asks for, by name."""
    wanted = inspect.signature(factory).parameters
    return {name: handed for name, handed in PROVIDERS.items() if handed.flag and name in wanted}


def split_seed(factory: Callable, places: dict[str, str | None], seed: int) -> int:
    """The seed of the validation split: the run's, or that of what is handed over and was trained without such a split."""
    for name, handed in flagged(factory).items():
        if handed.split and places.get(name) is not None and (found := handed.split(places[name])) is not None:
            return found
    return seed


def resolve_inputs(factory: Callable, places: dict[str, str | None], context: Context) -> tuple[dict[str, Any], dict[str, Any], str]:
    """All that a factory asks for, what the run's configuration records of it, and the network's canonical specification.

    Args:
      factory: of the method.
      places: what the flags of values say, by name.
      context: with the network that was asked for, or None.

    Raises BadInput where another network is asked for than a value is made for, and as the providers do.
    """
    from condense import nets

    asked = flagged(factory)
    values = {name: handed.provide(context._replace(given=places.get(name))) for name, handed in asked.items()}
    identity = {name: handed.identity(values[name]) for name, handed in asked.items()}
    net = context.net
    for name, value in values.items():
        if isinstance(made_for := getattr(value, "net", None), str):
            if net not in (None, made_for):
                raise BadInput(f"--net {net}: the {name} are of {made_for}; leave --net out, or give other {name}")
            net = made_for
    if net is None:  # what learns from teachers has batch statistics, as they have
        net = values["teachers"][0].name if "teachers" in values else nets.canonical("convnet")
    context = context._replace(net=net, values=values, places=places)
    wanted = inspect.signature(factory).parameters
    plain = {name: handed.provide(context) for name, handed in PROVIDERS.items() if not handed.flag and name in wanted}
    return values | plain, identity, context.net
