"""What a call of `condense.workflows.evaluate` asks for, read and checked: recipe, networks, part, choices that go together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from condense import nets
from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.modality import MODALITIES, usual_net
from condense.evaluation.baselines import ROW_SCORE, check_rows
from condense.evaluation.evaluator import USUAL_ROWS, Evaluator
from condense.ranking.take import take_ranks
from condense.runtime.checks import check_whole, more_validation
from condense.runtime.log import note
from condense.teachers.frozen import load_frozen
from evals.protocol import Protocol, ScoringNetwork
from evals.recipes import RECIPES
from evals.recipes import recipe as find_recipe
from synth.errors import BadInput, nearest
from synth.images.views import within_cells
from synth.options import Precision, check_option
from synth.selection.ranks import Ranks
from synth.selection.scores import name_score
from synth.set import SyntheticSet


def check_split(split: str) -> None:
    """Raises BadInput for a split other than `test` and `val`."""
    if split not in ("test", "val"):
        raise BadInput(f"--split: unknown split '{split}' (known: test, val){nearest(split, ('test', 'val'))}")


def take_recipe(synth: SyntheticSet, data: Data | GraphData, recipe: str | None, epochs: int | None) -> Protocol:
    """The recipe that the call names, else the set's, else the default of the modality; `epochs`, where given, replace its own.

    Where the set's labels answer to certain views, the epochs are theirs unless the call names epochs or a recipe, and the recipe must show
    just these views. Where they record the views themselves, see `take_replay`.

    Raises BadInput for an unknown recipe, for epochs of one that trains nothing, and where the set's labels answer to certain views and
    this recipe shows others.
    """
    y, usual = synth.y, MODALITIES[data.modality].recipe
    if y.records:
        return take_replay(synth, recipe, epochs)
    if not y.replays:
        return find_recipe(recipe or synth.info.recipe or usual, epochs=epochs).for_size(len(synth))
    if recipe and not find_recipe(recipe).trains:
        raise BadInput(f"--recipe {recipe}: it shows a set as it is, and the set's labels answer to views; leave --recipe out")
    chosen = find_recipe(recipe or synth.info.recipe or usual, epochs=epochs or (None if recipe else y.epochs))
    here = {
        "views": str(within_cells(chosen.view_for(height=data.image[0], flips=data.flips), synth.cells)),
        "epochs": chosen.epochs,
        "batch": chosen.batch_of(len(synth), y.classes),
    }
    theirs = {"views": y.view, "epochs": y.epochs, "batch": y.batch}
    if differ := [name for name in here if here[name] != theirs[name]]:
        what = ", ".join(f"{name} {theirs[name]}" for name in differ)
        wrong = ", ".join(f"{name} {here[name]}" for name in differ)
        rest = "leave --recipe and --epochs out, or relabel the set"
        raise BadInput(f"--recipe {chosen.name}: the set's labels answer to {what}, this recipe has {wrong}; {rest}")
    return chosen


def epochs_of_steps(steps: int | None, epochs: int | None, protocol: Protocol, synth: SyntheticSet) -> int | None:
    """The least number of epochs in which networks take so many optimiser steps on the set; `epochs` where the call names no steps.

    Raises BadInput where it names both, for steps below 1, and if the protocol trains nothing.
    """
    if steps is None:
        return epochs
    if epochs is not None:
        raise BadInput(f"--steps {steps}: --epochs {epochs} says how long networks are trained; give one of the two")
    if not protocol.trains:
        raise BadInput(f"--steps {steps}: recipe {protocol.name} trains nothing; leave it out")
    return -(-check_whole("steps", steps) // -(-len(synth) // protocol.batch_of(len(synth), synth.y.classes)))


def take_replay(synth: SyntheticSet, recipe: str | None, epochs: int | None) -> Protocol:
    """Chooses the recipe by which networks train on a set whose labels record the views, their order and the mini-batches of every epoch.

    It is the recipe that the call names, else the one that the set names, else `fkd`. Only its optimiser, schedule of the step size and
    number of epochs count: views, order and mini-batches are the recorded ones. The number of epochs is the first of these that is there:
    `epochs`; where the call names a recipe, that recipe's own; the recorded number.

    Args:
      synth: the set.
      recipe: the name that the call gives, None for none.
      epochs: the number that the call gives (>= 1), None for none.

    Raises BadInput for an unknown recipe, for one that shows no views, and where the number of epochs is above the recorded one.
    """
    asked = recipe or synth.info.recipe or "fkd"
    if not getattr(find_recipe(asked), "view", ""):
        raise BadInput(f"--recipe {asked}: the set's labels record the views that they answer to; take fkd or another recipe of views")
    chosen = find_recipe(asked, epochs=epochs or (None if recipe else synth.y.epochs))
    if chosen.epochs > synth.y.epochs:
        raise BadInput(f"--recipe {chosen.name}: it has {chosen.epochs} epochs, and {synth.y.epochs} are recorded; give --epochs")
    return chosen


def take_protocol(
    synth: SyntheticSet, data: Data | GraphData, recipe: str | None, *, epochs: int | None, steps: int | None, precision: str
) -> Protocol:
    """The recipe that `take_recipe` takes, as long as `epochs` or optimiser steps on the set say, in this precision. Raises what these
    raise."""
    usual = take_recipe(synth, data, recipe, epochs)
    return take_precision(take_recipe(synth, data, recipe, epochs_of_steps(steps, epochs, usual, synth)), precision)


def take_precision(protocol: Protocol, precision: str) -> Protocol:
    """The protocol with the products in its networks in this precision. Raises BadInput for bf16 where it trains none."""
    if "precision" in protocol.options:
        return protocol.vary("precision", precision)
    if check_option("precision", precision, Precision) != "f32":
        raise BadInput(f"--precision {precision}: recipe {protocol.name} trains nothing; leave it out")
    return protocol


def take_rows(rows: Sequence[str] | str, synth: SyntheticSet, evaluator: Evaluator, protocol: Protocol) -> list[str]:
    """The names of the rows that the call names, each once. Exactly the default rows are replaced by the usual ones for such a set.

    Raises BadInput for unknown ones, for none, and where one is scored by a measure that does not compare with the protocol's.
    """
    rows = evaluator.usual_rows(synth) if tuple(rows) == USUAL_ROWS else rows
    kinds = check_rows(rows, evaluator.baselines, synth.x.modality)
    for kind in kinds:
        own = evaluator.baselines[kind].recipe
        if own and find_recipe(own).measure != protocol.measure:
            raise BadInput(f"--rows {kind}: it is retrained, and recipe {protocol.name} {protocol.does}; leave it out")
    return kinds


def find_ranks(place: str | Path | None, data: Any, kinds: Sequence[str], evaluator: Evaluator) -> Ranks | None:
    """The log of proxies in the folder `place`, for those of the rows `kinds` that choose examples by it; None where `place` is None.
    Raises BadInput where a row reads one and there is none, where no row reads it, and where it is not of this data."""
    reads = [kind for kind in kinds if evaluator.baselines[kind].ranked]
    if reads and place is None:
        raise BadInput(f"--rows {reads[0]}: is chosen by the log of proxies; give --ranks DIR, which `condense rank` makes of this data")
    if place is None:
        return None
    if not reads:
        known = " or ".join(kind for kind, baseline in evaluator.baselines.items() if baseline.ranked)
        raise BadInput(f"--ranks {place}: no row reads it; " + (f"add {known} to --rows, or leave it out" if known else "leave it out"))
    return take_ranks(place, data)


def score_of(kind: str, ranks: Ranks | None, evaluator: Evaluator) -> str | None:
    """The full name of the score by which the row `kind` chooses examples on the log `ranks`; None where it reads none."""
    return name_score(ROW_SCORE, ranks) if ranks is not None and evaluator.baselines[kind].ranked else None


def check_scorable(synth: SyntheticSet, protocol: Protocol) -> None:
    """Raises BadInput if the set has representations in place of class labels, or if the protocol does not score its modality."""
    modality = synth.x.modality
    if protocol.modalities is not None and modality not in protocol.modalities:
        usual = MODALITIES[modality].recipe
        raise BadInput(f"--recipe {protocol.name}: is for {' and '.join(protocol.modalities)}; use {usual}")
    if synth.represents:
        classes = len(synth.info.classes)
        what = f"the set's labels are representations of {synth.y.classes} numbers, not scores of {classes} classes"
        raise BadInput(f"{what}; `condense transfer` says what they are worth")


def check_best_on_test(split: str, modality: str, evaluator: Evaluator, protocol: Protocol) -> None:
    """Raises BadInput if the protocol cannot score on the test examples during training, and if the split to score on is `val`."""
    if evaluator.chooses_epoch:
        why = f"scores on {modality} choose the epoch on validation {modality}; leave it out"
    elif split == "val":
        why = "--split val reads no test; leave it out"
    elif not protocol.trains:
        why = f"recipe {protocol.name} trains nothing, so there is one score; leave it out"
    else:
        return
    raise BadInput(f"--best-on-test: {why}")


def check_trained_nets(evaluator: Evaluator, modality: str, **places: str | Path | None) -> None:
    """Raises BadInput if a flag names trained networks although this modality has none. `places` are folders by the name of their flag, as
    in `teachers=DIR`; None where the flag is not given."""
    for name, place in places.items():
        if place is not None and not evaluator.trained_nets:
            raise BadInput(f"--{name} {place}: trained networks see images, and the set holds {modality}; leave it out")


def build_network(name: str, protocol: Protocol, data: Data | GraphData) -> ScoringNetwork:
    """Builds an untrained network from its specification. If the protocol has a model of its own, builds none. Raises BadInput for an
    unknown network, and for one that does not take such examples."""
    return ScoringNetwork(name, None if protocol.own_net else nets.build(name, data.image, len(data.classes)))


def take_networks(
    net: Any, frozen: str | Path | None, protocol: Protocol, synth: SyntheticSet, data: Data | GraphData, *, split: str = "test"
) -> dict[str, ScoringNetwork]:
    """The networks that sets are scored with, by name: the trained ones in the folder `frozen`; else those that `net` names or is, one or
    several; else the set's; else that of the modality. Where the protocol needs none, one entry without a network stands in their place.
    `split` is what sets are scored on, for warnings about trained networks.

    Raises BadInput where these do not go together.
    """
    given = nets.listed(net)
    if frozen is not None:
        if not protocol.takes_frozen:
            takes = " or ".join(name for name, known in RECIPES.items() if known.takes_frozen)
            raise BadInput(f"--frozen {frozen}: recipe {protocol.name} fits no ridge head to features of a network; take --recipe {takes}")
        if given:
            raise BadInput(f"--net {given[0]}: the networks are those in --frozen {frozen}; leave one of the two out")
        return {name: ScoringNetwork(name, trained.net, trained.vars) for name, trained in load_frozen(frozen, data, split=split).items()}
    if protocol.own_net and given:
        raise BadInput(f"--net {given[0]}: recipe {protocol.name} needs no network; leave --net out, or take another --recipe")
    names = [protocol.own_net] if protocol.own_net else given or [synth.info.net or usual_net(data)]
    names = names if protocol.own_net else [nets.named(name, data.image, len(data.classes)) for name in names]
    return {name: build_network(name, protocol, data) for name in names}


def check_part(data: Data | GraphData, split: str, evaluator: Evaluator, *, tune_lr: bool = False) -> None:
    """Raises BadInput if the split has no examples to score on, or if there are no validation examples and this modality chooses an epoch
    by them, or the call (`tune_lr`) step sizes."""
    part = data.test if split == "test" else data.val
    if evaluator.chooses_epoch and not (len(part.y) and len(data.val.y)):
        raise BadInput(f"{data.spec}: needs validation and {split} {data.modality}; use more data")
    if not len(part.y):
        remedy = more_validation(data.spec) if split == "val" else "use more data"
        raise BadInput(f"--split {split}: {data.spec} has no {MODALITIES[data.modality].example} there; {remedy}, or the other split")
    if tune_lr and not len(data.val.y):
        remedy = f"{more_validation(data.spec)}, or leave this flag out"
        raise BadInput(f"--tune-lr: {data.spec} has no validation images to choose a step size by; {remedy}")


def warn_of_split(synth: SyntheticSet, data: Data | GraphData, split: str, evaluator: Evaluator) -> None:
    """Prints a warning to stderr if the score uses validation examples from which the set's maker may have learned."""
    if data.seed != synth.info.split_seed and (split == "val" or evaluator.chooses_epoch):
        seeds = f"cut by seed {data.seed} may have served a maker that cut by seed {synth.info.split_seed}"
        note(f"warning: validation {data.modality} {seeds}")
