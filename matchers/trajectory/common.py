"""What the trajectory methods share: a student that starts where an expert was and should arrive where that expert went.

Parameters are flat, f32[P], in the order of `jax.flatten_util.ravel_pytree`; images are f32[n h w c] in model space, vectors f32[n d].
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float

from matchers.base import Matcher, Piece, Segment, descend, flat_parameters
from matchers.trajectory.unroll import Walk, unroll
from synth.base import Net, Split, Vars
from synth.errors import BadInput
from synth.set import SyntheticSet
from synth.training.fit import Item, epoch_items
from synth.training.microbatch import rows_of
from synth.training.stream import read_over

GradientKind = Literal["exact", "tesla"]
PositiveBy = Literal["none", "log", "softplus"]
PathKind = Literal["straight"]


def early_starts(options: Mapping[str, Any], per_class: int | None, latest: int) -> dict[str, Any]:
    """The option `max_start` for so many images a class: twice as many, at most `latest`, as MTT has it for CIFAR-10 at 1 and 10. Few
    images cannot follow an expert that has learned most. Nothing where `min_start` is above 0, or the images are not counted by class."""
    return {} if per_class is None or options.get("min_start") else {"max_start": min(latest, 2 * per_class)}


class Student(NamedTuple):
    """How the student network is trained, and when it is compared with the expert.

    Args:
      steps: N >= 1, steps of its training.
      batch: synthetic images a step; None: all.
      gradient: `exact`, or `tesla`, which holds the student's parameters constant inside the gradients of its steps.
      momentum: of its training, differentiated too, in [0, 1).
      weights: of the comparisons after epochs t+1 ... t+M-1; empty for none.
      perturb: alpha >= 0, relative size of the noise on the convolution kernels that it starts from.
      emphasis: start epoch i32[] -> factor of its training loss, or None.
    """

    steps: int
    batch: int | None = None
    gradient: GradientKind = "exact"
    momentum: float = 0.0
    weights: tuple[float, ...] = ()
    perturb: float = 0.0
    emphasis: Callable | None = None


def distance(net: Net, augment: Callable, student: Student) -> Callable:
    """Builds (key, synth, piece) -> (L, metrics). L compares the student's parameters, after s steps of training on the set at step size
    `synth.lr` from theta_0, with the expert's later parameters. theta_0 is theta*_t, with noise where the student has some. The metric
    `inner_loss` is the student's loss in its last step. `augment` is (key, x, siamese) -> x, called without siamese.

    L = sum_k w_k || theta_{s_k} - theta*_{t+k} ||^2 / || theta_0 - theta*_{t+k} ||^2, w_M = 1 and s_M = N, s_k = k floor(N / M) before.

    Raises BadInput for a network with batch statistics.
    """
    unravel = flat_parameters(net)
    weights = (*student.weights, 1.0)
    marks = (*(k * (student.steps // len(weights)) for k in range(1, len(weights))), student.steps)

    def loss(key, synth: SyntheticSet, piece: Piece):
        k_items, k_start = jax.random.split(key)
        start = perturbed(k_start, unravel, piece.start, student.perturb) if student.perturb else piece.start
        factor = student.emphasis(piece.epoch).astype(start.dtype) if student.emphasis else jnp.ones_like(synth.lr)
        images = synth.x.decode()
        learned = {"x": images, "y": synth.y, "weight": synth.weight, "factor": factor}

        def draw(learned, item: Item):
            view = augment(jax.random.split(item.key)[0], learned["x"][item.index], siamese=False)
            counts = (item.counts if learned["weight"] is None else item.counts * learned["weight"][item.index]).astype(view.dtype)
            total = jnp.maximum(jnp.sum(counts), jnp.finfo(counts.dtype).tiny)
            return view, learned["y"].targets(item.index, item.view), counts / total * learned["factor"]

        def cost(params, rows):
            view, targets, share = rows
            return jnp.sum(synth.y.loss(net.apply(Vars(params), view, train=True).logits, targets) * share)

        rows = rows_of(min(student.batch or len(images), len(images)), images.shape[1:])
        walk = Walk(draw, cost, unravel, student.momentum, marks, student.gradient == "exact", rows)
        items = inner_items(k_items, len(images), batch=student.batch, steps=student.steps)
        reached, losses = unroll(walk, start, learned, synth.lr, items)
        gaps = jnp.sum((reached - piece.targets) ** 2, -1) / jnp.sum((start[None] - piece.targets) ** 2, -1)
        return jnp.sum(jnp.asarray(weights, gaps.dtype) * gaps), {"inner_loss": jax.lax.stop_gradient(losses[-1])}

    return loss


def inner_items(key: jax.Array, n: int, *, batch: int | None, steps: int) -> Item:
    """The mini-batches of the student's `steps` steps, with a leading axis of these: permutations of the n images in pieces of `batch` (all
    of them by default), so that all serve before any serves again.

    Where `batch` does not divide n, the last piece of a permutation is short: it is filled up with images that count 0.
    """
    batch = min(batch or n, n)
    turns = -(-steps // -(-n // batch))
    items = jax.vmap(lambda turn: epoch_items(key, turn, n, batch=batch))(jnp.arange(turns))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:steps], items)


def logits(net: Net, theta: Float[np.ndarray, " p"], examples: Split) -> Float[np.ndarray, "n classes"]:
    """The logits of examples under a network with flat parameters theta, computed a batch at a time."""
    return read_over(_read(net), Vars(flat_parameters(net)(jnp.asarray(theta))), examples)


@functools.lru_cache(4)  # one function a network: another would compile again
def _read(net: Net) -> Callable:
    return lambda vars, images: net.apply(vars, images).logits


def perturbed(key: jax.Array, unravel: Callable, theta: Float[Array, " p"], alpha: float) -> Float[Array, " p"]:
    """theta with each convolution kernel w moved to w + alpha d / ||d|| * w, d ~ N(0, I); all other parameters as they are. `unravel` turns
    theta into the network's params."""
    leaves, structure = jax.tree.flatten(unravel(theta))

    def move(key, w):
        if w.ndim != 4:
            return w
        d = jax.random.normal(key, w.shape, w.dtype)
        return w + alpha * (d / jnp.sqrt(jnp.sum(d * d))) * w

    keys = jax.random.split(key, len(leaves))
    return ravel_pytree(structure.unflatten(move(k, w) for k, w in zip(keys, leaves, strict=True)))[0]


