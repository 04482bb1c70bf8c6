"""The runs of a suite: its methods by data, budgets and distillation seeds. All are planned before the first begins."""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import load_data
from condense.evaluation.modalities import EVALUATORS
from condense.studies.scorings import in_words, serves, with_teachers
from condense.studies.suite_file import Entry, Size, Suite, within
from condense.workflows.methods import find_method
from condense.workflows.plan import Plan, plan
from synth.errors import BadInput, nearest

SPLIT = 0  # cuts the validation split of all runs, and seeds what they share, so that draws differ in nothing else
load = cache(load_data)


@dataclass(frozen=True)
class SharedInput:
    """Experts or teachers that several runs work from.

    Args:
      flag: of the runs, such as `experts`, `teachers` or `ranks`. place: folder of it, relative to the suite's folder.
      maker: the first run that needs it, whose method decides what is trained.
      about: what is trained, in words. bytes: on disk, 0 where not known.
    """

    flag: str
    place: str
    maker: "SuiteRun" = field(repr=False)
    about: str
    bytes: int = 0


@dataclass(frozen=True)
class SuiteRun:
    """One run of a suite. All places are relative to the suite's folder.

    Args:
      label, method, data, budget: which one it is. draw: its distillation seed.
      call: the other arguments of `condense.distill`, as JSON values.
      folder: its place.
      inputs: places of what it shares with other runs, by flag.
      length: place of what its minutes come to, measured once for all draws; empty where it has steps.
      alone: names what two runs must not measure at the same time; empty where there is nothing.
    """

    label: str
    method: str
    data: str
    budget: Size
    draw: int
    call: dict[str, Any]
    folder: str = ""
    inputs: dict[str, str] = field(default_factory=dict)
    length: str = ""
    alone: str = ""

    def choices(self) -> dict[str, Any]:
        """What tells this run from the others, as results hold it: `method`, `label`, `data`, `ipc`, `max_bytes` (the budget in bytes),
        `draw` and `options`; None for the budget that was not given."""
        sizes = {name: self.budget[1] if self.budget and self.budget[0] == name else None for name in ("ipc", "size", "bytes")}
        budget = {"ipc": sizes["ipc"], "max_bytes": sizes["bytes"]}
        return {"method": self.method, "label": self.label, "data": self.data, **budget, "draw": self.draw, "options": self.call}

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments of `plan` and `distill` beside method, data, folder and inputs."""
        return {**self.call, **({} if self.budget is None else {self.budget[0]: self.budget[1]}), "seed": self.draw}


@dataclass(frozen=True)
class Crossing:
    """All runs of a suite.

    Args:
      runs: in the order in which they are made. plans: of the first draw of each, by that run's folder.
      shared: inputs by place. skipped: a line for each reason why methods make no sets of some data.
      nets, scorings, rows: what scores the sets, by data; None for the network that the sets name. Of teachers that a scoring asks it has
        the place.
      ranks: place of the log of proxies by which rows are chosen, by data; data whose rows need none are left out.
    """

    runs: tuple[SuiteRun, ...]
    plans: dict[str, Plan] = field(repr=False)
    shared: dict[str, SharedInput]
    skipped: tuple[str, ...]
    nets: dict[str, tuple[str, ...] | None]
    scorings: dict[str, tuple[dict[str, Any], ...]]
    rows: dict[str, tuple[str, ...]]
    ranks: dict[str, str]


def cross(suite: Suite) -> Crossing:
    """Plans all runs of a suite; nothing is written. Raises BadInput, naming the method, for a wrong call of any of them, and where there
    is no run; a method that does not take some data is left out there."""
    runs, plans, shared, skipped = [], {}, {}, {}
    data = {spec: within(suite.name, lambda spec=spec: load(spec, seed=SPLIT)) for spec in suite.data}
    scored = scorers(suite, data)
    for spec in suite.data:
        for entry in suite.methods:
            if reason := why_not(entry, data[spec]):
                skipped.setdefault(f"{spec}: {reason}", []).append(entry.label)
                continue
            for budget in entry.budgets or suite.budgets:
                run, made = planned(entry, spec, data[spec], budget, suite.minutes, shared)
                plans[run.folder] = made
                runs += [replace(run, draw=draw, folder=folder_of(replace(run, draw=draw))) for draw in range(suite.draws)]
    lines = tuple(f"skipped on {reason}: {', '.join(labels)}" for reason, labels in skipped.items())
    if not runs:
        raise BadInput(f"{suite.name}: no method takes its data ({'; '.join(lines)}); name others")
    networks, scorings, rows = scored
    lines += tuple(left_out(spec, way, one) for spec, one in data.items() for way in suite.scorings if not serves(way, one.modality))
    scorings = with_committees(suite, scorings, data, runs)
    return Crossing(tuple(runs), plans, shared, lines, networks, scorings, rows, logs_of_rows(suite, data, rows, shared))


def left_out(spec: str, way: dict[str, Any], data: Data | GraphData) -> str:
    """A line that says which scoring does not score the sets of some data."""
    return f"skipped on {spec}: the scoring {in_words(way)} is not for {data.modality}"


def why_not(entry: Entry, data: Data | GraphData) -> str:
    """Why a method makes no sets of these data that can be scored; empty where it does."""
    method = find_method(entry.name)
    if data.modality not in method.modalities:
        return f"it holds {data.modality}, which these methods do not take"
    return "" if method.labelled else "sets that are made without labels classify nothing, and `condense transfer` scores them"


def planned(
    entry: Entry, spec: str, data: Data | GraphData, budget: Size, minutes: float | None, shared: dict[str, SharedInput]
) -> tuple[SuiteRun, Plan]:
    """The first draw (seed 0) of a run and its plan. `minutes` are the suite's, for runs that name no steps. Inputs that have to be made
    and can be shared with other runs are added to `shared`, by their place."""
    given = {name: value for name, value in (("preset", entry.preset), ("net", entry.net)) if value is not None}
    given |= {} if minutes is None or "steps" in entry.options else {"minutes": minutes}
    run = SuiteRun(entry.label, entry.name, spec, budget, 0, {**given, **entry.options})
    try:
        made = plan(entry.name, data, **run.arguments())
    except BadInput as error:
        raise BadInput(f"[[method]] {entry.label} on {spec}: {error}") from error
    inputs = {}
    for name, found in made.resolved.inputs.items():
        if found.to_make is None or found.to_make.kind == "priors":
            continue
        facts = [spec, data.digest, data.seed, found.to_make.kind, found.to_make.net, found.to_make.recipe]
        inputs[name] = f"inputs/{found.to_make.kind}-{digest_of(facts)}/{name}"
        size = 4 * found.value.count * (found.value.epochs + 1) * found.value.size if name == "experts" else 0
        about = f"{found.to_make.recipe}; {', '.join(found.to_make.net)}"
        shared.setdefault(inputs[name], SharedInput(name, inputs[name], run, about, size))
    measures = any(one.kind == "priors" for one in made.to_make())
    run = replace(run, inputs=inputs, alone=(inputs.get("teachers") or made.settings.places.get("teachers", "")) if measures else "")
    run = replace(run, folder=folder_of(run))
    return (run if made.minutes is None else replace(run, length=f"lengths/{run.folder.rpartition('/')[2]}.json")), made


def folder_of(run: SuiteRun) -> str:
    """The place of a run, relative to the suite's folder: what it is in words, and a digest of all choices, so that a changed file never
    meets another's run."""
    budget = "" if run.budget is None else f"-{run.budget[0]}{run.budget[1]}"
    where = run.data.partition("?")[0].rpartition(":")[2].rpartition("/")[2]
    words = "-".join(re.sub(r"\W+", "_", text).strip("_")[:40] for text in (run.label, where))
    facts = [run.method, run.data, run.budget, run.draw, run.call, run.inputs]
    return f"runs/{words}{budget}-seed{run.draw}-{digest_of(facts)}"


