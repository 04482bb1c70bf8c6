"""The inputs that a factory can ask for by the name of a parameter, and the options that a user sets."""

import inspect
from collections.abc import Callable

# name -> help of the flag that names a folder with it; None for an input without a flag
INPUTS = {
    "net": None,
    "augment": None,
    "experts": "folder of `condense experts`; by default a few small ones are trained in OUT/experts",
    "teacher": "folder of a self-supervised teacher of `condense teachers --ssl barlow`; by default one is trained in OUT/teacher",
    "teachers": "committee of `condense teachers`; by default one is made in the run's folder",
    "distilled": "run or file of a set to add to; by default a small one is made by dm in OUT/distilled",
    "ranks": "log of `condense rank`; by default that of a few small networks is made in OUT/ranks",
    "task": None,
    "priors": None,
    "budget": None,
}


def input_names(factory: Callable) -> tuple[str, ...]:
    """The names of the inputs that a factory asks for, in the order of INPUTS."""
    wanted = inspect.signature(factory).parameters
    return tuple(name for name in INPUTS if name in wanted)


def flagged_inputs(factory: Callable) -> dict[str, str]:
    """The inputs of a factory that have a flag: name -> help text of the flag."""
    return {name: INPUTS[name] for name in input_names(factory) if INPUTS[name]}


def option_parameters(factory: Callable) -> dict[str, inspect.Parameter]:
    """The parameters of a factory that a user sets, all but its inputs, by name, with their defaults and types."""
    return {name: p for name, p in inspect.signature(factory, eval_str=True).parameters.items() if name not in INPUTS}
