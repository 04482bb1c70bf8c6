"""What scores sets, by modality: the one place of this room that names modalities."""

from condense.evaluation.graphs import GRAPHS
from condense.evaluation.images import IMAGES
from condense.evaluation.vectors import VECTORS

EVALUATORS = {"images": IMAGES, "graphs": GRAPHS, "vectors": VECTORS}
