"""A page a method: its record, the docstring of its factory, its flags."""

import inspect
import re
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from docstring_parser import parse

from condense.cli.flags import argument_helps
from condense.presets import PRESETS
from matchers import REGISTRY
from matchers.inputs import flagged_inputs, option_parameters
from matchers.method import Method
from matchers.signature import read_factory
from pages.text import code, plain, table
from synth.options import Range, alternatives, flag_of

ROW = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \| .* \| (.+) \|$", re.MULTILINE)


def papers(root: Path) -> dict[str, str]:
    """The paper of every method, as the table of README.md says it."""
    return {name: row[2] for row in ROW.finditer((root / "README.md").read_text()) for name in re.findall(r"\w+", row[1])}


def pages(root: Path) -> dict[str, str]:
    """A page for each method, and the list of them."""
    found = papers(root)
    rows = [(f"[`{name}`](methods/{name}.md)", plain(one.summary), found.get(name, "")) for name, one in REGISTRY.items()]
    toc = "\n".join(f"methods/{name}" for name in REGISTRY)
    listed = f"# Methods\n\n{table(('method', 'what it does', 'paper'), rows)}\n```{{toctree}}\n:hidden:\n\n{toc}\n```\n"
    return {"methods.md": listed} | {f"methods/{name}.md": page(one, found.get(name, "")) for name, one in REGISTRY.items()}


def page(method: Method, paper: str) -> str:
    """The page of one method."""
    factory = read_factory(method)
    body = parse(inspect.getdoc(factory) or "").long_description or ""
    parts = [f"# {method.name}", plain(method.summary), table(("", ""), facts(method, factory, paper))]
    if body:
        parts += ["## What it computes", *map(plain, body.split("\n\n"))]
    parts += ["## A run", f"```bash\n{command(method)}\n```"]
    parts += [f"`condense distill {method.name} --help` lists the flags of all methods too."]
    if options := option_parameters(factory):
        helps = argument_helps(factory)
        rows = [(code(flag(name, p)), default(p), values(p), plain(helps.get(name, ""))) for name, p in options.items()]
        parts += ["## Flags of its own", table(("flag", "default", "values", "what it says"), rows)]
    return "\n\n".join(parts) + "\n"


def command(method: Method) -> str:
    """A run of the method on data that come with the workbench."""
    if "images" in method.modalities:
        labels = " --size 20" if not method.labelled else " --ipc 10"
        return f"condense distill {method.name} --data digits{labels} --out runs/{method.name}"
    budget = {"colour": "", "doscond": " --ipc 10", "kidd": " --ipc 10"}.get(method.name, " --bytes 200")
    return f"condense distill {method.name} --data toy_graphs?edges=false{budget} --out runs/{method.name}"


def facts(method: Method, factory: Any, paper: str) -> list[tuple[str, str]]:
    """The record in rows."""
    made = [f"`--{name}`: {plain(text)}" for name, text in flagged_inputs(factory).items()]
    count = sum(preset.method == method.name for preset in PRESETS.values())
    rows = [
        ("paper", paper),
        ("data", ", ".join(method.modalities)),
        ("labels of the data", "read" if method.labelled else "not read"),
        ("network", code(method.net)),
        ("works from", "; ".join(made)),
        ("recipe of its experts", code(method.experts)),
        ("`--minutes`", plain(method.length)),
        ("`condense tune` varies", ", ".join(map(code, method.tuned))),
        (
            "other defaults",
            "; ".join(f"{kind}: {', '.join(f'`{k}={v}`' for k, v in other.items())}" for kind, other in method.defaults.items()),
        ),
        ("presets", f"[{count}](../presets/{method.name}.md)" if count else "none"),
    ]
    return [(name, text) for name, text in rows if text]


def flag(name: str, parameter: inspect.Parameter) -> str:
    """The flag as it is typed; what is on by default is turned off."""
    return f"--no-{flag_of(name)[2:]}" if parameter.default is True else flag_of(name)


def default(parameter: inspect.Parameter) -> str:
    """The default of an option; nothing where the text says what it is."""
    if parameter.default is None or isinstance(parameter.default, bool):
        return {True: "on", False: "off"}.get(parameter.default, "")
    return code(str(parameter.default))


def values(parameter: inspect.Parameter) -> str:
    """What an option takes."""
    said = []
    for base, limits in alternatives(parameter.annotation):
        if get_origin(base) is Literal:
            said.append(", ".join(map(code, map(str, get_args(base)))))
        elif get_origin(base) is tuple:
            said.append(f"several, each {get_args(base)[0].__name__}")
        elif base in (int, float):
            said.append(("a whole number " if base is int else "a number ") + (limits.words if isinstance(limits, Range) else ""))
    return "; ".join(said)
