"""Dataset condensation with differentiable siamese augmentation (Zhao and Bilen, ICML 2021)."""

from collections.abc import Callable
from typing import Annotated, Literal

from matchers.base import Matcher
from matchers.gradient.dc import match_gradients
from synth.base import Net
from synth.options import BelowOne, Positive


def dsa(
    net: Net,
    augment: Callable,
    *,
    lr: Annotated[float, Positive] = 0.1,
    momentum: Annotated[float, BelowOne] = 0.5,
    net_lr: Annotated[float, Positive] = 0.01,
    batch: int = 64,
    distance: Literal["rows", "mse", "cos"] = "rows",
    outer: int | None = None,
    inner: int | None = None,
) -> Matcher:
    """Gradient matching with the same random augmentation on real and synthetic images.

    L = sum_c D(grad_theta l(A(x_c); theta), grad_theta l(A(s_c); theta)), A drawn anew for every class and step and shared by both sides
    (paper, eq. 3); the network trains on augmented synthetic images, and the images start from real ones.

    Args:
      net: the family of networks, renewed after its last matching step.
      augment: siamese augmentation (key, x, siamese) -> x.
      lr: step size of the images (> 0).
      momentum: of the images' optimiser, in [0, 1).
      net_lr: step size of the network's training (> 0).
      batch: real images a class and step; as published 256.
      distance: of two gradients: `rows` as published, `mse` or `cos` over all parameters together.
      outer: matching steps a network serves; by default the published table by images a class.
      inner: epochs on the set between two matching steps; by default that table's.
    """
    shared = {"lr": lr, "momentum": momentum, "net_lr": net_lr, "batch": batch, "distance": distance, "outer": outer, "inner": inner}
    return match_gradients(net, augment, **shared, start="random", recipe="dsa")
