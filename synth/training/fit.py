"""The one training loop: a pure scan over mini-batches. Experts, teachers, inner loops and retraining all use it."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PyTree

from synth.base import Net, Vars, fresh
from synth.images.views import BatchView, View, unmixed
from synth.labels import Labels, targets_of
from synth.labels.plain import Hard
from synth.training.microbatch import rows_of, total


class Fit(NamedTuple):
    """The state of a training: the network's variables and the optimiser's state."""

    vars: Vars
    opt: optax.OptState


class Item(NamedTuple):
    """One mini-batch whose view is still to be drawn: its key, the positions of its examples among all, 1 for those that count and 0 for
    padding, and its place (epoch, number of the mini-batch in it), both from 0."""

    key: jax.Array
    index: Int[Array, " b"]
    counts: Float[Array, " b"]
    view: tuple[Int[Array, ""], Int[Array, ""]]


def sgd(lr, *, momentum: Float[Array, ""] | float = 0.0, weight_decay: float = 0.0) -> optax.GradientTransformation:
    """Stochastic gradient descent as PyTorch defines it: decay joins the gradient before momentum. `lr` may be traced, and so may a
    momentum above 0."""
    decay = optax.add_decayed_weights(weight_decay) if weight_decay else optax.identity()
    none = isinstance(momentum, float | int) and not momentum
    return optax.chain(decay, optax.sgd(lr, momentum=None if none else momentum))


class Moments(NamedTuple):
    """State of `adam`: steps done, and running means of gradients and of their squares."""

    count: Int[Array, ""]
    mean: optax.Updates
    square: optax.Updates


def adam(
    lr, *, b1: float = 0.9, b2: float = 0.999, epsilon: float = 1e-8, weight_decay: float = 0.0, decoupled: bool = False, axes: int = 0
):
    """Adam (Kingma and Ba, ICLR 2015, algorithm 1), an `optax.GradientTransformation`; AdamW where the decay is `decoupled`, else decay
    joins the gradient. `lr` may be traced; dtypes stay those of the parameters. Arrays of fewer than `axes` axes do not decay."""

    def init(params):
        zeros = jax.tree.map(jnp.zeros_like, params)
        return Moments(jnp.zeros((), jnp.int32), zeros, zeros)

    def update(grads, state, params):
        if weight_decay and not decoupled:
            grads = jax.tree.map(lambda g, p: g + weight_decay * p if p.ndim >= axes else g, grads, params)
        count = state.count + 1
        mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mean, grads)
        square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.square, grads)

        def move(m, v, p):
            steps = count.astype(p.dtype)
            step = m / (1 - b1**steps) / (jnp.sqrt(v / (1 - b2**steps)) + epsilon)
            return -jnp.asarray(lr, p.dtype) * (step + weight_decay * p if decoupled and weight_decay and p.ndim >= axes else step)

        return jax.tree.map(move, mean, square, params), Moments(count, mean, square)

    return optax.GradientTransformation(init, update)


def init_fit(key: jax.Array, net: Net, tx: optax.GradientTransformation) -> Fit:
    """Draws the variables of a new network from the key and initialises the state of its optimiser `tx`."""
    drawn = fresh(key, net)
    return Fit(drawn, tx.init(drawn.params))


def slope(objective: Callable) -> Callable:
    """Builds (params, stats, item) -> ((loss, stats), gradient by params) from an objective (params, stats, item) -> (loss, stats)."""
    return jax.value_and_grad(objective, has_aux=True)


def fit(
    objective: Callable, tx: optax.GradientTransformation, state: Fit, items, *, direction: Callable = slope
) -> tuple[Fit, Float[Array, " steps"]]:
    """Descends `objective(params, stats, item) -> (loss, stats)` once an item; returns the state after all and the loss of every step,
    which is that before the step. `items` is a PyTree whose leaves lead with the steps, as `epoch_items` makes it.

    `direction(objective)` says what is descended, in the form of `slope`: the gradient, or what a flatness-seeking method makes of two.
    """
    follow = direction(objective)

    def step(state, item):
        params, stats = state.vars
        (loss, stats), grads = follow(params, stats, item)
        updates, opt = tx.update(grads, state.opt, params)
        return Fit(Vars(optax.apply_updates(params, updates), stats), opt), loss

    return jax.lax.scan(step, state, items)


def epoch_items(key: jax.Array, epoch, n: int, *, batch: int, order: Int[Array, " n"] | None = None) -> Item:
    """All mini-batches of one epoch: a permutation of n examples, by default one that the key draws, in pieces of at most `batch`.

    They come as one `Item` whose leaves lead with the ceil(n / batch) steps. The same key and epoch give the same.
    The last piece is filled up from the head of the permutation with rows that count 0, so that shapes stay fixed. Such rows add nothing to
    loss or gradient; batch normalisation alone sees them in its statistics.
    """
    batch = min(batch, n)
    steps = -(-n // batch)
    k_order, k_items = jax.random.split(jax.random.fold_in(key, epoch))
    slots = jnp.arange(steps * batch)
    order = jax.random.permutation(k_order, n) if order is None else order
    index = order[slots % n].reshape(steps, batch)
    counts = (slots < n).astype(jnp.float32).reshape(steps, batch)
    epochs = jnp.broadcast_to(jnp.asarray(epoch, jnp.int32), (steps,))
    return Item(jax.random.split(k_items, steps), index, counts, (epochs, jnp.arange(steps)))


def batch_view(item: Item, x: Float[Array, "n ..."], view: View | None) -> BatchView:
    """Takes the images of one mini-batch out of all images, and changes them as the view says.

    Args:
      item: the mini-batch: which rows of x it has, the key of its random draws, its epoch and number. The same item gives the same view.
      x: the images of all examples, not of this mini-batch alone.
      view: how images are cropped, changed and mixed; None leaves them unchanged.

    Returns the epoch, the number of the mini-batch, its b images, and how they were mixed. Labels are not among it.
    """
    images = x[item.index]
    images, mixed = (images, unmixed(images)) if view is None else view.sample(jax.random.split(item.key)[0], images, epoch=item.view[0])
    return BatchView(*item.view, images, mixed)


def on_examples(
    net: Net,
    x: Float[Array, "n ..."],
    y: Labels,
    *,
    augment: Callable | None = None,
    view: View | None = None,
    micro: int = 1,
    weight=None,
) -> Callable:
    """The objective of training `net` on examples with labels of any kind: the mean loss over the rows that count.

    It is a function (params, stats, item) -> (loss, stats), as `fit` takes it; `x` and `y` are all examples, of which an item names some.
    `view`, and after it `augment(key, x, siamese=False)`, are drawn anew for every item; labels that record views show their own. Where
    both are given, the view may show cells and nothing else: the key of its other draws is that of `augment`.
    `weight` f32[n] is how often an example counts. A batch goes through the network in `micro` parts, each under batch statistics of its
    own.
    """

    def objective(params, stats, item: Item):
        k_augment, k_net = jax.random.split(item.key)
        seen = y.shown(x[item.index], *item.view) if y.records else batch_view(item, x, view)
        if augment is not None:
            seen = seen._replace(images=augment(k_augment, seen.images, siamese=False))
        targets = targets_of(y, item.index, seen, mixes=view is not None and bool(view.mix))
        counts = (item.counts if weight is None else item.counts * weight[item.index]).astype(seen.images.dtype)
        share = counts / jnp.maximum(jnp.sum(counts), jnp.finfo(counts.dtype).tiny)  # a batch of examples that never count

        if view is None and not jax.tree.leaves(stats):  # nothing mixes the rows

            def cost(params, rows):
                images, targets, share = rows
                losses = y.loss(net.apply(Vars(params, stats), images, train=True, key=k_net).logits, targets)
                return jnp.sum(losses * share.astype(losses.dtype))

            return total(cost, params, (seen.images, targets, share), rows_of(len(share), x.shape[1:])), stats
        logits = []
        for part in jnp.array_split(seen.images, micro):
            out = net.apply(Vars(params, stats), part, train=True, key=k_net)
            logits, stats = [*logits, out.logits], out.stats
        losses = y.loss(jnp.concatenate(logits) if micro > 1 else logits[0], targets)
        return jnp.sum(losses * share.astype(losses.dtype)), stats

    return objective


def real_sgd(lr) -> optax.GradientTransformation:
    """SGD of step size `lr` with momentum 0.9 and weight decay 5e-4: how networks are trained whose features selection uses."""
    return sgd(lr, momentum=0.9, weight_decay=5e-4)


@partial(jax.jit, static_argnames=("net", "classes", "batch"))
def _real_epoch(net, state, key, epoch, x, y, lr, *, classes, batch):
    objective = on_examples(net, x, Hard(y, classes))
    return fit(objective, real_sgd(lr), state, epoch_items(key, epoch, len(x), batch=batch))[0]


def train_on(
    key: jax.Array, net: Net, x, y, classes: int, *, epochs: int = 5, batch: int = 256, lr: float = 0.01, done: Callable = lambda: None
) -> Vars:
    """Trains a new network on real examples by SGD (momentum 0.9, weight decay 5e-4) and returns its variables. Selection uses its
    features.

    `x` are the examples f32[n ...] in model space, `y` their class indices i32[n] in [0, classes); `batch` is examples a step.
    `done()` is called after every epoch.
    """
    k_init, k_fit = jax.random.split(key)
    state = init_fit(k_init, net, real_sgd(lr))
    x, y = jnp.asarray(x), jnp.asarray(y)
    for epoch in range(epochs):
        state = jax.block_until_ready(_real_epoch(net, state, k_fit, epoch, x, y, jnp.float32(lr), classes=classes, batch=batch))
        done()
    return state.vars


@partial(jax.jit, static_argnames=("read", "batch"))
def in_batches(read: Callable, vars: PyTree, x: Float[Array, "n ..."], *, batch: int = 256):
    """Applies `read(vars, x[b ...])` to all rows, `batch` at a time, so that memory does not grow with n.

    `read` must answer to every row by itself, as an array or PyTree that leads with b: the last piece is filled up with zeros. Returns the
    answers to the n rows in order. Another function `read` is compiled anew.
    """
    n = len(x)
    batch = min(batch, n)
    pieces = -(-n // batch)
    padded = jnp.pad(x, ((0, pieces * batch - n),) + ((0, 0),) * (x.ndim - 1)).reshape(pieces, batch, *x.shape[1:])
    out = jax.lax.map(lambda piece: read(vars, piece), padded)
    return jax.tree.map(lambda leaf: leaf.reshape(pieces * batch, *leaf.shape[2:])[:n], out)
