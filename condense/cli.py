"""The verbs of the command line. Flags come from these records and from the signatures of the methods' factories.

What takes long to import is imported by the verb that needs it, so that help and lists come at once.
"""

import inspect
import json
import shlex
import tempfile
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from importlib import import_module
from itertools import pairwise
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Annotated, Any

from docstring_parser import parse as parse_docstring
from rich.console import Console
from tyro.conf import Positional

from condense.flags import about, parse
from condense.interrupts import whole
from synth.errors import BadInput

COMMON: dict[str, tuple[Any, Any]] = {
    "data": (
        Annotated[str, about("data: a name or KIND:LOCATION[?key=value&...]; `condense list data` shows names", metavar="SPEC")],
        MISSING,
    ),
    "out": (Annotated[str, about("folder of the run; the same command again resumes there", metavar="DIR")], MISSING),
    "ipc": (Annotated[int | None, about("images a class; give one of --ipc, --size, --bytes")], None),
    "size": (Annotated[int | None, about("images in all")], None),
    "bytes": (Annotated[int | None, about("payload bytes, labels included")], None),
    "net": (Annotated[str, about("network to match with, NAME[:key=value,...]; `condense list nets`", metavar="NET")], "convnet"),
    "steps": (Annotated[int | None, about("steps in all; 1000 unless a preset says otherwise, one for selection methods")], None),
    "seed": (Annotated[int, about("seed of everything that is drawn, the validation split too")], 0),
    "start": (
        Annotated[str | None, about("first images: noise, random, kmeans or herding; by default the method's", metavar="KIND")],
        None,
    ),
    "eval_every": (Annotated[int | None, about("score on the validation split every N steps and keep best.npz; by default never")], None),
    "checkpoint_every": (Annotated[int | None, about("steps between checkpoints; by default a twentieth of the run")], None),
    "preset": (
        Annotated[str | None, about("settings of a published experiment, which flags beat; `condense list presets`", metavar="NAME")],
        None,
    ),
    "force": (Annotated[bool, about("remove another run that DIR holds, and start anew")], False),
}


def method_class(method: str, preset: dict[str, Any]) -> type:
    """A record of the common flags and the method's own, with a preset's settings as defaults."""
    from condense.config import find_method, option_parameters

    factory = find_method(method)
    document = parse_docstring(inspect.getdoc(factory) or "")
    helps = {name.strip(): " ".join(p.description.split()).rstrip(".") for p in document.params for name in p.arg_name.split(",")}
    own = {name: (Annotated[p.annotation, about(helps.get(name, ""))], p.default) for name, p in option_parameters(factory).items()}
    rows = {name: (kind, preset.get(name, default)) for name, (kind, default) in (COMMON | own).items()}
    required = [(name, kind) for name, (kind, default) in rows.items() if default is MISSING]
    optional = [(name, kind, field(default=default)) for name, (kind, default) in rows.items() if default is not MISSING]
    made = make_dataclass(method, required + optional, frozen=True)
    made.__doc__ = "\n\n".join(filter(None, (document.short_description, document.long_description)))
    return made


