"""The work of an evaluation: rows of networks, each trained from several seeds, behind one progress bar and one estimate."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from condense import nets
from condense.data.images import Data
from condense.runtime.devices import devices, over_devices
from condense.runtime.log import duration, note, progress
from evals.krr import closed_form, make_scorer
from evals.recipes import Closed, EvalRecipe
from evals.recipes import recipe as find_recipe
from evals.report import Report
from evals.retrain import Trainer, group_size, make_trainer, pieces, retrain, stack
from synth.base import Examples, Teacher
from synth.errors import BadInput
from synth.images.augment import dsa, dsa_strategy, one_each
from synth.labelling import present
from synth.numerics import backend
from synth.set import SyntheticSet

NTK = "ntk"  # stands for a network where the recipe has none
INIT = 0  # key stream of an evaluation's networks; `condense.evaluation.baselines` has its own


class Job(NamedTuple):
    """One row of one network: `draw(seed)` gives the set to train on; `group` seeds train at a time, `rounds` times over."""

    net: str
    kind: str
    recipe: EvalRecipe | Closed
    draw: Callable[[int], SyntheticSet]
    group: int
    rounds: int


def build_trainer(net: str, chosen: EvalRecipe | Closed, data: Data) -> Trainer | Callable:
    """The compiled training of a network under a recipe, with the augmentation that keeps this data's labels; or, where the recipe trains
    nothing, the compiled ridge head."""
    built = None if net == NTK else nets.build(net, data.image, len(data.classes))
    if isinstance(chosen, Closed):
        return make_scorer(built, chosen)
    view = chosen.view_for(height=data.image[0], flips=data.flips)
    augment = {"": None, "dsa": dsa(dsa_strategy(data.flips)), "dc": one_each}[chosen.augment]
    return make_trainer(built, chosen, augment, view=view, over_devices=over_devices)


def seconds_a_group(
    trainer: Trainer | Callable, chosen: EvalRecipe | Closed, synth: SyntheticSet, group: int, *, watched: Examples | None = None
) -> float:
    """Compiles the training and times one epoch of it, and one scoring on what is `watched` on the way, for the estimate that users see
    before anything long starts."""
    if isinstance(chosen, Closed):
        return 1.0  # about
    keys, synths = jax.random.split(jax.random.key(0), group), stack([synth] * group)
    states, spans = trainer.begin(keys, synths), []
    for stop in (0, 1, 2, 3):  # no epoch at first: that call compiles
        began = time.perf_counter()
        states = trainer.advance(states, keys, synths, jnp.int32(max(0, stop - 1)), jnp.int32(stop), jnp.int32(chosen.epochs))
        jax.block_until_ready(states.vars.params)
        spans.append(time.perf_counter() - began)
        if stop and spans[-1] > 1:
            break
    scoring = 0.0
    if watched:
        x, y = jnp.asarray(watched.x), jnp.asarray(watched.y)
        for _ in range(2):  # the first compiles
            began = time.perf_counter()
            jax.block_until_ready(trainer.score(states, x, y))
            scoring = time.perf_counter() - began
    return min(spans[1:]) * chosen.epochs + scoring * len(pieces(chosen))


def make_job(net: str, kind: str, chosen: EvalRecipe, draw: Callable[[int], SyntheticSet], seeds: int) -> Job:
    """The whole training set trains under its own recipe, one network a device, because every network holds a copy of its set."""
    whole = kind == "full"
    if isinstance(chosen, Closed):
        return Job(net, kind, chosen, draw, 1, seeds)
    group = group_size(seeds, len(devices()) * (1 if whole else backend.runs_together()))
    return Job(net, kind, find_recipe("full") if whole else chosen, draw, group, -(-seeds // group))


def run_jobs(
    key: jax.Array,
    jobs: Sequence[Job],
    data: Data,
    part: Examples,
    *,
    seeds: int,
    best_on_test: bool = False,
    frozen: Mapping[str, Teacher] | None = None,
) -> tuple[Report, ...]:
    """All jobs, one after another, behind one progress bar; one compilation serves all rows of a network, recipe and shape. `frozen` holds
    the networks by name where those of the jobs are trained ones."""

    def built(job: Job) -> Trainer | Callable:
        if frozen:
            return make_scorer(frozen[job.net].net, job.recipe, frozen=frozen[job.net].vars)
        return build_trainer(job.net, job.recipe, data)

    trainers = {at: built(job) for at, job in {(job.net, job.recipe): job for job in jobs}.items()}
    first = {(job.net, job.recipe): job for job in reversed(jobs)}
    if slow := dict.fromkeys(job.net for job in jobs if not isinstance(job.recipe, Closed)):
        note(f"timing {', '.join(slow)} for an estimate")
    watched = part if best_on_test else None
    seconds = {at: seconds_a_group(trainers[at], job.recipe, job.draw(0), job.group, watched=watched) for at, job in first.items()}
    note(f"{len(jobs)} rows of {seeds} seeds: about {duration(sum(job.rounds * seconds[job.net, job.recipe] for job in jobs))}")

    def report(job: Job, tick: Callable[[int], None]) -> Report:
        trainer, names = trainers[job.net, job.recipe], {"net_name": job.net, "set_kind": job.kind}
        if isinstance(job.recipe, Closed):
            return closed_form(key, trainer, job.recipe, job.draw, part, seeds=seeds, **names, tick=tick)
        more = {"together": job.group, "tick": tick, "best_on_test": best_on_test}
        return retrain(key, trainer, job.recipe, job.draw, part, seeds=seeds, **names, **more)

    with progress(sum(job.rounds * job.recipe.epochs for job in jobs), "evaluate") as bar:
        return tuple(report(job, bar.advance) for job in jobs)


def validation_score(
    data: Data, net: str, recipe: EvalRecipe | Closed, *, seed: int, teachers: Sequence[Teacher] = (), seeds: int = 1
) -> Callable[[SyntheticSet], float]:
    """Mean accuracy of `seeds` fresh networks on the validation split: what selection during distillation may see. `teachers` made the
    labels."""
    net = NTK if isinstance(recipe, Closed) and recipe.kernel == NTK else net
    trainer, key = build_trainer(net, recipe, data), jax.random.fold_in(jax.random.key(seed), INIT)

    def score(synth: SyntheticSet) -> float:
        if isinstance(recipe, Closed):
            return closed_form(key, trainer, recipe, lambda number: synth, data.val.all(), seeds=seeds).mean
        synth = replace(synth, y=present(synth.y, teachers))
        group = group_size(seeds, len(devices()) * backend.runs_together())
        with progress(-(-seeds // group) * recipe.epochs, "score on val") as bar:
            how = {"seeds": seeds, "net_name": net, "together": group, "tick": bar.advance}
            return retrain(key, trainer, recipe, lambda number: synth, data.val.all(), **how).mean

    return score


def name_nets(given: Sequence[str], chosen: EvalRecipe | Closed, synth: SyntheticSet) -> list[str]:
    """The networks that are scored, by canonical specification: those given, else the set's; a recipe without networks has none."""
    if isinstance(chosen, Closed) and chosen.kernel == NTK:
        if given:
            raise BadInput(f"--net {given[0]}: recipe {chosen.name} has a kernel of its own; leave --net out, or take recipe krr")
        return [NTK]
    return [nets.canonical(name) for name in given or [synth.info.net or "convnet"]]


