"""Declares and reads flags by tyro's records and help pages. An error message of tyro becomes one line."""

import contextlib
import inspect
import io
import json
import re
import shutil
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_origin

import tyro
from docstring_parser import parse as parse_docstring
from tyro.conf import FlagCreatePairsOff, arg
from tyro.constructors import ConstructorRegistry, PrimitiveConstructorSpec, PrimitiveTypeInfo

from condense.runtime.processes import is_first
from synth.errors import BadInput, RunFailed, nearest
from synth.files.atomic import FULL

NUMBERS = ConstructorRegistry()
DRY_RUN = "print what would be done, with an estimate, and write nothing"
DEVICE = "with --dry-run: estimate for another machine, such as h100x8, a100 or v5e, or for this one (here), in place of timing"
WHOLE = {"break_long_words": False, "break_on_hyphens": False}  # a name or a flag is not torn, whatever the width


@NUMBERS.primitive_rule
def read_number(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """The rule by which tyro reads the flags of type int or float, each with or without None: one word, which must be such a number.
    Returns None for flags of other types, which other rules read."""
    if info.type not in (int, int | None, float, float | None):
        return None
    kind, metavar, wanted = (float, "X", "a number") if info.type in (float, float | None) else (int, "N", "a whole number")

    def read(texts: list[str]) -> int | float:
        try:
            return kind(texts[0])
        except ValueError:
            raise ValueError(f"'{texts[0][:40]}' is not {wanted}") from None

    return PrimitiveConstructorSpec(1, metavar, read, lambda value: True, lambda value: [str(value)])


@NUMBERS.primitive_rule
def read_name(info: PrimitiveTypeInfo) -> PrimitiveConstructorSpec | None:
    """The rule by which tyro reads the flags of type `str | None`: one word, as it is. Returns None for flags of other types, which other
    rules read."""
    if info.type != str | None:
        return None
    return PrimitiveConstructorSpec(1, "NAME", lambda texts: texts[0], lambda value: True, lambda value: [str(value)])


def about(text: str, *, metavar: str | None = None, **named: str) -> Any:
    """Settings of tyro for one flag: its help text, the placeholder of its value (`metavar`), and perhaps another name for it (`name=...`).
    The help does not show defaults that are None, False or empty."""

    def show(default: str) -> str:
        return "" if default in ("None", "False", "") else f"(default: {default})"

    named |= {"metavar": metavar} if metavar else {}
    return arg(help=text, help_behavior_hint=show, **named)


def parse(record: type, args: Sequence[str], prog: str) -> Any:
    """Reads the words of a command line into an instance of a dataclass of flags.

    Args:
      record: the dataclass. Its positional field, if any, is called `what`.
      args: the words behind `prog`, which is what help and messages call the command.

    With --help the help is printed and SystemExit raised. Raises BadInput, in one line, for words that do not fit the record.
    """
    check_once(record, args)
    heard, how = io.StringIO(), {"config": (FlagCreatePairsOff,), "registry": NUMBERS, "return_unknown_args": True}
    try:
        with contextlib.redirect_stderr(heard):
            made, strays = tyro.cli(record, args=list(args), prog=prog, **how)
    except SystemExit as stop:
        if not stop.code:
            raise
        raise BadInput(f"{complaint(heard.getvalue())}; `{prog} --help` lists what it takes") from None
    if strays:
        known = ["--" + f.name.strip("_").replace("_", "-") for f in fields(record) if f.name != "what"]
        near = nearest(strays[0], known)
        raise BadInput(f"{prog.removeprefix('condense ')}: unknown argument '{strays[0]}' (known: {', '.join(known)}){near}")
    return made


def check_once(record: type, args: Sequence[str]) -> None:
    """Raises BadInput where a flag of several values is given again: tyro would keep the last values alone."""
    said = [token.split("=", 1)[0].replace("_", "-") for token in args]
    for f in fields(record):
        flag = "--" + f.name.strip("_").replace("_", "-")
        if takes_several(f.type) and said.count(flag) > 1:
            raise BadInput(f"{flag} is given {said.count(flag)} times; give all its values after one")


def takes_several(kind: Any) -> bool:
    """Whether an annotation has a tuple in it."""
    return get_origin(kind) is tuple or any(map(takes_several, get_args(kind)))


def complaint(box: str) -> str:
    """Reads tyro's error message, as one line, out of the box that it draws around it; `box` is the text that it prints."""
    body = re.split(r"^(?:╭|[│ ] ?[─-]{3}).*$", re.sub(r"\x1b\[[0-9;]*m", "", box), flags=re.M)[1]
    lines = [line[2:].rstrip("│ ") for line in body.splitlines() if line.strip()]
    if lines[0].startswith("Missing from "):  # flags that are missing are indented by 4, their helps by 8
        missing = " and ".join(line.strip() for line in lines[1:] if line[4:5].strip())
        return f"{lines[0].removeprefix('Missing from condense ')} give {missing}"
    text = " ".join(line.strip() for line in lines).removeprefix("Error parsing ").rstrip(".")
    return re.sub(r"Missing value for argument '(\S+)'.*", r"\1: needs a value", text)


def aligned(lines: dict[str, str]) -> str:
    """Formats names and their descriptions as two aligned columns: one pair a line, which wraps on a terminal, and nowhere else."""
    left = max(map(len, lines), default=0) + 4
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None

    def wrapped(text: str) -> str:
        return text if width is None else f"\n{' ' * left}".join(textwrap.wrap(text, max(20, width - left), **WHOLE))

    return "\n".join(f"  {name:<{left - 4}}  {wrapped(text)}" for name, text in lines.items())


def first_line(thing: Any) -> str:
    """The first line of a function's docstring."""
    return (inspect.getdoc(thing) or "").splitlines()[0]


def argument_helps(function: Any) -> dict[str, str]:
    """Reads the help text of every argument from a function's docstring: argument name -> text in one line, without the final full stop."""
    document = parse_docstring(inspect.getdoc(function) or "")
    return {name.strip(): " ".join(p.description.split()).rstrip(".") for p in document.params for name in p.arg_name.split(",")}


def conclude(result: Any, path: str | None, *, more: Sequence[Any] = (), **asked: Any) -> None:
    """Writes a result's JSON to the file `path`, unless that is None, and prints its table and then `more` tables. `result` has `table()`
    and `as_json()`, which is called with what is `asked` besides."""
    from condense.plots.tables import print_table
    from synth.files.atomic import write_bytes

    if path is not None and is_first():
        write_bytes(path, (json.dumps(result.as_json(**asked), indent=1) + "\n").encode())
    for table in (result.table(), *more):
        print_table(table)


def check_estimate(device: str | None, *, dry_run: bool) -> None:
    """Raises BadInput for the flag --device where no estimate is asked for by --dry-run. None is no flag."""
    if device is not None and not dry_run:
        raise BadInput(
            f"--device {device}: names the machine of an estimate; add --dry-run, or leave it out: work uses the devices it finds"
        )


def few(data: Any, *, images: int = 1) -> str:
    """A number of examples a class for a first look at these data, as text: 10, or fewer where the smallest class has not so many training
    examples (rounded down, at least 1). `images` is how many real images go into one example."""
    return str(max(1, min(10, *(int((data.train.y == label).sum()) // images for label in range(len(data.classes))))))


def words_of(text: str) -> tuple[str, ...]:
    """Splits a text at commas into words, without the spaces around them; empty ones are left out."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def check_place(flag: str, path: str) -> None:
    """Raises BadInput, naming the flag, if a file cannot be written to this path, and RunFailed if the disk is full. It is called before
    the work starts, and leaves no file."""
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(None, "it is a folder")
        tempfile.TemporaryFile(dir=Path(path).absolute().parent).close()
    except OSError as error:
        full = error.errno in FULL
        hint = "make room and run again" if full else "give a file in a folder that exists and may be written"
        raise (RunFailed if full else BadInput)(f"{flag} {path}: cannot write there ({error.strerror}); {hint}") from None