@dataclass(frozen=True)
class Evaluate:
    """Score a set: fresh networks x seeds, beside random and k-means real images at the same budget."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    data: Annotated[str | None, about("data to score on; by default what the set was made from", metavar="SPEC")] = None
    net: Annotated[
        tuple[str, ...] | None, about("networks; by default the set's. Several give a cross-architecture table", metavar="NET")
    ] = None
    seeds: Annotated[int, about("fresh networks a row")] = 5
    recipe: Annotated[str | None, about("training recipe; by default the set's, else dsa. `condense list recipes`", metavar="NAME")] = None
    epochs: Annotated[int | None, about("epochs of the training; by default the recipe's")] = None
    rows: Annotated[str, about("of distilled, random, kmeans and full, with commas between", metavar="LIST")] = "distilled,random,kmeans"
    split: Annotated[str, about("images to score on; make choices on val, and report test", metavar="test|val")] = "test"
    seed: Annotated[int, about("seed of networks and draws")] = 0
    json: Annotated[str | None, about("write the results there", metavar="FILE")] = None


@dataclass(frozen=True)
class PrepareData:
    """Prepare a named data set from files you have, or download it where tensorflow is installed."""

    what: Annotated[Positional[str], about("name of the set; `condense list data` shows them", metavar="NAME")]
    from_: Annotated[str | None, about("folder with the files: IDX, CIFAR binary batches or class folders", metavar="DIR", name="from")] = (
        None
    )


@dataclass(frozen=True)
class Show:
    """Draw a set as a grid, a row a class, with its normalisation undone."""

    what: Annotated[Positional[str], about("folder of a finished run, or a set's file", metavar="DIR_OR_SET")]
    out: Annotated[str, about("the picture, a PNG", metavar="FILE")] = "grid.png"
    per_class: Annotated[int, about("images a row")] = 10


@dataclass(frozen=True)
class List:
    """List what there is: methods, data, nets, presets or recipes."""

    what: Annotated[Positional[str], about("which list", metavar="methods|data|nets|presets|recipes")]


@dataclass(frozen=True)
class Demo:
    """Distil the embedded digits at 10 images a class, score them beside real images, draw them."""

    out: Annotated[str, about("folder of the run", metavar="DIR")] = "runs/demo"


def call(argv: Sequence[str]) -> None:
    """Runs one command line. Raises BadInput for a wrong call."""
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        if not argv:
            raise BadInput(f"give a verb: {', '.join(VERBS)}")
        return
    verb, rest = argv[0], list(argv[1:])
    if verb not in VERBS:
        raise BadInput(f"unknown verb '{verb}' (known: {', '.join(VERBS)})")
    record, act = VERBS[verb]
    if record is None:
        act(rest)
    else:
        act(parse(record, rest, f"condense {verb}"))


def usage() -> str:
    """The first page of help."""
    verbs = {verb: (record or act).__doc__.splitlines()[0] for verb, (record, act) in VERBS.items()}
    more = "`condense VERB --help` explains a verb, `condense distill METHOD --help` a method."
    return f"usage: condense VERB ...\n\n{aligned(verbs)}\n\n{more}"


def aligned(lines: dict[str, str]) -> str:
    """Names and what is said of them, in two columns, a line each."""
    return "\n".join(f"  {name:<{max(map(len, lines))}}  {text}" for name, text in lines.items())


def first_line(thing: Any) -> str:
    """What a docstring says first."""
    return (inspect.getdoc(thing) or "").splitlines()[0]


def demand_place(flag: str, path: str) -> None:
    """Raises BadInput where a file cannot be written: asked before the work, not after it."""
    try:
        if Path(path).is_dir():
            raise IsADirectoryError(None, "it is a folder")
        tempfile.TemporaryFile(dir=Path(path).absolute().parent).close()
    except OSError as error:
        hint = "give a file in a folder that exists and may be written"
        raise BadInput(f"{flag} {path}: cannot write there ({error.strerror}); {hint}") from None


def distill(args: list[str]) -> None:
    """Distil a data set to a budget with a method; the same command again resumes or says that it is done."""
    with whole():  # an extension module that is interrupted while it loads ends in a traceback
        from condense.config import find_method
        from condense.presets import preset as find_preset
        from matchers import REGISTRY

    if not args or args[0].startswith("-"):
        print("usage: condense distill METHOD --data SPEC (--ipc N | --size N | --bytes N) --out DIR [...]\n")
        print(aligned({name: first_line(factory) for name, factory in REGISTRY.items()}))
        print("\n`condense distill METHOD --help` shows all flags of a method.")
        if args[:1] not in (["-h"], ["--help"]):
            raise BadInput(f"distill: give a method first: {', '.join(REGISTRY)}")
        return
    method, rest = args[0], args[1:]
    find_method(method)
    tokens = [part for token in rest for part in token.split("=", 1)]
    named = dict(pairwise(tokens)).get("--preset")
    settings = {} if named is None else find_preset(named, method)
    budget = {"ipc", "size", "bytes"}
    if {f"--{name}" for name in budget} & set(tokens):  # a budget on the command line replaces the preset's
        settings = {name: value for name, value in settings.items() if name not in budget}
    call = parse(method_class(method, settings), rest, f"condense distill {method}")
    given = {f.name: getattr(call, f.name) for f in fields(call) if f.name != "preset"}

    with whole():
        from condense.api import distill as run

    run(method, command="condense distill " + shlex.join(args), **given)
    print(f"{call.out}/set.npz and {call.out}/grid.png are ready; next:")
    print("  " + shlex.join(["condense", "evaluate", call.out, "--data", call.data]))


def evaluate(call: Evaluate) -> None:
    """Scores, writes the JSON, prints the table."""
    if call.json is not None:
        demand_place("--json", call.json)
    if call.net == ():
        raise BadInput("--net: names no network; give one or more, or leave it out for the set's")

    with whole():
        from condense.api import evaluate as score
        from synth.atomic import write_bytes

    rows = tuple(row.strip() for row in call.rows.split(",") if row.strip())
    given = {name: getattr(call, name) for name in ("net", "seeds", "recipe", "epochs", "split", "seed")}
    result = score(call.what, data=call.data, **given, rows=rows)
    if call.json is not None:
        write_bytes(call.json, (json.dumps(result.as_json(), indent=1) + "\n").encode())
    Console().print(result.table())


def prepare_data(call: PrepareData) -> None:
    """Prepares a named set and says where it lies."""
    from condense.prepare import prepare

    print(prepare(call.what, from_dir=None if call.from_ is None else Path(call.from_)))


def show(call: Show) -> None:
    """Draws a set."""
    demand_place("--out", call.out)

    from condense.config import check_whole
    from condense.grid import save_grid
    from condense.score import find_set
    from synth.file import load_set

    save_grid(call.out, load_set(find_set(call.what)), per_class=check_whole("per_class", call.per_class))
    print(call.out)


def list_(call: List) -> None:
    """Prints one of the lists."""
    if call.what not in LISTS:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(LISTS)})")
    module, registry, say = LISTS[call.what]
    print(aligned({name: say(thing) for name, thing in getattr(import_module(module), registry).items()}))


def demo(call: Demo) -> None:
    """Runs the whole way once."""
    with whole():
        from condense.api import distill as run
        from condense.api import evaluate as score

    command = shlex.join(["condense", "demo", "--out", call.out])
    run("dm", "digits", ipc=10, net="convnet:width=32,depth=2", start="kmeans", steps=300, out=call.out, command=command)
    result = score(call.out, recipe="quick")
    Console().print(result.table())
    print(f"{call.out}/grid.png shows the images. Next:")
    print(f"  condense evaluate {shlex.quote(call.out)} --recipe dsa --net convnet mlp      the full protocol, across networks")
    print("  condense distill dm --data fashion_mnist --ipc 10 --out runs/fashion")
    print("  condense list methods")


LISTS = {
    "methods": ("matchers", "REGISTRY", first_line),
    "data": ("condense.readers", "NAMED", attrgetter("about")),
    "nets": ("condense.nets", "NETS", first_line),
    "presets": ("condense.presets", "PRESETS", methodcaller("record")),
    "recipes": ("evals.base", "ABOUT", str),
}
VERBS = {
    "distill": (None, distill),
    "evaluate": (Evaluate, evaluate),
    "show": (Show, show),
    "list": (List, list_),
    "data": (PrepareData, prepare_data),
    "demo": (Demo, demo),
}
