"""Makes a call's choices for every set: data, networks, recipe, rows. A set that is checked is a `Scoring`, which then trains networks."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Int

from condense.data.for_set import find_set, take_data
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.load import Given, load_data
from condense.data.modality import MODALITIES
from condense.evaluation.baselines import make_rows, ranks_facts
from condense.evaluation.cells import place_of_cells
from condense.evaluation.choices import (
    check_best_on_test,
    check_part,
    check_scorable,
    check_split,
    check_trained_nets,
    find_ranks,
    score_of,
    take_networks,
    take_precision,
    take_protocol,
    take_rows,
    warn_of_split,
)
from condense.evaluation.counts import images_a_class, share_of_commonest
from condense.evaluation.evaluator import USUAL_ROWS
from condense.evaluation.facts import Facts, data_facts, own_code, own_network, recipe_facts, surroundings_facts, trained_facts
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.regimes import Teaching, check_regimes, check_varied, take_teaching, without_answers
from condense.evaluation.report import Evaluation
from condense.evaluation.rows import INIT, Row, Shelf, run_rows, unfinished
from condense.evaluation.teaching import Committee, find_teachers, label_facts, place_of, shown, teach, without_teachers
from condense.runtime.checks import check_whole
from condense.runtime.log import note
from evals.augmentations import check_augmentations
from evals.protocol import Protocol, ScoringNetwork, ScoringTask, Worker
from evals.recipes import recipe as find_recipe
from evals.storage import count_bytes
from synth.base import Net
from synth.errors import BadInput
from synth.files.format import load_set
from synth.selection.ranks import Ranks
from synth.set import SyntheticSet
from synth.training.stream import held


@dataclass(frozen=True, eq=False)
class Choices:
    """What a call of `condense.evaluate` asks for, the same for all its sets; the fields are the arguments of that function."""

    data: Given | None
    net: Sequence[str | Net] | str | Net | None
    seeds: int | None
    recipe: str | None
    epochs: int | None
    rows: Sequence[str] | str
    split: str
    teachers: str | Path | None
    best_on_test: bool
    frozen: str | Path | None
    seed: int
    cache: str | Path | None
    ranks: str | Path | None = None
    full_epochs: int | None = None
    regimes: Sequence[str] | str | None = None
    alpha: float | str | None = None
    temperature: float | None = None
    augmentations: Sequence[str] | str | None = None
    tune_lr: bool = False
    embed: str | Path | None = None
    steps: int | None = None
    precision: str = "f32"


class Common:
    """What the sets of one call share, so that data are loaded, and networks compiled, once for all of them."""

    def __init__(self, choices: Choices) -> None:
        self.choices, self.load = choices, cache(load_data)
        self._data: dict[str, Data | GraphData] = {}
        self._tasks: dict[str, ScoringTask] = {}
        self._workers: dict[tuple, Worker] = {}

    def data(self, synth: SyntheticSet) -> Data | GraphData:
        """The data to score a set on, the call's or those that the set names; the same object for sets whose data agree in all facts."""
        data = take_data(synth, self.choices.data, load=self.load)
        return self._data.setdefault(_key(data), data)

    def task(self, data: Data | GraphData, *, split: str | None = None) -> ScoringTask:
        """What networks are scored on: the examples of a split, `test` or `val`, by default that of the call. The same object each time."""
        split = split or self.choices.split
        if (at := _key(data) + split) not in self._tasks:
            part = held(data.test if split == "test" else data.val)
            build = EVALUATORS[data.modality].retraining(data, part, self.choices.best_on_test)
            self._tasks[at] = ScoringTask(data.modality, part, build)
        return self._tasks[at]

    def worker(self, data: Data | GraphData, network: ScoringNetwork, protocol: Protocol, *, split: str | None = None) -> Worker:
        """What scores a network under a protocol, on a split, by default that of the call. The same object each time."""
        if (at := (_key(data) + (split or self.choices.split), network.name, protocol)) not in self._workers:
            self._workers[at] = protocol.worker(network, self.task(data, split=split))
        return self._workers[at]


def _key(data: Data | GraphData) -> str:
    return json.dumps([data.spec, data_facts(data)])


