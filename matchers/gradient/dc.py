"""Dataset condensation with gradient matching (Zhao, Mopuri and Bilen, ICLR 2021)."""

from collections.abc import Callable
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from matchers.base import Matcher, PerClass, descend
from synth.base import Net, Vars, fresh
from synth.numerics.backend import map_shared
from synth.numerics.pytree import safe_norm, with_gradient
from synth.options import BelowOne, Positive
from synth.training.fit import Fit, epoch_items, fit, on_examples, sgd

# images a class -> (matching steps a network, epochs of network training between two of them), as published
LOOPS = {1: (1, 1), 10: (10, 50), 20: (20, 25), 30: (30, 20), 40: (40, 15), 50: (50, 10)}
EPSILON = 1e-6
STATISTICS = 16  # real images a class that set batch statistics before a matching step


class GradientState(NamedTuple):
    """The network that is trained on the synthetic set, and the number of matching steps that it has been used for."""

    vars: Vars
    seen: Int[Array, ""]


def loops(per_class: int) -> tuple[int, int]:
    """From the published table, by images a class (>= 1): how many matching steps a network serves, and how many epochs it trains between
    two of them. A number between two rows of the table takes the smaller one's."""
    return LOOPS[max(row for row in LOOPS if row <= per_class)]


def channelwise_cosine(a: PyTree, b: PyTree) -> jax.Array:
    """sum over kernels and output channels o of 1 - <a_o, b_o> / (|a_o| |b_o| + 1e-6); vectors (biases, norms) count nothing."""

    def gap(g, h):
        return jnp.sum(1 - jnp.sum(g * h, 0) / (safe_norm(g, axis=0) * safe_norm(h, axis=0) + EPSILON))

    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(gap(g.reshape(-1, g.shape[-1]), h.reshape(-1, h.shape[-1])) for g, h in pairs if g.ndim > 1)


def mse(a: PyTree, b: PyTree) -> jax.Array:
    """|| a - b ||^2 over all parameters together."""
    return sum(jnp.sum((g - h) ** 2) for g, h in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True))


def cos(a: PyTree, b: PyTree) -> jax.Array:
    """1 - <a, b> / (|a| |b| + 1e-6) over all parameters together."""
    g, h = (jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(tree)]) for tree in (a, b))
    return 1 - jnp.sum(g * h) / (safe_norm(g, axis=0) * safe_norm(h, axis=0) + EPSILON)


DISTANCES = {"rows": channelwise_cosine, "mse": mse, "cos": cos}


def class_gradient(net: Net, vars: Vars, x: Float[Array, "b ..."], label: Int[Array, ""]) -> PyTree:
    """The gradient by `vars.params` of the mean cross entropy of examples that all belong to class `label`; statistics stand still."""

    def entropy(params):
        logits = net.apply(Vars(params, vars.stats), x).logits
        return optax.softmax_cross_entropy_with_integer_labels(logits, jnp.full(len(x), label)).mean()

    return jax.grad(entropy)(vars.params)


def match_gradients(
    net: Net,
    augment: Callable | None,
    *,
    lr: float,
    momentum: float,
    net_lr: float,
    batch: int,
    distance: str,
    outer: int | None,
    inner: int | None,
    start: str,
    recipe: str,
) -> Matcher:
    """The method that DC and DSA share: match class by class, move the images, train the network on them, renew it after `outer` steps.

    Args:
      net: the family of networks. augment: (key, x, siamese) -> x, of real and synthetic images alike; None for none.
      lr, momentum: of the images. net_lr: step size of the network's training.
      batch: real images a class and step.
      distance: of two gradients, a key of DISTANCES.
      outer, inner: matching steps a network serves, and epochs on the set between two of them; None for what `loops` says.
      start, recipe: as of `Matcher`.
    """

    def view(key, x):
        return x if augment is None else augment(key, x, siamese=True)

    def counts(synth):
        table = loops(len(synth) // synth.y.classes)
        return outer or table[0], inner or table[1]

    def loss(key, synth, student, real):
        classes = real.shape[0]
        drawn = student.vars
        if jax.tree.leaves(drawn.stats):  # batch statistics come from a few real images, then stand still
            few = real[:, :STATISTICS].reshape(-1, *real.shape[2:])
            drawn = Vars(drawn.params, net.apply(drawn, few, train=True).stats)

        def gap(key, x_real, x_fake, label):
            target = jax.lax.stop_gradient(class_gradient(net, drawn, view(key, x_real), label))
            return DISTANCES[distance](target, class_gradient(net, drawn, view(key, x_fake), label))

        fake = synth.x.decode().reshape(classes, -1, *real.shape[2:])
        # Classes do not touch each other's images: each is differentiated inside the loop, where the residuals of one are kept at a time.
        losses, slopes = map_shared(jax.value_and_grad(gap, argnums=2), jax.random.split(key, classes), real, fake, jnp.arange(classes))
        return with_gradient(jnp.sum(losses), fake, slopes), {}

    def train(key, synth, drawn):
        tx = sgd(net_lr)
        objective = on_examples(net, synth.x.decode(), synth.y, augment=augment)

        def epoch(number, state):
            return fit(objective, tx, state, epoch_items(key, number, len(synth), batch=256))[0]

        return jax.lax.fori_loop(0, counts(synth)[1], epoch, Fit(drawn, tx.init(drawn.params))).vars

    def after(key, synth, student):
        seen = student.seen + 1
        k_new, k_train = jax.random.split(key)
        last = seen % counts(synth)[0] == 0
        # a network that has seen its last matching step is renewed instead of trained, so at one image a class it never trains
        drawn = jax.lax.cond(last, lambda: fresh(k_new, net), lambda: train(k_train, synth, student.vars))
        return GradientState(drawn, seen)

    def init(key, synth):
        return GradientState(fresh(key, net), jnp.int32(0))

    matcher = descend(loss, optax.sgd(lr, momentum=momentum), init=init, after=after, feed=PerClass(batch), start=start)
    return matcher._replace(recipe=recipe)


def dc(
    net: Net,
    *,
    lr: Annotated[float, Positive] = 0.1,
    momentum: Annotated[float, BelowOne] = 0.5,
    net_lr: Annotated[float, Positive] = 0.01,
    batch: int = 64,
    distance: Literal["rows", "mse", "cos"] = "rows",
    outer: int | None = None,
    inner: int | None = None,
) -> Matcher:
    """Matches the gradients that real and synthetic images of every class give a network trained on the synthetic set.

    L = sum_c D(grad_theta l(x_c; theta), grad_theta l(s_c; theta)), D = sum over output rows of one minus the cosine (paper, eq. 9
    and 10). One step is one matching step: a network serves `outer` of them and trains `inner` epochs on the set between two (SGD,
    batch 256).

    Args:
      net: the family of networks, renewed after its last matching step.
      lr: step size of the images (> 0).
      momentum: of the images' optimiser, in [0, 1).
      net_lr: step size of the network's training (> 0).
      batch: real images a class and step; as published 256.
      distance: of two gradients: `rows` as published, `mse` or `cos` over all parameters together.
      outer: matching steps a network serves; by default the published table by images a class.
      inner: epochs on the set between two matching steps; by default that table's.
    """
    shared = {"lr": lr, "momentum": momentum, "net_lr": net_lr, "batch": batch, "distance": distance, "outer": outer, "inner": inner}
    return match_gradients(net, None, **shared, start="noise", recipe="dc")
