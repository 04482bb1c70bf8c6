"""Retraining on graphs: fresh networks trained on a set from several seeds, the epoch chosen on validation graphs, the test scored once.

An example i of class c counts p_i = size_c / sum(size) * f_i / sum over the class of f: classes as often as in the data, examples within
a class as often as their frequency says. Sets of at most one batch are sampled by p; larger ones, and all under a recipe whose batch is 0,
are passed over whole, weighted by p.
"""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from evals.protocol import Worker
from evals.report import Report, confusion_of
from evals.retraining import EvalRecipe
from synth.base import Net, Vars, fresh
from synth.errors import BadInput, RunFailed
from synth.graphs.base import GraphBatch
from synth.numerics.pytree import all_finite

INIT, DRAW = 0, 1  # key streams of a seed


class WeightedBatch(NamedTuple):
    """The batch that a network learns from: graphs, class indices, and a weight for each graph (the weights sum to 1)."""

    x: GraphBatch
    y: Int[Array, " b"]
    p: Float[Array, " b"]


class Trained(NamedTuple):
    """A network in training, and its best state so far by its score on validation graphs (the earliest of equals)."""

    vars: Vars
    opt: optax.OptState
    best: Vars
    score: Float[Array, ""]
    epoch: Int[Array, ""]


def shares(y: Int[np.ndarray, " n"], frequency: Float[np.ndarray, " n"], sizes: Float[np.ndarray, " c"]) -> Float[np.ndarray, " n"]:
    """The weight of every example i of class c, p_i = size_c / sum(size) * f_i / (sum of f over class c), in float32. They sum to 1: the
    weight of a class without examples goes to the other classes.

    Args:
      y: class indices. frequency: f, how often each example counts within its class.
      sizes: how many real examples each class has.
    """
    of_class = np.bincount(y, frequency, minlength=len(sizes))
    prior = np.where(of_class > 0, sizes, 0)
    return (prior[y] / prior.sum() * frequency / of_class[y]).astype(np.float32)


def draw_shares(key: jax.Array, p: Float[Array, " n"], size: int) -> Float[Array, " n"]:
    """Draws `size` examples with probabilities p, with replacement, and returns for each of the n examples its share of the draws. The
    shares sum to 1."""
    chosen = jax.random.categorical(key, jnp.log(p), shape=(size,))
    return jnp.bincount(chosen, length=len(p)).astype(p.dtype) / size


def accuracy(logits: Float[Array, "b c"], y: Int[Array, " b"], real: Float[Array, " b"]) -> Float[Array, ""]:
    """The fraction of the real graphs that are classified right. `real` is 1 for a graph and 0 for padding."""
    right = (logits.argmax(-1) == y).astype(real.dtype)
    return jnp.sum(right * real) / jnp.sum(real)


def area(logits: Float[Array, "b c"], y: Int[Array, " b"], real: Float[Array, " b"]) -> Float[Array, ""]:
    """The area under the ROC curve of the real graphs, as `roc_auc` has it, for compiled code; NaN where a class has no graph. `real` is 1
    for a graph and 0 for padding."""
    classes = logits.shape[1]
    areas = []
    for c in range(classes) if classes > 2 else (1,):
        score = logits[:, c] - jnp.concatenate([logits[:, :c], logits[:, c + 1 :]], 1).max(1)
        positive, negative = (jnp.where(chosen, real, 0) for chosen in (y == c, y != c))
        order = jnp.argsort(score)
        below = jnp.concatenate([jnp.zeros(1, real.dtype), jnp.cumsum(negative[order])])
        places = [jnp.searchsorted(score[order], score, side=side) for side in ("left", "right")]
        beaten = (below[places[0]] + below[places[1]]) / 2  # ties half
        areas.append(jnp.sum(positive * beaten) / (jnp.sum(positive) * jnp.sum(negative)))
    return jnp.stack(areas).mean()


def roc_auc(scores: Float[np.ndarray, "n c"], y: Int[np.ndarray, " n"]) -> float:
    """Area under the ROC curve, in [0, 1]: how likely an example of a class is ranked above an example of another class; ties count half.

    Examples are ranked by their margin: the score of the class minus the largest score of the other classes. For two classes the area is
    that of the second class; for more it is the mean over the classes, each against all others. NaN where a class has no example.

    Args:
      scores: logits or probabilities, a column a class.
      y: class indices.
    """
    classes = range(scores.shape[1])
    return float(np.mean([_auc(scores[:, c] - np.delete(scores, c, 1).max(1), y == c) for c in (classes if len(classes) > 2 else (1,))]))


def _auc(score: np.ndarray, positive: np.ndarray) -> float:
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    n = int(positive.sum())
    return (rank[positive].sum() - n * (n + 1) / 2) / (n * (len(score) - n)) if 0 < n < len(score) else float("nan")


class GraphTrainer(NamedTuple):
    """Compiled pieces of one (network, recipe) pair; batches of the same shapes share the compilation.

    Args:
      train: (key, batch, validation, epochs) -> Trained after so many epochs; `validation` is (batch, class indices).
      read: (vars, batch) -> logits.
    """

    train: Callable
    read: Callable


