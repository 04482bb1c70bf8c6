"""Scoring sets of vectors: as sets of images are scored, without augmentation."""

from condense.evaluation.baselines import BASELINES, Baseline, everything
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.images import retraining

VECTORS = Evaluator(
    retraining,
    {**BASELINES, "full": Baseline(everything, recipe="full_vectors")},
    trained_nets=False,
)
