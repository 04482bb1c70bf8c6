"""The output of `--dry-run`: settings with their sources, inputs that exist and inputs to be made, and the cost."""

import math

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data, room_of
from condense.engine.measure import Cost, measure_training
from condense.inputs.context import ToMake
from condense.runtime.log import duration, note
from condense.runtime.run_folder import foresee
from condense.workflows.elsewhere import caution, check_device, disk_lines, estimate_for, find_machine, input_lines
from condense.workflows.lengths import settle_length, step_cost
from condense.workflows.plan import Plan, stand_in_set
from evals.storage import count_bytes
from synth.base import take_all
from synth.files.memory import megabytes
from synth.set import SyntheticSet


def preview(made: Plan, *, device: str | None = None) -> list[str]:
    """Returns the lines that `condense distill --dry-run` prints: choices, inputs, remarks and estimated times.

    Where the plan has minutes, it is measured first how many steps these are. A step is compiled and timed where the method runs in steps;
    with `device`, such as `h100x8`, it is estimated instead what it takes on that machine, `here` being this one. Nothing is written to
    disk. Raises BadInput for an unknown machine.
    """
    check_device(device, minutes=made.minutes)
    made = settle_length(made)
    settings, waiting = made.settings, made.to_make()
    rows = plan_rows(made)
    rows += [("input", f"{name}: there, in {place}") for name, place in settings.places.items()]
    rows += [("input", describe(one)) for one in waiting]
    rows += [("note", line) for line in (*made.remarks, *(made.matcher.remarks(take_all(made.data.train)) if made.matcher.remarks else ()))]
    rows += [("estimate", line) for line in (estimate(made, waiting) if device is None else estimate_for(made, waiting, device))]
    return [f"{name:<10}{text}" for name, text in rows]


def plan_rows(made: Plan) -> list[tuple[str, str]]:
    """The choices of a plan as (name, text), `method` first, and at the end one row called `option` for each option of the method, with
    what gave its value."""
    data, schedule, word = made.data, made.schedule, made.modality.example
    given, settings = made.budget.given(), made.settings
    synth = stand_in_set(made) if made.modality.starts else None
    counts = f"{len(data.train.y):,} training {word}s, {len(data.val.y):,} for validation, {len(data.classes)} classes"
    room = f"; {held}" if (held := room_of(data)) else ""
    scored = f", scored on validation every {schedule.eval_every}" if schedule.eval_every else ""
    rows = [
        ("method", f"{made.method.name}: {made.method.summary}"),
        ("data", f"{data.spec}: {counts}, split by seed {data.seed}{f'; test: {data.drawn}' if data.drawn else ''}{room}"),
        ("network", made.net),
        ("budget", f"{'as large as the data make it' if given is None else f'{given[0]} {given[1]}'}{size_of(made, synth)}"),
        ("stored as", made.stored or "usual"),
        ("schedule", f"{schedule.steps:,} steps, a checkpoint every {schedule.checkpoint_every}{scored}"),
        ("start", made.start or "of the method"),
        ("folder", folder_of(made)),
        ("recipe", made.recipe),
        ("seed", str(made.seed)),
    ]
    rows += [] if made.minutes is None else [("minutes", f"{made.minutes:g}, which come to these steps; the run measures anew")]
    rows += [("score", made.matcher.score)] if made.matcher.score else []
    return rows + [("option", f"{name} = {value} ({settings.sources[name]})") for name, value in settings.options.items()]


def folder_of(made: Plan) -> str:
    """Says in words what the run will find in its folder: nothing yet, an unfinished run that goes on, a finished one, or something else
    that makes it refuse. Nothing is written."""
    if made.out is None:
        return "none: nothing is kept"
    whole = not made.to_make()
    beside = {"seed": made.seed, "data_digest": made.data.digest, **made.beside()}
    config = made.config() if whole else made.choices()
    return foresee(made.out, config, whole=whole, steps=made.schedule.steps, force=made.force, **beside)


