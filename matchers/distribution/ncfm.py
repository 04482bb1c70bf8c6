"""Neural characteristic function matching (Wang et al., CVPR 2025), with frequencies that are drawn at random."""

from collections.abc import Callable
from typing import Annotated

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from matchers.base import Matcher, PerClass, descend
from matchers.distribution.common import augmented, by_class, embed
from synth.base import Net
from synth.numerics.backend import map_batched
from synth.numerics.pytree import safe_norm
from synth.options import Positive, ZeroToOne
from synth.training.fit import adam

TINY = 1e-12  # of a squared difference: below it the root has no gradient, where its own would be infinite


def ncfm(
    net: Net,
    augment: Callable,
    *,
    lr: Annotated[float, Positive] = 0.02,
    batch: int = 256,
    frequencies: int = 1024,
    amplitude: Annotated[float, ZeroToOne] = 0.5,
) -> Matcher:
    """Matches the characteristic functions of every class's features under freshly drawn random networks.

    L = sum_c mean_t sqrt(alpha (|Phi| - |Phi~|)^2 + (1 - alpha) 2 (|Phi| |Phi~| - Re Phi Re Phi~ - Im Phi Im Phi~)) with
    Phi = mean_i exp(i <t, psi(A(x_ci))>) over real images x, Phi~ the same over synthetic images s of class c, and t ~ N(0, I), as many as
    `frequencies`, drawn anew each step and the same for all classes. psi is the last feature map of a network drawn anew each step,
    flattened and divided by its length, and A one augmentation that both sides share. The first term compares how concentrated features
    are, the second where they lie; alpha = 1/2 gives |Phi - Phi~| / sqrt(2).

    The images' optimiser is Adam, whose steps do not depend on the scale of L, so the factor 300 of the released code is left out. What is
    not here: the network that learns which frequencies to sample, and the release's trained networks and calibration by them.

    Args:
      net: the family of networks; all classes are embedded together, in train mode, which matters to batch normalisation alone.
      augment: siamese augmentation (key, x, siamese) -> x.
      lr: step size of the images (> 0), about how far a pixel moves in a step.
      batch: real images a class and step.
      frequencies: how many t are drawn for a step; as released 4,096.
      amplitude: alpha in [0, 1], the weight of the amplitudes beside that of the phases; as released 1/2.
    """

    def loss(key, synth, aux, real):
        k_t, k_net, k_augment = jax.random.split(key, 3)
        drawn = net.init(k_net)
        sides = (embed(net, drawn, augmented(k_augment, augment, x)) for x in (real, by_class(synth, len(real))))
        truth, fake = map(unit, sides)
        t = jax.random.normal(k_t, (frequencies, truth.shape[-1]), truth.dtype)
        return jnp.sum(map_batched(lambda x, s: gap(x, s, t, amplitude), jax.lax.stop_gradient(truth), fake)), {}

    return descend(loss, adam(lr), feed=PerClass(batch), start="random")


def unit(features: Float[Array, "... d"]) -> Float[Array, "... d"]:
    """Features divided by their Euclidean length; those of length zero as they are."""
    length = safe_norm(features, axis=-1)
    return features / jnp.where(length > 0, length, 1)[..., None]


def gap(x: Float[Array, "n d"], s: Float[Array, "m d"], t: Float[Array, "k d"], alpha: float) -> Float[Array, ""]:
    """The distance of two samples of features: the mean over the frequencies t of
    sqrt(alpha (|Phi| - |Phi~|)^2 + (1 - alpha) 2 (|Phi| |Phi~| - Re Phi Re Phi~ - Im Phi Im Phi~)), where Phi is the characteristic
    function of x and Phi~ that of s, and alpha lies in [0, 1]."""
    (a, b), (c, d) = (characteristic(sample, t) for sample in (x, s))
    length, other = (safe_norm(jnp.stack(parts), axis=0) for parts in ((a, b), (c, d)))
    square = alpha * (length - other) ** 2 + (1 - alpha) * 2 * (length * other - a * c - b * d)
    return jnp.mean(jnp.sqrt(jnp.maximum(square, TINY)))


def characteristic(sample: Float[Array, "n d"], t: Float[Array, "k d"]) -> tuple[Float[Array, " k"], Float[Array, " k"]]:
    """Real and imaginary part of mean_j exp(i <t, x_j>) for every frequency t."""
    angles = sample @ t.T
    return jnp.cos(angles).mean(0), jnp.sin(angles).mean(0)
