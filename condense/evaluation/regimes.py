"""Label regimes: the same examples under several kinds of labels, for as many optimiser steps.

A row is scored once under each regime that a call names. Where teachers take part, the loss is (1 - alpha) CE + alpha T^2 KL
(`synth.labels.blend`), or that of the recipe where it has one of its own. To add a regime, add its entry to `REGIMES`.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from condense.evaluation.evaluator import Evaluator
from condense.evaluation.facts import Facts, trained_facts
from condense.evaluation.teaching import Committee
from condense.teachers.store import member_bytes, read_index
from evals.protocol import Protocol
from evals.report import Labelling
from synth.errors import BadInput, nearest
from synth.images.views import View
from synth.labelling import LabelPlan, label, present
from synth.labels import KINDS
from synth.labels.blend import blend
from synth.labels.plain import Hard
from synth.set import SyntheticSet

TEMPERATURES = (1.0, 4.0, 20.0)  # of which validation chooses
ALPHAS = (0.0, 0.5, 0.9, 1.0)  # the same, under `--alpha best`
BEST = "best"
HARD = "hard"


class Regime(NamedTuple):
    """One way to label examples.

    Args:
      kind: of the labels, a key of `synth.labels.KINDS`: `hard`, or one that teachers make and that is no replay of views.
      about: one line that says what it is.
    """

    kind: str
    about: str


REGIMES = {
    HARD: Regime("hard", "class indices"),
    "soft": Regime("static", "one stored answer of the teachers to every example"),
    "online": Regime("online", "the teachers answer to every view while a network trains"),
}


class Teaching(NamedTuple):
    """What a call asks of label regimes, the kinds of labels under which the same examples are scored.

    Args:
      regimes: keys of `REGIMES`, in the order of the call.
      alpha: the weight of the teachers' answers in the loss, in [0, 1]; None where validation chooses one of `ALPHAS`.
      temperature: of the answers; None where validation chooses one of `TEMPERATURES` for every network, row and regime.
      committee: the teachers.
      own_loss: whether the recipe has a loss of its own on the answers, which are then not blended with the classes; `alpha` is 1.
    """

    regimes: tuple[str, ...]
    alpha: float | None
    temperature: float | None
    committee: Committee
    own_loss: bool = False

    def candidates(self, regime: str) -> tuple[float, ...]:
        """The temperatures to choose from for labels of a regime: the call's own alone, else those of `temperatures`."""
        if self.temperature is not None:
            return (self.temperature,)
        return temperatures(regime, self.first_alpha, own_loss=self.own_loss)

    @property
    def first_alpha(self) -> float:
        """The weight at which the temperature is chosen: the call's, or 1 where validation chooses the weight after that."""
        return 1.0 if self.alpha is None else self.alpha

    def facts(self, regime: str, temperature: float, alpha: float) -> Facts:
        """What labels of a regime depend on beside the examples, as values of JSON by name: the regime and its kind of labels, `alpha`, the
        temperature, and a digest of the teachers' files."""
        how = {"regime": regime, "kind": REGIMES[regime].kind, "alpha": alpha, "temperature": temperature}
        return {**how, "committee": trained_facts(self.committee.place)}

    def label(self, given: SyntheticSet, regime: str, temperature: float, alpha: float) -> SyntheticSet:
        """The set `given`, whose labels must be class indices, with labels of a regime in which teachers take part, ready for training:
        the teachers' answers as they are where the recipe has a loss of its own, else blended with the classes. Loads the teachers and asks
        them."""
        known, index = self.committee.members, given.y.index
        plan = LabelPlan(1, 0, View(cells=given.cells), temperature)
        answers = label(jax.random.key(0), REGIMES[regime].kind, given.x.decode(), index, given.y.classes, known, plan)
        ready = present(answers, known)
        return replace(given, y=ready if self.own_loss else blend(ready, index, alpha))


def temperatures(regime: str, alpha: float, *, own_loss: bool) -> tuple[float, ...]:
    """The temperatures of teachers' answers that validation chooses from under a regime: `TEMPERATURES`, but a single one where it does not
    matter. It does not at an `alpha` of 0; nor, where the recipe has a loss of its own (`own_loss`), which reads logits or their direction,
    for answers to the views themselves. Stored ones are mixed as probabilities, for which it matters."""
    if not alpha:
        return TEMPERATURES[:1]
    return TEMPERATURES[-1:] if own_loss and KINDS[REGIMES[regime].kind].sees else TEMPERATURES


def check_alpha(alpha: float | str | None, protocol: Protocol) -> None:
    """Raises BadInput for an `alpha` other than 1 if the protocol has a loss of its own on teachers' answers, which it would weigh."""
    if protocol.own_loss and alpha not in (None, 1):
        how = "has a loss of its own on the teachers' answers, which nothing is blended with"
        raise BadInput(f"--alpha {in_short(alpha)}: recipe {protocol.name} {how}; leave --alpha out, or take another recipe")


def in_short(value: float | str) -> str:
    """The value of a flag as messages show it: a number in short."""
    return f"{value:g}" if isinstance(value, Real) else str(value)