def size_of(made: Plan, synth: SyntheticSet | None) -> str:
    """The size of the set in words, to stand behind the budget, as in `: 10 images, 2,600 bytes`. Where the labels are made at the end, the
    bytes are those of the content. `synth` is a set as large as the one to come; None gives an empty text."""
    if synth is None:
        return ""
    settled = made.matcher.counts_bytes and (made.method.labelled or not made.to_make())
    size = f"{count_bytes(synth)['total']:,} bytes" if settled else f"{synth.x.store().nbytes():,} bytes and its labels"
    return f": {len(synth):,} {made.modality.example}s, {size}"


def describe(one: ToMake) -> str:
    """Describes in one line an input that is to be made, and the folder that will keep it."""
    where = "used and forgotten" if one.place is None else f"in {one.place}"
    state = "begun or there, checked when the run starts" if one.begun else "to make"
    return f"{one.kind}: {state}, {where}: {one.recipe}; {', '.join(one.net)}"


def estimate(made: Plan, waiting: list[ToMake]) -> list[str]:
    """Estimates the time for making the inputs in `waiting` and for all steps of the method, a line each. One mini-batch of each network
    and a few steps are timed for that; a method that works once on the host is not timed."""
    lines = []
    for one in waiting:
        if one.gradients:
            lines.append(f"{one.kind}: about {duration(seconds_to_make(one, made.data))}")
        else:
            lines.append(f"{one.kind}: not estimated")
    if made.matcher.host:
        return [*lines, f"{made.method.name}: works once, on the host"]
    note(f"compiling and timing a step of {made.method.name}")
    cost = step_cost(made)
    took = f"{cost.seconds:.3g} s a step after {cost.compiling:.0f} s of compiling"
    memory = f", {megabytes(cost.memory)} of working memory" if cost.memory else ""
    return [*lines, f"{made.method.name}: about {duration(cost.compiling + cost.seconds * made.schedule.steps)}, {took}{memory}"]


def seconds_to_make(one: ToMake, data: Data | GraphData) -> float:
    """Seconds that it takes to make an input from data, compilation too, from a mini-batch of each of its networks; 0 where no training is
    what takes the time."""
    if not one.gradients:
        return 0.0
    note(f"compiling and timing a mini-batch of the {one.kind}")
    costs = [_cost(name, data, one.batch) for name in one.net]
    return sum(cost.compiling + cost.seconds * one.batches * one.gradients for cost in costs)


def _cost(name: str, data: Data | GraphData, batch: int) -> Cost:
    image, classes = data.image, len(data.classes)
    return measure_training(nets.build(name, image, classes), image, classes, batch=min(batch, len(data.train.y)))


def preview_inputs(waiting: list[ToMake], data: Data | GraphData, *, device: str | None = None) -> list[str]:
    """Returns the lines that `--dry-run` prints where inputs are made by a command of their own, such as `condense experts`: what is made,
    how long it takes here, or on the machine `device`, and how large it is. Nothing is written. Raises BadInput for an unknown machine."""
    check_device(device)
    if device is None:
        times = [
            f"{one.kind}, {', '.join(one.net)}: about {duration(seconds_to_make(one, data))} on this machine as it is now"
            for one in waiting
        ]
    else:
        machine = find_machine(device)
        times = [*input_lines(waiting, data, machine), caution(machine)]
    disk = {waiting[0].kind: sum(one.disk for one in waiting)}
    room = f"; {held}" if (held := room_of(data)) else ""
    if held and data.train.in_memory:  # what trains on them moves them there at once
        room += f", and {megabytes(4 * math.prod(data.train.shape))} of training examples on every device"
    rows = [("data", f"{data.spec}: {len(data.train.y):,} training examples, {len(data.classes)} classes{room}")]
    rows += [("input", describe(one)) for one in waiting]
    return [f"{name:<10}{text}" for name, text in (*rows, *(("estimate", line) for line in (*times, *disk_lines(disk))))]