def make_graph_trainer(net: Net, recipe: EvalRecipe) -> GraphTrainer:
    """Builds the compiled pieces of this network and recipe. Nothing is trained yet."""
    measure = {"accuracy": accuracy, "auc": area}[recipe.choose]

    def loss(params, batch: WeightedBatch, weight):
        logits = net.apply(Vars(params), batch.x, train=True).logits
        return jnp.sum(optax.softmax_cross_entropy_with_integer_labels(logits, batch.y) * weight)

    @jax.jit
    def train(key, batch: WeightedBatch, validation, epochs) -> Trained:
        seen, truth = validation

        def epoch(number, state: Trained) -> Trained:
            k_draw = jax.random.fold_in(jax.random.fold_in(key, DRAW), number)
            weight = draw_shares(k_draw, batch.p, recipe.batch) if recipe.batch and len(batch.p) <= recipe.batch else batch.p
            grads = jax.grad(loss)(state.vars.params, batch, weight)
            tx = recipe.optimiser(recipe.lr * recipe.factor(number, jnp.int32(recipe.epochs)))
            updates, opt = tx.update(grads, state.opt, state.vars.params)
            vars = Vars(optax.apply_updates(state.vars.params, updates))
            score = measure(net.apply(vars, seen).logits, truth, seen.real)
            better = score > state.score
            best = jax.tree.map(lambda new, old: jnp.where(better, new, old), vars, state.best)
            return Trained(vars, opt, best, jnp.where(better, score, state.score), jnp.where(better, jnp.int32(number) + 1, state.epoch))

        vars = fresh(jax.random.fold_in(key, INIT), net)
        untrained = measure(net.apply(vars, seen).logits, truth, seen.real) if recipe.choose == "auc" else jnp.float32(-1)
        start = Trained(vars, recipe.optimiser(jnp.float32(recipe.lr)).init(vars.params), vars, untrained, jnp.int32(0))
        return jax.lax.fori_loop(0, epochs, epoch, start)

    return GraphTrainer(train, jax.jit(lambda vars, x: net.apply(vars, x).logits))


def retrain_graphs(
    key: jax.Array,
    trainer: GraphTrainer,
    recipe: EvalRecipe,
    draw: Callable[[int], WeightedBatch],
    validation: tuple[GraphBatch, Int[Array, " b"]],
    test: Sequence[tuple[GraphBatch, np.ndarray]],
    *,
    numbers: Sequence[int],
    net_name: str = "",
    set_kind: str = "distilled",
    tick: Callable[[int], None] = lambda done: None,
) -> Report:
    """Reports accuracy and ROC-AUC on the test graphs of one fresh network for each of the seeds `numbers`, trained on `draw(seed)`, as it
    was at its best epoch on validation graphs (the earliest of equals). The report's `epochs` are these: how many epochs the network had
    been trained, 0 for none.

    Validation and test graphs come with their class indices i32[b]; those of the test in pieces. `trainer` is what `make_graph_trainer`
    builds, `net_name` and `set_kind` are for the report and messages, and `tick(1)` is called after each network.

    Seed i uses fold_in(key, i). Raises RunFailed where a training diverges, BadInput where the area under the curve is to choose and not
    every class has a validation graph.
    """
    began, rows = time.perf_counter(), []
    (seen, truth), classes = validation, len(np.unique(np.concatenate([y for _, y in test])))
    if recipe.choose == "auc" and len(np.unique(np.asarray(truth)[np.asarray(seen.real) > 0])) < classes:
        raise BadInput(f"--recipe {recipe.name}: chooses by ROC-AUC, and not every class has a validation graph; use more data or graph")
    for seed in numbers:
        trained = trainer.train(jax.random.fold_in(key, seed), draw(seed), validation, jnp.int32(recipe.epochs))
        if not all_finite(trained.vars):
            raise RunFailed(f"{net_name} trained on the {set_kind} set under recipe {recipe.name} diverged; try another --net or --recipe")
        logits = np.concatenate([np.asarray(trainer.read(trained.best, x))[: len(y)] for x, y in test])
        truth = np.concatenate([y for _, y in test])
        taken = np.zeros((logits.shape[1],) * 2, np.int64)
        np.add.at(taken, (truth, logits.argmax(1)), 1)
        rows.append((float((logits.argmax(1) == truth).mean()), roc_auc(logits, truth), int(trained.epoch), taken))
        tick(1)
    scores, areas, epochs, taken = zip(*rows, strict=True)
    seconds, confusion = time.perf_counter() - began, confusion_of(np.stack(taken))
    return Report(net_name, recipe.name, set_kind, scores, seconds, areas, epochs, confusion=confusion)


def graph_worker(
    net_name: str,
    trainer: GraphTrainer,
    recipe: EvalRecipe,
    validation: Callable[[], tuple[GraphBatch, Int[Array, " b"]]],
    test: Callable[[], Sequence[tuple[GraphBatch, np.ndarray]]],
) -> Worker:
    """The worker that retrains a graph network under a recipe. Seeds train one after another, and the bar counts them. The arguments are
    those of `retrain_graphs`, but `validation` and `test` are functions that give what it takes: the graphs are read when the first network
    trains."""

    def report(key: jax.Array, kind: str, draw: Callable[[int], WeightedBatch], *, numbers: Sequence[int], tick) -> Report:
        named = {"net_name": net_name, "set_kind": kind, "numbers": numbers, "tick": tick}
        return retrain_graphs(key, trainer, recipe, draw, validation(), test(), **named)

    def seconds(batch: WeightedBatch, group: int) -> float:
        for epochs in (0, 3):  # no epoch at first: that call compiles
            began = time.perf_counter()
            jax.block_until_ready(trainer.train(jax.random.key(0), batch, validation(), jnp.int32(epochs)).vars.params)
        return (time.perf_counter() - began) / epochs * recipe.epochs

    return Worker(report, seconds, apart=True)
