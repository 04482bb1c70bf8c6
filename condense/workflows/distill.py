"""Distils a data set: plans the call, makes missing inputs, and runs the method in its folder."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import jax

from condense.data.for_set import find_set
from condense.data.load import Given
from condense.engine.budget import fit_to_budget
from condense.engine.feeds import make_feed
from condense.engine.initial import initial_set, set_info
from condense.engine.loop import run
from condense.engine.motion import moved_from
from condense.evaluation.validation import validation_score
from condense.inputs.task import PARTIAL_ROUNDS_DIR
from condense.plots.frames import frame_writer
from condense.plots.modalities import save_grid
from condense.runtime.log import note
from condense.runtime.processes import is_first
from condense.runtime.run_folder import Run, check_there, open_run
from condense.teachers.labelling import PARTIAL_LABELS_DIR
from condense.workflows.lengths import record_of, settle_length
from condense.workflows.plan import Plan, plan, realise
from condense.workflows.verdicts import LastScore, tell_far_pixels, tell_no_gain
from evals.recipes import recipe
from matchers.method import Method
from synth.base import Net, take_all
from synth.files.format import load_set, save_set
from synth.files.memory import forcing
from synth.set import SyntheticSet


def distill(
    method: str | Method,
    data: Given | None,
    *,
    ipc: int | None = None,
    size: int | None = None,
    bytes: int | None = None,
    fraction: float | None = None,
    out: str | Path | None = None,
    net: str | Net | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    start: str | None = None,
    eval_every: int | None = None,
    checkpoint_every: int | None = None,
    preset: str | None = None,
    force: bool = False,
    command: str = "",
    **options: Any,
) -> SyntheticSet:
    """Distils data to a budget. The same call again resumes an unfinished run, and returns the set of a finished one.

    Args:
      method: a name in `matchers.REGISTRY`, or the record of a method. `options` are its factory's keyword arguments, the folders of its
        inputs (`experts`), and what images are stored as: `store` (`f32`, `f16`, `u2` to `u8`, with a factor `u8x2`), `factor` or `bases`.
      data: data as `load_data` takes them; None where the preset names it.
      ipc, size, bytes, fraction: the budget, exactly one (for graphs at most one, and no fraction): examples a class, examples in all,
        payload bytes, a share of the training examples.
      out: folder of the run: set.npz, run.json, metrics.jsonl, grid.png and, of more than one step, checkpoints and history. Without one
        nothing is written and nothing resumes.
      net: network to match with: a specification, a `synth.base.Net` or a flax module; by default what the inputs are of, or the data's.
      steps: of the method, 1000 by default; selection methods take one.
      minutes: in place of steps, how long compilation and steps may take on this machine. It is measured once how many steps that is; the
        method's rule, if it has one, sets the options that suit so many, where nothing else does; run.json holds both. Experts, teachers
        and scores come beside that.
      seed: of all that is drawn, and of the validation split where `data` is a specification and no experts or teachers are given that left
        out another.
      start: first images, a name in `synth.selection.choose.STARTS`; by default the method's.
      eval_every: scores the set on the validation split so often and keeps the best as best.npz beside set.npz, which is the last step's.
      checkpoint_every: steps between checkpoints; by default a twentieth of the run.
      preset: settings of a published experiment, which everything given here beats. None unsets an option of the method; of the arguments
        above None leaves the preset's.
      force: starts anew where `out` holds another run or one that is done, and tries a step although memory does not seem to suffice.
      command: what run.json records as the command; by default this call.

    Returns:
      The set after the last step, its `info` filled.

    Example:
      >>> import condense
      >>> synth = condense.distill("kmeans", "digits", ipc=1)
      >>> len(synth), synth.info.method, synth.x.decode().shape
      (10, 'kmeans', (10, 8, 8, 1))

    Raises:
      BadInput: a wrong call or bad data. RunFailed: NaN, a full disk.
    """
    common = {"ipc": ipc, "size": size, "bytes": bytes, "fraction": fraction, "out": out, "net": net, "steps": steps, "seed": seed}
    common |= {"minutes": minutes, "start": start, "eval_every": eval_every, "checkpoint_every": checkpoint_every}
    common |= {"preset": preset, "force": force, "command": command}
    return execute(plan(method, data, **common, **options))


def execute(made: Plan) -> SyntheticSet:
    """Carries out a plan and returns its set: makes missing inputs, then runs the method or resumes it. Where the folder holds the finished
    run, its set is loaded and nothing is run."""
    for line in made.remarks:
        note(line)
    made = settle_length(made)
    with forcing(made.force):
        made = realise(made)
    config, data, schedule = made.config(), made.data, made.schedule
    score = {"score": made.matcher.score} if made.matcher.score else {}
    asked = {"steps": schedule.steps, "seed": made.seed, "command": made.command, "data_digest": data.digest, "force": made.force}
    asked |= {"beside": made.beside(), "spent": (PARTIAL_LABELS_DIR, PARTIAL_ROUNDS_DIR), "shown": record_of(made) | score}
    with open_run(made.out, config, **asked) if made.out else nullcontext() as opened:
        if opened and opened.done:
            check_there(made.out, "set.npz")
            note(f"{made.out} is done: {opened.record['finished']} steps; nothing to do")
            return load_set(find_set(made.out))
        for line in made.matcher.remarks(take_all(data.train)) if made.matcher.remarks else ():
            note(line)
        if score:
            note(f"examples are scored by {made.matcher.score}")
        return run_method(made, config, opened)


def first_set(made: Plan, config: dict[str, Any]) -> SyntheticSet:
    """The set before the first step of a plan, all of whose inputs are there. `config` are the choices that identify the run, as
    `Plan.config` gives them."""
    key, info = jax.random.key(made.seed), set_info(made.data, config, seed=made.seed, recipe=made.recipe)

    def first(count: int | None) -> SyntheticSet:
        return initial_set(key, made.matcher, made.start, made.data, count, info, labelled=made.method.labelled, content=made.content)

    return fit_to_budget(made.budget, first, made.per_class)


def run_method(made: Plan, config: dict[str, Any], opened: Run | None) -> SyntheticSet:
    """Starts the set, runs the method, stores the result and returns it.

    Args:
      made: the plan, with all inputs there.
      config: the choices that identify the run, as `Plan.config` gives them.
      opened: the open run folder; None where nothing is written.
    """
    matcher, data, values = made.matcher, made.data, made.resolved.values()
    key, chosen = jax.random.key(made.seed), recipe(made.recipe)
    start = first_set(made, config)
    answers = {"seed": made.seed, "teachers": values.get("teachers", ())}
    scored = LastScore(validation_score(data, start.info.net, chosen, **answers)) if made.schedule.eval_every else None
    synth = run(
        key,
        matcher,
        start,
        make_feed(matcher.feed, data.train, len(data.classes), seed=made.seed, experts=values.get("experts")),
        made.schedule,
        folder=made.out,
        owner=opened.owner if opened else "",
        starting=opened.begin if opened else lambda: None,
        saved=opened.saved if opened else lambda step: None,
        watch=frame_writer(made.out) if made.out else lambda step, synth: None,
        measured=moved_from(start) if matcher.tells_motion else lambda synth: {},
        evaluate=scored,
        measure=chosen.measure,
        description=made.method.name,
        force=made.force,
    )
    if made.out and is_first():
        save_set(made.out / "set.npz", synth)
        save_grid(made.out / "grid.png", synth)
    tell_far_pixels(synth, data)
    if made.modality.starts:
        tell_no_gain(key, matcher, start, scored)
    return synth
