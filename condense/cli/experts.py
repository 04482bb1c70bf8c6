"""`condense experts`: flags come from one record and from the signature of the chosen recipe."""

import inspect
import shlex
from dataclasses import MISSING, field, fields, make_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

from docstring_parser import parse as parse_docstring

from condense.cli.flags import DEVICE, DRY_RUN, about, check_estimate, few, parse
from condense.runtime.interrupts import defer_interrupt
from matchers import REGISTRY

RECORD = None

COMMON: dict[str, tuple[Any, Any]] = {
    "data": (Annotated[str, about("data to train on, without its validation split", metavar="SPEC")], MISSING),
    "count": (Annotated[int, about("how many networks; more than before adds to those there")], MISSING),
    "epochs": (Annotated[int, about("passes over the training examples of each")], MISSING),
    "out": (Annotated[str, about("folder of the experts; the same command again resumes there", metavar="DIR")], MISSING),
    "net": (Annotated[str | None, about("network without batch statistics; by default one that suits the data", metavar="NET")], None),
    "recipe": (Annotated[str, about("sgd, flat or smooth; each has options of its own", metavar="NAME")], "sgd"),
    "precision": (Annotated[str, about("of the products in the networks while they are trained", metavar="f32|bf16")], "f32"),
    "ends": (Annotated[bool, about("record first and last snapshot alone, which is all that --path straight reads")], False),
    "seed": (Annotated[int, about("seed of everything that is drawn, the validation split too")], 0),
    "dry_run": (Annotated[bool, about(DRY_RUN)], False),
    "device": (Annotated[str | None, about(DEVICE, metavar="KIND[xN]")], None),
    "force": (Annotated[bool, about("start anew where DIR holds another run or one that is done")], False),
}


def recipe_class(recipe: str) -> type:
    """Makes the dataclass of the flags of `condense experts`: the common ones and those of the recipe of this name. Raises BadInput for an
    unknown recipe."""
    from condense.experts import RECIPES, complete_recipe

    complete_recipe(recipe, {})
    factory = RECIPES[recipe]
    document = parse_docstring(inspect.getdoc(factory))
    helps = {p.arg_name: " ".join(p.description.split()).rstrip(".") for p in document.params}
    own = {
        name: (Annotated[p.annotation, about(helps[name])], p.default)
        for name, p in inspect.signature(factory, eval_str=True).parameters.items()
    }
    rows = (COMMON | own).items()
    required = [(name, kind) for name, (kind, default) in rows if default is MISSING]
    optional = [(name, kind, field(default=default)) for name, (kind, default) in rows if default is not MISSING]
    made = make_dataclass("experts", required + optional, frozen=True)
    made.__doc__ = "\n\n".join([inspect.getdoc(act).splitlines()[0], f"--recipe {recipe}: {document.short_description}"])
    return made


def act(args: list[str]) -> None:
    """Train networks on real data and record their trajectories, which mtt, ftd, ast and datm match."""
    tokens = [part for token in args for part in token.split("=", 1)]
    recipe = dict(pairwise(tokens)).get("--recipe", "sgd")
    call = parse(recipe_class(recipe), args, "condense experts")

    check_estimate(call.device, dry_run=call.dry_run)
    with defer_interrupt():
        from condense.data.load import load_data
        from condense.experts import complete_recipe, settle_network, train_experts
        from condense.inputs.experts import plan_experts
        from condense.runtime.checks import check_seed, check_whole
        from condense.workflows.preview import preview_inputs
        from synth.files.memory import forcing

    given = {f.name: getattr(call, f.name) for f in fields(call) if f.name not in ("data", "dry_run", "device")}
    options = complete_recipe(recipe, {name: value for name, value in given.items() if name not in COMMON})
    check_whole("count", call.count), check_whole("epochs", call.epochs)
    with forcing(call.force):
        data = load_data(call.data, seed=check_seed(call.seed))
    if call.dry_run:
        net, _ = settle_network(data, call.net, call.precision)
        length = {"count": call.count, "epochs": call.epochs, "batch": options["batch"], "ends": call.ends}
        made = plan_experts(data, net, recipe, Path(call.out), **length)
        print("\n".join(preview_inputs([made], data, device=call.device)))
        return
    experts = train_experts(data=data, **given, command="condense experts " + shlex.join(args))
    print(f"{experts.count} experts of {experts.size:,} parameters, {experts.epochs} epochs each, are ready in {call.out}")
    for number, row in enumerate(experts.header.accuracy):
        shown = sorted({0, 1, experts.epochs // 2, experts.epochs})
        print(f"  expert {number}: validation accuracy " + ", ".join(f"{100 * row[epoch]:.1f} % after {epoch}" for epoch in shown))
    print("next:")
    method = next(name for name, method in REGISTRY.items() if method.experts == recipe)
    words = ["condense", "distill", method, "--experts", call.out, "--data", call.data, "--ipc", few(data), "--out", f"runs/{method}"]
    print("  " + shlex.join([*words, *(["--path", "straight"] if call.ends else [])]))
