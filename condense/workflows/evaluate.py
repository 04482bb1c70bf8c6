"""Scores synthetic sets beside real examples, and keeps what is finished."""

from collections.abc import Sequence
from pathlib import Path
from typing import overload

from condense.data.load import Given
from condense.evaluation.best import check_best, with_best
from condense.evaluation.cells import Cells, check_cache
from condense.evaluation.report import Evaluation, Evaluations, shown_set
from condense.evaluation.rows import Shelf
from condense.evaluation.scoring import Choices, Common, check_one_table, prepare
from condense.evaluation.spreads import check_embedding, with_spread
from condense.evaluation.variants import check_variants, with_variants
from condense.runtime.checks import check_seed
from condense.runtime.log import note
from condense.workflows.verdicts import tell_far_pixels
from synth.base import Net
from synth.errors import BadInput
from synth.set import SyntheticSet

OneSet = SyntheticSet | str | Path


@overload
def evaluate(  # type: ignore[overload-overlap]  # a text is a sequence of texts
    what: OneSet,
    *,
    data: Given | None = None,
    net: Sequence[str | Net] | str | Net | None = None,
    seeds: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    teachers: str | Path | None = None,
    best_on_test: bool = False,
    frozen: str | Path | None = None,
    full_epochs: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    ranks: str | Path | None = None,
    regimes: Sequence[str] | str | None = None,
    alpha: float | str | None = None,
    temperature: float | None = None,
    augmentations: Sequence[str] | str | None = None,
    tune_lr: bool = False,
    embed: str | Path | None = None,
    steps: int | None = None,
    precision: str = "f32",
) -> Evaluation: ...


@overload
def evaluate(
    what: Sequence[OneSet],
    *,
    data: Given | None = None,
    net: Sequence[str | Net] | str | Net | None = None,
    seeds: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    teachers: str | Path | None = None,
    best_on_test: bool = False,
    frozen: str | Path | None = None,
    full_epochs: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    ranks: str | Path | None = None,
    regimes: Sequence[str] | str | None = None,
    alpha: float | str | None = None,
    temperature: float | None = None,
    augmentations: Sequence[str] | str | None = None,
    tune_lr: bool = False,
    embed: str | Path | None = None,
    steps: int | None = None,
    precision: str = "f32",
) -> Evaluations: ...


