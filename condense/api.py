"""What a notebook imports: `load_data`, `distill`, `evaluate`, `load_set`, `save_set`, `train_teacher`, `load_teacher`, `transfer`."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.config import Budget, budget_of, build_method, check_option, check_seed, check_validation, complete_options, find_method
from condense.data import Data, load_data
from condense.feeds import make_feed
from condense.graph_data import GraphData
from condense.graph_runs import Wishes, distill_graphs
from condense.grid import save_grid
from condense.handed import Context, flagged, hand_over, split_seed
from condense.jobs import validation_score
from condense.log import note, progress
from condense.loop import PREPARE, START, STEPS, Schedule, paced, run, stream
from condense.relabel import FOLDER
from condense.runs import Run, as_call, demand_same, digest, open_run
from condense.score import Evaluation, evaluate, find_set
from condense.ssl import load_teacher, train_teacher
from condense.transfer import Transfer, transfer
from evals.base import Recipe, recipe
from evals.budget import count_bytes
from matchers import OF_GRAPHS
from matchers.base import Matcher
from synth.base import Examples, Teacher
from synth.content import Pixels
from synth.errors import BadInput
from synth.file import load_set, save_set
from synth.labels import Hard
from synth.set import Info, SyntheticSet
from synth.start import STARTS

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
      start: first images, a name in `synth.start.STARTS`; by default the method's.
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
        demand_same(place, {"method": method, "data": data.spec, **asdict(budget), **options})
    context = Context(method, data, nets.canonical(net) if net else None, seed, place, force=force, steps=steps or STEPS)
    handed, identity, net = hand_over(find_method(method), places, context)
    matcher = build_method(method, options, **handed)
    demand_start(method, matcher, start)
    per_class, start = images_a_class(method, matcher, budget, data, eval_every), start or matcher.start
    schedule = paced(method, matcher, steps=steps, eval_every=eval_every, checkpoint_every=checkpoint_every)
    check_validation(schedule.eval_every, data)
    steps = schedule.steps
    config = {"method": method, "data": data.spec, "net": net, "start": start, **asdict(budget), **options, **identity}
    config |= {} if matcher.own_start is None else {"start": None}
    config |= {} if data.seed == seed else {"split_seed": data.seed}
    command = command or as_call({**config, **places, "steps": steps, "seed": seed, "out": str(out)})
    chosen = recipe(matcher.recipe, epochs=options.get("label_epochs"))
    info = describe(data, config, seed=seed, recipe=chosen.name)
    asked = {"steps": steps, "seed": seed, "command": command, "data_digest": data.digest, "force": force}
    asked["beside"] = {"eval_every": schedule.eval_every or None, "trained_on": data.trained_on}
    where = open_run(out, config, **asked) if out else nullcontext()
    key = jax.random.key(seed)
    with where as held:
        if held and held.done:
            note(f"{out} is done: {held.record['finished']} steps; nothing to do")
            return load_set(find_set(out))
        synth = within(budget, lambda count: begin(key, matcher, start, data, count, info), per_class)
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
        measure="val_accuracy" if isinstance(chosen, Recipe) else "val_ridge_accuracy",  # of a head in closed form, never mixed with others
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


def demand_start(method: str, matcher: Matcher, start: str | None) -> None:
    """Raises BadInput where a start is asked for and the method makes its own."""
    if start is not None and matcher.own_start is not None:
        other = f"give {matcher.own_start} as well" if matcher.own_start else "leave it out"
        raise BadInput(f"--start {start}: {method} makes the first images itself; {other}")


def images_a_class(method: str, matcher: Matcher, budget: Budget, data: Data, eval_every: int | None) -> int:
    """What a budget buys of this data; in all, for a method that reads no labels. Raises BadInput where it buys nothing, and where the
    method's sets have no classes to be given by or scored on."""
    if matcher.unlabelled and budget.ipc:
        raise BadInput(f"--ipc {budget.ipc}: {method} reads no labels; give --size N or --bytes N")
    if budget.bytes and not matcher.counts_bytes:
        raise BadInput(f"--bytes {budget.bytes}: what {method} stores is not known before it is done; give --ipc N or --size N")
    if matcher.unlabelled and eval_every:
        raise BadInput(
            f"--eval-every {eval_every}: {method} reads no labels, so its sets classify nothing; `condense transfer` scores them"
        )
    return budget.per_class(data.image, 1 if matcher.unlabelled else len(data.classes))


def within(budget: Budget, make: Callable[[int], SyntheticSet], per_class: int) -> SyntheticSet:
    """`make(per_class)`, or as much less as its labels take more than the class indices that the budget was counted with."""
    synth = make(per_class)
    took = count_bytes(synth)["total"]
    if budget.bytes is None or took <= budget.bytes:
        return synth
    if not (fewer := per_class * budget.bytes // took):
        raise BadInput(f"--bytes {budget.bytes}: one image a class with this method's labels needs at least {-(-took // per_class)}")
    return make(fewer)


def describe(data: Data, config: dict[str, Any], *, seed: int, recipe: str) -> Info:
    """What a set made from `data` under this configuration says of itself."""
    return Info(
        classes=data.classes,
        preprocess=data.preprocess,
        data=data.spec,
        data_digest=data.digest,
        method=config["method"],
        config=digest(config),
        seed=seed,
        split_seed=data.seed,
        net=config["net"],
        budget=budget_of(config),
        recipe=recipe,
    )


def begin(key: jax.Array, matcher: Matcher, start: str, data: Data, per_class: int, info: Info) -> SyntheticSet:
    """The set before the first step: `per_class` images of every class as `start` makes them, class-major, with hard labels, and what
    the method makes of them. A method that reads no labels gets `per_class` images of any class, all labelled 0."""
    examples, classes = data.train, len(data.classes)
    labels = 1 if matcher.unlabelled else classes
    if matcher.unlabelled:
        examples = Examples(examples.x, np.zeros_like(examples.y))
    make = partial(STARTS[start], stream(key, START), examples, per_class)
    if start == "kmeans":
        with progress(labels, f"choosing the first images by k-means among {len(examples.y):,}") as bar:
            first = make(done=bar.advance)
            bar.advance()
    else:
        first = make()
    index = jnp.repeat(jnp.arange(labels, dtype=jnp.int32), per_class)
    synth = SyntheticSet(Pixels(jnp.asarray(first, jnp.float32)), Hard(index, classes), info=info)
    return matcher.prepare(stream(key, PREPARE), synth, examples) if matcher.prepare else synth
