"""Committee voting (CV-DD, arXiv 2501.07575): images recovered from pairs of networks, weighted by what each is known to give."""

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import Annotated, Literal

import numpy as np
from jaxtyping import Float

from matchers.base import Matcher, Task
from matchers.decoupled.common import Patches, narrowing, patched, pick, recover
from matchers.decoupled.labelling import LabelKind, Labelling
from matchers.decoupled.loss import Jitter, RecoverySettings
from synth.base import Teacher
from synth.errors import BadInput
from synth.labelling import vote
from synth.options import BelowOne, NonNegative, Positive, Share


def committees(slots: int, priors: Sequence[float], size: int) -> list[tuple[int, ...]]:
    """Chooses `size` teachers for every slot (one image of every class): their indices from 0, ascending. One slot gets those with the
    highest of the `priors`, one for each teacher. If there are at most as many slots as possible committees, the slots take them in lexical
    order; with more slots, a committee is drawn for each, the same in all runs with this number of slots. Only one slot reads the numbers
    of the priors."""
    known = list(combinations(range(len(priors)), size))
    if slots == 1:
        return [tuple(sorted(sorted(range(len(priors)), key=lambda k: -priors[k])[:size]))]
    if slots <= len(known):
        return known[:slots]
    return [known[i] for i in np.random.default_rng(slots).integers(len(known), size=slots)]


def voting_weights(slots: int, priors: Sequence[float], *, size: int, temperature: float) -> Float[np.ndarray, "slots k"]:
    """w = softmax(prior / T) over the committee of every slot (`committees`, of `size` teachers); 0 for the teachers outside it. One of the
    `priors` for each of the k teachers, in per cent; T is `temperature`."""
    table = np.zeros((slots, len(priors)))
    for slot, members in enumerate(committees(slots, priors, size)):
        table[slot, list(members)] = vote([priors[k] for k in members], temperature=temperature)
    return table


def cvdd(
    teachers: tuple[Teacher, ...],
    priors: Callable[..., tuple[float, ...]],
    task: Task,
    *,
    lr: Annotated[float, Positive] = 0.25,
    alpha_bn: Annotated[float, NonNegative] = 0.01,
    first: Annotated[float, NonNegative] = 10.0,
    crop: Annotated[float, Share] = 0.08,
    roll: Annotated[float, BelowOne] = 0.125,
    batch: int = 100,
    patches: Patches = "medium",
    votes: int = 2,
    member: int | None = None,
    pair: tuple[int, ...] | None = None,
    prior: Literal["distilled", "equal"] = "distilled",
    prior_numbers: tuple[float, ...] | None = None,
    temperature: Annotated[float, Positive] = 5.0,
    labels: LabelKind = "committee",
    label_temperature: Annotated[float, Positive] = 10.0,
    recipe: str = "cvdd",
    label_epochs: int | None = None,
    parts: int = 2,
    narrow: Annotated[float, Share] | None = None,
    rounds: int | None = None,
) -> Matcher:
    """Recovers every slot (one image of every class) from a committee of trained networks, and labels the set with the votes of all.

    L = sum_k w_k (CE_k + alpha R_k), w = softmax(prior / T) over the slot's committee, CE and R those of `sre2l` for network k under one
    random crop, flip and roll. One slot has the committee of the highest priors, up to as many slots as committees take all in order, more
    draw one each. With a single `member` this is the paper's baseline SRe2L++. Labels are sum_k w_k z_k of all networks, their w from
    `label_temperature`, batch norms normalising by the statistics of the batch itself (batch-specific soft labels).

    Args:
      teachers: trained networks.
      priors: (options of this recovery, by name) -> what data recovered from each of them alone is worth, accuracy in per cent.
      task: the run that it serves; the step size falls over its steps.
      lr: step size of the pixels in model space (> 0).
      alpha_bn: weight of the statistics (>= 0).
      first: weight of the first layer's statistics (>= 0).
      crop: least share of the area that a random crop takes, in (0, 1]; 1 for no crop.
      roll: largest cyclic shift as a share of the height, in [0, 1); 0 for none.
      batch: classes whose images go through a network together and share their statistics.
      patches: `easy`, `medium` or `hard` starts from 2x2 collages of real crops of that rank of difficulty to the networks, whatever
        --start says; `none` leaves the start as it is.
      votes: networks in the committee of a slot; 2 as published.
      member: this one of the teachers, from 1, votes and labels alone.
      pair: these of the teachers, from 1, vote on every slot, as is published for one image a class; all label.
      prior: `distilled` weighs teachers by `priors`, which may have to be measured first; `equal` all alike.
      prior_numbers: priors of the teachers in per cent, one each, in place of what `prior` says; as the release has them.
      temperature: T, > 0; large gives all members equal weight, small the best alone.
      labels: kind of the labels that the set gets; `condense relabel --help` lists them.
      label_temperature: T of the weights of labels, > 0.
      recipe: that the set is labelled for and to be trained with.
      label_epochs: epochs that stored answers cover; by default the recipe's.
      parts: equal parts of a batch that each have their own statistics when labelled; 2 as released, 1 for the whole batch.
      narrow: share of the steps, in (0, 1], over which the least crop falls on a cosine from the whole image to `crop`, as in CDA; by
        default crops are that small from the first step on.
      rounds: in which slots join the run, evenly one after another, as in DELT (CVPR 2025), which has 8; by default
        all move from the first step on.
    """
    if member is not None:
        teachers, votes = (pick(teachers, member),), 1
    if pair is not None:
        if member is not None or not pair or len(set(pair)) < len(pair):
            raise BadInput(f"--pair {' '.join(map(str, pair))}: give different teachers, and no --member beside them")
        for number in pair:
            pick(teachers, number, flag="--pair")
    if votes > len(teachers):
        raise BadInput(f"--votes {votes}: there are {len(teachers)} teachers; give at most that many, or more --teachers")
    for flag, value in (("--temperature", temperature), ("--label-temperature", label_temperature)):
        if value <= 0:
            raise BadInput(f"{flag} {value}: give a number above 0")
    alone = {"lr": lr, "alpha_bn": alpha_bn, "first": first, "crop": crop, "roll": roll, "batch": batch, "patches": patches, "parts": parts}
    alone |= {name: value for name, value in (("narrow", narrow), ("rounds", rounds)) if value is not None}
    if prior_numbers is not None and member is None and len(prior_numbers) != len(teachers):
        raise BadInput(f"--prior-numbers {' '.join(map(str, prior_numbers))}: there are {len(teachers)} teachers; give a number for each")
    measured = prior == "distilled" and len(teachers) > 1 and prior_numbers is None
    known = priors(**alone) if measured else (prior_numbers or (0.0,) * len(teachers)) if member is None else (0.0,)
    settings = RecoverySettings(lr, alpha_bn, first, Jitter(crop, roll, task.flips, narrow=narrowing(narrow, task)))
    statistics = "batch" if parts == 1 else f"batch/{parts}"
    own = vote(known, temperature=label_temperature)
    labelling = Labelling(teachers, task, recipe, labels, label_epochs, weights=own, statistics=statistics)

    def weights(slots: int):
        if pair is None:
            return voting_weights(slots, known, size=votes, temperature=temperature)
        row = np.zeros(len(known))
        row[[number - 1 for number in pair]] = vote([known[number - 1] for number in pair], temperature=temperature)
        return np.tile(row, (slots, 1))

    made = recover(teachers, task, weights, settings, labelling, batch=batch, prepare=patched(teachers, patches), rounds=rounds)
    return made._replace(start="collage", own_start=None if patches == "none" else "--patches none")
