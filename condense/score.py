"""Scoring a synthetic set beside honest baselines: which rows there are, on which data, under which recipe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from rich.table import Table
from rich.text import Text

from condense import nets
from condense.config import check_seed, check_whole
from condense.data import Data, load_data
from condense.graph_data import GraphData
from condense.graph_score import evaluate_graphs
from condense.graph_score import fit_together as fit_graphs
from condense.graph_table import GraphEvaluation
from condense.jobs import INIT, NTK, make_job, run_jobs
from condense.log import note
from condense.rows import find_teachers, make_rows, row_counts, teach
from evals.base import Closed, Recipe, Report
from evals.base import recipe as find_recipe
from evals.budget import count_bytes
from synth.base import Teacher
from synth.errors import BadInput
from synth.file import load_set
from synth.set import SyntheticSet
from synth.teacher_kinds import TEACHER_KINDS
from synth.teacher_labels import present


class Evaluation(NamedTuple):
    """Reports of one set, one a network and row, with what they were measured on."""

    set: str
    spec: str
    digest: str
    split: str
    ipc: int | None
    bytes: dict[str, int | None]
    reports: tuple[Report, ...]
    seed: int = 0

    def as_json(self) -> dict[str, Any]:
        """The document of `evaluate --json`: accuracies are fractions in [0, 1], std the population's; scores on val say so. `seed` is of
        the networks and draws."""
        return {
            "set": self.set,
            "data": {"spec": self.spec, "digest": self.digest},
            **({} if self.split == "test" else {"split": self.split}),
            "seed": self.seed,
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
        title += "" if first.best_on_test is None else "; best: the highest of all scorings on the test images, chosen on them"
        table = Table(title=Text(title))  # as text, because a path may hold what rich takes for markup
        table.add_column("images")
        for name in names:
            table.add_column(name, justify="right", overflow="fold")
        for kind in kinds:
            cells = [at[kind, name] for name in names]
            label = kind if cells[0].recipe == first.recipe else f"{kind} (recipe {cells[0].recipe})"
            table.add_row(label, *map(_cell, cells))
        return table


def _cell(report: Report) -> str:
    said = f"{100 * report.mean:.1f} ± {100 * report.std:.1f}"
    best = report.best_on_test
    return said if best is None else f"{said} (best {100 * np.mean(best):.1f} ± {100 * np.std(best):.1f})"


def fit_together(synth: SyntheticSet, data: Data) -> None:
    """Raises BadInput where the set's classes or image shape are not the data's, naming both."""
    if hasattr(synth.x, "alphabet"):
        raise BadInput(f"--data {data.spec}: holds images, the set graphs; give the data the set was made for")
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
    if not isinstance(data, Data | GraphData):
        data = load_data(data or synth.info.data, seed=synth.info.split_seed)
    fit = fit_graphs if isinstance(data, GraphData) else fit_together
    fit(synth, data)
    if synth.info.data_digest and synth.info.data_digest != data.digest:
        made, here = synth.info.data_digest[:12], data.digest[:12]
        note(f"warning: the set was made from data of digest {made}, {data.spec} here is {here}: scores may not compare")
    return data.under(synth.info.preprocess)


def evaluate(
    what: SyntheticSet | str | Path,
    *,
    data: Data | str | None = None,
    net: Sequence[str] | str | None = None,
    seeds: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    teachers: str | Path | None = None,
    best_on_test: bool = False,
    frozen: str | Path | None = None,
    seed: int = 0,
) -> Evaluation | GraphEvaluation:
    """Trains fresh networks on a set, and on real images at the same budget, and scores each once, at its last step.

    The data is normalised as the set's file says, whoever wrote it. Real rows are drawn anew for every seed from train without validation,
    and carry the set's kind of labels: of its own teachers where teachers made them, centred one-hot rows where it has regression values.
    The `full` row trains under recipe `full`. Recipes `krr` and `krr-ntk` train nothing: they score the ridge head that a set determines.

    Args:
      what: a set, its file, or a run's folder.
      data: data or its specification; by default the one the set names.
      net: specifications; by default the set's, else `convnet`.
      seeds: fresh networks a row (>= 1); by default 5, and 10 on graphs.
      recipe: a name in `evals.base.RECIPES`; by default the set's, else `dsa`. `epochs` replaces its length.
      rows: of `distilled`, `random`, `kmeans`, `full`.
      split: `test`, or `val` for every choice that is still to be made.
      teachers: folder of a committee, by default the one in the run's folder: where teachers labelled the set, the one that holds them;
        otherwise all of it labels the set, and random and k-means images, while networks train.
      best_on_test: scores the test images fifty times or more a training and reports the highest beside the last, for comparison with
        papers that do so; such a score was chosen on the test images.
      frozen: folder of trained networks, a committee or a self-supervised teacher, whose features recipe `krr` takes in place of those of
        networks as they are drawn.
      seed: of the networks and draws.

    Raises:
      BadInput: for unknown names, where the set's classes or shape are not the data's, where labels of certain views meet another recipe,
        epochs or batch than theirs, and where teachers are needed and not given.
    """
    path = find_set(what) if isinstance(what, str | Path) else None
    synth = load_set(path) if path else what
    seed = check_seed(seed)
    seeds = check_whole("seeds", (10 if hasattr(synth.x, "alphabet") else 5) if seeds is None else seeds)
    if split not in ("test", "val"):
        raise BadInput(f"--split: unknown split '{split}' (known: test, val)")
    data = take_data(synth, data)
    if best_on_test and (split == "val" or isinstance(data, GraphData)):
        chosen_on = "scores on graphs choose the epoch on validation graphs" if isinstance(data, GraphData) else "--split val reads no test"
        raise BadInput(f"--best-on-test: {chosen_on}; leave it out")
    if data.seed != synth.info.split_seed and (split == "val" or isinstance(data, GraphData)):  # on graphs, val chooses the epoch
        what = "graphs" if isinstance(data, GraphData) else "images"
        note(f"warning: validation {what} cut by seed {data.seed} may have served a maker that cut by seed {synth.info.split_seed}")
    if isinstance(data, GraphData):
        for flag, place in (("--teachers", teachers), ("--frozen", frozen)):
            if place is not None:
                raise BadInput(f"{flag} {place}: trained networks see images, and the set holds graphs; leave it out")
        names = [net] if isinstance(net, str) else list(net or ()) or [synth.info.net or "gin"]
        chosen = find_recipe(recipe or synth.info.recipe or "graph", epochs=epochs)
        asked = {"seeds": seeds, "chosen": chosen, "rows": rows, "split": split, "seed": seed}
        return evaluate_graphs(synth, data, path=path, names=names, **asked)
    chosen, kinds = take_recipe(synth, data, recipe, epochs), [rows] if isinstance(rows, str) else list(rows)
    demand_scorable(synth, chosen, kinds)
    if best_on_test and isinstance(chosen, Closed):
        raise BadInput(f"--best-on-test: recipe {chosen.name} trains nothing, so there is one score; leave it out")
    given = [net] if isinstance(net, str) else list(net or ())
    held = take_frozen(frozen, chosen, given, data)
    names = list(held) if held else name_nets(given, chosen, synth)
    known = find_teachers(synth, teachers, path, data, kinds)
    key, labels = jax.random.key(seed), teach(synth, known, chosen)
    shown = replace(synth, y=present(synth.y, known)) if isinstance(synth.y, TEACHER_KINDS) else labels(synth)
    draws = make_rows(key, shown, data, kinds, labels=labels)
    jobs = [make_job(name, kind, chosen, draw, seeds) for name in dict.fromkeys(names) for kind, draw in draws.items()]
    part = data.test if split == "test" else data.val
    if not len(part.y):
        raise BadInput(f"--split {split}: {data.spec} has no image there; use more data, or the other split")
    reports = run_jobs(jax.random.fold_in(key, INIT), jobs, data, part, seeds=seeds, best_on_test=best_on_test, frozen=held)
    counts = row_counts(synth)
    ipc = int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None
    return Evaluation(str(path or ""), data.spec, data.digest, split, ipc, count_bytes(synth, file=path), reports, seed)


def name_nets(given: Sequence[str], chosen: Recipe | Closed, synth: SyntheticSet) -> list[str]:
    """The networks that are scored, by canonical specification: those given, else the set's; a recipe without networks has none."""
    if isinstance(chosen, Closed) and chosen.kernel == NTK:
        if given:
            raise BadInput(f"--net {given[0]}: recipe {chosen.name} has a kernel of its own; leave --net out, or take recipe krr")
        return [NTK]
    return [nets.canonical(name) for name in given or [synth.info.net or "convnet"]]