def take_frozen(place: str | Path | None, chosen: EvalRecipe | Closed, given: Sequence[str], data: Data) -> dict[str, Teacher]:
    """The trained networks in a folder by name, none where none is named. Raises BadInput for a recipe that takes no such features, and
    where networks are given as well."""
    if place is None:
        return {}
    if not (isinstance(chosen, Closed) and chosen.kernel != NTK):
        raise BadInput(f"--frozen {place}: recipe {chosen.name} fits no ridge head to features of a network; take --recipe krr")
    if given:
        raise BadInput(f"--net {given[0]}: the networks are those in --frozen {place}; leave one of the two out")
    from condense.teachers.frozen import load_frozen

    return load_frozen(place, data)


def check_scorable(synth: SyntheticSet, chosen: EvalRecipe | Closed, rows: Sequence[str]) -> None:
    """Raises BadInput for representations in place of class labels, and for a retrained row beside ridge heads."""
    if synth.represents:
        classes = len(synth.info.classes)
        what = f"the set's labels are representations of {synth.y.classes} numbers, not scores of {classes} classes"
        raise BadInput(f"{what}; `condense transfer` says what they are worth")
    if isinstance(chosen, Closed) and "full" in rows:
        raise BadInput(f"--rows full: it is retrained, and recipe {chosen.name} scores by a ridge head; leave it out")


def take_recipe(synth: SyntheticSet, data: Data, recipe: str | None, epochs: int | None) -> EvalRecipe | Closed:
    """The recipe asked for, else the set's, else `dsa`.

    Raises BadInput where the set's labels answer to certain views and this recipe shows others.
    """
    y = synth.y
    if not y.replays:
        return find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs)
    if recipe and isinstance(find_recipe(recipe), Closed):
        raise BadInput(f"--recipe {recipe}: it shows a set as it is, and the set's labels answer to views; leave --recipe out")
    chosen = find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs or (None if recipe else y.epochs))
    here = {
        "views": str(chosen.view_for(height=data.image[0], flips=data.flips)),
        "epochs": chosen.epochs,
        "batch": chosen.batch_of(len(synth), y.classes),
    }
    theirs = {"views": y.view, "epochs": y.epochs, "batch": y.batch}
    if differ := [name for name in here if here[name] != theirs[name]]:
        what = ", ".join(f"{name} {theirs[name]}" for name in differ)
        wrong = ", ".join(f"{name} {here[name]}" for name in differ)
        rest = "leave --recipe and --epochs out, or relabel the set"
        raise BadInput(f"--recipe {chosen.name}: the set's labels answer to {what}, this recipe has {wrong}; {rest}")
    return chosen