def check_regimes(asked: Sequence[str] | str | None, alpha: float | str | None, temperature: float | None) -> tuple[str, ...]:
    """The names of the regimes that a call asks for, each once; an empty tuple where `asked` is None.

    Raises BadInput for an unknown name and an empty list, for an `alpha` outside [0, 1] that is not `best`, for a temperature not above 0,
    and for either where no regime with teachers reads it.
    """
    given = {"alpha": alpha, "temperature": temperature}
    named = [(name, value) for name, value in given.items() if value is not None]
    names = tuple(dict.fromkeys([asked] if isinstance(asked, str) else asked or ()))
    if asked is not None and not names:
        raise BadInput(f"--regimes: none given (known: {', '.join(REGIMES)})")
    if unknown := [name for name in names if name not in REGIMES]:
        raise BadInput(f"--regimes: unknown regime '{unknown[0]}' (known: {', '.join(REGIMES)}){nearest(unknown[0], REGIMES)}")
    if named and not set(names) - {HARD}:
        name, value = named[0]
        raise BadInput(f"--{name} {in_short(value)}: is of labels by teachers; add soft or online to --regimes, or leave it out")
    if alpha not in (None, BEST) and not (isinstance(alpha, Real) and not isinstance(alpha, bool) and 0 <= alpha <= 1):
        raise BadInput(f"--alpha {in_short(alpha)}: give a number from 0 to 1, the weight of the teachers' answers, or {BEST}")
    if temperature is not None and not 0 < temperature < math.inf:
        raise BadInput(f"--temperature {temperature:g}: give a number above 0")
    return names


def without_answers(synth: SyntheticSet) -> SyntheticSet:
    """The set with class indices in place of its labels: an example belongs to its most probable class."""
    return replace(synth, y=Hard(jnp.asarray(synth.y.probs().argmax(-1), jnp.int32), synth.y.classes))


def take_teaching(
    names: tuple[str, ...], alpha: float | str | None, temperature: float | None, committee: Committee, protocol: Protocol
) -> Teaching:
    """The regimes of a call with their teachers; an `alpha` of None is 1.

    Raises BadInput where a regime needs teachers and the committee has none, where it has some and no regime needs them, for a weight that
    the protocol does not read (`check_alpha`), and where a temperature or a weight is to be chosen and there are no validation images.
    """
    place, data = committee.place, committee.data
    taught = [name for name in names if name != HARD]
    if taught and place is None:
        raise BadInput(f"--regimes {taught[0]}: its labels are answers of teachers; give --teachers DIR")
    if place is not None and not taught:
        raise BadInput(f"--teachers {place}: no regime asks them; add soft or online to --regimes, or leave it out")
    if place is not None:
        read_index(place)
    check_alpha(alpha, protocol)
    weight = None if alpha == BEST else 1.0 if alpha is None else float(alpha)
    made = Teaching(names, weight, temperature, committee, protocol.own_loss)
    if taught and weight is None and not len(data.val.y):
        raise BadInput(f"--alpha {BEST}: {data.spec} has no validation images to choose it by; give a number")
    if not len(data.val.y) and (chosen := [name for name in taught if len(made.candidates(name)) > 1]):
        raise BadInput(f"--regimes {chosen[0]}: {data.spec} has no validation images to choose a temperature by; give --temperature")
    return made


def check_varied(
    choices: Any, protocol: Protocol, evaluator: Evaluator, synth: SyntheticSet, kinds: Sequence[str], *, usual: bool
) -> list[str]:
    """The names of the rows that can be scored under several label regimes, augmentations or step sizes (in variants).

    Args:
      choices: of the call, a `condense.evaluation.scoring.Choices`.
      kinds: the names of the call's rows.
      usual: whether the call left them at the default; then rows whose storage is chosen, such as `random-best`, are left out.

    Raises BadInput if the protocol trains nothing, if variants do not suit the modality or the set's labels, and where the call itself
    names a row whose storage is chosen.
    """
    modality, images = synth.x.modality, evaluator.trained_nets
    asked = {"--regimes": choices.regimes, "--augmentations": choices.augmentations, "--tune-lr": choices.tune_lr or None}
    for flag in (flag for flag, value in asked.items() if value is not None):
        if not protocol.trains:
            raise BadInput(f"{flag}: is of a training, and recipe {protocol.name} {protocol.does}; leave it out")
        if evaluator.chooses_epoch or (flag != "--tune-lr" and not images):
            raise BadInput(f"{flag}: is not for {modality}; leave it out")
    if choices.augmentations is not None and (synth.y.replays or synth.y.records):
        raise BadInput("--augmentations: the set's labels answer to views of their own; leave it out, or add --regimes hard")
    best = [kind for kind in kinds if evaluator.baselines[kind].best]
    if best and not usual:
        raise BadInput(f"--rows {best[0]}: its content is chosen under one recipe; leave it out, or score it apart")
    return [kind for kind in kinds if kind not in best]


def labelling_of(
    regime: str, examples: int, classes: int, protocol: Protocol, *, teaching: Teaching, temperature: float | None, alpha: float | None
) -> Labelling:
    """How a row of so many examples is labelled under a regime, and for how long networks learn from it: optimiser steps, bytes of the
    labels, and of teachers that must answer meanwhile. Weight and temperature are left out of the regime `hard`, and the weight where the
    recipe has a loss of its own."""
    steps = protocol.epochs * -(-examples // protocol.batch_of(examples, classes))
    size = examples * KINDS[REGIMES[regime].kind].bytes_each(classes, protocol.epochs)
    if regime == HARD:
        return Labelling(regime, steps, size)
    asked = member_bytes(teaching.committee.place) if KINDS[REGIMES[regime].kind].asks else 0
    return Labelling(regime, steps, size, None if teaching.own_loss else alpha, temperature, asked, teaching.alpha is None)
