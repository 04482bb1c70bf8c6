"""What a network says of every training example: the numbers that the log of ranks keeps of an epoch.

Nothing here holds more than a piece of the examples and of what the network makes of them, wherever they lie.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from condense.ranking.log import LastLogits
from synth.base import Net, Split, Vars
from synth.numerics import backend
from synth.training.fit import in_batches
from synth.training.stream import Chosen, padded, pieces_of, rows_in

PART = 8192  # examples whose fields are computed at a time: logits of many classes are large


class Seen(NamedTuple):
    """What a network makes of examples: its logits, and for each the norm of the last layer's input with a 1 behind it,
    sqrt(1 + |phi|^2)."""

    logits: Float[Array, "n classes"]
    norms: Float[Array, " n"]


def measure_epoch(now: Seen, before: Float[Array, "n classes"], y: Int[Array, " n"]) -> dict[str, Array]:
    """The fields that are logged of an epoch, by name, a number an example.

    With p the probabilities after this epoch and z the logits: `probability` p_y; `margin` z_y - max of the other z; `correct` 1 where y
    has the largest logit, else 0; `error` the norm of p - the one-hot row of y; `entropy` of p in nats, f16; `divergence` KL(p, p before),
    at least 0; `gradient` `error` times the example's norm in `now`.

    Args:
      now: what the network makes of the examples after this epoch.
      before: their logits after the one before.
      y: their class indices.
    """
    logp, logq = jax.nn.log_softmax(now.logits), jax.nn.log_softmax(before)
    p, truth = jnp.exp(logp), jax.nn.one_hot(y, now.logits.shape[1], dtype=jnp.bool_)
    at_y = jnp.sum(jnp.where(truth, now.logits, 0), 1)
    others = jnp.max(jnp.where(truth, -jnp.inf, now.logits), 1)
    error = jnp.sqrt(jnp.sum(jnp.square(jnp.where(truth, p - 1, p)), 1))
    return {
        "probability": jnp.sum(jnp.where(truth, p, 0), 1),
        "margin": at_y - others,
        "correct": (jnp.argmax(now.logits, 1) == y).astype(jnp.uint8),
        "error": error,
        "entropy": -jnp.sum(p * logp, 1).astype(jnp.float16),
        "divergence": jnp.maximum(0, jnp.sum(p * (logp - logq), 1)),  # rounding may take it below
        "gradient": error * now.norms,
    }


class Measure(NamedTuple):
    """Passes over all examples, which are compiled once.

    Args:
      see: (vars, split, last) -> nothing; `last` holds the network's logits then.
      fields: (vars, split, last) -> the fields of an epoch, as `measure_epoch` has them, as numpy arrays. `last` holds the logits of the
        epoch before, and those of this one then.
      embed: (vars, split) -> pieces of the embeddings, in order: the number of a piece's first example, and f16[m d].
      full: (vars, split) -> f32[n], the norm of every example's gradient by all parameters.
    """

    see: Callable[[Vars, Split, LastLogits], None]
    fields: Callable[[Vars, Split, LastLogits], dict[str, np.ndarray]]
    embed: Callable[[Vars, Split], Iterator[tuple[int, np.ndarray]]]
    full: Callable[[Vars, Split], Float[np.ndarray, " n"]]


def make_measure(net: Net) -> Measure:
    """Builds the passes of a network. Batch norms use their running statistics, so that no example depends on those beside it."""

    def outputs(vars, x):
        out = net.apply(vars, x)
        return Seen(out.logits, jnp.sqrt(1 + jnp.sum(jnp.square(out.embed), 1)))

    def features(vars, x):
        return net.apply(vars, x).embed

    @jax.jit
    def look(vars, x, y):
        return in_batches(outputs, vars, x)

    @jax.jit
    def embed(vars, x, y):
        most = float(jnp.finfo(jnp.float16).max)
        return jnp.clip(in_batches(features, vars, x), -most, most).astype(jnp.float16)

    whole, measured = jax.jit(partial(gradient_norms, net)), jax.jit(measure_epoch)

    def see(vars, split, last):
        for first, seen in piecewise(look, vars, split):
            last.swap(first, seen.logits)

    def fields(vars, split, last):
        parts, labels = [], np.asarray(split.y)
        for first, seen in piecewise(look, vars, split):
            before, y = last.swap(first, seen.logits), labels[first : first + len(seen.norms)]
            for at in range(0, len(y), PART):
                part = jax.tree.map(lambda rows: rows[at : at + PART], (seen, before, y))  # noqa: B023
                parts.append(jax.tree.map(np.asarray, measured(*part)))
        return jax.tree.map(lambda *rows: np.concatenate(rows), *parts)

    return Measure(
        see,
        fields,
        lambda vars, split: piecewise(embed, vars, split),
        lambda vars, split: np.concatenate([part for _, part in piecewise(whole, vars, split)]),
    )


def piecewise(read: Callable, vars: Vars, split: Split) -> Iterator[tuple[int, Any]]:
    """The answers of `read(vars, x, y)` to all examples, piece by piece wherever they lie: the number of the first example of a piece, and
    the answers to its examples. `read` must answer to every example by itself."""
    first, size = 0, rows_in(split)
    for piece in pieces_of(Chosen(split, np.arange(len(split.y)))):
        m = len(piece.y)
        x, y = (jnp.asarray(padded(np.asarray(rows), size)) for rows in piece)
        yield first, jax.tree.map(lambda rows: np.asarray(rows)[:m], read(vars, x, y))  # noqa: B023
        first += m


def gradient_norms(net: Net, vars: Vars, x: Float[Array, "n ..."], y: Int[Array, " n"]) -> Float[Array, " n"]:
    """The norm of the gradient of every example's cross entropy by all parameters, statistics held: a pass of its own, an example at a
    time on a CPU."""

    def norm(x, y):
        def loss(params):
            logits = net.apply(Vars(params, vars.stats), x[None]).logits
            return optax.softmax_cross_entropy_with_integer_labels(logits, y[None])[0]

        grads = jax.grad(loss)(vars.params)
        return jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(grads)))

    return backend.map_batched(norm, x, y)
