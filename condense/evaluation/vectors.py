"""Scoring sets of vectors: as sets of images are scored, without augmentation."""

from condense.evaluation.baselines import BASELINES
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.images import retraining

VECTORS = Evaluator(
    retraining,
    {name: row for name, row in BASELINES.items() if name != "random_2x2"} | {"full": BASELINES["full"]._replace(recipe="full_vectors")},
    trained_nets=False,
)
