"""Matching training trajectories (Cazenavette et al., CVPR 2022)."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any

from matchers.base import Matcher, Segment
from matchers.trajectory.common import GradientKind, PathKind, PositiveBy, Student, early_starts, follow
from synth.base import Net
from synth.options import BelowOne, NonNegative, Positive

LATEST = 20  # start epochs stay below it, however many images there are: the default of `max_start`


def scaled(steps: int, options: Mapping[str, Any], per_class: int | None) -> dict[str, Any]:
    """The option `max_start` for so many images a class (`early_starts`), at most 20. At one image a class 2 in place of 20 changes nothing
    beyond the spread on validation images of digits; it is MTT's value for CIFAR-10, on whose validation images it gains 1 and 3 points
    (`docs/experiments/max_start.json`). Nothing was measured on Fashion-MNIST. `steps` is not read."""
    return early_starts(options, per_class, LATEST)


def mtt(
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
    path: PathKind | None = None,
    gradient: GradientKind = "exact",
    positive: PositiveBy = "log",
) -> Matcher:
    """Lets a student trained on the set arrive where an expert arrived that was trained on the real data.

    L = || theta_N - theta*_{t+M} ||^2 / || theta*_t - theta*_{t+M} ||^2 with theta_0 = theta*_t, parameters of an expert after t epochs,
    and theta_{i+1} = theta_i - beta grad l(A(b_i); theta_i): b_i mini-batches of synthetic images, A an augmentation with parameters for
    every image, l the mean cross entropy. The images and beta descend the gradient through all N steps.

    Args:
      net: the experts' network; one with batch statistics is refused.
      augment: siamese augmentation (key, x, siamese) -> x, called without siamese.
      experts: recorded trajectories.
      inner_steps: N, steps of the student.
      span: M, the expert's epochs that they should reach.
      max_start: T+, bound that start epochs t stay below; cut to what is recorded. Where none is given, twice the images a class.
      min_start: T-, least start epoch.
      batch: synthetic images a step of the student; by default all of them.
      lr: step size of the images (> 0); of vectors, 3 where none is given.
      lr_lr: step size of beta, or of what `positive` moves in its place (> 0); as published 1e-7 to 1e-4, with `none`.
      step_size: beta at the start (> 0).
      momentum: of the optimisers of the images and of beta, in [0, 1).
      path: by default the experts' way as recorded, epoch by epoch; `straight` (MCT, Zhong et al., CVPR 2025): theta*_t is
        theta*_0 + t / K (theta*_K - theta*_0) for any number t in [T-, T+), where K epochs are recorded, of which the first and the last
        alone are read.
        MCT's released code spaces whole epochs along the line by how far each layer has moved; here they are evenly spaced.
      gradient: `exact`, or `tesla` (Cui et al., ICML 2023), which holds theta_i constant inside the gradient of step i: cheaper, the same
        for N = 1, and not the gradient of L for N > 1.
      positive: keeps beta above 0 by moving its logarithm (`log`) or inverse softplus (`softplus`) instead, by gradients cut to [-1, 1];
        `none` as published, where beta itself is moved, by gradients of any size.

    Raises:
      BadInput: an option out of its range, or a network with batch statistics.
    """
    student = Student(inner_steps, batch, gradient)
    rates = {"x": (lr, momentum), "lr": (lr_lr, momentum)}
    request = Segment(span, min_start, max_start, straight=path == "straight")
    return follow(net, augment, student, request, rates, step_size=step_size, positive=positive)
