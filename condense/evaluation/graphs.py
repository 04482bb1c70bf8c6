"""Scoring sets of graphs: beside random graphs at equal bytes in the same encoding, and all graphs without loss.

Networks are trained on colour graphs, where that gives what training on the graphs themselves gives; validation graphs, which choose the
epoch, are read the same way. The test graphs are read as they are.
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.graphs import GraphData
from condense.evaluation.baselines import Baseline, Comparison, no_facts, the_set
from condense.evaluation.evaluator import Evaluator
from condense.evaluation.facts import set_facts
from condense.nets.graphs import NEEDS_DEGREES
from condense.nets.precision import in_precision
from condense.nets.registry import NETS
from evals.graph_size import GraphSize, MeanSizes, mean_sizes
from evals.protocol import ScoringNetwork, Worker
from evals.retrain_graphs import WeightedBatch, graph_worker, make_graph_trainer, shares
from evals.retraining import EvalRecipe
from evals.storage import count_bytes
from synth.base import take_all
from synth.errors import BadInput
from synth.graphs.base import RATIO, GraphBatch, GraphExamples, Sizes, batch_of, batches, common, padded, sizes_of
from synth.graphs.content import ColourGraph
from synth.graphs.refinement import colour_batch, refine
from synth.labels.plain import Runs
from synth.selection.graphs import choose_within, pack
from synth.set import SyntheticSet

PIECE = 256  # test graphs that are read at a time


def read_as_colours(examples: GraphExamples, net: str) -> GraphBatch:
    """Makes one batch of all the graphs: their colour graph, on which a network gives every graph the same output with less work.

    With L the number of the network's layers, the colour graph has levels 0, 1, ..., L. On level l one node stands for all nodes, of all
    the graphs, that look alike as far as l edges away; edges and readout hold how often they occur (`colour_batch`). From level 1 on, nodes
    of different degree never look alike. On level 0 they share a node if they have the same tag, except where the network reads degrees
    even there (GCN).

    Args:
      examples: the graphs. Their class indices are not read.
      net: specification of the network, such as `gin:depth=3`. For one that is not of this package nothing is merged: the batch has every
        node of every graph.

    Raises BadInput for options that the network does not take.
    """
    depth = depth_of(net)
    return batch_of(examples.x) if depth is None else colour_batch(refine(examples.x, depth, degrees=reads_degrees(net)))


def depth_of(net: str) -> int | None:
    """The number of layers of a graph network, by its specification; None for one that is not of this package."""
    return nets.parse(net)[1]["depth"] if net.partition(":")[0] in NETS else None


def reads_degrees(net: str) -> bool:
    """Whether a network's result depends on the degrees of nodes; of one from outside nobody knows that it does not."""
    name = net.partition(":")[0]
    return name in NEEDS_DEGREES or name not in NETS


def weighted_batch(synth: SyntheticSet, net: str) -> WeightedBatch:
    """All examples of a set as the one batch that a network learns from, with weights that sum to 1. Raises BadInput if the set cannot
    serve the network, or if it is damaged."""
    if isinstance(synth.x, ColourGraph) and not synth.x.exact and reads_degrees(net):
        raise BadInput(f"--net {net}: reads degrees of leaves, which this set does not tell apart; distil with --leaves exact")
    index, frequency = np.asarray(synth.y.probs()).argmax(1).astype(np.int32), synth.x.frequency()
    if len(index) != len(frequency):
        raise BadInput(f"the set has {len(index)} labels for {len(frequency)} examples; it is damaged")
    sizes = np.asarray(synth.y.sizes if isinstance(synth.y, Runs) else np.bincount(index, minlength=synth.y.classes), np.float64)
    return WeightedBatch(synth.x.decode(depth=depth_of(net)), jnp.asarray(index), jnp.asarray(shares(index, frequency, sizes)))


def full_batch(examples: GraphExamples, net: str) -> WeightedBatch:
    """All graphs as one batch, read as colours; every graph has the same weight, 1 / n."""
    graphs, count = read_as_colours(examples, net), len(examples.y)
    return WeightedBatch(graphs, jnp.asarray(examples.y), jnp.full(count, 1 / count, jnp.float32))


def same_shapes(rows: Sequence[WeightedBatch]) -> list[WeightedBatch]:
    """Pads the batches to a few common shapes, so that few compilations serve them all, and returns them in the same order. Batches of
    similar size share the smallest shape that holds them, if it is at most RATIO times the size of each. Padding has weight 0."""
    sizes, shared = [sizes_of(row.x) for row in rows], []
    for size in sorted(sizes, key=lambda size: (size.entries, size)):
        joined = common([shared[-1][0], size]) if shared else size
        if shared and all(small_enough(joined, member) for member in (*shared[-1][1], size)):
            shared[-1] = joined, [*shared[-1][1], size]
        else:
            shared.append((size, [size]))
    shape = {size: whole for whole, members in shared for size in members}

    def fill(row: WeightedBatch, whole: Sizes) -> WeightedBatch:
        short = (0, whole.graphs - len(row.y))
        return WeightedBatch(padded(row.x, whole), jnp.pad(row.y, short), jnp.pad(row.p, short))

    return [fill(row, shape[size]) for row, size in zip(rows, sizes, strict=True)]


