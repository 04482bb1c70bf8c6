"""Scores a synthetic set beside real examples: chooses rows, data and recipe."""

from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Int

from condense.data.for_set import find_set, take_data
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.modality import MODALITIES
from condense.evaluation.baselines import make_rows, row_counts
from condense.evaluation.choices import (
    check_best_on_test,
    check_scorable,
    check_split,
    check_trained_nets,
    take_networks,
    take_part,
    take_recipe,
    take_rows,
    warn_of_split,
)
from condense.evaluation.evaluator import USUAL_ROWS
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.report import Evaluation
from condense.evaluation.rows import INIT, Row, run_rows
from condense.evaluation.teaching import find_teachers, shown, teach, without_teachers
from condense.runtime.checks import check_seed, check_whole
from condense.runtime.log import note
from evals.protocol import ScoringTask
from evals.recipes import recipe as find_recipe
from evals.storage import count_bytes
from synth.base import Net
from synth.files.format import load_set
from synth.set import SyntheticSet


def evaluate(
    what: SyntheticSet | str | Path,
    *,
    data: Data | GraphData | str | None = None,
    net: Sequence[str | Net] | str | Net | None = None,
    seeds: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    teachers: str | Path | None = None,
    best_on_test: bool = False,
    frozen: str | Path | None = None,
    seed: int = 0,
) -> Evaluation:
    """Scores a set, and real examples at the same budget, by a protocol: it trains fresh networks and scores each once, at its last step.

    The data is normalised as the set's file says, whoever wrote it. Real rows are drawn anew for every seed from train without validation,
    and carry the set's kind of labels: of its own teachers where teachers made them, centred one-hot rows where it has regression values.
    The `full` row trains under recipe `full`, on graphs `graph_full`. Recipes `krr` and `krr-ntk` train nothing: they score the ridge head
    that a set determines. On graphs, every network is scored at its best epoch on validation graphs.

    Args:
      what: a set, its file, or a run's folder.
      data: data or its specification; by default the one the set names.
      net: specifications, or networks as values; by default the set's, else `convnet`, on graphs `gin`.
      seeds: fresh networks a row (>= 1); by default 5, and 10 on graphs.
      recipe: a name in `evals.recipes.RECIPES`; by default the set's, else `dsa`, on graphs `graph`. `epochs` replaces its length.
      rows: of `distilled`, `random`, `kmeans`, `full`; on graphs there is no `kmeans`.
      split: `test`, or `val` for every choice that is still to be made.
      teachers: folder of a committee, by default the one in the run's folder: where teachers labelled the set, the one that holds them;
        otherwise all of it labels the set, and random and k-means images, while networks train.
      best_on_test: scores the test images fifty times or more a training and reports the highest beside the last, for comparison with
        papers that do so; such a score was chosen on the test images.
      frozen: folder of trained networks, a committee or a self-supervised teacher, whose features recipe `krr` takes in place of those of
        networks as they are drawn.
      seed: of the networks and draws.

    Example:
      >>> import condense
      >>> synth = condense.distill("random", "digits", ipc=1)
      >>> scored = condense.evaluate(synth, recipe="krr-ntk", seeds=1, rows="distilled")  # a closed form: it trains nothing
      >>> scored.reports[0].set_kind, 0.3 < scored.reports[0].mean < 0.9
      ('distilled', True)

    Raises:
      BadInput: for unknown names, where the set's classes or shape are not the data's, where labels of certain views meet another recipe,
        epochs or batch than theirs, and where teachers are needed and not given.
    """
    path = find_set(what) if isinstance(what, str | Path) else None
    synth = load_set(path) if path else what
    seed, modality, evaluator = check_seed(seed), MODALITIES[synth.x.modality], EVALUATORS[synth.x.modality]
    seeds = check_whole("seeds", modality.seeds if seeds is None else seeds)
    check_split(split)
    data = take_data(synth, data)
    warn_of_split(synth, data, split, evaluator)
    check_trained_nets(evaluator, modality.name, teachers=teachers, frozen=frozen)
    chosen = take_recipe(synth, data, recipe, epochs)
    check_scorable(synth, chosen)
    if best_on_test:
        check_best_on_test(split, modality.name, evaluator, chosen)
    kinds = take_rows(rows, synth, evaluator, chosen)
    if tuple(rows) == USUAL_ROWS:
        kinds = without_teachers(synth, teachers, path, kinds, baselines=evaluator.baselines)
    networks, part = take_networks(net, frozen, chosen, synth, data, split=split), take_part(data, split, evaluator)
    known = find_teachers(synth, teachers, path, data, kinds, baselines=evaluator.baselines, split=split)
    key, labels = jax.random.key(seed), teach(synth, known, chosen)
    own = {"baselines": evaluator.baselines, "content": modality.content and modality.content(data)}
    draws = make_rows(key, shown(synth, known, labels), data, kinds, labels=labels, **own)

    def row(name: str, kind: str) -> Row:
        own = evaluator.baselines[kind].recipe
        draw = evaluator.prepare(draws[kind], name, seeds)
        return Row(name, kind, find_recipe(own) if own else chosen, draw, whole=bool(own))

    made = {(name, kind): row(name, kind) for kind in kinds for name in networks}  # a kind at a time: cheap refusals come first
    listed = [made[name, kind] for name in networks for kind in kinds]
    task = ScoringTask(modality.name, part, evaluator.retraining(data, part, best_on_test))
    reports = run_rows(jax.random.fold_in(key, INIT), listed, networks, task, seeds=seeds)
    if evaluator.chooses_epoch and split == "val":
        note(f"warning: the epoch is chosen on the validation {modality.name}, so scores on them are too high; report the test")
    facts = {"modality": modality.name, "majority": share_of_commonest(data.train.y, part.y) if evaluator.majority else None}
    sizes = count_bytes(synth, file=path)
    return Evaluation(str(path or ""), data.spec, data.digest, split, images_a_class(synth), sizes, reports, seed, **facts)


def images_a_class(synth: SyntheticSet) -> int | None:
    """How many real examples of every class cost as much as the set. None if that differs between classes or the set has a budget of
    another kind."""
    counts = row_counts(synth)
    return int(counts[0]) if synth.info.budget in ("", "ipc") and (counts == counts[0]).all() else None


def share_of_commonest(train: Int[np.ndarray, " n"], part: Int[np.ndarray, " m"]) -> float:
    """The fraction of `part`, class indices, that belong to the most frequent class of the training examples' indices, `train`."""
    return float(np.mean(part == np.bincount(train).argmax()))
