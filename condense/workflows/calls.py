"""Calls of `distill` as text: for `run.json`, and with the steps that minutes came to."""

import ast
import shlex
from pathlib import Path
from typing import Any

from matchers.method import Method
from synth.options import flag_of


def call_of(given: dict[str, Any], options: dict[str, Any], net: str | None, split: int) -> str:
    """The Python call that a plan resolves, as text for `run.json`. Executing it repeats the run. Values at their defaults are left out.

    Args:
      given: the arguments that all methods share, by name. options: those of the method, None too.
      net: specification of the network; what stands in the call for one that was handed over, and known in this process alone.
      split: the seed that the data are cut by; those that were handed over are read anew from their specification.
    """
    usual, data = {"seed": 0, "force": False}, given["data"]
    said = {name: value for name, value in given.items() if name == "data" or (value is not None and value != usual.get(name))}
    said |= {"net": net} if "net" in said and not isinstance(said["net"], str) else {}
    texts = {name: repr(plain(value)) for name, value in (said | options).items()}
    if not isinstance(data, str | Path | None):
        texts["data"] = repr(data.spec) if split == given["seed"] else f"condense.load_data({data.spec!r}, seed={split})"
    return f"condense.distill({', '.join(f'{name}={text}' for name, text in texts.items())})"


def plain(value: Any) -> Any:
    """A value of an argument as Python writes it: paths as text, a method's record as its name, numbers of other kinds as its own."""
    if isinstance(value, tuple | list):
        return type(value)(plain(one) for one in value)
    if isinstance(value, Path | Method):
        return str(value) if isinstance(value, Path) else value.name
    return value.item() if hasattr(value, "item") else value


def without_clock(command: str, steps: int, options: dict[str, Any]) -> str:
    """The command of a run with minutes, with the steps and options that these came to in their place. What is neither a command line nor a
    call is given back as flags alone."""
    given = {"steps": steps, **options}
    flags = [text for name, value in given.items() for text in (flag_of(name), str(value))]
    if command.startswith("condense distill "):
        words = shlex.split(command)
        at = next((i for i, word in enumerate(words) if word.partition("=")[0] == "--minutes"), len(words))
        return shlex.join([*words[:at], *words[at + (1 if "=" in "".join(words[at : at + 1]) else 2) :], *flags])
    if command.startswith("condense.distill("):
        call = ast.parse(command, mode="eval").body
        call.keywords = [one for one in call.keywords if one.arg != "minutes"]
        call.keywords += [ast.keyword(name, ast.Constant(value)) for name, value in given.items()]
        return ast.unparse(call)
    return shlex.join(flags)