def digest_of(facts: Any) -> str:
    """Eight hexadecimal digits that identify JSON values."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:8]


def scorers(suite: Suite, data: dict[str, Data | GraphData]) -> tuple[dict[str, Any], ...]:
    """The networks, the scorings and the rows that score the sets of each data: three dicts by its specification. Those of the suite that
    do not serve some data are left out there.

    Where none is left, networks are None and scorings a single empty one, for what the sets name, and rows are the set alone. Raises
    BadInput for a network that serves none of the data, and for an unknown row.
    """
    found: dict[str, Any] = {spec: None for spec in data}
    for name in suite.nets or ():
        wrong = []
        for spec, one in data.items():
            try:
                nets.build(nets.named(name, one.image, len(one.classes)), one.image, len(one.classes))
                found[spec] = (*(found[spec] or ()), name)
            except BadInput as error:
                wrong.append(str(error))
        if len(wrong) == len(data):
            raise BadInput(f"{suite.name}: nets {name}: {wrong[0]}")
    scorings, rows = {}, {}
    for spec, one in data.items():
        scorings[spec] = tuple(way for way in suite.scorings if serves(way, one.modality)) or ({},)
        rows[spec] = tuple(kind for kind in suite.rows if kind in EVALUATORS[one.modality].baselines) or ("distilled",)
    known = {kind for evaluator in EVALUATORS.values() for kind in evaluator.baselines}
    if unknown := [kind for kind in suite.rows if kind not in known]:
        raise BadInput(f"{suite.name}: rows: unknown row '{unknown[0]}' (known: {', '.join(sorted(known))}){nearest(unknown[0], known)}")
    return found, scorings, rows


def logs_of_rows(
    suite: Suite, data: dict[str, Data | GraphData], rows: dict[str, tuple[str, ...]], shared: dict[str, SharedInput]
) -> dict[str, str]:
    """The place of the log of proxies by which rows of each data choose examples, by the data's specification. Data whose rows need none
    are left out. Raises BadInput where rows need one, and no run makes one."""
    found = {}
    for spec, one in data.items():
        if ranked := [kind for kind in rows[spec] if EVALUATORS[one.modality].baselines[kind].ranked]:
            places = [log.place for log in shared.values() if log.flag == "ranks" and log.maker.data == spec]
            if not places:
                why = f"{suite.name}: rows: {ranked[0]} is chosen by a log of proxies, and no method makes one of {spec}"
                raise BadInput(f"{why}; add a [[method]] select or pca, whose log it then shares")
            found[spec] = places[0]
    return found


def with_committees(
    suite: Suite, scorings: dict[str, tuple[dict[str, Any], ...]], data: dict[str, Data | GraphData], runs: Sequence[SuiteRun]
) -> dict[str, tuple[dict[str, Any], ...]]:
    """The scorings of each data, those that ask teachers with the place of these. Raises BadInput where it is not clear who is asked."""
    found = {}
    for spec, ways in scorings.items():
        known = {run.label: place for run in runs if run.data == spec and (place := committee_of(run))}
        settle = partial(with_teachers, spec=spec, known=known, rows=suite.rows, validated=len(data[spec].val.y) > 0)
        found[spec] = tuple(within(suite.name, settle, way) for way in ways)
    return found


def committee_of(run: SuiteRun) -> str:
    """The place of the teachers that a run works from, relative to the suite's folder where its runs share them, else absolute; empty where
    it works from none."""
    given = run.call.get("teachers")
    return run.inputs.get("teachers") or (str(Path(given).absolute()) if given else "")
