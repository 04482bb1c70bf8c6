"""Scoring sets of images: how networks are retrained on them."""

from collections.abc import Callable

from condense.data.images import Data
from condense.engine.storage import stored_as
from condense.evaluation.baselines import BASELINES
from condense.evaluation.evaluator import USUAL_ROWS, Evaluator
from condense.nets.precision import in_precision
from condense.runtime.devices import devices, over_devices
from evals.protocol import ScoringNetwork, Worker
from evals.retrain import Trainer, make_trainer, retraining_worker
from evals.retraining import EvalRecipe
from synth.base import Split
from synth.images.augment import cut_each, dsa, dsa_strategy, one_each
from synth.images.frepo import frepo
from synth.images.policies import autoaugment, jitter, on_bytes, randaugment
from synth.set import SyntheticSet


def build_trainer(network: ScoringNetwork, recipe: EvalRecipe, data: Data) -> Trainer:
    """Compiles the training of a network under a recipe. Images go through the recipe's view and augmentation, without flips where a
    mirrored image of this data means something else."""
    view = recipe.view_for(height=data.image[0], flips=data.flips)
    known = {"": None, "dsa": dsa(dsa_strategy(data.flips)), "dc": one_each, "cutout": cut_each, "frepo": frepo(data.flips)}
    known |= {change.__name__: on_bytes(data.preprocess, change) for change in (autoaugment, randaugment, jitter)}
    augment = known[recipe.augment]
    net = in_precision(network.net, recipe.precision, network.name)
    return make_trainer(net, recipe, augment, view=view, over_devices=over_devices)


def retraining(data: Data, part: Split, best_on_test: bool) -> Callable[[ScoringNetwork, EvalRecipe], Worker]:
    """Builds (network, recipe) -> worker. The worker retrains the network and scores it on `part` at its last step, and with `best_on_test`
    also during training."""

    def build(network: ScoringNetwork, recipe: EvalRecipe) -> Worker:
        trainer = build_trainer(network, recipe, data)
        return retraining_worker(network.name, trainer, recipe, part, devices=len(devices()), best_on_test=best_on_test)

    return build


def usual_rows(synth: SyntheticSet) -> tuple[str, ...]:
    """The names of the rows that a set of images gets unasked. A set whose storage can be chosen for real images too, such as `u8`, also
    gets `random-best` and `kmeans-best`, whose images are stored as suits them best."""
    return (*USUAL_ROWS, "random-best", "kmeans-best") if stored_as(synth.x) else USUAL_ROWS


IMAGES = Evaluator(retraining, BASELINES, usual_rows=usual_rows)
