"""What scores sets, by modality: the one place of this room that names modalities."""

from condense.evaluation.graphs import GRAPHS
from condense.evaluation.images import IMAGES

EVALUATORS = {"images": IMAGES, "graphs": GRAPHS}
