"""The three units of work in JAX, over the library's own network and convolutions."""

import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from condense.nets import build, conv
from synth.base import Vars
from synth.fit import sgd
from tests.bench import problem
from tests.bench.problem import CLASSES, DEPTH, SIDE


def to_params(numbers: dict) -> dict:
    """The library's parameter tree of a ConvNet."""
    blocks = numbers["blocks"]
    return jax.tree.map(
        jnp.asarray,
        {
            "convs": tuple({"kernel": k, "bias": b} for k, b, _, _ in blocks),
            "head": dict(zip(("kernel", "bias"), numbers["head"], strict=True)),
            "norms": tuple({"bias": shift, "scale": scale} for _, _, scale, shift in blocks),
        },
    )


def make(sizes: problem.Sizes, numbers: dict) -> dict:
    """{work: function without arguments that returns arrays}, compiled at the first call."""
    net = build(f"convnet:width={sizes.width},depth={DEPTH}", (SIDE, SIDE, 1), CLASSES)
    params = to_params(numbers)
    assert jax.tree.structure(params) == jax.tree.structure(net.init(jax.random.key(0)).params)
    real, synthetic, still = jnp.asarray(numbers["real"]), jnp.asarray(numbers["synthetic"]), jnp.zeros(numbers["synthetic"].shape)
    labels = jnp.repeat(jnp.arange(CLASSES), sizes.synthetic)

    def out(params, x):
        """(logits, embedding), in pieces: see conv.in_pieces."""

        def fn(x):
            o = net.apply(Vars(params), x)
            return o.logits, o.embed

        return conv.in_pieces(fn, x)

    def entropy(params, x, y):
        return optax.softmax_cross_entropy_with_integer_labels(out(params, x)[0], y).mean()

    def descend(x, speed, gradient):
        speed = problem.MOMENTUM_IMAGE * speed + gradient
        return x - problem.LR_IMAGE * speed, speed

    @jax.jit
    def dm(params, real, synthetic, speed):
        def means(x):
            return out(params, x.reshape(-1, SIDE, SIDE, 1))[1].reshape(CLASSES, x.shape[1], -1).mean(1)

        target = means(real)
        loss, gradient = jax.value_and_grad(lambda x: jnp.sum((target - means(x)) ** 2))(synthetic)
        return loss, *descend(synthetic, speed, gradient)

    @jax.jit
    def dc(params, real, synthetic, speed):
        def of_class(args):
            x_real, x_fake, c = args
            gradient = lambda x: jax.grad(entropy)(params, x, jnp.full(len(x), c))  # noqa: E731
            target = gradient(x_real)
            return jax.value_and_grad(lambda x: distance(target, gradient(x)))(x_fake)

        losses, gradient = jax.lax.map(of_class, (real, synthetic, jnp.arange(CLASSES)))
        return jnp.sum(losses), *descend(synthetic, speed, gradient)

    @jax.jit
    def retrain(params, synthetic):
        tx = sgd(problem.LR_NET, momentum=problem.MOMENTUM_NET, weight_decay=problem.DECAY_NET)

        def epoch(_, carry):
            params, state = carry
            updates, state = tx.update(jax.grad(entropy)(params, synthetic.reshape(-1, SIDE, SIDE, 1), labels), state, params)
            return optax.apply_updates(params, updates), state

        return jax.lax.fori_loop(0, problem.EPOCHS, epoch, (params, tx.init(params)))[0]

    return {
        "dm": partial(dm, params, real, synthetic, still),
        "dc": partial(dc, params, real, synthetic, still),
        "retrain": partial(retrain, params, synthetic),
    }


def distance(a, b):
    """sum over kernels and output rows of 1 - cos, vectors left out (Zhao et al., ICLR 2021)."""

    def gap(g, h):
        g, h = g.reshape(-1, g.shape[-1]), h.reshape(-1, h.shape[-1])
        return jnp.sum(1 - jnp.sum(g * h, 0) / (jnp.linalg.norm(g, axis=0) * jnp.linalg.norm(h, axis=0) + 1e-6))

    return sum(gap(g, h) for g, h in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True) if g.ndim > 1)


def answers(works: dict) -> dict[str, list[np.ndarray]]:
    """Results in the layout of problem.numbers: dm and dc (loss, images); retrain (first kernel, last kernel, head)."""
    trained = works["retrain"]()
    return {
        **{name: [np.asarray(a) for a in works[name]()[:2]] for name in ("dm", "dc")},
        "retrain": [np.asarray(a) for a in (trained["convs"][0]["kernel"], trained["convs"][2]["kernel"], trained["head"]["kernel"])],
    }


def timed(fn) -> float:
    """Seconds of one call."""
    began = time.perf_counter()
    jax.block_until_ready(fn())
    return time.perf_counter() - began


def matmul() -> float:
    """GFLOP/s of the better of five 2048x2048 products."""
    a = jnp.ones((2048, 2048), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return max(2 * 2048**3 / timed(lambda: product(a)) / 1e9 for _ in range(6))
