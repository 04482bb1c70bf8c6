"""The score on validation examples, which may be used to select during a distillation."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import jax

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.evaluation.choices import build_network
from condense.evaluation.modalities import EVALUATORS
from condense.evaluation.rows import INIT
from condense.runtime.log import COMPILING, progress
from evals.protocol import Protocol, ScoringTask, score_seeds
from synth.base import Teacher
from synth.labelling import present
from synth.set import SyntheticSet
from synth.training.stream import held


def validation_score(
    data: Data | GraphData, net: str, recipe: Protocol, *, seed: int, teachers: Sequence[Teacher] = (), seeds: int = 1
) -> Callable[[SyntheticSet], float]:
    """Returns a function set -> accuracy, in [0, 1]: that of networks trained on the set, on the validation split, the mean over `seeds`
    networks. Each call trains them from the same starts.

    Args:
      net: their specification; not used where the recipe has a model of its own.
      recipe: how networks are trained and scored. What it measures has the name `recipe.measure`.
      seed: of the networks.
      teachers: those that made the labels, for sets whose labels ask them during training.
    """
    evaluator = EVALUATORS[data.modality]
    network = build_network(recipe.own_net or net, recipe, data)
    part = held(data.val)
    worker = recipe.worker(network, ScoringTask(data.modality, part, evaluator.retraining(data, part, False)))
    phases = iter((COMPILING,))  # of the first score alone
    key, group = jax.random.fold_in(jax.random.key(seed), INIT), worker.group(seeds, False)

    def score(synth: SyntheticSet) -> float:
        ready = replace(synth, y=present(synth.y, teachers))
        draw = evaluator.prepare(lambda number: ready, network.name, seeds)
        total = -(-seeds // group) * worker.ticks
        with contextlib.ExitStack() as stack:
            # a score that is one piece of work has no progress to show
            bar = stack.enter_context(progress(total, "score on val", phase=next(phases, ""))) if total > 1 else None
            tick = bar.advance if bar else lambda done: None
            return score_seeds(key, worker, "distilled", draw, seeds=seeds, group=group, tick=tick).mean

    return score
