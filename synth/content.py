"""What a synthetic set stores of its examples, and the examples it stands for."""

from synth.graphs.content import GRAPH_KINDS, ColourGraph, DenseGraphs, PackedGraphs, TreeSummary
from synth.images.content import Bounded, Bytes, Compensated, Pixels, Summed

Content = Pixels | Bytes | Compensated | Bounded | Summed | TreeSummary | PackedGraphs | ColourGraph | DenseGraphs
KINDS = {kind.kind: kind for kind in (Pixels, Bytes, Compensated, *GRAPH_KINDS)}
