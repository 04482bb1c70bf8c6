"""Scoring sets of vectors: as sets of images are scored, without augmentation."""

from condense.evaluation.baselines import OF_EVERYTHING
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.images import retraining

VECTORS = Evaluator(
    retraining,
    {name: row for name, row in OF_EVERYTHING.items() if name != "random_2x2"}
    | {"full": OF_EVERYTHING["full"]._replace(recipe="full_vectors")},
    trained_nets=False,
)
