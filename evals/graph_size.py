"""What the size of graphs alone tells of their class: a row of no bytes and no network, beside which scores of sets are to be read."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from evals.protocol import Protocol, ScoringNetwork, ScoringTask, Worker
from evals.report import Report
from evals.retrain_graphs import roc_auc


class MeanSizes(NamedTuple):
    """The mean number of nodes of the training graphs of every class."""

    nodes: Float[np.ndarray, " classes"]


def mean_sizes(nodes: Int[np.ndarray, " n"], y: Int[np.ndarray, " n"], classes: int) -> MeanSizes:
    """The mean number of nodes by class, of graphs with so many `nodes` each and class indices y. Of a class without graphs it is infinite,
    so that nothing is nearest to it."""
    return MeanSizes(np.array([nodes[y == c].mean() if (y == c).any() else np.inf for c in range(classes)]))


def size_scores(means: MeanSizes, nodes: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n classes"]:
    """For every graph and class minus the squared distance between its number of nodes and the class's mean: the largest is the nearest."""
    return -np.square(nodes[:, None].astype(np.float64) - means.nodes[None])


@dataclass(frozen=True)
class GraphSize(Protocol):
    """Gives a graph to the class whose mean number of nodes is nearest. Of two classes the area under the curve is that of the number of
    nodes itself. It draws nothing, so all seeds have one score."""

    name: str = "size"
    modalities: tuple[str, ...] | None = ("graphs",)
    measure = "val_accuracy"
    does = "compares numbers of nodes"

    def worker(self, network: ScoringNetwork, task: ScoringTask) -> Worker:
        """The worker, which trains nothing. What `draw` gives it are `MeanSizes`, and all seeds get the scores of the first."""
        part = task.part

        def report(key, kind: str, draw: Callable[[int], MeanSizes], *, numbers: Sequence[int], tick) -> Report:
            began = time.perf_counter()
            found = size_scores(draw(numbers[0]), np.asarray(part.x.nodes))
            right, area = float((found.argmax(1) == part.y).mean()), roc_auc(found, np.asarray(part.y))
            tick(1)
            return Report(network.name, self.name, kind, (right,) * len(numbers), time.perf_counter() - began, (area,) * len(numbers))

        return Worker(report, lambda drawn, group: 0.0)
