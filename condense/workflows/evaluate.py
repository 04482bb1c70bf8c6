"""Scoring a synthetic set beside honest baselines: which rows there are, on which data, under which recipe."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import jax

from condense.data.for_set import find_set, take_data
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.evaluation.baselines import find_teachers, make_rows, row_counts, teach
from condense.evaluation.graphs import evaluate_graphs
from condense.evaluation.images import INIT, check_scorable, make_job, name_nets, run_jobs, take_frozen, take_recipe
from condense.evaluation.report import Evaluation, GraphEvaluation
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import note
from evals.recipes import Closed
from evals.recipes import recipe as find_recipe
from evals.storage import count_bytes
from synth.errors import BadInput
from synth.files.format import load_set
from synth.labelling import present
from synth.set import SyntheticSet


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
      recipe: a name in `evals.recipes.RECIPES`; by default the set's, else `dsa`. `epochs` replaces its length.
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
    check_scorable(synth, chosen, kinds)
    if best_on_test and isinstance(chosen, Closed):
        raise BadInput(f"--best-on-test: recipe {chosen.name} trains nothing, so there is one score; leave it out")
    given = [net] if isinstance(net, str) else list(net or ())
    held = take_frozen(frozen, chosen, given, data)
    names = list(held) if held else name_nets(given, chosen, synth)
    known = find_teachers(synth, teachers, path, data, kinds)
    key, labels = jax.random.key(seed), teach(synth, known, chosen)
    shown = replace(synth, y=present(synth.y, known)) if synth.y.taught else labels(synth)
    draws = make_rows(key, shown, data, kinds, labels=labels)
    jobs = [make_job(name, kind, chosen, draw, seeds) for name in dict.fromkeys(names) for kind, draw in draws.items()]
    part = (data.test if split == "test" else data.val).all()
    if not len(part.y):
        raise BadInput(f"--split {split}: {data.spec} has no image there; use more data, or the other split")
    reports = run_jobs(jax.random.fold_in(key, INIT), jobs, data, part, seeds=seeds, best_on_test=best_on_test, frozen=held)
    counts = row_counts(synth)
    ipc = int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None
    return Evaluation(str(path or ""), data.spec, data.digest, split, ipc, count_bytes(synth, file=path), reports, seed)
