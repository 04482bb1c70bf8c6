"""Flat trajectory distillation (Du et al., Minimizing the Accumulated Trajectory Error, CVPR 2023)."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated, Any

import jax

from matchers.base import Matcher, Segment
from matchers.trajectory.common import GradientKind, PathKind, PositiveBy, Student, follow
from synth.base import Net
from synth.errors import BadInput
from synth.options import BelowOne, NonNegative, Positive

FIRST = 5.0  # minus the logarithm of what the first images may weigh at the end, 0.7 %


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """The option `decay` for a run of so many steps: 1 - 5 / steps, between 0 and 0.9999, to four digits. So the mean forgets the first
    images by the end of the run, as it does in the published 5,000 steps at 0.999; in a tenth of these it would be 61 % of them. The rest
    is not read."""
    return {"decay": float(f"{min(0.9999, max(0.0, 1 - FIRST / steps)):.4g}")}


def ftd(
    net: Net,
    augment: Callable,
    experts,
    *,
    inner_steps: int = 20,
    span: int = 2,
    max_start: int = 20,
    min_start: Annotated[int, NonNegative] = 0,
    batch: int | None = None,
    lr: Annotated[float, Positive] = 100.0,
    lr_lr: Annotated[float, Positive] = 0.05,
    step_size: Annotated[float, Positive] = 0.01,
    momentum: Annotated[float, BelowOne] = 0.5,
    decay: Annotated[float, BelowOne] = 0.999,
    path: PathKind | None = None,
    gradient: GradientKind = "exact",
    positive: PositiveBy = "log",
) -> Matcher:
    """Matches the trajectories of experts that were steered into flat minima, and gives the running mean of the images.

    L = || theta_N - theta*_{t+M} ||^2 / || theta*_t - theta*_{t+M} ||^2 as in MTT; what differs are the experts (recipe `flat`) and the
    result, e <- d e + (1 - d) x after every step, which starts at the first images and is not corrected for that. After 5,000 steps
    the first images still weigh 0.7 % at d = 0.999 and 61 % at d = 0.9999. Beta is not averaged.

    Args:
      net: the experts' network; one with batch statistics is refused.
      augment: siamese augmentation (key, x, siamese) -> x, called without siamese.
      experts: recorded trajectories.
      inner_steps: N, steps of the student.
      span: M, the expert's epochs that they should reach.
      max_start: T+, bound that start epochs t stay below; cut to what is recorded. At one image a class FTD has 2 on CIFAR-10 and 20 on
        CIFAR-100; 2 in place of 20 was 0.9 points worse here on validation images of digits and 0.9 better on those of CIFAR-10, within
        the spread, so that 20 stays at any number of images.
      min_start: T-, least start epoch.
      batch: synthetic images a step of the student; by default all of them.
      lr: step size of the images (> 0); of vectors, 3 where none is given.
      lr_lr: step size of beta, or of what `positive` moves in its place (> 0); as published 1e-7 to 1e-4, with `none`.
      step_size: beta at the start (> 0).
      momentum: of the optimisers of the images and of beta, in [0, 1).
      decay: d of the running mean, in [0, 1); 0 gives the images as they are. Where none is given, a run has 1 - 5 / steps, as published
        0.999 of 5,000 steps.
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
    if not 0 <= decay < 1:
        raise BadInput(f"--decay {decay}: give a number in [0, 1)")

    def after(key, synth, mean):
        return jax.tree.map(lambda e, x: decay * e + (1 - decay) * x, mean, synth.x.learned())

    student, request = Student(inner_steps, batch, gradient), Segment(span, min_start, max_start, straight=path == "straight")
    rates = {"x": (lr, momentum), "lr": (lr_lr, momentum)}
    options = {"step_size": step_size, "positive": positive}
    matcher = follow(net, augment, student, request, rates, **options, init=lambda key, synth: synth.x.learned(), after=after)
    return matcher._replace(result=lambda state, synth: replace(synth, x=synth.x.moved(state.aux)))