POSITIVE = {
    "none": (lambda lr: lr, lambda raw: raw),
    "log": (jnp.log, jnp.exp),
    "softplus": (lambda lr: lr + jnp.log(-jnp.expm1(-lr)), jax.nn.softplus),
}


def follow(
    net: Net,
    augment: Callable,
    student: Student,
    request: Segment,
    rates: dict[str, tuple[float, float]],
    *,
    step_size: float,
    positive: PositiveBy = "none",
    gate: float | None = None,
    init: Callable | None = None,
    after: Callable | None = None,
) -> Matcher:
    """Builds the method that minimises `distance` over the fields of the set in `rates`. Each field has its own SGD (step size, momentum).

    Args:
      net, augment, student: as `distance` takes them.
      request: which stretches of the experts' trajectories are matched.
      rates: of `x` (images), `lr` (the student's step size) and, where labels are learned, `y`.
      step_size: beta_0 > 0, the student's first.
      positive: what the optimiser of the step size moves: itself, its logarithm or its inverse softplus, the latter two by gradients cut
        to [-1, 1].
      gate: the loss above which, or without which, a step changes nothing, momentum included.
      init, after: as `descend` takes them.

    Raises:
      BadInput: an option out of its range, or a network with batch statistics.
    """
    _check(student, request, step_size, rates)
    hide, show = POSITIVE[positive]
    measure = distance(net, augment, student)
    descents = {name: optax.sgd(lr, momentum=m) for name, (lr, m) in rates.items()}
    if positive != "none":  # far from the experts the slope grows without bound, and one step would end at a beta that trains nothing
        descents["lr"] = optax.chain(optax.clip(1.0), descents["lr"])
    tx = optax.multi_transform(descents, {name: name for name in rates})

    def loss(key, synth, aux, piece):
        return measure(key, replace(synth, lr=show(synth.lr)), piece)

    inner = descend(loss, tx, init=init, after=after, learn=tuple(rates), feed=request._replace(kept=student.steps + 1))

    def step(key, state, synth, piece):
        moved, state_after, metrics = inner.step(key, state, replace(synth, lr=hide(synth.lr)), piece)
        moved = replace(moved, lr=show(moved.lr))
        if gate is not None:
            keep = metrics["loss"] <= gate  # a loss that is no number is not, and as a metric it would end the run
            metrics["loss"] = jnp.nan_to_num(metrics["loss"], nan=jnp.inf, posinf=jnp.finfo(jnp.float32).max)
            moved, state_after = jax.tree.map(lambda a, b: jnp.where(keep, a, b), (moved, state_after), (synth, state))
        return moved, state_after, {**metrics, "step_size": moved.lr}

    def prepare(key, synth, examples):
        return replace(synth, lr=jnp.float32(step_size))

    return inner._replace(step=step, prepare=prepare)


def _check(student: Student, request: Segment, step_size: float, rates: dict) -> None:
    if not 0 < step_size < float("inf"):
        raise BadInput(f"--step-size {step_size}: give a number above 0")
    if not 0 <= student.momentum < 1:
        raise BadInput(f"--inner-momentum {student.momentum}: give a number in [0, 1)")
    if student.perturb < 0:
        raise BadInput(f"--perturb {student.perturb}: give a number of at least 0")
    if student.weights and student.steps < request.span:
        raise BadInput(f"--inner-steps {student.steps}: comparing after each epoch needs at least --span, {request.span}")
