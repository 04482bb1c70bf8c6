"""Counts how often computation trees occur. Summaries by frequent trees assume that few trees are very frequent."""

import numpy as np
from jaxtyping import Int64

from condense.data.graphs import GraphData
from condense.data.images import Data
from condense.data.modality import check_modality
from synth.base import take_all
from synth.errors import BadInput
from synth.graphs.refinement import refine


def count_trees(data: Data | GraphData, depth: int) -> Int64[np.ndarray, " trees"]:
    """Counts, for every computation tree of depth `depth`, the training nodes that have it. The most frequent tree comes first.

    A summary by frequent trees, as `mirage` makes it, is worth something where the first few numbers are most of the sum. A leaf of another
    degree in its graph makes another tree, as `mirage` tells them by default.

    Args:
      data: graphs, as `load_data` gives them.
      depth: of the trees, which is the layers of a network (>= 0).

    Raises BadInput for data that hold no graphs, and for a negative depth.
    """
    graphs: GraphData = check_modality(data, "graphs", flag="--data")
    if depth < 0:
        raise BadInput(f"depth={depth}: give 0 or more")
    return np.sort(np.bincount(refine(take_all(graphs.train).x, depth, degrees=True).rounds[-1]))[::-1].astype(np.int64)