def evaluate(
    what: OneSet | Sequence[OneSet],
    *,
    data: Given | None = None,
    net: Sequence[str | Net] | str | Net | None = None,
    seeds: int | None = None,
    recipe: str | None = None,
    epochs: int | None = None,
    rows: Sequence[str] | str = ("distilled", "random", "kmeans"),
    split: str = "test",
    teachers: str | Path | None = None,
    best_on_test: bool = False,
    frozen: str | Path | None = None,
    full_epochs: int | None = None,
    seed: int = 0,
    cache: str | Path | None = None,
    ranks: str | Path | None = None,
    regimes: Sequence[str] | str | None = None,
    alpha: float | str | None = None,
    temperature: float | None = None,
    augmentations: Sequence[str] | str | None = None,
    tune_lr: bool = False,
    embed: str | Path | None = None,
    steps: int | None = None,
    precision: str = "f32",
) -> Evaluation | Evaluations:
    """Scores sets, and real examples at the same budget, by a protocol: it trains fresh networks and scores each once, at its last step.

    The data is normalised as the set's file says, whoever wrote it. Real rows are drawn anew for every seed from train without validation,
    and carry the set's kind of labels: of its own teachers where teachers made them, centred one-hot rows where it has regression values.
    The `full` row trains under recipe `full`, on graphs `graph_full`. Recipes `krr` and `krr-ntk` train nothing: they score the ridge head
    that a set determines. On graphs, every network is scored at its best epoch on validation graphs.

    Networks that are trained and scored are kept as cells, in the run's folder or in `cache`. The same call again trains what is missing,
    and real examples at the same budget are trained on once for all sets.

    Args:
      what: a set, its file, or a run's folder; or a list of these, which gives one table (`Evaluations`).
      data: data as `load_data` takes them; by default those that the set names.
      net: specifications, or networks as values; by default the set's, else `convnet`, on graphs `gin`.
      seeds: fresh networks a row (>= 1); by default 5, and 10 on graphs.
      recipe: a name in `evals.recipes.RECIPES`; by default the set's, else `dsa`, on graphs `graph`. `epochs` replaces its length.
      rows: of `distilled`, `random`, `random_2x2` (collages of random images), `kmeans`, `herding` (on pixels), `easy` and `hard` (by EL2N,
        see `ranks`), `noise` (noise images, with the set's kind of labels), `full`; on graphs of `distilled`, `random`, `size` (what the
        number of nodes alone tells) and `full`.
        Real images are stored as the set is where that has been chosen (`--store`, `--factor`, `--bases`). `random-best` and
        `kmeans-best` are real images in the content that is best for them at the set's bytes, chosen on validation images; such a set
        gets them unasked.
      split: `test`, or `val` for every choice that is still to be made.
      teachers: folder of a committee, by default the one in the run's folder: where teachers labelled the set, the one that holds them;
        otherwise all of it labels the set, and random and k-means images, while networks train.
      best_on_test: scores the test images some fifty times a training, or when the code of the recipe's paper does, and reports the highest
        beside the last, for comparison with papers that do so; such a score was chosen on the test images.
      frozen: folder of trained networks, a committee or a self-supervised teacher, whose features recipe `krr` takes in place of those of
        networks as they are drawn.
      full_epochs: epochs of the `full` row; by default those of its recipe.
      seed: of the networks and draws.
      cache: folder of finished cells; by default `cells` in the folder of a run, `NAME.cells` beside a set's file in no run. `none` keeps
        none.
      ranks: folder of `condense rank`, for the rows `easy` and `hard`: the lowest or highest scores of every class.
      regimes: of `hard` (class indices), `soft` (one stored answer of `teachers` an example), `online` (they answer to every view): every
        row is scored under each, for as many steps. `full` learns from class indices.
      alpha: weight of the teachers' answers in the loss of these, (1 - alpha) CE + alpha T^2 KL; by default 1; `best` for that of 0, 0.5,
        0.9 and 1 which is best on validation images, after the temperature. Recipes with a loss of their own on answers (`gift`, `gvbsm`,
        `edc`) take no other than 1.
      temperature: T; by default the best of 1, 4 and 20 on validation images, for every network, row and regime.
      augmentations: of those in `evals.augmentations.AUGMENTATIONS`: every row is scored under each, in place of the recipe's own.
      tune_lr: takes the step size of every row, the full one too, that is the best of five on validation images (those of DD-Ranking).
      steps: optimiser steps on the set in place of `epochs`, rounded up to whole ones: sets of several sizes are trained on equally long.
      precision: of the products in the networks while they are trained and scored, `f32` or `bf16`; weights, optimiser and losses are f32.
        Recipes of other precision have another name, such as `dsa:precision=bf16`.
      embed: folder of teachers: every row says coverage and diversity of its examples in the features of the first network there.

    Example:
      >>> import condense
      >>> synth = condense.distill("random", "digits", ipc=1)
      >>> scored = condense.evaluate(synth, recipe="krr-ntk", seeds=1, rows="distilled")  # a closed form: it trains nothing
      >>> scored.reports[0].set_kind, 0.3 < scored.reports[0].mean < 0.9
      ('distilled', True)

    Raises:
      BadInput: for unknown names, where the set's classes or shape are not the data's, where labels of certain views meet another recipe,
        epochs or batch than theirs, where teachers are needed and not given, and where several sets do not belong into one table.
    """
    several = not isinstance(what, SyntheticSet | str | Path)
    if not (sets := list(what) if several else [what]):
        raise BadInput("evaluate: names no set; give one or more")
    shared = (data, net, seeds, recipe, epochs, rows, split, teachers, best_on_test, frozen, check_seed(seed), cache, ranks, full_epochs)
    choices = Choices(*shared, regimes, alpha, temperature, augmentations, tune_lr, embed, steps, precision)
    common, cells = Common(choices), Cells()
    made = [prepare(one, common) for one in sets]
    check_one_table(made)
    places = dict.fromkeys(one.cells for one in made if one.cells)
    shelves = [Shelf(cells, one.cells, tuple(place for place in places if place != one.cells)) for one in made]
    for one, shelf in zip(made, shelves, strict=True):
        check_best(one)
        check_variants(one)
        check_embedding(one)
        one.check(shelf)
    check_cache(cache)
    results: list[Evaluation] = []
    for one, shelf in zip(made, shelves, strict=True):
        results.append(with_spread(one, with_variants(one, shelf, with_best(one, shelf, one.run(shelf)))))
        if len(made) > 1:  # the table comes after the last set, which may be hours away
            note(f"{len(results)} of {len(made)} scored: {shown_set(results[-1].set) or 'a set'}, {results[-1].in_short()}")
    for one in made:
        tell_far_pixels(one.synth, one.data)
    return Evaluations(tuple(results)) if several else results[0]
