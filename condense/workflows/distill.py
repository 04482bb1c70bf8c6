"""What a notebook imports: `load_data`, `distill`, `evaluate`, `load_set`, `save_set`, `train_teacher`, `load_teacher`, `transfer`."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jax

from condense import nets
from condense.data.for_set import find_set
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import load_data
from condense.engine.budget import Budget, fit_to_budget, images_a_class
from condense.engine.feeds import make_feed
from condense.engine.initial import check_start, initial_set, set_info
from condense.engine.loop import STEPS, Schedule, make_schedule, run
from condense.evaluation.images import validation_score
from condense.evaluation.report import Evaluation
from condense.inputs.context import Context
from condense.inputs.registry import flagged, resolve_inputs, split_seed
from condense.plots.images import save_grid
from condense.runtime.checks import check_option, check_seed, check_validation
from condense.runtime.log import note
from condense.runtime.run_folder import Run, as_call, check_same, open_run
from condense.teachers.labelling import FOLDER
from condense.teachers.self_supervised import load_teacher, train_teacher
from condense.workflows.distill_graphs import Wishes, distill_graphs
from condense.workflows.evaluate import evaluate
from condense.workflows.options import build_method, complete_options, find_method
from condense.workflows.transfer import Transfer, transfer
from evals.recipes import EvalRecipe, recipe
from matchers import OF_GRAPHS
from matchers.base import Matcher
from synth.base import Teacher
from synth.errors import BadInput
from synth.files.format import load_set, save_set
from synth.selection.choose import STARTS
from synth.set import SyntheticSet

__all__ = [
    "Evaluation",
    "Transfer",
    "distill",
    "evaluate",
    "load_data",
    "load_set",
    "load_teacher",
    "save_set",
    "train_teacher",
    "transfer",
]


def distill(
    method: str,
    data: Data | GraphData | str,
    *,
    ipc: int | None = None,
    size: int | None = None,
    bytes: int | None = None,
    out: str | Path | None = None,
    net: str | None = None,
    steps: int | None = None,
    seed: int = 0,
    start: str | None = None,
    eval_every: int | None = None,
    checkpoint_every: int | None = None,
    force: bool = False,
    command: str = "",
    **options: Any,
) -> SyntheticSet:
    """Distils data to a budget. The same call again resumes an unfinished run, and returns the set of a finished one.

    Args:
      method: a name in `matchers.REGISTRY`; `options` are its factory's keyword arguments, and folders of what is handed over (`experts`).
      data: data or its specification.
      ipc, size, bytes: the budget, exactly one: images a class, images in all, payload bytes.
      out: folder of the run: set.npz, run.json, metrics.jsonl, grid.png and, of more than one step, checkpoints. Without one nothing is
        written and nothing resumes.
      net: network to match with; by default `convnet`, or what experts are of.
      steps: of the method, 1000 by default; selection methods take one.
      seed: of all that is drawn, and of the validation split where `data` is a specification and no experts or teachers are given that left
        out another.
      start: first images, a name in `synth.selection.choose.STARTS`; by default the method's.
      eval_every: scores the set on the validation split so often and keeps the best as best.npz beside set.npz, which is the last step's.
      checkpoint_every: steps between checkpoints; by default a twentieth of the run.
      force: starts anew where `out` holds another run or one that is done, and tries a step although memory does not seem to suffice.
      command: what run.json records as the command; by default this call.

    Returns:
      The set after the last step, its `info` filled.

    Raises:
      BadInput: a wrong call or bad data. RunFailed: NaN, a full disk.
    """
    places = {name: options[name] for name in flagged(find_method(method)) if options.get(name) is not None}
    options, seed, place = complete_options(method, options), check_seed(seed), folder_of(out)
    counts = {"ipc": ipc, "size": size, "bytes": bytes, "steps": steps, "eval_every": eval_every, "checkpoint_every": checkpoint_every}
    ipc, size, bytes, steps, eval_every, checkpoint_every = (check_option(name, count, int | None) for name, count in counts.items())
    if start is not None and start not in STARTS:
        raise BadInput(f"--start: unknown start '{start}' (known: {', '.join(STARTS)})")
    data = load_data(data, seed=split_seed(find_method(method), places, seed)) if isinstance(data, str) else data
    if isinstance(data, GraphData):
        wishes = Wishes(out, net, steps, seed, start, eval_every, checkpoint_every, force, command)
        return distill_graphs(method, data, Budget(ipc, size, bytes), wishes, {**options, **places})
    if method in OF_GRAPHS and method != "random":
        raise BadInput(f"{method}: takes graphs, and {data.spec} holds images; give --data toy_graphs, tu:FILE or smiles:FILE")
    budget = Budget(ipc, size, bytes)
    budget.check()  # before anything is made for the method
    if place and not force and flagged(find_method(method)):
        check_same(place, {"method": method, "data": data.spec, **asdict(budget), **options})
    context = Context(method, data, nets.canonical(net) if net else None, seed, place, force=force, steps=steps or STEPS)
    handed, identity, net = resolve_inputs(find_method(method), places, context)
    matcher = build_method(method, options, **handed)
    check_start(method, matcher, start)
    per_class, start = images_a_class(method, matcher, budget, data, eval_every), start or matcher.start
    schedule = make_schedule(method, matcher, steps=steps, eval_every=eval_every, checkpoint_every=checkpoint_every)
    check_validation(schedule.eval_every, data)
    steps = schedule.steps
    config = {"method": method, "data": data.spec, "net": net, "start": start, **asdict(budget), **options, **identity}
    config |= {} if matcher.own_start is None else {"start": None}
    config |= {} if data.seed == seed else {"split_seed": data.seed}
    command = command or as_call({**config, **places, "steps": steps, "seed": seed, "out": str(out)})
    chosen = recipe(matcher.recipe, epochs=options.get("label_epochs"))
    info = set_info(data, config, seed=seed, recipe=chosen.name)
    asked = {"steps": steps, "seed": seed, "command": command, "data_digest": data.digest, "force": force}
    asked["beside"] = {"eval_every": schedule.eval_every or None, "trained_on": data.trained_on}
    where = open_run(out, config, **asked) if out else nullcontext()
    key = jax.random.key(seed)
    with where as held:
        if held and held.done:
            note(f"{out} is done: {held.record['finished']} steps; nothing to do")
            return load_set(find_set(out))
        synth = fit_to_budget(budget, lambda count: initial_set(key, matcher, start, data, count, info), per_class)
        feed = make_feed(matcher.feed, data.train, len(data.classes), seed=seed, experts=handed.get("experts"))
        more = {"folder": place, "held": held, "force": force, "teachers": handed.get("teachers", ())}
        return work(key, method, matcher, synth, data, feed, schedule, **more)


def work(
    key: jax.Array,
    method: str,
    matcher: Matcher,
    synth: SyntheticSet,
    data: Data,
    feed: Callable[[int], Any],
    schedule: Schedule,
    *,
    folder: Path | None,
    held: Run | None,
    force: bool,
    teachers: Sequence[Teacher],
) -> SyntheticSet:
    """Runs the method from `synth` and stores what it gives; `held` is the run that holds `folder`, None where nothing is written.
    Labels may be of `teachers`."""
    chosen, seed = recipe(synth.info.recipe), synth.info.seed
    synth = run(
        key,
        matcher,
        synth,
        feed,
        schedule,
        folder=folder,
        starting=held.begin if held else lambda: None,
        saved=held.saved if held else lambda step: None,
        evaluate=validation_score(data, synth.info.net, chosen, seed=seed, teachers=teachers) if schedule.eval_every else None,
        measure="val_accuracy"
        if isinstance(chosen, EvalRecipe)
        else "val_ridge_accuracy",  # of a head in closed form, never mixed with others
        description=method,
        force=force,
    )
    if folder:
        save_set(folder / "set.npz", synth)
        save_grid(folder / "grid.png", synth)
        shutil.rmtree(folder / FOLDER, ignore_errors=True)
    return synth


def folder_of(out: str | Path | None) -> Path | None:
    """The run's folder; None where nothing is written. Raises BadInput for an empty name, as an unset variable of a shell gives."""
    if out is not None and not str(out):
        raise BadInput("--out: is empty; give the name of a folder")
    return None if out is None else Path(out)
