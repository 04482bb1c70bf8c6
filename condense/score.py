"""Scoring a synthetic set beside honest baselines: which rows there are, on which data, under which recipe."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich.table import Table
from rich.text import Text

from condense import nets
from condense.config import check_seed, check_whole
from condense.data import Data, load_data
from condense.log import note, progress
from condense.mesh import devices, over_devices
from condense.rows import class_counts, make_rows
from evals.base import Closed, Recipe, Report
from evals.base import recipe as find_recipe
from evals.budget import count_bytes
from evals.krr import closed_form, make_scorer
from evals.retrain import Trainer, group_size, make_trainer, retrain, stack
from synth import backend
from synth.augment import dsa, dsa_strategy
from synth.base import Examples
from synth.errors import BadInput
from synth.file import load_set
from synth.set import SyntheticSet

NTK = "ntk"  # stands for a network where the recipe has none
INIT = 0  # key stream of an evaluation's networks; `condense.rows` has its own


class Job(NamedTuple):
    """One row of one network: `draw(seed)` gives the set to train on; `group` seeds train at a time, `rounds` times over."""

    net: str
    kind: str
    recipe: Recipe | Closed
    draw: Callable[[int], SyntheticSet]
    group: int
    rounds: int


class Evaluation(NamedTuple):
    """Reports of one set, one a network and row, with what they were measured on."""

    set: str
    spec: str
    digest: str
    split: str
    ipc: int | None
    bytes: dict[str, int | None]
    reports: tuple[Report, ...]

    def as_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std the population's; scores on val say so."""
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            **({} if self.split == "test" else {"split": self.split}),
            "ipc": self.ipc,
            "bytes": self.bytes,
            "results": [report.as_json() for report in self.reports],
        }

    def table(self) -> Table:
        """Rows by set kind, a column a network, accuracies in per cent with the population's standard deviation."""
        names = list(dict.fromkeys(report.net for report in self.reports))
        kinds = list(dict.fromkeys(report.set_kind for report in self.reports))
        at = {(report.set_kind, report.net): report for report in self.reports}
        first = self.reports[0]
        title = f"{self.spec}, {self.split} accuracy in %, {len(first.accuracy)} seeds, recipe {first.recipe}"
        title += (f", {self.ipc} a class" if self.ipc else "") + f", {self.bytes['total']:,} bytes"
        table = Table(title=Text(title))  # as text, because a path may hold what rich takes for markup
        table.add_column("images")
        for name in names:
            table.add_column(name, justify="right")
        for kind in kinds:
            cells = [at[kind, name] for name in names]
            label = kind if cells[0].recipe == first.recipe else f"{kind} (recipe {cells[0].recipe})"
            table.add_row(label, *(f"{100 * cell.mean:.1f} ± {100 * cell.std:.1f}" for cell in cells))
        return table


def fit_together(synth: SyntheticSet, data: Data) -> None:
    """Raises BadInput where the set's classes or image shape are not the data's, naming both."""
    made_for = "give the data the set was made for"
    if synth.info.classes != data.classes:
        raise BadInput(f"--data {data.spec}: its classes {_names(data.classes)} are not the set's {_names(synth.info.classes)}; {made_for}")
    shape = synth.x.decode().shape[1:]
    if shape != data.image:
        raise BadInput(f"--data {data.spec}: its images are {_size(data.image)}, the set's {_size(shape)}; {made_for}")


def _names(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:12]) + (f" ... ({len(classes)})" if len(classes) > 12 else "")


def _size(shape) -> str:
    return "x".join(map(str, shape))


def build_trainer(net: str, chosen: Recipe | Closed, data: Data) -> Trainer | Callable:
    """The compiled training of a network under a recipe, with the augmentation that keeps this data's labels; or, where the recipe trains
    nothing, the compiled ridge head."""
    built = None if net == NTK else nets.build(net, data.image, len(data.classes))
    if isinstance(chosen, Closed):
        return make_scorer(built, chosen)
    return make_trainer(built, chosen, dsa(dsa_strategy(data.flips)), over_devices=over_devices)


