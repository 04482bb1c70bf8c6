"""README.md and docs/: their blocks of code, and the commands in them, which the command line must take."""

import re
import shlex
from dataclasses import fields
from itertools import pairwise
from pathlib import Path

from condense import nets
from condense.cli import distill, experts, relabel, tune
from condense.cli.app import VERBS
from condense.cli.completion import script
from condense.cli.flags import parse
from condense.data.spec import parse_spec
from condense.experts import RECIPES
from condense.runtime import processes
from condense.studies.shipped import list_suites
from condense.workflows.methods import find_method
from evals.listed import LISTED
from matchers import REGISTRY
from matchers.inputs import flagged_inputs, option_parameters
from matchers.signature import read_factory
from synth.errors import BadInput
from synth.labels import made_kinds
from synth.options import flag_of
from tests.support.places import ROOT

FLAGS = {"distill": distill.COMMON, "tune": tune.FLAGS}
TOLD = {"-V", "--version", "help", "completion"}
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def name_of(page: Path) -> str:
    """A page as test reports call it."""
    return page.relative_to(ROOT).as_posix()


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of a page in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[list[str]]:
    """The command lines of a page's blocks of bash, split as a shell does, without comments."""
    lines = "".join(blocks(text, "bash")).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def check(words: list[str], prepared: set[str]) -> None:
    """Reads a command line as the program does, and looks up the names in it, where data sets called `prepared` are there. Raises BadInput,
    or KeyError for an unknown verb."""
    verb, *rest = words
    if verb == "help":
        VERBS[rest[0]]
        return None if len(rest) < 2 else find_method(rest[1]) and None
    if verb in TOLD:
        return None if verb != "completion" else script(" ".join(rest), VERBS) and None
    if verb in FLAGS:
        if "--preset" in rest and rest[at := rest.index("--preset") + 1].endswith(".json"):  # a file that an earlier command writes
            rest[at - 1 : at + 1] = []
        call = distill.read_call(verb, rest, FLAGS[verb]).flags
    else:
        call = parse(record_of(verb, dict(pairwise(rest))), rest, f"condense {verb}")
    if verb == "list":
        VERBS["list"].act(call)
    if verb == "suite" and call.what not in list_suites():
        assert call.what.endswith(".toml")
    targets = [("to", parse_spec)] if verb == "transfer" else []
    for flag, look_up in (*targets, ("data", parse_spec), ("net", nets.parse), ("recipe", look_up_recipe)):
        value = getattr(call, flag, None) or ()
        for one in (value,) if isinstance(value, str) else value:
            name, mark, rest = one.partition("@" if flag == "net" else "?")
            look_up(f"cifar10{mark}{rest}" if name in prepared else name if flag == "net" else one)


def record_of(verb: str, given: dict[str, str]) -> type:
    """The flags of a verb, where some are `given` with their values."""
    if verb == "experts":
        return experts.recipe_class(given.get("--recipe", "sgd"))
    return relabel.kind_record(given.get("--kind")) if verb == "relabel" else VERBS[verb].RECORD


def known_flags() -> set[str]:
    """Every flag of every verb and method."""
    records = [module.RECORD for module in VERBS.values() if module.RECORD is not None]
    records += [relabel.kind_record(kind) for kind in (None, *made_kinds())] + [experts.recipe_class(name) for name in RECIPES]
    names = {field.name for record in records for field in fields(record)} | {name for flags in FLAGS.values() for name in flags}
    for method in REGISTRY.values():
        factory = read_factory(method)
        names |= {*flagged_inputs(factory), *option_parameters(factory)}
    return {flag_of(name) for name in names} | {*processes.FLAGS}


def look_up_recipe(name: str) -> None:
    """A recipe of evaluations, or of experts."""
    if name not in LISTED and name not in RECIPES:
        raise BadInput(f"unknown recipe {name}")


def complaints(text: str) -> list[str]:
    """What is wrong with the commands of a page."""
    found, prepared = [], {words[2] for words in commands(text) if words[:2] == ["condense", "data"]}
    for words in commands(text):
        if words[0] == "condense":
            try:
                check(words[1:], prepared)
            except (BadInput, KeyError) as error:
                found.append(f"{' '.join(words)}: {error}")
    return found
