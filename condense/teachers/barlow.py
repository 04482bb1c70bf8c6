"""Barlow Twins (Zbontar et al., ICML 2021, arXiv 2103.03230): learning representations without labels.

Two random views of a batch go through the network and a projector; the cross-correlation matrix of the two outputs is pulled to the
identity. Images are f32[b h w c] in model space.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from condense import nets
from condense.nets.precision import matmul, products_in
from condense.runtime.checks import check_whole
from synth.base import Net, Vars, fresh
from synth.images.distortions import Ranges, views
from synth.options import Positive, Precision, check_option
from synth.training.fit import Fit, adam, epoch_items, fit
from synth.training.optim import scheduled

LAMBDA = 5e-3
STEPS = 4000
EPSILON = 1e-5


class Config(NamedTuple):
    """How a teacher is trained.

    Args:
      net: specification of the network; by default a ConvNet of width 32 with batch norm: three blocks, two for images below 16 pixels.
      epochs: passes over the training images (>= 1); by default as many as make about 4,000 steps.
      batch: images a step; the correlations are over them.
      lr, weight_decay: of Adam with decoupled decay; the step size rises for a twentieth of the training and falls to 0 as a half cosine.
      projector: width of the three layers that stand on the network while it is trained.
      seed: of weights, order and views.
      precision: of the products in network and projector, `f32` or `bf16`.
    """

    net: str | None = None
    epochs: int | None = None
    batch: int = 256
    lr: float = 2e-3
    weight_decay: float = 1e-6
    projector: int = 512
    seed: int = 0
    precision: str = "f32"


def standardised(z: Float[Array, "b d"], *, epsilon: float = EPSILON) -> Float[Array, "b d"]:
    """(z - mean) / sqrt(var + epsilon), statistics of every column over the batch (biased variance)."""
    mean = z.mean(0, keepdims=True)
    return (z - mean) * jax.lax.rsqrt(jnp.mean((z - mean) ** 2, 0, keepdims=True) + epsilon)


def barlow_loss(a: Float[Array, "b d"], b: Float[Array, "b d"], *, trade: float = LAMBDA, epsilon: float = EPSILON) -> Float[Array, ""]:
    """L = sum_i (1 - C_ii)^2 + trade * sum_{i != j} C_ij^2 with C = A^T B / b of batch-standardised columns (paper, eq. 1 and 2).

    Args:
      a, b: projections of two views of one batch, row by row.
      trade: weight of the off-diagonal entries (> 0).
      epsilon: added to every variance (>= 0).
    """
    c = standardised(a, epsilon=epsilon).T @ standardised(b, epsilon=epsilon) / len(a)
    diagonal = jnp.diagonal(c)
    return jnp.sum((1 - diagonal) ** 2) + trade * (jnp.sum(c * c) - jnp.sum(diagonal**2))


def init_projector(key: jax.Array, inputs: int, width: int) -> list[dict[str, jax.Array]]:
    """Three linear layers without bias, to `width` outputs each: arrays by name, layer by layer. The `kernel` is from U(-a, a) with
    a = 1 / sqrt(inputs of the layer); the first two layers end in a batch norm with `scale` and `bias`. `inputs` are those of the first."""
    layers = []
    for number, fan_in in enumerate((inputs, width, width)):
        bound = 1 / fan_in**0.5
        kernel = jax.random.uniform(jax.random.fold_in(key, number), (fan_in, width), jnp.float32, -bound, bound)
        norm = {"scale": jnp.ones(width), "bias": jnp.zeros(width)} if number < 2 else {}
        layers.append({"kernel": kernel, **norm})
    return layers


def project(layers: list[dict[str, jax.Array]], x: Float[Array, "b d"]) -> Float[Array, "b e"]:
    """linear, batch norm, ReLU; twice; linear. Norms always use the batch: the projector is thrown away after training."""
    for layer in layers:
        x = matmul(x, layer["kernel"])
        if "scale" in layer:
            x = jax.nn.relu(standardised(x) * layer["scale"][None] + layer["bias"][None])
    return x


class BarlowProgress(NamedTuple):
    """The state of a teacher's training: the fit of {"net", "projector"} and the sum of this epoch's losses."""

    fit: Fit
    total: Float[Array, ""]


class BarlowTraining(NamedTuple):
    """Compiled training of one teacher.

    Args:
      init: key -> carry.
      order: (key, epoch) -> the mini-batches of an epoch.
      advance: (carry, mini-batches, x, number of the first of them, first, stop) -> carry after number first .. stop - 1 of the epoch;
        mini-batches index the images x f32[m h w c].
      steps: batches an epoch; a last short one is left out.
    """

    init: Callable
    order: Callable
    advance: Callable
    steps: int


def make_training(net: Net, config: Config, shape: tuple[int, int, int, int], *, ranges: Ranges) -> BarlowTraining:
    """Builds the compiled Barlow Twins training of a network, with a projector on top of its embedding.

    Every step makes two random views of each image of a batch. Both go through the network in one call, so that its batch norms take their
    statistics over both views together.

    Args:
      net: the network to train, in the precision of the configuration.
      config: with its epochs filled in, as `complete` does; None there is an error.
      shape: n h w c of the training images. An epoch has n // min(config.batch, n) steps; a last short batch is left out.
      ranges: how strongly views are cropped, mirrored and changed in brightness and contrast; these are no bounds of pixel values.
    """
    n, *image = shape
    batch = min(config.batch, n)
    steps = n // batch
    tx = optimiser(config, steps)

    @jax.jit
    def init(key):
        k_net, k_projector = jax.random.split(key)
        drawn = fresh(k_net, net)
        width = jax.eval_shape(net.apply, drawn, jnp.zeros((2, *image))).embed.shape[1]
        params = {"net": drawn.params, "projector": init_projector(k_projector, width, config.projector)}
        return BarlowProgress(Fit(Vars(params, drawn.stats), tx.init(params)), jnp.float32(0))

    @jax.jit
    def order(key, epoch):
        return jax.tree.map(lambda leaf: leaf[:steps], epoch_items(key, epoch, n, batch=batch))

    @partial(jax.jit, donate_argnums=0)
    def advance(carry, items, x, offset, first, stop):
        def objective(params, stats, item):
            k_a, k_b = jax.random.split(item.key)
            images = x[item.index]
            both = jnp.concatenate([views(k_a, images, ranges), views(k_b, images, ranges)])
            out = net.apply(Vars(params["net"], stats), both, train=True)
            with products_in(config.precision):
                a, b = jnp.split(project(params["projector"], out.embed), 2)
            return barlow_loss(a, b), out.stats

        def step(number, carry):
            item = jax.tree.map(lambda leaf: leaf[number - offset][None], items)
            state, losses = fit(objective, tx, carry.fit, item)
            return BarlowProgress(state, jnp.where(number == 0, 0, carry.total) + losses[0])

        return jax.lax.fori_loop(first, stop, step, carry)

    return BarlowTraining(init, order, advance, steps)


def optimiser(config: Config, steps: int) -> optax.GradientTransformation:
    """Adam with decoupled weight decay for a training of `steps` batches an epoch, `config.epochs` of them. Its step size rises evenly for
    a twentieth of the training, and falls to 0 as a half cosine."""
    whole, rise = steps * config.epochs, max(1, steps * config.epochs // 20)

    def factor(count):
        done = count.astype(jnp.float32)
        return jnp.minimum(1, (done + 1) / rise) * (1 + jnp.cos(jnp.pi * jnp.minimum(done / whole, 1))) / 2

    return scheduled(adam(config.lr, weight_decay=config.weight_decay, decoupled=True), factor)


def complete(config: Config, image: tuple[int, int, int], n: int) -> Config:
    """Fills in the network and the epochs of a configuration, where they are None, for n images of the shape `image`, h w c. Other values
    stay as they are. Raises BadInput for numbers out of range, and for an unknown network."""
    batch = min(check_whole("batch", config.batch, least=2), n)
    epochs = max(1, round(STEPS / (n // batch))) if config.epochs is None else check_whole("epochs", config.epochs)
    check_whole("projector", config.projector)
    check_option("lr", config.lr, Annotated[float, Positive])
    check_option("precision", config.precision, Precision)
    net = config.net or f"convnet:width=32,depth={3 if min(image[:2]) >= 16 else 2},norm=batch"
    return config._replace(net=nets.canonical(net), epochs=epochs)
