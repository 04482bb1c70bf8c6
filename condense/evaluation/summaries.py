"""Numbers that follow from several rows of a table: the scores of DD-Ranking, and best and mean over augmentations."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from condense.nets import brief
from evals.dd_ranking import augmentation_robust_score, hard_label_recovery, improvement_over_random, label_robust_score
from evals.report import Report


def dd_ranking(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The scores of DD-Ranking, one dict for every network, label regime and augmentation, from the mean accuracies of reports that name a
    regime.

    Keys are `net`, `labels` (the regime), `augmentation` where there is one, `hlr`, `ior` and `lrs`; and `ars` of an augmentation where
    the rows without one are there too. Accuracies are fractions. A combination that lacks one of the rows distilled, random, or full under
    class indices is left out. The set's own labels enter nowhere: its accuracy under a regime is that with labels of the regime.
    """
    means = {(one.net, one.set_kind, one.labelling.regime, one.augmentation): one.mean for one in reports if one.labelling}
    found = []
    for net, kind, regime, augmentation in means:
        needed = [(net, "full", "hard", None), (net, "distilled", "hard", augmentation), (net, "random", regime, augmentation)]
        if kind != "distilled" or any(at not in means for at in needed):
            continue
        full, hard, random = (means[at] for at in needed)
        recovery, improvement = hard_label_recovery(full, hard), improvement_over_random(means[net, kind, regime, augmentation], random)
        row = {"net": net, "labels": regime, **({} if augmentation is None else {"augmentation": augmentation})}
        row |= {"hlr": recovery, "ior": improvement, "lrs": label_robust_score(improvement, recovery)}
        plain = [means.get((net, one, regime, "none")) for one in ("distilled", "random")]
        if augmentation not in (None, "none") and None not in plain:
            row["ars"] = augmentation_robust_score(improvement, improvement_over_random(*plain))
        found.append(row)
    return found


def over_augmentations(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """The best and the mean accuracy over augmentations, one dict for every row that was scored under several: keys `net`, `set_kind`,
    `labels` (the label regime, where there is one), `best` and `mean`, as fractions. The table of DC-Bench has them.

    The best is chosen on the examples that are scored, so it is a score of the augmentation too.
    """
    rows: dict[tuple, list[float]] = {}
    for one in (one for one in reports if one.augmentation is not None):
        rows.setdefault((one.net, one.set_kind, one.labelling and one.labelling.regime), []).append(one.mean)
    names = ("net", "set_kind", "labels")
    several = {at: means for at, means in rows.items() if len(means) > 1}
    known = [{name: value for name, value in zip(names, at, strict=True) if value is not None} for at in several]
    return [{**row, "best": max(means), "mean": float(np.mean(means))} for row, means in zip(known, several.values(), strict=True)]


def caption(reports: Sequence[Report]) -> str | None:
    """The lines that stand below a table: the scores of DD-Ranking, and best and mean over augmentations, where the reports give them; None
    where they give none."""
    lines = []
    for row in dd_ranking(reports):
        of = ", ".join([brief(row["net"]), row["labels"], *([row["augmentation"]] if "augmentation" in row else [])])
        ars = f", ARS {row['ars']:.3f}" if "ars" in row else ""
        lines.append(f"DD-Ranking, {of}: HLR {100 * row['hlr']:.1f}, IOR {100 * row['ior']:.1f}, LRS {row['lrs']:.3f}{ars}")
    for row in over_augmentations(reports):
        of = ", ".join([brief(row["net"]), row["set_kind"], *([row["labels"]] if "labels" in row else [])])
        lines.append(f"over augmentations, {of}: best {100 * row['best']:.1f}, mean {100 * row['mean']:.1f}")
    return "\n".join(lines) or None
