"""The lossless summary of graphs: their colour graph."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np

from matchers.base import Matcher, once
from matchers.graphs.mirage import Leaves
from synth.errors import BadInput
from synth.graphs.base import GraphExamples
from synth.graphs.content import DEEPEST, colour_graph
from synth.graphs.refinement import Colours, colour_batch, evaluations, refine
from synth.labels.plain import Runs


def colour(budget: tuple[str, int] | None, *, depth: int = 2, leaves: Leaves = "mean") -> Matcher:
    """Joins all nodes that a network of L layers cannot tell apart; training on the result is training on all graphs, at fewer evaluations.

    Level l of the colour graph holds one node for every class of nodes with the same tree of depth l (Weisfeiler and Leman, 1968), edges
    and readout carry multiplicities, so loss and gradient of a full pass are those of all graphs.

    Args:
      budget: refused where one is given, because the set is as large as the data need.
      depth: L, the most layers that a network may have (>= 1).
      leaves: `exact` tells leaves of different degree apart, which GCN needs; with `mean` the set is smaller, serves all other networks and
        is refused to GCN.
    """
    exact = leaves == "exact"

    def solve(key, synth, examples):
        colours = refine(_class_major(examples).x, depth, degrees=exact)
        counts = examples.sizes()
        content = colour_graph(colour_batch(colours), examples.alphabet, exact=exact)
        return replace(synth, x=content, y=Runs(jnp.asarray(counts), jnp.asarray(counts)))

    if budget is not None:
        raise BadInput(f"--{budget[0]} {budget[1]}: colour loses nothing, so its size is what the data make it; leave the budget out")
    if depth > DEEPEST:
        raise BadInput(f"--depth {depth}: at most {DEEPEST} is possible")
    return once(solve)._replace(recipe="graph_full", remarks=lambda examples: saving(refine(examples.x, depth, degrees=exact)))


def saving(colours: Colours) -> list[str]:
    """One line for the user: how many node vectors a network computes in one pass over all graphs, without the colour graph and with it."""
    graphs, merged = evaluations(colours)
    layers = f"{colours.depth} layer{'s' * (colours.depth > 1)}"
    return [
        f"node evaluations of one pass of {layers}: {graphs:,} on the graphs, {merged:,} on their colours ({graphs / merged:.0f}x fewer)"
    ]


def _class_major(examples: GraphExamples) -> GraphExamples:
    return examples.take(np.argsort(examples.y, kind="stable"))
