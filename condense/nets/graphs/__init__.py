"""Graph networks, one a file. They differ in how they weigh the messages of neighbours; all else is `network.GraphNet`.

May import `condense.nets.layers` and `synth`.
"""

NEEDS_DEGREES = ("gcn",)  # of the leaves too: the others read none, or those that a tree shows
