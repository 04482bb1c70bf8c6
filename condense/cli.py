"""The verbs of the command line. Flags come from these records and from the signatures of the methods' factories."""

import contextlib
import inspect
import io
import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from docstring_parser import parse as parse_docstring
from rich.console import Console
from rich.table import Table
from tyro.conf import Positional, arg

from synth.errors import BadInput

PLAIN = (tyro.conf.FlagCreatePairsOff, tyro.conf.UsePythonSyntaxForLiteralCollections)


def flag(kind: Any, text: str, *, default: Any = MISSING, metavar: str | None = None) -> tuple[Any, Any]:
    """Type and default of one flag with its help."""
    return Annotated[kind, arg(help=text, **({"metavar": metavar} if metavar else {}))], default


COMMON = {
    "data": flag(str, "data: a name or KIND:LOCATION[?key=value&...]; `condense list data` shows both", metavar="SPEC"),
    "out": flag(str, "folder of the run", metavar="DIR"),
    "ipc": flag(int | None, "budget: images a class", default=None, metavar="N"),
    "size": flag(int | None, "budget: images in all", default=None, metavar="N"),
    "bytes": flag(int | None, "budget: payload bytes, labels included", default=None, metavar="N"),
    "net": flag(str, "network to match with: name[:key=value,...]", default="convnet", metavar="NET"),
    "steps": flag(int | None, "steps (1000 where neither a preset nor the method says)", default=None, metavar="N"),
    "seed": flag(int, "seed of everything that is drawn, and of the validation split", default=0, metavar="N"),
    "start": flag(str | None, "first images: noise, random, kmeans or herding; by default the method's", default=None, metavar="KIND"),
    "eval_every": flag(int | None, "score the set on the validation split every N steps and keep best.npz", default=None, metavar="N"),
    "checkpoint_every": flag(int | None, "steps between checkpoints; by default a twentieth of the run", default=None, metavar="N"),
    "preset": flag(str | None, "settings of a published experiment; a flag beats them", default=None, metavar="NAME"),
    "force": flag(bool, "start anew in a folder that holds another run, which is lost", default=False),
}


def method_class(method: str, preset: dict[str, Any]) -> type:
    """A record of the common flags and the method's own, with a preset's settings as defaults."""
    from condense.config import find_method, option_parameters

    factory = find_method(method)
    document = parse_docstring(inspect.getdoc(factory) or "")
    helps = {name.strip(): " ".join(p.description.split()) for p in document.params for name in p.arg_name.split(",")}
    rows = {name: (kind, preset.get(name, default)) for name, (kind, default) in COMMON.items()}
    for name, parameter in option_parameters(factory).items():
        kind, default = flag(parameter.annotation, helps.get(name, ""), default=parameter.default)
        rows[name] = (kind, preset.get(name, default))
    required = [(name, kind) for name, (kind, default) in rows.items() if default is MISSING]
    optional = [(name, kind, field(default=default)) for name, (kind, default) in rows.items() if default is not MISSING]
    made = make_dataclass(method, required + optional, frozen=True)
    made.__doc__ = document.short_description
    return made


@dataclass(frozen=True)
class Evaluate:
    """Score a set: fresh networks x seeds, beside random and k-means real images at the same budget."""

    what: Annotated[Positional[str], arg(metavar="DIR_OR_SET", help="folder of a finished run, or a set's file")]
    data: Annotated[str | None, arg(metavar="SPEC", help="data; by default what the set was made from")] = None
    net: Annotated[tuple[str, ...], arg(metavar="NET", help="networks; by default the set's. Several give a cross-architecture table")] = ()
    seeds: Annotated[int, arg(metavar="N", help="fresh networks a row")] = 5
    recipe: Annotated[str | None, arg(metavar="NAME", help="`condense list recipes`; by default the set's, else dsa")] = None
    epochs: Annotated[int | None, arg(metavar="N", help="another length than the recipe's")] = None
    rows: Annotated[str, arg(metavar="LIST", help="of distilled, random, kmeans, full; comma between")] = "distilled,random,kmeans"
    split: Annotated[str, arg(metavar="test|val", help="what to score on; choices still to be made belong on val")] = "test"
    seed: Annotated[int, arg(metavar="N", help="seed of networks and draws")] = 0
    json: Annotated[str | None, arg(metavar="FILE", help="write the results there")] = None


@dataclass(frozen=True)
class PrepareData:
    """Prepare a named data set from files you have, or download it where tensorflow is installed."""

    name: Annotated[Positional[str], arg(metavar="NAME", help="`condense list data` shows the names")]
    from_: Annotated[str | None, arg(name="from", metavar="DIR", help="folder with the files: IDX, CIFAR binary batches or class folders")] = None


@dataclass(frozen=True)
class Show:
    """Draw a set as a grid, a row a class, with its normalisation undone."""

    what: Annotated[Positional[str], arg(metavar="DIR_OR_SET", help="folder of a finished run, or a set's file")]
    out: Annotated[str, arg(metavar="FILE", help="the picture")] = "grid.png"
    per_class: Annotated[int, arg(metavar="N", help="columns")] = 10


@dataclass(frozen=True)
class List:
    """List what there is: methods, data, nets, presets or recipes."""

    what: Annotated[Positional[str], arg(metavar="methods|data|nets|presets|recipes", help="which list")]


@dataclass(frozen=True)
class Demo:
    """Distil the embedded digits at 10 images a class, score them beside real images, draw them."""

    out: Annotated[str, arg(metavar="DIR", help="folder of the run")] = "runs/demo"


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
        distill(rest)
    else:
        act(parse(record, rest, f"condense {verb}"))


