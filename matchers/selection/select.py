"""Real examples chosen by the log of proxies: a score and a rule."""

from dataclasses import replace
from typing import Annotated, Any, Literal

import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, Unread, once
from matchers.selection.common import check_ranked, put
from synth.errors import BadInput
from synth.labels.plain import Hard
from synth.options import AtLeastTwo, BelowOne
from synth.selection.ranks import Ranks
from synth.selection.rules import RULES, keep
from synth.selection.scores import name_score, scores

RuleName = Literal["easy", "hard", "middle", "ccs", "moderate", "random", "kcenter", "herding"]


def select(
    ranks: Ranks,
    *,
    by: str = "el2n",
    rule: RuleName = "easy",
    balanced: bool = True,
    drop: Annotated[float, BelowOne] = 0.0,
    strata: Annotated[int, AtLeastTwo] = 50,
    weighted: bool = False,
) -> Matcher:
    """Keeps real examples by a score of proxies and a rule: the easiest, the hardest, those in the middle, strata, or a cover.

    Scores count low for easy examples (`synth.selection.scores`). Hard examples first fall below random ones at small budgets wherever that
    was reported; the row `random` of an evaluation says by how much.

    Args:
      ranks: the log of proxies.
      by: the score, with options behind a colon, as in el2n:last=4; kcenter and herding read none.
      rule: easy, hard, middle, ccs (strata of scores), moderate (near the median), random, kcenter or herding (on embeddings).
      balanced: the same number of every class; otherwise the rule chooses among all examples.
      drop: the share of the hardest of every class, or of all, that is never kept; the paper of ccs takes 0.3 at 90 % pruning.
      strata: of ccs.
      weighted: store how many examples a kept one stands for, for ccs and kcenter.
    """
    score_name, reads = name_score(by, ranks), bool(drop) or not (RULES[rule].embeds or rule == "random")
    if weighted and not RULES[rule].weighs:
        known = " or ".join(name for name, one in RULES.items() if one.weighs)
        raise BadInput(f"--weighted: rule {rule} gives no weights; leave it out, or take {known}")

    def solve(key, synth, examples):
        y, classes = check_ranked(ranks, examples), synth.y.classes
        embeds = RULES[rule].embeds
        more: dict[str, Any] = {"embeddings": ranks.embeddings() if embeds else None, "drop": drop, "strata": strata}
        counts = {c: len(synth) // classes for c in range(classes)} if balanced else len(synth)
        score = np.zeros(len(y), np.float32) if embeds and not drop else scores(ranks, by)
        kept = keep(key, rule, score, y, counts, **more)
        made = replace(put(synth, examples, kept.index), y=Hard(jnp.asarray(y[kept.index], jnp.int32), classes))
        return replace(made, weight=jnp.asarray(kept.weight, jnp.float32)) if weighted else made

    return once(solve, feed=Unread())._replace(own_start="", balanced=balanced, score=score_name if reads else "")
