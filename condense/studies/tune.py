"""Looks for a method's options by successive halving, scored on validation examples, within minutes.

What is measured decides how long the runs are, once; all else follows from these lengths, so that a search that is killed and gone on with
ends as one that was not. The folder holds `tune.json` (the search and its rungs), `trials.json`, `trials.png` and `preset.json`.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

from condense.data.load import Given
from condense.inputs.registry import PROVIDERS
from condense.plots.trials import draw_trials
from condense.presets.file import write_preset
from condense.runtime.checks import check_whole, more_validation
from condense.runtime.lock import LOCK, locked, sign
from condense.runtime.log import duration, note
from condense.studies.rungs import Rung, draw, rungs_of, spans_of
from condense.studies.suite import write_json
from condense.studies.trials import Search, climb, score, tell_start
from condense.studies.tuned import PRESET, Tuned, conclude
from condense.workflows.calls import plain
from condense.workflows.lengths import step_cost
from condense.workflows.plan import Plan, plan, stand_in_set
from matchers.inputs import flagged_inputs
from matchers.method import Method
from synth.base import Net
from synth.errors import BadInput
from synth.files.records import ListOf, Table, Whole, read_record
from synth.options import Positive, check_option

RECORD, TRIALS, PLOT = "tune.json", "trials.json", "trials.png"
SHARE = 0.05  # of the minutes, kept for what is not measured
MOST, LONGEST = 10, 10.0  # steps and seconds of timing


def tune(
    method: str | Method,
    data: Given | None,
    *,
    out: str | Path,
    minutes: float,
    ipc: int | None = None,
    size: int | None = None,
    bytes: int | None = None,
    fraction: float | None = None,
    net: str | Net | None = None,
    seed: int = 0,
    start: str | None = None,
    preset: str | None = None,
    vary: tuple[str, ...] | None = None,
    trials: int = 16,
    seeds: int = 2,
    command: str = "",
    **options: Any,
) -> Tuned:
    """Looks for options of a method on data: many short runs, of which the better third goes on to longer ones, and the best is the preset.

    The first trial is the call as it stands; the others lie around it, by factors of up to 100 each way where a range has no end. The
    same call again goes on where it was stopped. At the end the start of the best trial is scored too, and a warning says where nothing was
    gained. The test split is not looked at.

    Args:
      method, data, ipc, size, bytes, fraction, net, seed, start, preset: as of `condense.distill`. `options` are the method's; those
        that do not vary stay as they are. Experts and teachers that the call does not name are made once, in the folder.
      out: folder of the search; preset.json in it is what `--preset` takes.
      minutes: of this machine, for all runs and scores; experts and teachers come beside that.
      vary: names of options that declare a range; by default those of the method's record, such as the step size.
      trials: how many there are at first (>= 1).
      seeds: networks that score a set (>= 1).
      command: what the preset says that it is from; by default this call's words.

    Raises BadInput for a wrong call, for a method that has nothing to vary or whose sets classify nothing, where `out` holds something else
    or another search, and where the minutes do not suffice.
    """
    trials, seeds = check_whole("trials", trials), check_whole("seeds", seeds)
    minutes = check_option("minutes", minutes, Annotated[float, Positive])
    call = {"ipc": ipc, "size": size, "bytes": bytes, "fraction": fraction, "net": net, "seed": seed, "start": start, "preset": preset}
    call = {name: value for name, value in call.items() if value is not None} | options
    folder, made = check_folder(out), plan(method, data, **call)
    check_tunable(made)
    spans = spans_of(made, vary)
    asked = {**made.choices(), "net": made.net, "seed": made.seed, "start": made.start, "digest": made.data.digest, "minutes": minutes}
    asked |= {"trials": trials, "seeds": seeds, "vary": list(spans)}
    with locked(folder) as lock:
        sign(lock)
        check_asked(folder, asked)
        call |= make_inputs(made, folder)
        search = Search(plan(method, made.data, **call), call, spans, draw(len(spans), trials), seeds, folder)
        rungs = held_rungs(folder) or measure_rungs(search, minutes)
        write_json(folder / RECORD, {"asked": asked, "rungs": [list(rung) for rung in rungs]})
        found = conclude(search, rungs, climb(search, rungs, folder / TRIALS), command or call_text(made, call, minutes, folder))
        write_json(folder / TRIALS, found.as_json())
        write_preset(folder / PRESET, found.preset)
        draw_trials(found.rows, list(spans), logs=[span.log for span in spans.values()]).save(folder / PLOT)
        tell_start(search, found.best)
    return found


def call_text(made: Plan, call: dict[str, Any], minutes: float, folder: Path) -> str:
    """The call of a search as a line of Python, for its preset; `call` holds its other arguments by name, `folder` is its `out`."""
    said = ", ".join(f"{name}={plain(value)!r}" for name, value in call.items())
    return f"condense.tune({made.method.name!r}, {made.data.spec!r}, minutes={minutes:g}, out={str(folder)!r}, {said})"


def check_tunable(made: Plan) -> None:
    """Raises BadInput for a method that works in one step, for one whose sets classify nothing, and where there are no validation
    examples."""
    name = made.method.name
    if made.matcher.host:
        raise BadInput(f"tune {name}: it chooses in one step, which has no length and no step size; tune a method that learns")
    if not made.method.labelled:
        raise BadInput(
            f"tune {name}: its sets classify nothing, so validation examples do not score them; try settings with condense transfer"
        )
    if not len(made.data.val.y):
        raise BadInput(f"tune: {made.data.spec} has no validation examples to score on; {more_validation(made.data.spec)}")


def check_folder(out: str | Path) -> Path:
    """The folder of a search as a path; it need not be there yet, and is not made. Raises BadInput for an empty name, for a file, and where
    the folder holds files but no search."""
    if not str(out):
        raise BadInput("--out: is empty; give the name of a folder")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"--out {out}: is a file; give a folder that is new or holds a search")
    there = [place.name for place in folder.iterdir() if place.name not in (LOCK, "inputs")] if folder.exists() else []
    if there and not (folder / RECORD).is_file():
        raise BadInput(f"--out {out}: holds files but no search (such as {sorted(there)[0]}); give a folder that is new or holds one")
    return folder


def read_search(folder: Path) -> dict[str, Any] | None:
    """The record of a search in its folder, what was `asked` and its `rungs`, (trials, steps) each; None where there is none yet. Raises
    BadInput where it is damaged."""
    if not (folder / RECORD).is_file():
        return None
    kind = Table({"asked": Table(), "rungs": ListOf(ListOf(Whole(1), least=2, most=2), least=1)}, rest=None)
    return read_record(folder / RECORD, kind, what="is no record of a search", remedy="give another --out")


def check_asked(folder: Path, asked: dict[str, Any]) -> None:
    """Raises BadInput where the folder holds a search of another call; `asked` says by name what identifies this one."""
    if held := read_search(folder):
        before, now = held["asked"], json.loads(json.dumps(asked))
        for name in sorted(before | now):
            if before.get(name) != now.get(name):
                was = f"{name} was {before.get(name)!r}, now {now.get(name)!r}"
                raise BadInput(f"--out {folder}: holds another search ({was}); repeat its command, or give another folder")


def held_rungs(folder: Path) -> list[Rung] | None:
    """The rungs of the search that has begun in this folder; None for a new one."""
    held = read_search(folder)
    return held and [Rung(*rung) for rung in held["rungs"]]


def make_inputs(made: Plan, folder: Path) -> dict[str, str]:
    """Makes the inputs, such as experts and teachers, that all runs work from and the call does not name, under `inputs` in the folder of
    the search. Returns the folders of those that were made by the name of their flag."""
    places = {}
    for name in flagged_inputs(made.factory):
        if made.resolved.inputs[name].to_make is not None:
            PROVIDERS[name].make(made.context._replace(out=folder / "inputs"))
            places[name] = str(folder / "inputs" / name)
    return places


def measure_rungs(search: Search, minutes: float) -> list[Rung]:
    """Times a step and a score, then plans the search: for every rung how many trials run and for how many steps, so that all fit into the
    minutes, the timing included. Raises BadInput where even the first rung's runs would have no step."""
    made = search.made
    note(f"timing a step of {made.method.name} and a score")
    began = time.perf_counter()
    cost = step_cost(made, most=MOST, longest=LONGEST)
    before = time.perf_counter()
    score(search, stand_in_set(made), cache="none")
    scoring = time.perf_counter() - before  # as much is kept for that of the best trial's start
    run = cost.compiling + scoring
    left = (1 - SHARE) * 60 * minutes - (time.perf_counter() - began) - scoring
    rungs = rungs_of(len(search.points), seconds=left, run=run, step=cost.mean)
    words = ", then ".join(f"{rung.trials} of {rung.steps:,} steps" for rung in rungs)
    note(f"runs: {words}; a step takes {cost.mean:.3g} s, compiling and scoring {duration(run)} a run")
    return rungs
