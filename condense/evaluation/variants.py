"""Rows under several label regimes or augmentations, and rows whose settings validation images choose.

A variant is a row under one regime and one augmentation, where a call names some. First the temperature of teachers' answers is chosen, at
the recipe's step size, then their weight and then the step size, where the call asks for these. Each candidate is tried once, from the
first seed; trials are cells like others, so they are kept.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, NamedTuple

import jax
import numpy as np

from condense.evaluation.choices import score_of
from condense.evaluation.counts import row_counts
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.regimes import ALPHAS, HARD, REGIMES, labelling_of
from condense.evaluation.report import Evaluation
from condense.evaluation.rows import INIT, Row, Shelf, run_rows
from condense.evaluation.scoring import Scoring, draws_of, facts_of, is_kept, protocol_of
from condense.runtime.log import note
from evals.augmentations import check_augmentations, under
from evals.protocol import Protocol
from evals.report import Labelling, Report
from evals.retraining import takes_step_size
from synth.errors import BadInput
from synth.labels import KINDS

STEP_SIZES = (0.001, 0.005, 0.01, 0.05, 0.1)  # those of DD-Ranking, which chooses on the test images


class Variant(NamedTuple):
    """A row of a network under one label regime and one augmentation, as the table shows it.

    Args:
      net: the network's name. kind: of the row.
      regime: of its labels; None for the set's own. augmentation: in place of the recipe's; None for that.
    """

    net: str
    kind: str
    regime: str | None = None
    augmentation: str | None = None

    def __str__(self) -> str:
        words = [f"{self.kind} images", self.regime and f"{self.regime} labels", self.augmentation and f"augmentation {self.augmentation}"]
        return ", ".join(word for word in (*words, self.net) if word)


class Settings(NamedTuple):
    """What validation images may choose: temperature and weight of teachers' answers and the step size; None where there is nothing to
    choose."""

    temperature: float | None = None
    alpha: float | None = None
    step_size: float | None = None


def variants_of(made: Scoring) -> list[Variant]:
    """The variants of all rows in `made.varied`, network by network in the order of the table: every regime with every augmentation that
    the call names, but for all training examples one variant alone."""
    regimes = made.teaching.regimes if made.teaching else (None,)
    augmentations = check_augmentations(made.common.choices.augmentations) or (None,)
    found = []
    for net, kind in product(made.networks, made.varied):
        if made.whole(kind):  # all data have a recipe and labels of their own
            found.append(Variant(net, kind, HARD if made.teaching else None))
        else:
            found += [Variant(net, kind, *both) for both in product(regimes, augmentations)]
    return found


def check_variants(made: Scoring) -> None:
    """Makes the rows in `made.varied`, so that what they raise is raised before the first network trains. Raises BadInput too where stored
    answers of teachers are asked for collages."""
    taught = [name for name in made.teaching.regimes if name != HARD] if made.teaching else []
    stored = next((name for name in taught if not KINDS[REGIMES[name].kind].sees), None)
    if stored and (made.synth.cells > 1 or "random_2x2" in made.varied):
        raise BadInput(f"--regimes {stored}: its answers are to whole images, and of collages one cell at a time is shown; leave it out")
    if made.varied:
        draws_of(made, made.varied)()


def with_variants(made: Scoring, shelf: Shelf, evaluation: Evaluation) -> Evaluation:
    """The evaluation with a report on every variant of the rows in `made.varied`, in front of the other reports of the same network; each
    says its regime, augmentation and step size. Trains what is not on the shelf. Unchanged where there are no such rows."""
    if not made.varied:
        return evaluation
    draws = draws_of(made, made.varied)
    reports = tuple(scored(made, shelf, variant, draws) for variant in variants_of(made))
    order = list(made.networks)
    return evaluation._replace(reports=tuple(sorted((*reports, *evaluation.reports), key=lambda report: order.index(report.net))))


def scored(made: Scoring, shelf: Shelf, variant: Variant, draws: Callable[[], Mapping[str, Any]]) -> Report:
    """Chooses the settings of a variant, one after another and each by the best accuracy on validation examples of the first seed, and
    scores it under them: a report on all seeds and the split of the call. A note says what was chosen.

    Args:
      shelf: holds scores that are finished, and takes new ones.
      draws: () -> by name of the row, seed -> what it trains on.
    """
    key = jax.random.fold_in(jax.random.key(made.common.choices.seed), INIT)
    settings = Settings() if variant.regime in (None, HARD) else Settings(alpha=made.teaching.first_alpha)
    for name, candidates in choices_of(made, variant).items():
        options = [settings._replace(**{name: one}) for one in candidates]
        settings = options[0]
        if len(options) > 1:
            trials = run_rows(key, [row_of(made, variant, one, draws, "val") for one in options], shelf, seeds=1)
            scores = dict(zip(candidates, (trial.mean for trial in trials), strict=True))
            best = max(scores, key=scores.__getitem__)
            settings = settings._replace(**{name: best})
            listed = ", ".join(f"{one:g} {100 * score:.1f}" for one, score in scores.items())
            note(f"{variant}: {name.replace('_', ' ')} {best:g}, of {listed} % on validation")
    row = row_of(made, variant, settings, draws, made.common.choices.split)
    (report,) = run_rows(key, [row], shelf, seeds=made.seeds)
    how = None if variant.regime is None else labelled(made, variant, row.protocol, settings)
    return report._replace(labelling=how, augmentation=variant.augmentation, step_size=settings.step_size)


def choices_of(made: Scoring, variant: Variant) -> dict[str, Sequence[float]]:
    """The candidates of every setting of a variant, by its name (`temperature`, `alpha`, `step_size`), in the order in which they are
    chosen; empty where there is nothing to choose."""
    found: dict[str, Sequence[float]] = {}
    if variant.regime not in (None, HARD):
        found["temperature"] = made.teaching.candidates(variant.regime)
        found |= {"alpha": ALPHAS} if made.teaching.alpha is None else {}
    learned = variant.kind == "distilled" and takes_step_size(protocol_of(made, variant.kind), made.synth)
    if made.common.choices.tune_lr and not learned:
        found["step_size"] = STEP_SIZES
    return found


def protocol_under(made: Scoring, variant: Variant, settings: Settings) -> Protocol:
    """The protocol of a variant: that of its row, with its augmentation and step size."""
    protocol = protocol_of(made, variant.kind)
    protocol = under(protocol, variant.augmentation) if variant.augmentation else protocol
    return protocol if settings.step_size is None else replace(protocol, lr=settings.step_size)


def row_of(made: Scoring, variant: Variant, settings: Settings, draws: Callable[[], Mapping[str, Any]], split: str) -> Row:
    """The row of a variant under these settings, scored on `split`, which is `test` or `val`; `draws()` gives by name of the row the
    function seed -> what it trains on."""
    net, kind, regime, _ = variant
    taught, protocol = regime not in (None, HARD), protocol_under(made, variant, settings)
    facts = facts_of(made, net, kind, protocol)
    if facts is not None:
        facts = facts | ({"labels": made.teaching.facts(regime, *settings[:2])} if taught else {})
        facts |= {} if split == made.common.choices.split else {"split": split, "best_on_test": False}
        facts |= {"variant": True} if variant.augmentation or settings != Settings() else {}

    @cache
    def draw() -> Any:
        given = draws()[kind]
        return (lambda seed: made.teaching.label(given(seed), regime, *settings[:2])) if taught else given

    worker = made.common.worker(made.data, made.networks[net], protocol, split=split)
    kept = is_kept(made, net, protocol) and (not taught or made.teaching.committee.own())
    score = score_of(kind, made.ranks, EVALUATORS[made.data.modality])
    return Row(net, kind, protocol, worker, draw, made.whole(kind), facts, kept, score)


def labelled(made: Scoring, variant: Variant, protocol: Protocol, settings: Settings) -> Labelling:
    """How the row of a variant under a regime is labelled and for how long networks learn from it."""
    counts = {"distilled": len(made.synth), "full": len(made.data.train.y)}
    examples = counts.get(variant.kind, int(np.sum(row_counts(made.synth))))
    how = {"teaching": made.teaching, "temperature": settings.temperature, "alpha": settings.alpha}
    return labelling_of(variant.regime, examples, len(made.data.classes), protocol, **how)
