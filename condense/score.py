"""Scoring a synthetic set beside honest baselines: which rows there are, on which data, under which recipe."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from rich.table import Table

from condense import nets
from condense.data import Data, load_data
from condense.log import note, progress
from condense.mesh import devices, over_devices
from evals.base import Recipe, Report
from evals.base import recipe as find_recipe
from evals.budget import count_bytes
from evals.retrain import Trainer, make_trainer, retrain, stack
from synth import backend
from synth.base import Examples
from synth.augment import dsa, dsa_strategy
from synth.content import Pixels
from synth.errors import BadInput
from synth.file import load_set
from synth.labels import Hard
from synth.set import SyntheticSet
from synth.start import choose_kmeans, choose_random

INIT, DRAW = 0, 1  # key streams of an evaluation


class Job(NamedTuple):
    """One row of one network: `draw(seed)` gives the set to train on."""

    net: str
    kind: str
    recipe: Recipe
    draw: Callable[[int], SyntheticSet]


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
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std is the population's."""
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            "split": self.split,
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
        table = Table(title=title + (f", {self.ipc} a class" if self.ipc else "") + f", {self.bytes['total']:,} bytes")
        table.add_column("images")
        for name in names:
            table.add_column(name, justify="right")
        for kind in kinds:
            cells = [at[kind, name] for name in names]
            table.add_row(kind, *(f"{100 * cell.mean:.1f} ± {100 * cell.std:.1f}" for cell in cells))
        return table


def class_counts(synth: SyntheticSet) -> np.ndarray:
    """Examples of every class, by the most probable label."""
    return np.bincount(np.asarray(synth.y.probs()).argmax(-1), minlength=len(synth.info.classes))


def fit_together(synth: SyntheticSet, data: Data) -> None:
    """Raises BadInput where the set's classes or image shape are not the data's, naming both."""
    if synth.info.classes != data.classes:
        raise BadInput(f"the set's classes {_names(synth.info.classes)} are not those of {data.spec}: {_names(data.classes)}; give the data the set was made for")
    shape = synth.x.decode().shape[1:]
    if shape != data.image:
        raise BadInput(f"the set's images are {_size(shape)}, those of {data.spec} {_size(data.image)}; give the data the set was made for")


def _names(classes: tuple[str, ...]) -> str:
    return ", ".join(classes[:12]) + (f" ... ({len(classes)})" if len(classes) > 12 else "")


def _size(shape) -> str:
    return "x".join(map(str, shape))


def make_rows(synth: SyntheticSet, data: Data, kinds: Sequence[str], key: jax.Array) -> dict[str, Callable[[int], SyntheticSet]]:
    """seed -> set for every kind: the set itself, real training images at the same budget drawn anew for every seed, or all of them."""
    counts = class_counts(synth)
    most = int(counts.max())

    def real(index) -> SyntheticSet:
        return SyntheticSet(Pixels(jnp.asarray(data.train.x[index])), Hard(jnp.asarray(data.train.y[index]), len(data.classes)))

    def at_budget(index) -> SyntheticSet:
        rows = np.asarray(index).reshape(len(data.classes), most)
        return real(np.concatenate([row[:count] for row, count in zip(rows, counts, strict=True)]))

    def draw_key(seed: int) -> jax.Array:
        return jax.random.fold_in(jax.random.fold_in(key, DRAW), seed)

    flat = data.train.x.reshape(len(data.train.x), -1)
    known = {
        "distilled": lambda seed: synth,
        "random": lambda seed: at_budget(choose_random(draw_key(seed), data.train.y, most)),
        "kmeans": lambda seed: at_budget(choose_kmeans(draw_key(seed), flat, data.train.y, most)),
        "full": lambda seed: real(np.arange(len(data.train.y))),
    }
    if unknown := [kind for kind in kinds if kind not in known]:
        raise BadInput(f"--rows: unknown row '{unknown[0]}' (known: {', '.join(known)})")
    return {kind: known[kind] for kind in kinds}


def build_trainer(net: str, chosen: Recipe, data: Data) -> Trainer:
    """The compiled training of a network under a recipe, with the augmentation that keeps this data's labels."""
    built = nets.build(net, data.image, len(data.classes))
    return make_trainer(built, chosen, dsa(dsa_strategy(data.flips)), over_devices=over_devices if len(devices()) > 1 else None)