def small_enough(whole: Sizes, part: Sizes) -> bool:
    """Whether every size in `whole` is at most RATIO times the same size in `part`."""
    return all(a <= RATIO * b for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(part), strict=True))


def draw_random(key: jax.Array, synth: SyntheticSet, data: GraphData) -> SyntheticSet:
    """A set of random training graphs, class-major, of no more bytes than the set `synth`, labels included. The same key draws the same.
    Raises BadInput where the bytes do not hold a graph of every class."""
    total = count_bytes(synth)["total"]
    try:
        examples = take_all(data.train)
        return pack(synth, examples, choose_within(key, examples, ("bytes", total)))
    except BadInput as error:
        raise BadInput(f"--rows random: the set's {total} bytes do not hold a graph of every class; take --rows distilled") from error


def random(comparison: Comparison) -> Callable[[int], SyntheticSet]:
    """Returns seed -> a set of random training graphs of no more bytes than the set: others for every seed, the same for every network.
    The returned function raises BadInput where the bytes do not hold a graph of every class."""
    return cache(lambda seed: draw_random(comparison.key_of(seed), comparison.synth, comparison.data))


def everything(comparison: Comparison) -> Callable[[int], GraphExamples]:
    """Returns seed -> all training graphs, the same examples for every seed and network."""
    whole = cache(lambda: take_all(comparison.data.train))
    return lambda seed: whole()


def sizes_alone(comparison: Comparison) -> Callable[[int], MeanSizes]:
    """Returns seed -> the mean number of nodes of the training graphs of every class, the same for every seed; infinite for a class without
    graphs."""
    train, classes = take_all(comparison.data.train), len(comparison.data.classes)
    means = mean_sizes(np.asarray(train.x.nodes), np.asarray(train.y), classes)
    return lambda seed: means


def prepare(
    draw: Callable[[int], SyntheticSet | GraphExamples | MeanSizes], net: str, seeds: int
) -> Callable[[int], WeightedBatch | MeanSizes]:
    """Returns a function from a seed to the batch that the network learns from. All batches are made at once, and a set that all seeds
    share becomes one batch.

    Args:
      draw: seed -> what a row shows: a set, all graphs, or mean sizes; a function that gives mean sizes is returned as it is.
      net: the network's specification.
      seeds: how many there are: 0 to seeds - 1.

    Raises BadInput where what is drawn cannot serve the network.
    """
    drawn = [draw(seed) for seed in range(seeds)]
    if isinstance(drawn[0], MeanSizes):
        return draw
    if all(one is drawn[0] for one in drawn):
        same = full_batch(drawn[0], net) if isinstance(drawn[0], GraphExamples) else weighted_batch(drawn[0], net)
        return lambda seed: same
    rows = same_shapes([weighted_batch(one, net) for one in drawn])
    return lambda seed: rows[seed]


def retraining(data: GraphData, part: GraphExamples, best_on_test: bool) -> Callable[[ScoringNetwork, EvalRecipe], Worker]:
    """Builds (network, recipe) -> worker. The worker retrains the network, chooses its epoch on the validation graphs of `data`, and scores
    it on `part`. It does not score on `part` during training: `best_on_test` is ignored."""

    @cache
    def test() -> list[tuple[GraphBatch, Any]]:
        return [(batch, part.y[index]) for index, batch in batches(part.x, np.arange(len(part.y)), size=PIECE)]

    @cache
    def validation(net: str) -> tuple[GraphBatch, Any]:
        return read_as_colours(take_all(data.val), net), jnp.asarray(data.val.y)

    def build(network: ScoringNetwork, recipe: EvalRecipe) -> Worker:
        trainer = make_graph_trainer(in_precision(network.net, recipe.precision, network.name), recipe)
        return graph_worker(network.name, trainer, recipe, partial(validation, network.name), test)

    return build


def usual_rows(synth: SyntheticSet) -> tuple[str, ...]:
    """The names of the rows that a set of graphs gets unasked: itself and random graphs, or itself alone where it is the colour graph,
    which stands for all graphs. There is no k-means of graphs."""
    return ("distilled",) if isinstance(synth.x, ColourGraph) else ("distilled", "random")


GRAPHS = Evaluator(
    retraining,
    {
        "distilled": Baseline(the_set, facts=set_facts),
        "random": Baseline(random, real=True, facts=lambda synth: {"bytes": count_bytes(synth)["total"]}),
        "size": Baseline(sizes_alone, facts=no_facts, protocol=GraphSize()),
        "full": Baseline(everything, recipe="graph_full", facts=no_facts),
    },
    prepare,
    usual_rows,
    joint=True,
    chooses_epoch=True,
    trained_nets=False,
    majority=True,
)
