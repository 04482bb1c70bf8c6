"""Rows of real examples in the content that is best for them: as many as fit into the bytes of the set.

For every network and row, each candidate is trained on once from the first seed and scored on validation examples. The best stands in the
table, scored as all rows are, and its name says as what it is stored. Trials are cells like others, so they are kept.
"""

from functools import cache
from typing import Any

import jax
import numpy as np

from condense.engine.budget import LABEL
from condense.engine.storage import content_named, stored_as
from condense.evaluation.report import Evaluation
from condense.evaluation.rows import INIT, Row, Shelf, run_rows
from condense.evaluation.scoring import Scoring, drawn, facts_of, is_kept
from condense.runtime.log import note
from evals.report import Report
from evals.storage import count_bytes
from synth.content import images_for
from synth.errors import BadInput
from synth.labels.plain import Target

CANDIDATES = ("u8", "u8x2", "u4", "u4x2")


def check_best(made: Scoring) -> None:
    """Raises BadInput where the call names a row such as `random-best`, whose storage is chosen, and nothing can choose it: there are no
    validation images, or the set's bytes hold no image of every class however stored."""
    if made.best and not len(made.data.val.y):
        raise BadInput(f"--rows {made.best[0]}: {made.data.spec} has no validation images to choose by; leave it out")
    if made.best and not affordable(made):
        raise BadInput(f"--rows {made.best[0]}: the set's bytes hold no image of every class in another content; leave it out")


def affordable(made: Scoring) -> dict[str, int]:
    """How many real images of every class fit into the bytes of the set with their labels, by the name of what they are stored as, such as
    `u8x2`: what the set is stored as, and `CANDIDATES`. At most as many as the smallest class has; a name of which none fit is left out."""
    synth, data = made.synth, made.data
    size, classes = count_bytes(synth)["total"], len(data.classes)
    own_labels = synth.y.taught or type(synth.y) is Target
    label = -(-synth.y.nbytes() // len(synth)) if own_labels else LABEL
    there = int(np.bincount(data.train.y, minlength=classes).min())
    names = dict.fromkeys((*filter(None, (stored_as(synth.x),)), *CANDIDATES))
    affords = {name: images_for(content_named(name), size, data.image, classes=classes, label_bytes=label) for name in names}
    return {name: min(count, there) for name, count in affords.items() if min(count, there)}


def with_best(made: Scoring, shelf: Shelf, evaluation: Evaluation) -> Evaluation:
    """The evaluation with the reports on rows such as `random-best` added, behind the other reports of the same network. Trains what is
    not on the shelf. Unchanged where the call names no such row."""
    if not made.best:
        return evaluation
    chosen = [best_report(made, shelf, name, kind) for name in made.networks for kind in made.best]
    order = list(made.networks)
    return evaluation._replace(reports=tuple(sorted((*evaluation.reports, *chosen), key=lambda report: order.index(report.net))))


def best_report(made: Scoring, shelf: Shelf, name: str, kind: str) -> Report:
    """Chooses what the examples of one row are stored as, and scores the row so. Each candidate is trained on from the first seed alone;
    the best accuracy on validation examples wins, of equal ones the first. The report is on all seeds and the split of the call.

    Args:
      shelf: holds scores that are finished, and takes new ones.
      name: of the network. kind: the row, such as `random-best`.
    """
    counts = affordable(made)
    key = jax.random.fold_in(jax.random.key(made.common.choices.seed), INIT)
    trials = run_rows(key, [row_in(made, name, kind, stored, counts[stored], "val") for stored in counts], shelf, seeds=1)
    scores = {stored: trial.mean for stored, trial in zip(counts, trials, strict=True)}
    best = max(scores, key=scores.__getitem__)
    base = kind.removesuffix("-best")
    listed = ", ".join(f"{stored} {100 * score:.1f}" for stored, score in scores.items())
    note(f"{base} images in the content that is best for them: {best}, {counts[best]} a class, of {listed} % on validation")
    (report,) = run_rows(key, [row_in(made, name, kind, best, counts[best], made.common.choices.split)], shelf, seeds=made.seeds)
    return report


def row_in(made: Scoring, name: str, kind: str, stored: str, count: int, split: str) -> Row:
    """The row of real examples that are stored in a certain way.

    Args:
      name: of the network. kind: the row, such as `random-best`.
      stored: what the examples are stored as, such as `u8x2`. count: how many of every class.
      split: on which the network is scored, `test` or `val`.
    """
    base, data, protocol = kind.removesuffix("-best"), made.data, made.protocol
    counts = np.full(len(data.classes), count)
    facts = facts_of(made, name, base, protocol)
    if facts is not None:
        trial = {} if split == made.common.choices.split else {"best_on_test": False}
        facts = facts | trial | {"split": split, "row": {"kind": base, "counts": counts.tolist(), "stored": stored}}

    @cache
    def draw() -> Any:
        return drawn(made, [base], content=content_named(stored), counts=counts)[base]

    worker = made.common.worker(data, made.networks[name], protocol, split=split)
    return Row(name, f"{base} in {stored}", protocol, worker, draw, False, facts, is_kept(made, name, protocol))