def usage() -> str:
    """The first page of help."""
    about = {verb: (record.__doc__ if record else act.__doc__).splitlines()[0] for verb, (record, act) in VERBS.items()}
    lines = [f"  {verb:<10} {text}" for verb, text in about.items()]
    return "usage: condense VERB ...\n\n" + "\n".join(lines) + "\n\n`condense VERB --help` explains a verb, `condense distill METHOD --help` a method."


def parse(record: type, args: Sequence[str], prog: str) -> Any:
    """tyro's parser, with its boxed complaints made one line."""
    heard = io.StringIO()
    try:
        with contextlib.redirect_stderr(heard):
            return tyro.cli(record, args=list(args), prog=prog, config=PLAIN)
    except SystemExit as stop:
        if stop.code in (0, None):
            raise SystemExit(0) from None
        text = [re.sub(r"[│╭╮╰╯]", "", line).strip() for line in heard.getvalue().splitlines()[1:]]
        rule = next((i for i, line in enumerate(text) if line.startswith("───")), len(text))
        raise BadInput(" ".join(line for line in text[:rule] if line).rstrip(".") + f"; `{prog} --help` lists what it takes") from None


def distill(args: list[str]) -> None:
    """Distil a data set to a budget with a method; the same command again resumes or says that it is done."""
    from condense.config import find_method, option_parameters
    from condense.presets import preset as find_preset
    from matchers import REGISTRY

    if not args or args[0].startswith("-"):
        print("usage: condense distill METHOD --data SPEC (--ipc N | --size N | --bytes N) --out DIR [...]\n")
        print("\n".join(f"  {name:<10} {inspect.getdoc(factory).splitlines()[0]}" for name, factory in REGISTRY.items()))
        if not args or args[0] not in ("-h", "--help"):
            raise BadInput(f"distill: give a method first: {', '.join(REGISTRY)}")
        return
    method, rest = args[0], args[1:]
    find_method(method)
    named = next((b for a, b in zip(rest, rest[1:], strict=False) if a == "--preset"), None) or next((a[9:] for a in rest if a.startswith("--preset=")), None)
    settings = find_preset(named, method) if named else {}
    if any(a.split("=")[0] in ("--ipc", "--size", "--bytes") for a in rest):  # a budget on the command line replaces the preset's
        settings = {name: value for name, value in settings.items() if name not in ("ipc", "size", "bytes")}
    call = parse(method_class(method, settings), rest, f"condense distill {method}")
    given = {f.name: getattr(call, f.name) for f in fields(call)}
    given.pop("preset")

    from condense.api import distill as run

    own = {name: given.pop(name) for name in option_parameters(REGISTRY[method])}
    run(method, given.pop("data"), command="condense distill " + shlex.join(args), **given, **own)
    console = Console()
    console.print(f"{call.out}/set.npz and {call.out}/grid.png are ready; next:", highlight=False, soft_wrap=True)
    console.print(f"  condense evaluate {call.out} --data {call.data}", highlight=False, soft_wrap=True)


def evaluate(call: Evaluate) -> None:
    """Scores, prints the table, writes the JSON."""
    from condense.api import evaluate as score
    from synth.atomic import write_bytes

    rows = tuple(row for row in call.rows.split(",") if row)
    result = score(
        call.what, call.data, net=call.net or None, seeds=call.seeds, recipe=call.recipe, epochs=call.epochs, rows=rows, split=call.split, seed=call.seed
    )
    Console().print(result.table())
    if call.json:
        write_bytes(call.json, (json.dumps(result.as_json(), indent=1) + "\n").encode())


def prepare_data(call: PrepareData) -> None:
    """Prepares a named set and says where it lies."""
    from condense.prepare import prepare

    print(prepare(call.name, from_dir=Path(call.from_) if call.from_ else None))


def show(call: Show) -> None:
    """Draws a set."""
    from condense.grid import save_grid
    from condense.score import find_set
    from synth.file import load_set

    save_grid(call.out, load_set(find_set(call.what)), per_class=call.per_class)
    print(call.out)


def list_(call: List) -> None:
    """Prints one of the lists."""
    from condense.nets import NETS
    from condense.presets import PRESETS
    from condense.readers import NAMED
    from evals.base import ABOUT
    from matchers import REGISTRY

    def first(thing: Any) -> str:
        return (inspect.getdoc(thing) or "").splitlines()[0]

    lists = {
        "methods": {name: first(factory) for name, factory in REGISTRY.items()},
        "data": {name: named.about for name, named in NAMED.items()},
        "nets": {name: first(factory) for name, factory in NETS.items()},
        "presets": {name: first(made) for name, made in PRESETS.items()},
        "recipes": ABOUT,
    }
    if call.what not in lists:
        raise BadInput(f"list: unknown list '{call.what}' (known: {', '.join(lists)})")
    table = Table(box=None, show_header=False)
    for name, about in lists[call.what].items():
        table.add_row(name, about)
    Console().print(table)


def demo(call: Demo) -> None:
    """Runs the whole way once."""
    from condense.api import distill as run
    from condense.api import evaluate as score

    run("dm", "digits", ipc=10, net="convnet:width=32", steps=300, out=call.out)
    result = score(call.out, recipe="quick")
    console = Console()
    console.print(result.table())
    for line in (
        f"{call.out}/grid.png shows the images. Next:",
        f"  condense evaluate {call.out} --recipe dsa --net convnet mlp      the full protocol, across networks",
        "  condense distill dm --data fashion_mnist --ipc 10 --out runs/fashion",
        "  condense list methods",
    ):
        console.print(line, highlight=False, soft_wrap=True)


VERBS = {
    "distill": (None, distill),
    "evaluate": (Evaluate, evaluate),
    "show": (Show, show),
    "list": (List, list_),
    "data": (PrepareData, prepare_data),
    "demo": (Demo, demo),
}