class Scoring(NamedTuple):
    """A set whose choices are made.

    Args:
      place: of its file, None for a value. cells: the folder of its finished cells, None if they are not kept. seeds: networks a row.
      committee: the teachers of its rows. ranks: the log of proxies of its rows; None where they read none.
      rows: network by network. networks: by name. best: the rows in the content that is best for them, which are not among `rows`.
      teaching: the label regimes that the call names. varied: the rows that are scored in variants, which are not among `rows` either.
    """

    synth: SyntheticSet
    place: Path | None
    cells: Path | None
    data: Data | GraphData
    protocol: Protocol
    committee: Committee
    rows: tuple[Row, ...]
    seeds: int
    common: Common
    networks: Mapping[str, ScoringNetwork]
    best: tuple[str, ...] = ()
    ranks: Ranks | None = None
    teaching: Teaching | None = None
    varied: tuple[str, ...] = ()

    def whole(self, kind: str) -> bool:
        """Whether the row of this name is all training examples."""
        return bool(EVALUATORS[self.data.modality].baselines[kind].recipe)

    def check(self, shelf: Shelf) -> None:
        """Asks the rows that have networks to be trained for what these learn from, and raises what that raises. Call it for all sets
        before the first network trains. Where nothing is left to train, a note says so."""
        left = unfinished(self.rows, shelf, seeds=self.seeds)
        kinds = list(dict.fromkeys(row.kind for row in self.rows))
        for row in sorted(left, key=lambda row: kinds.index(row.kind)):  # a kind at a time: cheap refusals come first
            row.draw()
        if not left and self.rows:
            self.committee.warn()
            note(f"{len(self.rows)} rows of {self.seeds} seeds: finished before")

    def run(self, shelf: Shelf) -> Evaluation:
        """Trains the networks of `rows` that are not on the shelf, and returns how all of them score."""
        data, choices, evaluator = self.data, self.common.choices, EVALUATORS[self.data.modality]
        key = jax.random.fold_in(jax.random.key(choices.seed), INIT)
        reports = run_rows(key, self.rows, shelf, seeds=self.seeds)
        if evaluator.chooses_epoch and choices.split == "val":
            note(f"warning: the epoch is chosen on the validation {data.modality}, so scores on them are too high; report the test")
        majority = share_of_commonest(data.train.y, self.common.task(data).part.y) if evaluator.majority else None
        facts = {"modality": data.modality, "majority": majority, "drawn": data.drawn, "classes": tuple(data.classes)}
        sizes, ipc = count_bytes(self.synth, file=self.place), images_a_class(self.synth)
        return Evaluation(str(self.place or ""), data.spec, data.digest, choices.split, ipc, sizes, reports, choices.seed, **facts)


def prepare(what: SyntheticSet | str | Path, common: Common) -> Scoring:
    """Makes and checks all choices for one set, its file, or the folder of its run; trains nothing. Raises BadInput for choices that are
    wrong or do not go together, but not yet for what the rows refuse when they are to be trained on (`Scoring.check`)."""
    choices = common.choices
    path = find_set(what) if isinstance(what, str | Path) else None
    synth = given = load_set(path) if path else what
    regimes, augmentations = check_regimes(choices.regimes, choices.alpha, choices.temperature), check_augmentations(choices.augmentations)
    varies = bool(regimes or augmentations or choices.tune_lr)
    modality, evaluator = MODALITIES[synth.x.modality], EVALUATORS[synth.x.modality]
    seeds = check_whole("seeds", modality.seeds if choices.seeds is None else choices.seeds)
    check_split(choices.split)
    data = common.data(synth)
    synth = without_answers(synth) if regimes else synth
    warn_of_split(synth, data, choices.split, evaluator)
    check_trained_nets(evaluator, modality.name, teachers=choices.teachers, frozen=choices.frozen)
    protocol = take_protocol(synth, data, choices.recipe, epochs=choices.epochs, steps=choices.steps, precision=choices.precision)
    check_scorable(synth, protocol)
    if choices.best_on_test:
        check_best_on_test(choices.split, modality.name, evaluator, protocol)
    kinds = take_rows(choices.rows, synth, evaluator, protocol)
    usual = tuple(choices.rows) == USUAL_ROWS
    if varies:
        kinds = check_varied(choices, protocol, evaluator, synth, kinds, usual=usual)
    if usual:
        kinds = without_teachers(synth, choices.teachers, path, kinds, baselines=evaluator.baselines)
    networks = take_networks(choices.net, choices.frozen, protocol, synth, data, split=choices.split)
    check_part(data, choices.split, evaluator, tune_lr=choices.tune_lr)
    if regimes:
        committee = Committee(place_of(given, choices.teachers, path), data, choices.split)
        teaching = take_teaching(regimes, choices.alpha, choices.temperature, committee, protocol)
        committee = replace(committee, place=None)  # rows under class indices ask nobody
    else:
        committee = find_teachers(synth, choices.teachers, path, data, kinds, baselines=evaluator.baselines, split=choices.split)
        teaching = None
    cells = place_of_cells(choices.cache, path)
    ranks = find_ranks(choices.ranks, data, kinds, evaluator)
    best = tuple(kind for kind in kinds if evaluator.baselines[kind].best)
    varied = tuple(kinds) if varies else ()
    made = Scoring(synth, path, cells, data, protocol, committee, (), seeds, common, networks, best, ranks, teaching, varied)
    return made._replace(rows=tuple(scored_rows(made, [kind for kind in kinds if kind not in (*best, *varied)])))


