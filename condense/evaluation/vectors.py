"""Scoring sets of vectors: as sets of images are scored, without augmentation."""

from condense.evaluation.baselines import BASELINES
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.images import retraining

VECTORS = Evaluator(
    retraining,
    {**BASELINES, "full": BASELINES["full"]._replace(recipe="full_vectors")},
    trained_nets=False,
)
