"""Difficulty-aligned trajectory matching (Guo et al., ICLR 2024)."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from matchers.base import Matcher, Segment
from matchers.trajectory.common import GradientKind, PathKind, PositiveBy, Student, follow, logits
from synth.base import Net
from synth.errors import BadInput
from synth.labels.plain import Soft
from synth.options import BelowOne, NonNegative, Positive


def datm(
    net: Net,
    augment: Callable,
    experts,
    *,
    inner_steps: int = 40,
    span: int = 2,
    max_start: int = 20,
    min_start: Annotated[int, NonNegative] = 0,
    grow_from: int | None = None,
    grow_until: int | None = None,
    batch: int | None = None,
    lr: Annotated[float, Positive] = 100.0,
    label_lr: Annotated[float, Positive] = 2.0,
    lr_lr: Annotated[float, Positive] = 0.05,
    step_size: Annotated[float, Positive] = 0.01,
    momentum: Annotated[float, BelowOne] = 0.5,
    label_momentum: Annotated[float, BelowOne] = 0.9,
    gate: float = 1.0,
    path: PathKind | None = None,
    gradient: GradientKind = "exact",
    positive: PositiveBy = "log",
) -> Matcher:
    """Matches trajectories of a difficulty that suits the budget, and learns soft labels with the images.

    L = || theta_N - theta*_{t+M} ||^2 / || theta*_t - theta*_{t+M} ||^2 as in MTT, with l = - sum_c softmax(y)_c log softmax(f(x))_c and
    labels stored as logits y; t ~ U{T- ... U - 1} with U growing from U_0 to T+. Images, labels and beta stay as they are where L exceeds
    `gate`. The set starts from real images that an expert at its end gets right, labelled by the mean logits of the experts that do.

    Args:
      net: the experts' network; one with batch statistics is refused.
      augment: siamese augmentation (key, x, siamese) -> x, called without siamese.
      experts: recorded trajectories, recipe `flat`.
      inner_steps: N, steps of the student.
      span: M, the expert's epochs that they should reach.
      max_start: T+, bound that start epochs t stay below; cut to what is recorded. At one image a class DATM has 4 on CIFAR-10 and 20 on
        CIFAR-100; 2 in place of 20 was 0.8 points worse here on validation images of digits, within the spread, and the same on those of
        CIFAR-10, so that 20 stays at any number of images.
      min_start: T-, least start epoch.
      grow_from: U_0, the bound at the first step; by default T+ throughout.
      grow_until: E, the step at which the bound has grown to T+; with `grow_from`.
      batch: synthetic images a step of the student; by default all of them.
      lr: step size of the images (> 0); of vectors, 3 where none is given.
      label_lr: step size of the label logits (> 0).
      lr_lr: step size of beta, or of what `positive` moves in its place (> 0); as published 1e-7 to 1e-4, with `none`.
      step_size: beta at the start (> 0).
      momentum: of the optimisers of the images and of beta, in [0, 1).
      label_momentum: of the optimiser of the labels, in [0, 1).
      gate: the loss above which, or without which, a step changes nothing; a student that stays where it starts has loss 1.
      path: by default the experts' way as recorded, epoch by epoch; `straight` (MCT, Zhong et al., CVPR 2025): theta*_t is
        theta*_0 + t / K (theta*_K - theta*_0) for any number t in [T-, T+), where K epochs are recorded, of which the first and the last
        alone are read.
      gradient: `exact`, or `tesla` (Cui et al., ICML 2023), which holds theta_i constant inside the gradient of step i: cheaper, the same
        for N = 1, and not the gradient of L for N > 1.
      positive: keeps beta above 0 by moving its logarithm (`log`) or inverse softplus (`softplus`) instead, by gradients cut to [-1, 1];
        `none` as published, where beta itself is moved, by gradients of any size.

    Raises:
      BadInput: an option out of its range, or a network with batch statistics.
    """
    if (grow_from is None) != (grow_until is None):
        raise BadInput("--grow-from and --grow-until belong together; give both or neither")
    if not 0 <= label_momentum < 1:
        raise BadInput(f"--label-momentum {label_momentum}: give a number in [0, 1)")
    grow = None if grow_from is None else (grow_from, grow_until)
    rates = {"x": (lr, momentum), "lr": (lr_lr, momentum), "y": (label_lr, label_momentum)}
    student, request = Student(inner_steps, batch, gradient), Segment(span, min_start, max_start, grow, straight=path == "straight")
    matcher = follow(net, augment, student, request, rates, step_size=step_size, positive=positive, gate=gate)

    def prepare(key, synth, examples):
        every = range(experts.count)
        chosen = choose_correct(key, (logits(net, experts.last(e), examples) for e in every), examples.y, len(synth))
        x, y = right = examples.take(chosen)
        labels = mean_correct((logits(net, experts.last(e), right) for e in every), np.asarray(y))
        started = replace(synth, x=synth.x.encode(jnp.asarray(x)), y=Soft(jnp.asarray(labels)))
        return matcher.prepare(key, started, examples)

    return matcher._replace(prepare=prepare, own_start="")


def choose_correct(
    key: jax.Array, outputs: Iterable[Float[np.ndarray, "n classes"]], y: Int[np.ndarray, " n"], size: int
) -> Int[np.ndarray, " m"]:
    """Indices of `size` examples in all, class-major and as many of every class, that a network gets right. `outputs` are the logits of all
    n examples, by one network after another; y are their class indices.

    The first network's right ones are drawn from at random; the next serves for the classes where they do not suffice. Where no network's
    do, the wrong ones follow that the last of them came nearest to getting right.

    Raises:
      BadInput: a class has fewer examples.
    """
    rng = np.random.default_rng(np.asarray(jax.random.key_data(key)).ravel())
    y = np.asarray(y)
    outputs = iter(outputs)
    z = next(outputs)
    classes = z.shape[1]
    each, chosen = size // classes, [[] for _ in range(classes)]
    while True:
        margin = _margin(z, y)
        for c, found in enumerate(chosen):
            fresh = np.setdiff1d(np.flatnonzero((y == c) & (margin > 0)), found)
            found.extend(rng.permutation(fresh)[: each - len(found)])
        if all(len(found) == each for found in chosen) or (following := next(outputs, None)) is None:
            break
        z = following
    for c, found in enumerate(chosen):
        wrong = np.setdiff1d(np.flatnonzero(y == c), found)
        found.extend(wrong[np.argsort(-margin[wrong], kind="stable")][: each - len(found)])
        if len(found) < each:
            raise BadInput(f"--ipc {each}: class {c} has {len(found)} examples beside those for validation; take at most that many")
    return np.concatenate(chosen).astype(np.int32)


def mean_correct(outputs: Iterable[Float[np.ndarray, "m classes"]], y: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m classes"]:
    """For every example the mean logits over the networks that get it right. `outputs` are the logits of all m examples, by one network
    after another; y are their class indices.

    Where none does: over all, the logit of the example's class exchanged with the largest. So the largest is always the class's.
    """
    outputs = np.stack(list(outputs))
    right = np.stack([_margin(z, y) > 0 for z in outputs])[..., None]
    best = np.where(right, outputs, 0).sum(0) / np.maximum(right.sum(0), 1)
    rows, mean = np.arange(len(y)), outputs.mean(0)
    top, own = mean.argmax(1), mean[rows, y]
    mean[rows, y], mean[rows, top] = mean[rows, top], own
    return np.where(right.any(0), best, mean).astype(np.float32)


def _margin(z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far the logit of the example's class is above the largest other: above 0 where it is right."""
    rows = np.arange(len(y))
    others = z.copy()
    others[rows, y] = -np.inf
    return z[rows, y] - others.max(1)