def seconds_a_seed(trainer: Trainer, chosen: Recipe, synth: SyntheticSet) -> float:
    """Compiles the training and times one epoch of it, for the estimate that users see before anything long starts."""
    keys, synths = jax.random.split(jax.random.key(0), 1), stack([synth])
    states = trainer.begin(keys, synths)
    spans = []
    for epoch in range(3):
        began = time.perf_counter()
        states = trainer.advance(states, keys, synths, jnp.int32(epoch), jnp.int32(epoch + 1), jnp.float32(1))
        jax.block_until_ready(states.vars.params)
        spans.append(time.perf_counter() - began)
    return min(spans) * chosen.epochs


def find_set(place: str | Path) -> Path:
    """The set of a run's folder, or the file itself. Raises BadInput where there is none."""
    path = Path(place)
    found = path / "set.npz" if path.is_dir() else path
    if not found.is_file():
        raise BadInput(f"{place}: no set.npz there; give a set's file or the folder of a finished run")
    return found


def take_data(synth: SyntheticSet, data: Data | str | None) -> Data:
    """The data a set is scored on, cut as the set's maker cut it and normalised as the set says; warns where its content is another's."""
    if data is None and not synth.info.data:
        raise BadInput("--data: the set does not say what it was made from; give a data specification")
    if not isinstance(data, Data):
        data = load_data(data or synth.info.data, seed=synth.info.seed)
    fit_together(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        note(f"warning: the set was made from data {synth.info.data_digest[:12]}, {data.spec} here is {data.digest[:12]}: scores may not compare")
    return data.under(synth.info.preprocess)


def evaluate(
    what: SyntheticSet | str | Path,
    data: Data | str | None = None,
    *,
    net: Sequence[str] | str | None = None,
    seeds: int = 5,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] = ("distilled", "random", "kmeans"),
    split: str = "test",
    seed: int = 0,
) -> Evaluation:
    """Trains fresh networks on a set, and on real images at the same budget, and scores each once, at its last step.

    The data is normalised as the set's file says, whoever wrote it. Real rows are drawn anew for every seed from train without validation,
    and carry hard labels; the `full` row trains under recipe `full`.

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
    if seeds < 1:
        raise BadInput(f"--seeds {seeds}: give at least 1")
    if split not in ("test", "val"):
        raise BadInput(f"--split: unknown split '{split}' (known: test, val)")
    data = take_data(synth, data)
    names = [net] if isinstance(net, str) else list(net or [synth.info.net or "convnet"])
    chosen = find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs)
    key = jax.random.key(seed)
    jobs = [
        Job(nets.canonical(name), kind, find_recipe("full") if kind == "full" else chosen, draw)
        for name in names
        for kind, draw in make_rows(synth, data, rows, key).items()
    ]
    part = data.test if split == "test" else data.val
    reports = run_jobs(jobs, data, part, key=jax.random.fold_in(key, INIT), seeds=seeds)
    counts = class_counts(synth)
    ipc = int(counts[0]) if (counts == counts[0]).all() else None
    return Evaluation(str(path or ""), data.spec, data.digest, split, ipc, count_bytes(synth, file=path), reports)


def run_jobs(jobs: Sequence[Job], data: Data, part: Examples, *, key: jax.Array, seeds: int) -> tuple[Report, ...]:
    """All jobs, one after another, behind one progress bar; one compilation serves all rows of a network, recipe and shape."""
    trainers = {(job.net, job.recipe): build_trainer(job.net, job.recipe, data) for job in jobs}
    first = {(job.net, job.recipe): job for job in reversed(jobs)}
    seconds = {at: seconds_a_seed(trainers[at], job.recipe, job.draw(0)) for at, job in first.items()}
    group = backend.runs_together() * len(devices())
    rounds = -(-seeds // group)
    estimate = rounds * sum(seconds[job.net, job.recipe] for job in jobs)
    note(f"{len(jobs)} rows of {seeds} seeds: about {duration(estimate)}")
    with progress(rounds * sum(job.recipe.epochs for job in jobs), "evaluate") as bar:
        return tuple(
            retrain(
                key,
                trainers[job.net, job.recipe],
                job.recipe,
                job.draw,
                part,
                seeds=seeds,
                net_name=job.net,
                set_kind=job.kind,
                together=group,
                tick=bar.advance,
            )
            for job in jobs
        )


def duration(seconds: float) -> str:
    """A span in words: 40 s, 12 min, 3.5 h."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def validation_score(data: Data, net: str, recipe: Recipe, *, seed: int) -> Callable[[SyntheticSet], float]:
    """Accuracy of one fresh network on the validation split: what selection during distillation may see."""
    trainer, key = build_trainer(net, recipe, data), jax.random.fold_in(jax.random.key(seed), INIT)

    def score(synth: SyntheticSet) -> float:
        return retrain(key, trainer, recipe, lambda number: synth, data.val, seeds=1, net_name=net).mean

    return score