def drawn(made: Scoring, kinds: Sequence[str], *, content: Any, counts: Int[np.ndarray, " classes"] | None = None) -> dict[str, Callable]:
    """For every name in `kinds`, seed -> what that row trains on. Real examples are encoded by `content`, `counts` of every class; None:
    as many as cost as much as the set."""
    known = made.committee.members
    labels = teach(made.synth, known, made.protocol)
    more = {"labels": labels, "baselines": EVALUATORS[made.data.modality].baselines}
    more |= {"content": content, "counts": counts, "ranks": made.ranks}
    return make_rows(jax.random.key(made.common.choices.seed), shown(made.synth, known, labels), made.data, kinds, **more)


def draws_of(made: Scoring, kinds: Sequence[str]) -> Callable[[], dict[str, Callable[[int], Any]]]:
    """Returns a function without arguments that gives, for every name in `kinds`, the function seed -> what that row trains on."""
    synth, content = made.synth, MODALITIES[made.data.modality].content

    @cache
    def draws() -> dict[str, Callable[[int], Any]]:
        like = synth.x.like() if hasattr(synth.x, "like") else content and content(made.data)
        return drawn(made, kinds, content=like)

    return draws


def is_kept(made: Scoring, name: str, protocol: Protocol) -> bool:
    """Whether scores of the network of this name may be kept for other calls: where this project's source alone computes them."""
    own = protocol.own_net == name or own_network(name)
    return own_code(made.synth.x, made.synth.y, protocol) and own and made.committee.own()


def protocol_of(made: Scoring, kind: str) -> Protocol:
    """What scores the row of this name: its own protocol where it has one, else the set's."""
    baseline, epochs = EVALUATORS[made.data.modality].baselines[kind], made.common.choices.full_epochs
    named = baseline.recipe and take_precision(find_recipe(baseline.recipe, epochs=epochs), made.protocol.precision)
    return baseline.protocol or named or made.protocol


def scored_rows(made: Scoring, kinds: Sequence[str]) -> list[Row]:
    """The rows named `kinds` for every network of the set, network by network. Nothing is drawn, and no teacher loaded, before a row is
    asked for what it draws."""
    data, evaluator, draws = made.data, EVALUATORS[made.data.modality], draws_of(made, kinds)

    def row(name: str, kind: str) -> Row:
        protocol = protocol_of(made, kind)
        worker, facts = made.common.worker(data, made.networks[name], protocol), facts_of(made, name, kind, protocol)
        draw = cache(lambda: evaluator.prepare(draws()[kind], name, made.seeds))
        kept, score = is_kept(made, name, protocol), score_of(kind, made.ranks, evaluator)
        return Row(name, kind, protocol, worker, draw, made.whole(kind), facts, kept, score)

    return [row(name, kind) for name in made.networks for kind in kinds]


def facts_of(made: Scoring, name: str, kind: str, protocol: Protocol) -> Facts | None:
    """All that the scores of row `kind` of network `name` depend on, beside which seeds are trained at one time. None if not known."""
    choices, evaluator = made.common.choices, EVALUATORS[made.data.modality]
    baseline = evaluator.baselines[kind]
    if baseline.facts is None:
        return None
    try:
        of_recipe, of_row = recipe_facts(protocol), baseline.facts(made.synth)
        json.dumps(of_recipe)
    except TypeError:  # a function among the fields of a set or a protocol of somebody else's
        return None
    return {
        **surroundings_facts(),
        "data": data_facts(made.data),
        "split": choices.split,
        "best_on_test": choices.best_on_test,
        "seed": choices.seed,
        "network": {"name": name, **({} if choices.frozen is None else trained_facts(choices.frozen))},
        "recipe": of_recipe,
        "row": {"kind": kind, **of_row, **(ranks_facts(made.ranks) if baseline.ranked else {})},
        "labels": label_facts(made.synth, made.committee, baseline),
        **({"seeds": made.seeds} if evaluator.joint else {}),
    }


def check_one_table(made: Sequence[Scoring]) -> None:
    """Raises BadInput if the scores of these sets do not belong into one table: other data, or measures that do not compare."""
    first = made[0]
    for other in made[1:]:
        if other.data.digest != first.data.digest:
            raise BadInput(f"--data: the sets are of {first.data.spec} and {other.data.spec}, which are other data; score them apart")
        if other.protocol.measure != first.protocol.measure:
            names = f"{first.protocol.name} and {other.protocol.name}"
            raise BadInput(f"--recipe: the sets advise {names}, whose scores do not compare; name one recipe for all")