def take_frozen(place: str | Path | None, chosen: Recipe | Closed, given: Sequence[str], data: Data) -> dict[str, Teacher]:
    """The trained networks in a folder by name, none where none is named. Raises BadInput for a recipe that takes no such features, and
    where networks are given as well."""
    if place is None:
        return {}
    if not (isinstance(chosen, Closed) and chosen.kernel != NTK):
        raise BadInput(f"--frozen {place}: recipe {chosen.name} fits no ridge head to features of a network; take --recipe krr")
    if given:
        raise BadInput(f"--net {given[0]}: the networks are those in --frozen {place}; leave one of the two out")
    from condense.frozen import load_frozen

    return load_frozen(place, data)


def demand_scorable(synth: SyntheticSet, chosen: Recipe | Closed, rows: Sequence[str]) -> None:
    """Raises BadInput for representations in place of class labels, and for a retrained row beside ridge heads."""
    if synth.represents:
        classes = len(synth.info.classes)
        what = f"the set's labels are representations of {synth.y.classes} numbers, not scores of {classes} classes"
        raise BadInput(f"{what}; `condense transfer` says what they are worth")
    if isinstance(chosen, Closed) and "full" in rows:
        raise BadInput(f"--rows full: it is retrained, and recipe {chosen.name} scores by a ridge head; leave it out")


def take_recipe(synth: SyntheticSet, data: Data, recipe: str | None, epochs: int | None) -> Recipe | Closed:
    """The recipe asked for, else the set's, else `dsa`.

    Raises BadInput where the set's labels answer to certain views and this recipe shows others.
    """
    y = synth.y
    if not getattr(y, "replays", False):
        return find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs)
    if recipe and isinstance(find_recipe(recipe), Closed):
        raise BadInput(f"--recipe {recipe}: it shows a set as it is, and the set's labels answer to views; leave --recipe out")
    chosen = find_recipe(recipe or synth.info.recipe or "dsa", epochs=epochs or (None if recipe else y.epochs))
    here = {
        "views": str(chosen.sight(height=data.image[0], flips=data.flips)),
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
