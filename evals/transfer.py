"""Transfer: fresh networks pre-trained on images and target representations, then probed or fine-tuned on another data set's labels.

A set is worth what its pre-training adds. Pre-training is regression, the mean over examples and dimensions of (f(x) - y)^2, without
augmentation; for images with class labels it is cross entropy, with DSA's (Lee et al., Self-Supervised Dataset Distillation for Transfer
Learning, ICLR 2024, arXiv 2310.06511). The body that it leaves is either frozen under a logistic regression (`probe`) or trained on with a
new head (`finetune`). Images are f32[b h w c] in model space.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from evals.retraining import EvalRecipe
from synth.base import Examples, Net, Vars, fresh
from synth.labels.plain import Hard
from synth.training.fit import Fit, Item, fit, in_batches, on_examples, sgd

PRETRAIN = EvalRecipe("mse", 1000, lr=0.1, weight_decay=1e-3, schedule="constant")
WHOLE = EvalRecipe("mse-full", 20, lr=0.1, weight_decay=1e-3, schedule="constant")
# algorithms/pretrain_dc.py and test.py of the release, which drops the step size two epochs earlier and keeps the momentum there
BY_LABELS = EvalRecipe("classes", 1000, lr=0.01, weight_decay=5e-4, augment="dsa")
ITERATIONS, TOLERANCE = 200, 1e-4  # of the probe's solver: it stops where no entry of the mean loss's gradient is larger


def on_mean_squares(recipe: EvalRecipe, width: int) -> EvalRecipe:
    """Changes a recipe of SGD for the loss of `synth.labels.plain.Target`, 1/2 sum_i (f_i - y_i)^2, so that it equals `recipe` on the mean
    over the `width` numbers i of a target of (f_i - y_i)^2.

    The gradient is width / 2 times as large: at 2 / width of the step size and width / 2 of the decay, every step is the same.
    """
    return replace(recipe, lr=recipe.lr * 2 / width, weight_decay=recipe.weight_decay * width / 2)


def draw_balanced(key: jax.Array, y: Int[np.ndarray, " n"], fraction: float) -> Int[np.ndarray, " m"]:
    """Indices, in rising order, of equally many examples of every class, about the fraction in all (rounded to the nearest, at least one of
    every class; all of a class that has fewer); all indices for 1.

    Args:
      y: class indices; classes without an example are passed over.
      fraction: in (0, 1].
    """
    if fraction == 1:
        return np.arange(len(y), dtype=np.int32)
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    members = [np.flatnonzero(y == c) for c in np.unique(y)]
    each = max(1, round(fraction * len(y) / len(members)))
    return np.sort(np.concatenate([rng.choice(rows, min(each, len(rows)), replace=False) for rows in members])).astype(np.int32)


def draw_order(key: jax.Array, rows: Int[np.ndarray, " m"], steps: int, batch: int) -> Int[np.ndarray, "steps b"]:
    """Which of the examples `rows` each step takes: shuffled epochs of them, one after another, cut into batches of b = `batch` (or of all,
    where there are fewer). A batch may reach over the end of an epoch."""
    rng = np.random.default_rng([int(word) for word in np.asarray(jax.random.key_data(key)).ravel()])
    size = min(batch, len(rows))
    epochs = -(-steps * size // len(rows))
    return np.concatenate([rng.permutation(rows) for _ in range(epochs)])[: steps * size].reshape(steps, size).astype(np.int32)


def fit_probe(features: Float[Array, "n d"], y: Int[Array, " n"], classes: int) -> tuple[Float[Array, "d c"], Float[Array, " c"]]:
    """Weights and bias of multinomial logistic regression, min over W, b of the sum of cross entropies + |W|^2 / 2, by L-BFGS from zero.

    That is scikit-learn's `LogisticRegression` at its default C = 1.
    """
    n, d = features.shape

    def loss(solution):
        logits = features @ solution[0] + solution[1][None]
        return (optax.softmax_cross_entropy_with_integer_labels(logits, y).sum() + jnp.sum(solution[0] ** 2) / 2) / n

    tx, value_and_grad = optax.lbfgs(), optax.value_and_grad_from_state(loss)

    def step(carry):
        number, solution, state, _ = carry
        value, grad = value_and_grad(solution, state=state)
        updates, state = tx.update(grad, state, solution, value=value, grad=grad, value_fn=loss)
        return number + 1, optax.apply_updates(solution, updates), state, optax.tree.norm(grad, ord=jnp.inf)

    def goes_on(carry):
        return (carry[0] < ITERATIONS) & (carry[3] > TOLERANCE)

    start = jnp.zeros((d, classes), features.dtype), jnp.zeros(classes, features.dtype)
    return jax.lax.while_loop(goes_on, step, (0, start, tx.init(start), jnp.asarray(jnp.inf, features.dtype)))[1]


@partial(jax.jit, static_argnames="classes")
def probe(features: Float[Array, "n d"], y: Int[Array, " n"], test_features: Float[Array, "m d"], *, classes: int) -> Int[Array, " m"]:
    """Classes that logistic regression (`fit_probe`) on features standardised by their own mean and deviation (constant ones become 0)
    gives the test features; -1 where a score is not finite."""
    mean, std = features.mean(0), features.std(0)
    scale = jnp.where(std > 1e-6 * jnp.abs(mean) + 1e-30, 1 / jnp.maximum(std, 1e-30), 0)
    weights, bias = fit_probe((features - mean[None]) * scale[None], y, classes)
    return choose((test_features - mean[None]) * scale[None] @ weights + bias[None])


def choose(scores: Float[Array, "n c"]) -> Int[Array, " n"]:
    """The class with the largest score, of every row. It is -1 if a score of the row is not finite, as after a training that diverged."""
    return jnp.where(jnp.isfinite(scores).all(-1), scores.argmax(-1), -1)


def accuracy(chosen: Int[Array, " n"], y: Int[Array, " n"]) -> float:
    """The fraction that is classified right; NaN if any choice is -1."""
    return int(jnp.sum(chosen == y)) / len(y) if int(chosen.min()) >= 0 else float("nan")


class Adapter(NamedTuple):
    """Compiled pieces that bring a pre-trained body to another data set's labels.

    Args:
      embed: (vars, x) -> f32[n d], the body's output in evaluation mode.
      add_head: (key, vars) -> state: the body with a new head for the target's classes.
      advance: (state, x, y, order, first, stop) -> state: steps first .. stop - 1 of `order` i32[steps b], rows of x and y.
      classify: (vars, x) -> i32[n], under the new head, as `choose` has them.
    """

    embed: Callable
    add_head: Callable
    advance: Callable
    classify: Callable


def make_adapter(source: Net, target: Net, classes: int, *, how: "Finetune") -> Adapter:
    """Builds the pieces from the network that is pre-trained and the same one with the target's classes for outputs.

    The last linear layer of both stands under `params["head"]`. Of `how` the step size, momentum and decay are read, for `advance`.
    """

    def read(vars, piece):
        return source.apply(vars, piece).embed

    def answer(vars, piece):
        return choose(target.apply(vars, piece).logits)

    @jax.jit
    def add_head(key, vars: Vars) -> Fit:
        params = {**vars.params, "head": fresh(key, target).params["head"]}
        return Fit(Vars(params, vars.stats), optimiser(jnp.float32(0)).init(params))

    def optimiser(lr):
        return sgd(lr, momentum=how.momentum, weight_decay=how.weight_decay)

    @partial(jax.jit, donate_argnums=0)
    def advance(state, x, y, order, first, stop):
        objective, steps = on_examples(target, x, Hard(y, classes)), len(order)

        def step(t, state):
            factor = (1 + jnp.cos(jnp.pi * t.astype(jnp.float32) / steps)) / 2
            one = jnp.zeros((1,), jnp.int32)
            item = Item(jax.random.split(jax.random.key(0), 1), order[t][None], jnp.ones((1, order.shape[1])), (one, one))
            return fit(objective, optimiser(how.lr * factor), state, item)[0]

        return jax.lax.fori_loop(first, stop, step, state)

    return Adapter(partial(in_batches, read), add_head, advance, partial(in_batches, answer))


def probe_accuracy(
    adapter: Adapter, vars: Vars, train: Examples, rows: Sequence[Int[np.ndarray, " m"]], test: Examples, *, classes: int
) -> list[float]:
    """One accuracy on `test` for every entry of `rows`: of a `probe` on the frozen body, fitted to the examples of `train` that have these
    indices. NaN where its scores are not finite."""
    scores, test_features = [], adapter.embed(vars, test.x)
    for chosen in rows:
        found = probe(adapter.embed(vars, train.x[chosen]), train.y[chosen], test_features, classes=classes)
        scores.append(accuracy(found, test.y))
    return scores


def finetune_accuracy(
    key: jax.Array,
    adapter: Adapter,
    vars: Vars,
    train: Examples,
    rows: Int[np.ndarray, " m"],
    test: Examples,
    *,
    how: "Finetune",
    tick: Callable[[int], None] | None = None,
) -> tuple[float, Vars]:
    """Accuracy on `test`, at the last step, of the whole network trained on the examples of `train` with the indices `rows`, and its
    variables. `tick(n)` is called on the way, n steps after the last call. The accuracy is NaN where the training diverges.
    """
    k_head, k_order = jax.random.split(key)
    state, order = adapter.add_head(k_head, vars), jnp.asarray(draw_order(k_order, rows, how.steps, how.batch))
    piece = max(1, how.steps // 20)
    for first in range(0, how.steps, piece):
        stop = min(first + piece, how.steps)
        state = adapter.advance(state, train.x, train.y, order, jnp.int32(first), jnp.int32(stop))
        if tick:
            jax.block_until_ready(state.vars.params)
            tick(stop - first)
    return accuracy(adapter.classify(state.vars, test.x), test.y), state.vars


class Adaptation(ABC):
    """A way to bring a pre-trained body to another data set's labels, as `--protocol` names it. Subclasses are frozen dataclasses.

    To add one, write its class here or in a file of its own, and add its line to ADAPTATIONS.

    Attributes:
      stepped: whether it takes steps, so that `--steps` says how many.
      steps: what the progress bar counts for one draw of labels.
      does: what was done to a network, for messages.
    """

    stepped: ClassVar[bool] = False
    steps: int = 1
    does: ClassVar[str]

    @property
    @abstractmethod
    def name(self) -> str:
        """The name of the adaptation in reports."""

    @abstractmethod
    def adapter(self, source: Net, target: Net, classes: int) -> Adapter:
        """Builds the compiled functions from the network that is pre-trained and the same one with the target's classes for outputs."""

    @abstractmethod
    def accuracies(
        self,
        keys: Sequence[jax.Array],
        adapter: Adapter,
        vars: Vars,
        train: Examples,
        rows: Sequence[Int[np.ndarray, " m"]],
        test: Examples,
        *,
        classes: int,
        tick: Callable[[int], None],
    ) -> list[float]:
        """Adapts the body `vars` anew for each pair of a key and of indices of the rows of `train` whose labels may be read, and returns
        one accuracy on `test` for each pair, a fraction in [0, 1]; NaN where scores are not finite. `adapter` is what the method `adapter`
        gives, and `tick(n)` is called when n more of the `steps` of a pair are done."""