def seconds_a_group(trainer: Trainer | Callable, chosen: Recipe | Closed, synth: SyntheticSet, group: int) -> float:
    """Compiles the training and times one epoch of it, for the estimate that users see before anything long starts."""
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
    return min(spans[1:]) * chosen.epochs


def find_set(place: str | Path) -> Path:
    """The set of a run's folder, or the file itself. Raises BadInput where there is none."""
    path = Path(place)
    found = path / "set.npz" if path.is_dir() else path
    if not found.is_file():
        raise BadInput(f"{place}: no set.npz there; give a set's file or the folder of a finished run")
    return found


def take_data(synth: SyntheticSet, data: Data | str | None) -> Data:
    """The data a set is scored on, cut as the set's maker cut it and normalised as the set says; warns where its content is another's."""
    if synth.info is None:
        raise BadInput("the set has no `info`: a score needs its class names and normalisation")
    if data is None and not synth.info.data:
        raise BadInput("--data: the set does not say what it was made from; give a data specification")
    if not isinstance(data, Data):
        data = load_data(data or synth.info.data, seed=synth.info.split_seed)
    fit_together(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        made, here = synth.info.data_digest[:12], data.digest[:12]
        note(f"warning: the set was made from data of digest {made}, {data.spec} here is {here}: scores may not compare")
    return data.under(synth.info.preprocess)


def evaluate(
    what: SyntheticSet | str | Path,
    *,
    data: Data | str | None = None,
    net: Sequence[str] | str | None = None,
    seeds: int = 5,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    seed: int = 0,
) -> Evaluation:
    """Trains fresh networks on a set, and on real images at the same budget, and scores each once, at its last step.

    The data is normalised as the set's file says, whoever wrote it. Real rows are drawn anew for every seed from train without validation,
    and carry hard labels, or centred one-hot rows where the set has regression values; the `full` row trains under recipe `full`. Recipes
    `krr` and `krr-ntk` train nothing: they score the ridge head that a set determines.

    Args:
      what: a set, its file, or a run's folder.
      data: data or its specification; by default the one the set names.
      net: specifications; by default the set's, else `convnet`.
      seeds: fresh networks a row (>= 1).
      recipe: a name in `evals.base.RECIPES`; by default the set's, else `dsa`. `epochs` replaces its length.
      rows: of `distilled`, `random`, `kmeans`, `full`.
      split: `test`, or `val` for every choice that is still to be made.
      seed: of the networks and draws.

    Raises:
      BadInput: for unknown names, and where the set's classes or shape are not the data's.
    """
    path = find_set(what) if isinstance(what, str | Path) else None
    synth = load_set(path) if path else what
    seeds, seed = check_whole("seeds", seeds), check_seed(seed)
    if split not in ("test", "val"):
        raise BadInput(f"--split: unknown split '{split}' (known: test, val)")
    data = take_data(synth, data)
    if split == "val" and data.seed != synth.info.split_seed:
        note(f"warning: validation images cut by seed {data.seed} may have served a maker that cut by seed {synth.info.split_seed}")
    chosen = find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs)
    names = name_nets([net] if isinstance(net, str) else list(net or ()), chosen, synth)
    key, rows = jax.random.key(seed), [rows] if isinstance(rows, str) else list(rows)
    demand_scorable(synth, chosen, rows)
    draws = make_rows(key, synth, data, rows)
    jobs = [make_job(name, kind, chosen, draw, seeds) for name in dict.fromkeys(names) for kind, draw in draws.items()]
    part = data.test if split == "test" else data.val
    if not len(part.y):
        raise BadInput(f"--split {split}: {data.spec} has no image there; use more data, or the other split")
    reports = run_jobs(jax.random.fold_in(key, INIT), jobs, data, part, seeds=seeds)
    counts = class_counts(synth)
    ipc = int(counts[0]) if (counts == counts[0]).all() else None
    return Evaluation(str(path or ""), data.spec, data.digest, split, ipc, count_bytes(synth, file=path), reports)


