"""The parts of an evaluation that differ between modalities. Everything else is shared."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from condense.evaluation.baselines import Baseline
from evals.protocol import Protocol, ScoringNetwork, Worker
from synth.set import SyntheticSet

USUAL_ROWS = ("distilled", "random", "kmeans")


class Evaluator(NamedTuple):
    """How sets of one modality are scored.

    Args:
      retraining: (data, part to score on, best on test) -> ((network, recipe) -> Worker), how networks are retrained.
      baselines: the rows that there are, by name.
      prepare: (seed -> what a row shows, network's name, seeds) -> (seed -> what the network learns from). It raises BadInput where that
        cannot serve the network; it is called for all networks before the first is trained.
      usual_rows: set -> the rows that stand in a table where the call names the usual ones.
      chooses_epoch: whether networks are scored at their best epoch on validation examples, not at their last.
      trained_nets: whether there are trained networks of this modality, for `--teachers` and `--frozen`.
      majority: whether a report says how often the commonest training class is right.
      joint: whether `prepare` makes what the network of a seed learns from depend on how many seeds there are.
    """

    retraining: Callable[[Any, Any, bool], Callable[[ScoringNetwork, Protocol], Worker]]
    baselines: Mapping[str, Baseline]
    prepare: Callable[[Callable[[int], Any], str, int], Callable[[int], Any]] = lambda draw, net, seeds: draw
    usual_rows: Callable[[SyntheticSet], tuple[str, ...]] = lambda synth: USUAL_ROWS
    chooses_epoch: bool = False
    trained_nets: bool = True
    majority: bool = False
    joint: bool = False
