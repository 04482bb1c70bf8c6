"""`condense distill`: flags come from one record and from the signatures of the methods' factories."""

import inspect
import shlex
from collections.abc import Callable
from dataclasses import MISSING, field, fields, make_dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin

from docstring_parser import parse as parse_docstring

from condense.cli.flags import DEVICE, DRY_RUN, about, aligned, argument_helps, check_estimate, parse
from condense.runtime.interrupts import defer_interrupt
from condense.workflows.methods import find_method, known_methods
from matchers.inputs import flagged_inputs, option_parameters
from matchers.method import Method
from matchers.signature import read_factory
from synth.errors import BadInput
from synth.options import flag_of, plain_type

RECORD = None

MINUTES = "in place of --steps: how long compiling and steps may take here"
COMMON: dict[str, tuple[Any, Any]] = {
    "data": (
        Annotated[str, about("a name (`condense list data`), a path, or KIND:LOCATION, each with [?key=value&...]", metavar="SPEC")],
        MISSING,
    ),
    "out": (Annotated[str, about("folder of the run; the same command again resumes there", metavar="DIR")], MISSING),
    "ipc": (Annotated[int | None, about("examples a class; give one of --ipc, --size, --bytes, --fraction")], None),
    "size": (Annotated[int | None, about("examples in all")], None),
    "bytes": (Annotated[int | None, about("payload bytes, labels included")], None),
    "fraction": (Annotated[float | None, about("examples in all, as a share of the training examples")], None),
    "net": (
        Annotated[
            str | None,
            about("network to match with, NAME[:key=value,...]; by default what suits the data, or what inputs are of", metavar="NET"),
        ],
        None,
    ),
    "steps": (Annotated[int | None, about("steps in all; by default those of the method or preset, one for methods that choose")], None),
    "minutes": (Annotated[float | None, about(MINUTES, metavar="M")], None),
    "seed": (Annotated[int, about("seed of everything that is drawn, the validation split too")], 0),
    "start": (
        Annotated[str | None, about("first examples: noise, random, kmeans, herding or collage; by default the method's", metavar="KIND")],
        None,
    ),
    "store": (
        Annotated[
            str | None,
            about("store images in fewer bytes, and learn them so: f16, or u2 to u8 (bits a number); u8x2 with --factor 2", metavar="KIND"),
        ],
        None,
    ),
    "factor": (
        Annotated[int | None, about("2 or 3: images are tiles of that fraction of height and width, factor^2 in the room of one")],
        None,
    ),
    "bases": (Annotated[int | None, about("images are sums of so many learned bases, which all share")], None),
    "eval_every": (Annotated[int | None, about("score on the validation split every N steps and keep best.npz; by default never")], None),
    "checkpoint_every": (Annotated[int | None, about("steps between checkpoints; by default a twentieth of the run")], None),
    "preset": (
        Annotated[str | None, about("settings of a published experiment, which flags beat; `condense list presets`", metavar="NAME")],
        None,
    ),
    "dry_run": (Annotated[bool, about(DRY_RUN)], False),
    "device": (Annotated[str | None, about(DEVICE, metavar="KIND[xN]")], None),
    "force": (
        Annotated[bool, about("start anew where DIR holds another run or one that is done; try what seems too large for memory")],
        False,
    ),
}


STARTLESS = {"graphs"}  # modalities whose methods make their own start, so that the flag is always refused; a registry without JAX


def method_class(method: Method, factory: Callable, preset: dict[str, Any], common: dict[str, tuple[Any, Any]], *, dry_run: bool) -> type:
    """Makes the dataclass of the flags of a method: those that methods share and its own, with a preset's settings as defaults.

    Args:
      method, factory: the method's record, and the function that builds it, whose signature and docstring say its options.
      preset: values by flag; empty for none.
      common: the shared flags: name -> (annotation, default), the default MISSING where a value must be given.
      dry_run: whether nothing will be written, so that `out` may be left out.
    """
    from condense.workflows.options import STORAGE

    document = parse_docstring(inspect.getdoc(factory) or "")
    helps = argument_helps(factory)
    own, parameters = {}, option_parameters(factory)
    usual = {name: p.default for name, p in parameters.items()}
    usual |= method.scale(method.steps, usual, 1)  # what a run of the usual length has
    for name, p in parameters.items():
        text = ("turns off: " if p.default is True else "") + helps.get(name, "")  # what is on by default has the flag --no-NAME
        own[name] = (Annotated[plain_type(p.annotation), about(text, metavar=shown(plain_type(p.annotation)))], usual[name])
    places = {name: (Annotated[str | None, about(text, metavar="DIR")], None) for name, text in flagged_inputs(factory).items()}
    rows = {name: (kind, preset.get(name, default)) for name, (kind, default) in (common | places | own).items()}
    if method.length and "steps" in rows:  # not of a search, whose minutes are those of all its runs
        rows["minutes"] = (Annotated[float | None, about(f"{MINUTES}; {method.length}", metavar="M")], None)
    if set(method.modalities) <= STARTLESS:
        for name in ("start", *STORAGE):
            del rows[name]
    if dry_run:
        rows["out"] = (Annotated[str | None, about("folder of the run", metavar="DIR")], None)
    required = [(name, kind) for name, (kind, default) in rows.items() if default is MISSING]
    optional = [(name, kind, field(default=default)) for name, (kind, default) in rows.items() if default is not MISSING]
    made = make_dataclass(method.name, required + optional, frozen=True)
    made.__doc__ = "\n\n".join(filter(None, (document.short_description, document.long_description)))
    return made


