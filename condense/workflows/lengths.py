"""The length of a run that is given in minutes: measured once, then written in `run.json` as steps and options.

The clock decides how many steps fit, and nothing else: the set is a function of the steps and options that stand in the record.
"""

import json
import math
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jax

from condense.engine.feeds import make_feed
from condense.engine.measure import Cost, measure_step
from condense.engine.schedule import make_schedule
from condense.inputs.registry import resolve_inputs
from condense.runtime.log import note
from condense.runtime.processes import on_first
from condense.runtime.run_folder import RECORD
from condense.workflows.calls import without_clock
from condense.workflows.plan import Length, Plan, build_matcher, stand_in_set
from synth.errors import BadInput
from synth.files.records import Real, Table, Whole, read_record
from synth.options import check_option

LENGTH = "length"  # field of a run's record
SHARE = 0.05  # of the minutes, at most, are for measuring; as much is kept for checkpoints and the log
MOST = 20  # steps that are timed
LONGEST = 1_000_000  # steps that a run gets at most
HELD = Table({"minutes": Real(0), "steps": Whole(1), "options": Table(rest=Real())}, rest=None)


def step_cost(made: Plan, **how: Any) -> Cost:
    """Measures what a step of the plan's method takes. Stand-ins take the place of missing inputs. `how` bounds the measuring: `most` steps
    after the one that compiles, within about `longest` seconds of `clock`."""
    return measure_step(jax.random.key(made.seed), made.matcher, stand_in_set(made), feed_of(made), **how)


def feed_of(made: Plan) -> Callable[[int], Any]:
    """The feed of the plan's method: a function from the step number to a batch. Stand-ins take the place of missing inputs."""
    data, values = made.data, made.resolved.values()
    return make_feed(made.matcher.feed, data.train, len(data.classes), seed=made.seed, experts=values.get("experts"))


def settle_length(made: Plan) -> Plan:
    """The plan with the steps and options that its minutes come to: those in its folder's record, else those that are measured now. A plan
    without minutes comes back as it is, and so does one whose length is known.

    Raises BadInput where the folder holds a run of other minutes, and where no step fits.
    """
    if made.minutes is None or made.length:
        return made
    if settled := resumed(made):
        note(f"goes on with the {settled.schedule.steps:,} steps that {made.minutes:g} minutes came to when the run began")
        return settled
    return with_length(made, measure_length(made))


def measure_length(made: Plan) -> Length:
    """How many steps fit into a plan's minutes, and the options that suit so many.

    A twentieth of the minutes is kept free; compilation and this measuring count. The number is rounded down to two digits. Raises BadInput
    where no step fits.
    """
    note(f"timing a step of {made.method.name} for --minutes {made.minutes:g}")
    began, whole = time.perf_counter(), 60 * made.minutes
    cost = step_cost(made, most=MOST, longest=SHARE * whole)
    spent = on_first(lambda: time.perf_counter() - began + cost.compiling)
    fit = int(((1 - SHARE) * whole - spent) / cost.mean)
    if fit < 1:
        least = math.ceil(100 * (spent + cost.mean) / (1 - SHARE) / 60) / 100  # rounded up, so that it is enough
        raise BadInput(
            f"--minutes {made.minutes:g}: no step fits: compiling takes {cost.compiling:.1f} s here, twice with the measuring, and a step"
            f" {cost.mean:.2g} s; give at least {least:g}, or --steps N"
        )
    length = length_of(made, fit)
    note(
        f"--minutes {made.minutes:g}: {length.steps:,} steps, {cost.mean:.3g} s each after {cost.compiling:.0f} s of compiling; experts,"
        f" teachers and scores come beside that. The same without a clock: {without_clock(made.command, *length)}"
    )
    return length


def length_of(made: Plan, steps: int) -> Length:
    """A length of so many steps, rounded down to two digits, with the values that the method's rule has for so many, of those options that
    stand at their defaults."""
    steps, settings = two_digits(steps), made.settings
    scaled = made.method.scale(steps, settings.options, made.per_class)
    return Length(steps, {name: value for name, value in scaled.items() if settings.sources[name] == "default"})


def two_digits(steps: int) -> int:
    """A number of steps rounded down to two digits, so that nearly equal machines agree on it: 1,287 becomes 1,200. At most 1,000,000."""
    digits = 10 ** max(0, len(str(steps)) - 2)
    return min(steps // digits * digits, LONGEST)


def with_length(made: Plan, length: Length) -> Plan:
    """The plan with so many steps and these options, where neither the call nor a preset gives others."""
    settings, usual = made.settings, made.usual_net
    fitting = {name: value for name, value in length.options.items() if settings.sources.get(name) == "default"}
    settings = settings._replace(options=settings.options | fitting, sources=settings.sources | dict.fromkeys(fitting, LENGTH))
    context = made.context._replace(steps=length.steps)
    resolved = resolve_inputs(made.factory, context, usual=usual, make=False)
    settings, matcher, _ = build_matcher(made.factory, resolved, settings, made.data)
    every = {name: made.settings.common[name] for name in ("eval_every", "checkpoint_every")}
    every = {name: check_option(name, value, int | None) for name, value in every.items()}
    schedule = make_schedule(matcher, steps=length.steps, **every)
    length = length._replace(options=fitting)
    return replace(made, settings=settings, context=context, resolved=resolved, matcher=matcher, schedule=schedule, length=length)


def record_of(made: Plan) -> dict[str, Any]:
    """What `run.json` says besides of a run with minutes: `length` (minutes, steps and options) and `without_clock` (the command that does
    the same without minutes). It is empty for other runs."""
    if made.length is None:
        return {}
    steps, options = made.length
    held = {"minutes": made.minutes, "steps": steps, "options": options}
    return {LENGTH: held, "without_clock": without_clock(made.command, steps, options)}


def resumed(made: Plan) -> Plan | None:
    """The plan with the length that its folder's record holds; None where there is no run yet, or one that `--force` replaces.

    Raises BadInput where the folder holds a run of other minutes, or of none.
    """
    if made.out is None or not (path := made.out / RECORD).is_file():
        return None
    record = read_record(path, Table(), what="is not a run's record", remedy="give another --out")
    held = record.get(LENGTH)
    try:
        HELD.check(held, LENGTH)
    except ValueError:
        held = None
    if held and held["minutes"] == made.minutes:
        settled = with_length(made, Length(held["steps"], held["options"]))
        config, choices = record.get("config", {}), json.loads(json.dumps(settled.choices()))
        same = all(config.get(name) == value for name, value in choices.items())
        if not made.force or (same and record.get("state") != "done"):
            return settled
    if made.force:
        return None
    has = f"was cut to {held['minutes']:g} minutes" if held else f"has {record.get('steps')} steps, without minutes"
    raise BadInput(
        f"--minutes {made.minutes:g}: the run in {made.out} {has}; repeat its command, give another --out, or --force to start anew"
    )