def demand_scorable(synth: SyntheticSet, chosen: Recipe | Closed, rows: Sequence[str]) -> None:
    """Raises BadInput for representations in place of class labels, and for a retrained row beside ridge heads."""
    if synth.y.classes != (classes := len(synth.info.classes)):
        what = f"the set's labels are representations of {synth.y.classes} numbers, not scores of {classes} classes"
        raise BadInput(f"{what}; `condense transfer` says what they are worth")
    if isinstance(chosen, Closed) and "full" in rows:
        raise BadInput(f"--rows full: it is retrained, and recipe {chosen.name} scores by a ridge head; leave it out")


def name_nets(given: Sequence[str], chosen: Recipe | Closed, synth: SyntheticSet) -> list[str]:
    """The networks that are scored, by canonical specification: those given, else the set's; a recipe without networks has none."""
    if isinstance(chosen, Closed) and chosen.kernel == NTK:
        if given:
            raise BadInput(f"--net {given[0]}: recipe {chosen.name} has a kernel of its own; leave --net out, or take recipe krr")
        return [NTK]
    return [nets.canonical(name) for name in given or [synth.info.net or "convnet"]]


def make_job(net: str, kind: str, chosen: Recipe, draw: Callable[[int], SyntheticSet], seeds: int) -> Job:
    """The whole training set trains under its own recipe, one network a device, because every network holds a copy of its set."""
    whole = kind == "full"
    if isinstance(chosen, Closed):
        return Job(net, kind, chosen, draw, 1, seeds)
    group = group_size(seeds, len(devices()) * (1 if whole else backend.runs_together()))
    return Job(net, kind, find_recipe("full") if whole else chosen, draw, group, -(-seeds // group))


def run_jobs(key: jax.Array, jobs: Sequence[Job], data: Data, part: Examples, *, seeds: int) -> tuple[Report, ...]:
    """All jobs, one after another, behind one progress bar; one compilation serves all rows of a network, recipe and shape."""
    trainers = {(job.net, job.recipe): build_trainer(job.net, job.recipe, data) for job in jobs}
    first = {(job.net, job.recipe): job for job in reversed(jobs)}
    seconds = {at: seconds_a_group(trainers[at], job.recipe, job.draw(0), job.group) for at, job in first.items()}
    note(f"{len(jobs)} rows of {seeds} seeds: about {duration(sum(job.rounds * seconds[job.net, job.recipe] for job in jobs))}")

    def report(job: Job, tick: Callable[[int], None]) -> Report:
        trainer, names = trainers[job.net, job.recipe], {"net_name": job.net, "set_kind": job.kind}
        if isinstance(job.recipe, Closed):
            return closed_form(key, trainer, job.recipe, job.draw, part, seeds=seeds, **names, tick=tick)
        return retrain(key, trainer, job.recipe, job.draw, part, seeds=seeds, **names, together=job.group, tick=tick)

    with progress(sum(job.rounds * job.recipe.epochs for job in jobs), "evaluate") as bar:
        return tuple(report(job, bar.advance) for job in jobs)


def duration(seconds: float) -> str:
    """A span in words: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def validation_score(data: Data, net: str, recipe: Recipe | Closed, *, seed: int) -> Callable[[SyntheticSet], float]:
    """Accuracy of one fresh network on the validation split: what selection during distillation may see."""
    net = NTK if isinstance(recipe, Closed) and recipe.kernel == NTK else net
    trainer, key = build_trainer(net, recipe, data), jax.random.fold_in(jax.random.key(seed), INIT)

    def score(synth: SyntheticSet) -> float:
        if isinstance(recipe, Closed):
            return closed_form(key, trainer, recipe, lambda number: synth, data.val, seeds=1).mean
        with progress(recipe.epochs, "score on val") as bar:
            return retrain(key, trainer, recipe, lambda number: synth, data.val, seeds=1, net_name=net, tick=bar.advance).mean

    return score
