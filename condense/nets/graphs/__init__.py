"""Graph networks, one a file. They differ in how they weigh the messages of neighbours; all else is `network.GraphNet`.

May import `condense.nets.layers` and `synth`.
"""

from condense.nets.graphs.gat import gat
from condense.nets.graphs.gcn import gcn
from condense.nets.graphs.gin import gin
from condense.nets.graphs.sage import sage

GRAPH_NETS = {"gcn": gcn, "gat": gat, "gin": gin, "sage": sage}
NEEDS_DEGREES = ("gcn",)  # of the leaves too: the others read none, or those that a tree shows
