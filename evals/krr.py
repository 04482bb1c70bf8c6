"""Scores in closed form: the ridge head that a set determines, as the kernel methods' papers report it. No network is trained.

Such a score is not the accuracy of a network trained on the set, and usually higher: a table never holds both.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from evals.protocol import Protocol, ScoringNetwork, ScoringTask, Worker
from evals.report import Report
from synth.base import Net, Split, Vars, fresh
from synth.errors import BadInput, RunFailed
from synth.images.views import every_cell
from synth.set import SyntheticSet
from synth.training.fit import in_batches
from synth.training.ridge import linear, ntk, regression
from synth.training.stream import count_over, on_device

PIECE = 64  # examples that go through a network together


@dataclass(frozen=True)
class RidgeHead(Protocol):
    """Scores a set by a ridge head in closed form instead of training a network, as the papers of kernel methods do.

    Args:
      name: what the recipe is called.
      kernel: linear on the features of a network as it is drawn, or of a given one (`net`), or the neural tangent kernel of a
        fully-connected one (`ntk`).
      reg: lambda is `reg` times the mean of the kernel's diagonal.
    """

    name: str
    kernel: Literal["net", "ntk"]
    reg: float = 1e-6

    measure = "val_ridge_accuracy"
    does = "scores by a ridge head"
    options = ("reg",)
    modalities = ("images", "vectors")

    @property
    def own_net(self) -> str:
        """`ntk` for the tangent kernel, which needs no network and takes its place in tables; empty for the kernel `net`."""
        return "ntk" if self.kernel == "ntk" else ""

    @property
    def takes_frozen(self) -> bool:
        """Whether the head can use the features of trained networks: True for the kernel `net`, False for `ntk`."""
        return self.kernel == "net"

    def worker(self, network: ScoringNetwork, task: ScoringTask) -> Worker:
        """The worker that solves for the head, one seed after another. It does not measure the time: its estimate is one second a group."""
        score = make_scorer(network.net, self, frozen=network.vars)

        def report(key: jax.Array, kind: str, draw: Callable[[int], SyntheticSet], *, numbers: Sequence[int], tick) -> Report:
            return closed_form(key, score, self, draw, task.part, numbers=numbers, net_name=network.name, set_kind=kind, tick=tick)

        return Worker(report)

    def vary(self, option: str, text: str) -> "RidgeHead":
        """The head with the regularisation R > 0 that `text` says, called `NAME:reg=R`; itself where that is its own. `option` is not read.
        Raises BadInput for a text that is no number above 0."""
        try:
            reg = float(text)
        except ValueError:
            reg = 0.0
        if not 0 < reg < math.inf:
            raise BadInput(f"--recipe {self.name}:reg={text}: give a regularisation above 0, as in {self.name}:reg=0.001")
        return self if reg == self.reg else replace(self, name=f"{self.name}:reg={text}", reg=reg)


def make_scorer(net: Net | None, recipe: RidgeHead, *, frozen: Vars | None = None) -> Callable:
    """Builds (key, synth, x, y) -> i32[2], how many of the examples are predicted right and of how many a value is not finite, compiled.
    Rows whose class is -1 count as neither.

    The kernel is linear on the features, in evaluation mode, of a network that is not trained here: drawn from the key, or with the
    `frozen` variables; or it is the NTK of flattened examples, which reads no key and no network. An example that counts w times counts as
    w equal rows, and each cell of a collage as an example of its label.
    """

    def features(vars: Vars, x):
        return net.apply(vars, x).embed if recipe.kernel == "net" else x.reshape(len(x), -1)

    gram = linear if recipe.kernel == "net" else ntk

    @jax.jit
    def score(key, frozen, synth: SyntheticSet, x, y):
        vars = Vars(()) if recipe.kernel == "ntk" else fresh(key, net) if frozen is None else frozen
        shown, targets, weight = examples_of(synth)
        head = regression(features(vars, shown), targets, gram=gram, reg=recipe.reg, weight=weight)
        values = in_batches(lambda vars, piece: head(features(vars, piece)), vars, x, batch=PIECE)
        finite = jnp.isfinite(values).all(-1)
        return jnp.stack([jnp.sum(finite & (values.argmax(-1) == y)), jnp.sum(~finite & (y >= 0))])

    return lambda key, synth, x, y: score(key, frozen, synth, x, y)


def examples_of(synth: SyntheticSet) -> tuple[jax.Array, Float[Array, "n c"], Float[Array, " n"] | None]:
    """The examples of a set, their regression values and weights; None for weights where all count alike. Of a set of collages the examples
    are the cells, each resized to the whole."""
    x, y, weight = synth.x.decode(), synth.y.regressed(), synth.weight
    if synth.cells == 1:
        return x, y, weight
    each = synth.cells**2
    return every_cell(x, synth.cells), jnp.repeat(y, each, 0), None if weight is None else jnp.repeat(weight, each)


def closed_form(
    key: jax.Array,
    score: Callable,
    recipe: RidgeHead,
    draw: Callable[[int], SyntheticSet],
    test: Split,
    *,
    numbers: Sequence[int],
    net_name: str = "",
    set_kind: str = "distilled",
    tick: Callable[[int], None] | None = None,
) -> Report:
    """Reports one accuracy for each of `numbers`, in their order: on `test`, of the ridge head that the set `draw(i)` determines on the
    features of network i, which is drawn from fold_in(key, i) unless `score` holds frozen variables.

    Args:
      score: what `make_scorer` builds of the network and the recipe.
      recipe, net_name, set_kind: for the report and messages; nothing else is read of them.
      tick: `tick(1)` is called after each.

    Raises RunFailed where a head's value is not finite.
    """
    began, accuracies = time.perf_counter(), []
    test = on_device(test)
    for number in numbers:
        synth, k_net = draw(number).bare(), jax.random.fold_in(key, number)
        right, lost = map(int, count_over(partial(score, k_net, synth), test))
        if lost:
            what = f"the ridge head of the {set_kind} set under recipe {recipe.name}"
            raise RunFailed(f"{what} has no finite value for {lost} of {len(test.y)} examples; look at the set with `condense show`")
        accuracies.append(right / len(test.y))
        if tick:
            tick(1)
    return Report(net_name, recipe.name, set_kind, tuple(accuracies), time.perf_counter() - began)
