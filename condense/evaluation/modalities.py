"""The evaluators of sets, by modality. This is the only file of the room that names modalities."""

from condense.evaluation.graphs import GRAPHS
from condense.evaluation.images import IMAGES
from condense.evaluation.vectors import VECTORS

EVALUATORS = {"images": IMAGES, "graphs": GRAPHS, "vectors": VECTORS}