@dataclass(frozen=True)
class Probe(Adaptation):
    """A logistic regression on the frozen body's features."""

    does = "probed"
    name = "probe"

    def adapter(self, source: Net, target: Net, classes: int) -> Adapter:
        """The compiled functions, by `make_adapter`; the probe only uses the one for features."""
        return make_adapter(source, target, classes, how=Finetune())

    def accuracies(self, keys, adapter, vars, train, rows, test, *, classes, tick) -> list[float]:
        """One accuracy on `test`, a fraction in [0, 1], for each array of indices in `rows`: of a logistic regression on the features that
        the frozen body `vars` has for these rows of `train`. NaN where scores are not finite. Nothing is random, so `keys` are not read.
        `tick(len(rows))` is called once, at the end."""
        found = probe_accuracy(adapter, vars, train, rows, test, classes=classes)
        tick(len(rows))
        return found


@dataclass(frozen=True)
class Finetune(Adaptation):
    """Trains the whole network with a new head by SGD. The step size falls to 0 along a half cosine. Images are shown as they are. The
    release crops them at random, padded by 4, and mirrors half of them, so its numbers do not compare with these.

    Args:
      steps: mini-batches (>= 1). The release takes 5,000, and 10,000 on CIFAR and Tiny ImageNet; 500 is what two cores do in seconds.
    """

    steps: int = 500
    lr: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 5e-4
    batch: int = 256

    stepped = True
    does = "fine-tuned"

    @property
    def name(self) -> str:
        """The name in reports. It has the number of steps if that is not the usual one."""
        return "finetune" if self.steps == Finetune.steps else f"finetune:steps={self.steps}"

    def adapter(self, source: Net, target: Net, classes: int) -> Adapter:
        """The compiled functions, by `make_adapter` for this step size, momentum and decay."""
        return make_adapter(source, target, classes, how=self)

    def accuracies(self, keys, adapter, vars, train, rows, test, *, classes, tick) -> list[float]:
        """One accuracy on `test`, a fraction in [0, 1], for each pair of a key and of indices i32[m] of rows of `train`: of all weights,
        trained on these rows from `vars` with a new head (`finetune_accuracy`). NaN where the training diverged. `tick` gets the number of
        steps just done. `classes` is not read, as the adapter knows them."""
        tune = partial(finetune_accuracy, how=self, tick=tick)
        return [tune(key, adapter, vars, train, chosen, test)[0] for key, chosen in zip(keys, rows, strict=True)]


ADAPTATIONS = {"probe": Probe, "finetune": Finetune}
