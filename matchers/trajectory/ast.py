"""Alignment with smooth and high-quality expert trajectories (Shen, Yang and Lam, arXiv 2310.10541)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from matchers.base import Matcher, Segment
from matchers.trajectory.common import PathKind, PositiveBy, Student, early_starts, follow, logits
from synth.base import Net
from synth.options import BelowOne, NonNegative, Positive
from synth.selection.choose import choose_kmeans

CENTRES = 10  # of the logits of a class, as released
LATEST = 30  # start epochs stay below it, however many images there are: the default of `max_start`


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """The option `max_start` for so many images a class (`early_starts`), at most 30. At one image a class 2 in place of 30 gains 4 points
    on validation images of digits, on which the rule stands; those of CIFAR-10 were looked at as well (5 points, 100 steps beside 300).
    Nothing was measured on Fashion-MNIST, nor at more images a class (`docs/experiments/max_start.json`). `steps` is not read."""
    return early_starts(options, per_class, LATEST)


def ast(
    net: Net,
    augment: Callable,
    experts,
    *,
    inner_steps: int = 20,
    span: int = 2,
    max_start: int = 30,
    min_start: Annotated[int, NonNegative] = 0,
    batch: int | None = None,
    lr: Annotated[float, Positive] = 100.0,
    lr_lr: Annotated[float, Positive] = 0.05,
    step_size: Annotated[float, Positive] = 0.001,
    momentum: Annotated[float, BelowOne] = 0.5,
    representative: bool = True,
    inner_momentum: Annotated[float, BelowOne] = 0.9,
    balanced: bool = True,
    intermediate: Literal["none", "agg", "adaptive"] = "agg",
    perturb: Annotated[float, NonNegative] = 1.0,
    path: PathKind | None = None,
    positive: PositiveBy = "log",
) -> Matcher:
    """Follows smooth experts with a student that has momentum, is compared on the way, and starts from noisy kernels.

    L = sum_{k=1..M} w_k || theta_{s_k} - theta*_{t+k} ||^2 / || theta_0 - theta*_{t+k} ||^2, s_k = k floor(N / M) for k < M, s_M = N and
    w_M = 1; theta_{i+1} = theta_i - beta b_i, b_i = mu b_{i-1} + c(t) grad l(A(x_i); theta_i), and theta_0 is theta*_t with noise on its
    kernels. Formulae as in the released code. With every switch off this is MTT.

    Args:
      net: the experts' network; one with batch statistics is refused.
      augment: siamese augmentation (key, x, siamese) -> x, called without siamese.
      experts: recorded trajectories, recipe `smooth`.
      inner_steps: N, steps of the student.
      span: M, the expert's epochs that they should reach.
      max_start: T+, bound that start epochs t stay below; cut to what is recorded. Where none is given, twice the images a class.
      min_start: T-, least start epoch.
      batch: synthetic images a step of the student; by default all of them.
      lr: step size of the images (> 0); of vectors, 3 where none is given.
      lr_lr: step size of beta, or of what `positive` moves in its place (> 0); as published 1e-7 to 1e-4, with `none`.
      step_size: beta at the start (> 0); with mu = 0.9 the student goes about ten times as far as its number says.
      momentum: of the optimisers of the images and of beta, in [0, 1).
      representative: start from the real images nearest to the centres of a k-means of each class, on the logits of one expert at its
        end; without it --start decides. The released code takes floor(ipc / 10) images of each of ten centres, none for ipc < 10; here
        there are min(10, ipc) centres that take turns until ipc images are chosen.
      inner_momentum: mu of the student, in [0, 1).
      balanced: whether the student's loss counts less at early start epochs t and more at late ones: c(t) is log_5(t - h + 8) from
        h = T+ // 2 on and 1 / log_5(h - t + 8) before; without it 1.
      intermediate: w_k for k < M: 0 (`none`), 1 (`agg`) or k / M (`adaptive`).
      perturb: alpha >= 0, relative size of the noise on each convolution kernel.
      path: by default the experts' way as recorded, epoch by epoch; `straight` (MCT, Zhong et al., CVPR 2025): theta*_t is
        theta*_0 + t / K (theta*_K - theta*_0) for any number t in [T-, T+), where K epochs are recorded, of which the first and the last
        alone are read.
      positive: keeps beta above 0 by moving its logarithm (`log`) or inverse softplus (`softplus`) instead, by gradients cut to [-1, 1];
        `none` as published, where beta itself is moved, by gradients of any size.

    Raises:
      BadInput: an option out of its range, or a network with batch statistics.
    """
    weights = {"none": [], "agg": [1.0] * (span - 1), "adaptive": [k / span for k in range(1, span)]}[intermediate]
    request = Segment(span, min_start, max_start, every=bool(weights), straight=path == "straight")
    bound = request.bound(experts.epochs)
    factor = (lambda epoch: emphasis(epoch, bound)) if balanced else None
    student = Student(inner_steps, batch, momentum=inner_momentum, weights=tuple(weights), perturb=perturb, emphasis=factor)
    rates = {"x": (lr, momentum), "lr": (lr_lr, momentum)}
    matcher = follow(net, augment, student, request, rates, step_size=step_size, positive=positive)

    def prepare(key, synth, examples):
        k_expert, k_centres = jax.random.split(key)
        if representative:
            expert = int(jax.random.randint(k_expert, (), 0, experts.count))
            features = logits(net, experts.last(expert), examples)
            chosen = choose_kmeans(k_centres, features, examples.y, len(synth) // synth.y.classes, centres=CENTRES)
            synth = replace(synth, x=synth.x.encode(jnp.asarray(examples.take(chosen).x)))
        return matcher.prepare(key, synth, examples)

    return matcher._replace(prepare=prepare, own_start="--no-representative" if representative else None)


def emphasis(epoch: Int[Array, ""] | Float[Array, ""], bound: int) -> Float[Array, ""]:
    """The factor c(t) of the student's training loss when it starts at epoch t: log_5(t - h + 8) from h = `bound` // 2 on, and
    1 / log_5(h - t + 8) before. Early epochs weigh less, late ones more. All start epochs stay below `bound`."""
    half = bound // 2
    far = jnp.log(jnp.abs(epoch - half).astype(jnp.float32) + 8) / jnp.log(jnp.float32(5))
    return jnp.where(epoch >= half, far, 1 / far)
