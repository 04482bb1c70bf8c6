"""Scoring sets of images: how networks are retrained on them."""

from collections.abc import Callable

from condense.data.images import Data
from condense.engine.storage import stored_as
from condense.evaluation.baselines import BASELINES
from condense.evaluation.evaluator import USUAL_ROWS, Evaluator
from condense.runtime.devices import devices, over_devices
from evals.protocol import ScoringNetwork, Worker
from evals.retrain import Trainer, make_trainer, retraining_worker
from evals.retraining import EvalRecipe
from synth.base import Split
from synth.images.augment import cut_each, dsa, dsa_strategy, one_each
from synth.images.frepo import frepo
from synth.set import SyntheticSet


def build_trainer(network: ScoringNetwork, recipe: EvalRecipe, data: Data) -> Trainer:
    """Compiles the training of a network under a recipe, with the augmentation that keeps the labels of this data."""
    view = recipe.view_for(height=data.image[0], flips=data.flips)
    known = {"": None, "dsa": dsa(dsa_strategy(data.flips)), "dc": one_each, "cutout": cut_each, "frepo": frepo(data.flips)}
    augment = known[recipe.augment]
    return make_trainer(network.net, recipe, augment, view=view, over_devices=over_devices)


def retraining(data: Data, part: Split, best_on_test: bool) -> Callable[[ScoringNetwork, EvalRecipe], Worker]:
    """Builds (network, recipe) -> worker. The worker retrains the network and scores it on `part` at its last step, and with `best_on_test`
    also during training."""

    def build(network: ScoringNetwork, recipe: EvalRecipe) -> Worker:
        trainer = build_trainer(network, recipe, data)
        return retraining_worker(network.name, trainer, recipe, part, devices=len(devices()), best_on_test=best_on_test)

    return build


def usual_rows(synth: SyntheticSet) -> tuple[str, ...]:
    """The usual rows. Beside a set in fewer bytes real examples stand as it is stored, and in the content that is best for them."""
    return (*USUAL_ROWS, "random-best", "kmeans-best") if stored_as(synth.x) else USUAL_ROWS


IMAGES = Evaluator(retraining, BASELINES, usual_rows=usual_rows)
