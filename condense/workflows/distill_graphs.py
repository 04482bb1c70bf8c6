"""Distilling graphs: `condense.api.distill` for data that are graphs. Runs, resume and files are those of images."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from condense import nets
from condense.data.graphs import GraphData
from condense.engine.budget import Budget, budget_of
from condense.engine.feeds import make_feed
from condense.engine.initial import empty
from condense.engine.loop import PREPARE, Schedule, make_schedule, run, stream
from condense.evaluation.graphs import validation_score
from condense.inputs.context import Context
from condense.inputs.registry import flagged, resolve_inputs
from condense.plots.graphs import save_grid
from condense.runtime.checks import check_option, check_validation
from condense.runtime.log import note
from condense.runtime.run_folder import as_call, digest, open_run
from condense.workflows.options import build_method, complete_options, find_method
from evals.recipes import recipe
from matchers import OF_GRAPHS
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.set import Info, SyntheticSet

NETS = {"doscond": "gcn:depth=3"}  # as published; other methods match with no network


@dataclass(frozen=True)
class Wishes:
    """What a call of `distill` asks for beside method, data and the method's options."""

    out: str | Path | None
    net: str | None
    steps: int | None
    seed: int
    start: str | None
    eval_every: int | None
    checkpoint_every: int | None
    force: bool
    command: str


def distill_graphs(method: str, data: GraphData, budget: Budget, wishes: Wishes, options: dict[str, Any]) -> SyntheticSet:
    """Distils graphs. The arguments are those of `condense.api.distill`, and so is what is raised."""
    if method not in OF_GRAPHS:
        raise BadInput(f"{method}: takes images, and {data.spec} holds graphs; use one of {', '.join(OF_GRAPHS)}")
    if wishes.start is not None:
        raise BadInput(f"--start {wishes.start}: graph methods make their own start; leave it out")
    places = {name: options[name] for name in flagged(find_method(method)) if options.get(name) is not None}
    options, seed, out = complete_options(method, options), wishes.seed, Path(wishes.out) if wishes.out else None
    net = nets.canonical(wishes.net or NETS.get(method) or f"gin:depth={options.get('depth', 2)}")
    nets.build(net, data.image, len(data.classes))  # refuses a network of images before anything is done
    given = budget.check() if any(value is not None for value in (budget.ipc, budget.size, budget.bytes)) else None
    context = Context(method, data, net, seed, out, force=wishes.force, budget=given)
    handed, identity, net = resolve_inputs(find_method(method), places, context)
    matcher = build_method(method, options, **handed)
    named = {name: check_option(name, getattr(wishes, name), int | None) for name in ("steps", "eval_every", "checkpoint_every")}
    schedule, config = make_schedule(method, matcher, **named), {"method": method, "data": data.spec, "net": net}
    check_validation(schedule.eval_every, data)
    steps = schedule.steps
    config |= {"ipc": budget.ipc, "size": budget.size, "bytes": budget.bytes, **options, **identity}
    config |= {} if data.seed == seed else {"split_seed": data.seed}
    shown = {**config, **places, "steps": steps, "seed": seed, "out": wishes.out and str(wishes.out)}
    command = wishes.command or as_call(shown)
    info = describe(data, config, seed=seed, recipe="graph" if matcher.recipe == "dsa" else matcher.recipe)
    asked = {"steps": steps, "seed": seed, "command": command, "data_digest": data.digest, "force": wishes.force}
    with open_run(out, config, beside={"eval_every": schedule.eval_every or None}, **asked) if out else nullcontext() as held:
        if held and held.done:
            note(f"{out} is done: {held.record['finished']} steps; nothing to do")
            return load_set(out / "set.npz")
        for line in matcher.remarks(data.train) if matcher.remarks else ():
            note(line)
        synth = _run(matcher, data, info, schedule, wishes, held)
        if out:
            save_set(out / "set.npz", synth)
            save_grid(out / "grid.png", synth)
    return synth


def _run(matcher, data: GraphData, info: Info, schedule: Schedule, wishes: Wishes, held) -> SyntheticSet:
    key = jax.random.key(wishes.seed)
    synth = empty(data, info)
    if matcher.prepare:
        synth = matcher.prepare(stream(key, PREPARE), synth, data.train)
    score = validation_score(data, info.net, recipe(info.recipe), seed=wishes.seed) if schedule.eval_every and not matcher.host else None
    starting, saved = (held.begin, held.saved) if held else (lambda: None, lambda step: None)
    feed = make_feed(matcher.feed, data.train, len(data.classes), seed=wishes.seed)
    out = Path(wishes.out) if wishes.out else None
    return run(key, matcher, synth, feed, schedule, folder=out, starting=starting, saved=saved, evaluate=score, description=info.method)


def describe(data: GraphData, config: dict[str, Any], *, seed: int, recipe: str) -> Info:
    """What a set made from `data` under this configuration says of itself."""
    named = {"data": data.spec, "data_digest": data.digest, "method": config["method"], "config": digest(config)}
    named |= {"budget": budget_of(config)}
    return Info(data.classes, data.preprocess, **named, seed=seed, split_seed=data.seed, net=config["net"], recipe=recipe)