def shown(kind: Any) -> str | None:
    """The placeholder that the help shows for the value of an option whose annotation `kind` is a union: `N ...` where a tuple is in it,
    the words of a Literal joined by `|`. None for other annotations, for which tyro finds a placeholder itself."""
    for one in get_args(kind):
        if get_origin(one) is tuple:
            return "N ..."
        if get_origin(one) is Literal:
            return "|".join(map(str, get_args(one)))
    return None


class MethodCall(NamedTuple):
    """A command line of a method: the method, the values of all flags as a dataclass, by name the values of those flags that stand on the
    line (`given`), and the preset's settings."""

    method: Method
    flags: Any
    given: dict[str, Any]
    preset: dict[str, Any]


def read_call(verb: str, args: list[str], common: dict[str, tuple[Any, Any]]) -> MethodCall | None:
    """Reads the words `args` behind `condense VERB`, a method first. Where help was asked for in its place, prints it and returns None.

    `common` are the flags that all methods share: name -> (annotation, default). Raises BadInput for a wrong call; where no method stands
    first, the help is printed before.
    """
    if not args or args[0].startswith("-"):
        budgets = "(--ipc N | --size N | --bytes N | --fraction X)"
        flags = " ".join((f"--data SPEC {budgets} --out DIR", *(["--minutes M"] if verb == "tune" else []), "[...]"))
        print(f"usage: condense {verb} METHOD {flags}\n")
        print(aligned({name: method.summary for name, method in known_methods().items()}))
        print(f"\n`condense {verb} METHOD --help` shows all flags of a method.")
        if args[:1] not in (["-h"], ["--help"]):
            raise BadInput(f"{verb}: give a method first: {', '.join(known_methods())}")
        return None
    method, rest = find_method(args[0]), args[1:]
    with defer_interrupt():  # an extension module that is interrupted while it loads ends in a traceback
        from condense.presets import preset_of
        from condense.workflows.options import BUDGETS

        factory = read_factory(method) if {"-h", "--help"} & set(rest) else method.load()
    tokens = [part for token in rest for part in token.split("=", 1)]
    named = dict(pairwise(tokens)).get("--preset")
    settings = {} if named is None else preset_of(named, method.name)
    if {f"--{name}" for name in BUDGETS} & set(tokens):  # a budget on the command line replaces the preset's
        settings = {name: value for name, value in settings.items() if name not in BUDGETS}
    record = method_class(method, factory, settings, common, dry_run="--dry-run" in tokens)
    call = parse(record, rest, f"condense {verb} {method.name}")
    flags = {token.partition("=")[0].replace("_", "-").replace("--no-", "--") for token in rest if token.startswith("--")}
    return MethodCall(method, call, {f.name: getattr(call, f.name) for f in fields(call) if flag_of(f.name) in flags}, settings)


def act(args: list[str]) -> None:
    """Distil a data set to a budget with a method; the same command again resumes or says that it is done."""
    if (read := read_call("distill", args, COMMON)) is None:
        return
    call, given = read.flags, dict(read.given)
    dry_run, device = given.pop("dry_run", False), given.pop("device", None)
    check_estimate(device, dry_run=dry_run)

    with defer_interrupt():
        from condense.workflows.distill import execute
        from condense.workflows.plan import plan
        from condense.workflows.preview import preview
    data = given.pop("data", read.preset.get("data"))
    made = plan(read.method, data, command="condense distill " + shlex.join(args), **given)
    if dry_run:
        print("\n".join(preview(made, device=device)))
        return
    synth = execute(made)
    print(f"{call.out}/set.npz and {call.out}/grid.png are ready; next:")
    print("  " + shlex.join(scoring(synth, call, made.data, teachers=made.settings.places.get("teachers"))))


def scoring(synth: Any, call: Any, data: Any, *, teachers: str | None = None) -> list[str]:
    """The words of the command that scores the set which a call made: representations on other data, with the teacher that was handed over,
    if any; a set that teachers labelled with those that were given, the folder `teachers`; one that has more examples of a class than the
    data, without real ones beside it. `call` are the flags of that call."""
    from condense.evaluation.counts import too_few

    if not synth.represents:
        alone = ["--rows", "distilled"] if data.modality == "images" and too_few(synth, data) is not None else []
        taught = ["--teachers", str(teachers)] if teachers is not None and synth.y.taught else []
        return ["condense", "evaluate", call.out, "--data", call.data, *taught, *alone]
    teacher = [] if call.teacher is None else ["--teacher", call.teacher]
    return ["condense", "transfer", call.out, "--to", "SPEC", *teacher]
