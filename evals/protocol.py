"""The contract of an evaluation protocol, which measures how good a set is.

A protocol is a frozen value with a name. It states facts about itself, and builds a `Worker` for a network and the examples to score on.
The workbench asks nothing else of it, whether it retrains networks (`evals.retraining`), solves for a ridge head (`evals.krr`) or does
something new. Where examples are collages (`SyntheticSet.cells`) it shows networks one cell at a time, or takes cells for examples. To add
a protocol, write its class in a file of this folder and add its entry to `evals.recipes`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import jax

from evals.report import Report, join
from synth.base import Net, Vars
from synth.errors import BadInput
from synth.images.views import View


class ScoringNetwork(NamedTuple):
    """A network that scores sets.

    Args:
      name: what reports call it: its specification, or `Protocol.own_net`.
      net: the network; None under a protocol that needs none.
      vars: its variables where it is a trained one that stays as it is; None where every seed draws its own.
    """

    name: str
    net: Net | None = None
    vars: Vars | None = None


class ScoringTask(NamedTuple):
    """The examples on which sets are scored, and how networks are retrained for it.

    Args:
      modality: what the examples are, a name in `condense.data.modality`.
      part: the examples to score on, with class indices `y`.
      retrain: (network, recipe) -> Worker, how networks are retrained on examples of this modality; for protocols that do.
    """

    modality: str
    part: Any
    retrain: Callable[[ScoringNetwork, Any], "Worker"]


class Worker(NamedTuple):
    """Compiled scoring of one network under one protocol. Rows of examples with the same shapes share the compilation.

    Args:
      report: (key, set kind, draw, *, numbers, tick) -> Report on one group of seeds, which work at a time: a score for each of `numbers`,
        the last of which may stand there several times. `draw(seed)` is what the network of a seed learns from: the set, real examples
        beside it, or what `condense.evaluation` makes of them for its modality. Seed i uses fold_in(key, i), whatever runs beside it.
        `tick(n)` says that n of `ticks` are done.
      seconds: (what is drawn, group) -> how long a group of seeds takes; compiles and times for that, if need be.
      ticks: how often the progress bar advances for a group.
      group: (seeds, whole) -> how many seeds work at a time; `whole` says that each holds all training examples.
      apart: whether rows differ in size, so that each one's time is measured, not the first one's for all.
    """

    report: Callable[..., Report]
    seconds: Callable[[Any, int], float] = lambda drawn, group: 1.0
    ticks: int = 1
    group: Callable[[int, bool], int] = lambda seeds, whole: 1
    apart: bool = False


def groups_of(seeds: int, group: int) -> list[tuple[int, ...]]:
    """The seeds 0 to `seeds` - 1 in groups of `group`, which work at a time. A short last group is filled by repeating its last seed,
    because another size would compile everything again."""
    return [tuple(min(number, seeds - 1) for number in range(first, first + group)) for first in range(0, seeds, group)]


def score_seeds(
    key: jax.Array, worker: Worker, kind: str, draw: Callable[[int], Any], *, seeds: int, group: int, tick: Callable[[int], None]
) -> Report:
    """One report on a row of a table: scores of seeds 0 to `seeds` - 1, worked on in groups of `group`.

    Args:
      key: seed i uses fold_in(key, i).
      worker: does the scoring.
      kind: what reports call the row, such as `distilled`.
      draw: seed -> what its network learns from.
      tick: the worker calls `tick(n)` when n more of its `ticks` are done.
    """
    return join([worker.report(key, kind, draw, numbers=numbers, tick=tick) for numbers in groups_of(seeds, group)], seeds)


class Protocol(ABC):
    """Measures how good a set is. Subclasses are frozen dataclasses, which override what differs from this class.

    Attributes:
      name: what reports and `--recipe` call it.
      measure: what a score on validation examples is called in metrics.jsonl. Protocols that share it compare: a table holds one measure.
      does: what it does, for messages, as in "scores by a ridge head".
      trains: whether it trains networks, for `epochs` epochs and in mini-batches. Only such a protocol may be given teachers that answer
        meanwhile, labels that answer to its views, and `--best-on-test`, which scores on the way.
      own_loss: whether it trains networks on teachers' answers by a loss of its own, and not by that of the labels.
      own_net: what reports name in place of a network, where it needs none; empty where it needs one.
      takes_frozen: whether it scores with trained networks that stay as they are (`--frozen`).
      modalities: what it can score; None for anything.
      epochs: of one training. batch: examples a step, 0 where the set's size says it. temperature: of labels that teachers make for it.
      precision: of the products in the networks that it trains, `f32` or `bf16`.
      options: what may be written behind its name, as in `dsa:epochs=7`; see `vary`.
    """

    name: str
    measure: ClassVar[str]
    does: ClassVar[str]
    trains: ClassVar[bool] = False
    options: ClassVar[tuple[str, ...]] = ()
    own_loss: bool = False
    own_net: str = ""
    takes_frozen: bool = False
    modalities: tuple[str, ...] | None = None
    epochs: int = 1
    batch: int = 0
    temperature: float = 1.0
    precision: str = "f32"

    @abstractmethod
    def worker(self, network: ScoringNetwork, task: ScoringTask) -> Worker:
        """Builds what scores sets by a network on a task."""

    def view_for(self, *, height: int, flips: bool) -> View | None:
        """The view through which mini-batches of images of this height are shown; None, as by default, if they are shown as they are.
        `flips` says whether a mirrored image keeps its label."""
        return None

    def batch_of(self, n: int, classes: int) -> int:
        """The number of examples a step for a set of n examples of so many classes; by default all n."""
        return n

    def for_size(self, n: int) -> "Protocol":
        """The protocol for a set of n examples, under the same name; another one where its length depends on that. By default itself."""
        return self

    def vary(self, option: str, text: str) -> "Protocol":
        """The protocol with another value, written as `text`, of one of its `options`; its name says so. Raises BadInput for a wrong value,
        and by default always, because there are no options."""
        raise BadInput(f"--recipe {self.name}:{option}={text}: there is no such option; leave it out")
