"""How far TESLA's gradient is from the exact one, on real data: `python -m tests.bench.tesla --data SPEC --experts DIR`.

For each number of inner steps the images descend the exact gradient; on the way, at the same set, piece and key, both gradients are taken.
Prints the cosine between the two by images, the ratio of their lengths, and the ratio of their slopes by the step size, as medians.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.load import load_data
from condense.engine.feeds import make_feed
from condense.experts import load_experts
from condense.runtime.log import progress
from condense.workflows import distill as api
from matchers.trajectory.common import Student, distance
from matchers.trajectory.mtt import mtt
from synth.images.augment import dsa, dsa_strategy
from synth.set import Info


def both(net, augment, steps: int):
    """(key, set, piece) -> cosine, length and slope of TESLA's gradient over the exact one's."""

    def gradient(kind, key, synth, piece):
        loss = distance(net, augment, Student(steps, gradient=kind))
        return jax.grad(lambda synth: loss(key, synth, piece)[0], allow_int=True)(synth)

    @jax.jit
    def compare(key, synth, piece):
        exact, tesla = (gradient(kind, key, synth, piece) for kind in ("exact", "tesla"))
        a, b = exact.x.pixels.ravel(), tesla.x.pixels.ravel()
        lengths = jnp.sqrt(jnp.sum(a * a)), jnp.sqrt(jnp.sum(b * b))
        return jnp.sum(a * b) / (lengths[0] * lengths[1]), lengths[1] / lengths[0], tesla.lr / exact.lr

    return compare


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tesla", description=__doc__.splitlines()[0])
    parser.add_argument("--data", required=True)
    parser.add_argument("--experts", required=True)
    parser.add_argument("--ipc", type=int, default=1)
    parser.add_argument("--inner-steps", type=int, nargs="+", default=[10, 30])
    parser.add_argument("--step-size", type=float, nargs="+", default=[0.01, 0.05])
    parser.add_argument("--max-start", type=int, default=3)
    parser.add_argument("--lr", type=float, default=1000.0)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--looks", type=int, default=10)
    args = parser.parse_args()
    data, experts, key = load_data(args.data), load_experts(args.experts), jax.random.key(0)
    net, augment = nets.build(experts.net, data.image, len(data.classes)), dsa(dsa_strategy(data.flips))
    print("| N | beta | cosine | length / exact | slope by beta / exact |\n|---|---|---|---|---|")
    for steps in args.inner_steps:
        matcher = mtt(net, augment, experts, inner_steps=steps, max_start=args.max_start, lr=args.lr, lr_lr=1e-12)
        feed = make_feed(matcher.feed, data.train, len(data.classes), seed=0, experts=experts)
        step, compare = jax.jit(matcher.step), both(net, augment, steps)
        for beta in args.step_size:
            synth = api.initial_set(key, matcher, matcher.start, data, args.ipc, Info(data.classes, data.preprocess)).bare()
            synth = jax.tree.map(jnp.asarray, synth)
            synth = type(synth)(synth.x, synth.y, lr=jnp.float32(beta))
            state, found = matcher.init(key, synth), []
            with progress(args.steps, f"N = {steps}, beta = {beta}") as bar:
                for number in range(args.steps):
                    at = jax.random.fold_in(key, number)
                    if number % max(1, args.steps // args.looks) == 0:
                        found.append([float(value) for value in compare(at, synth, feed(number))])
                    synth, state, _ = step(at, state, synth, feed(number))
                    bar.advance(1)
            cosine, length, slope = np.median(found, 0)
            low, high = np.min(found, 0)[0], np.max(found, 0)[0]
            print(f"| {steps} | {beta:g} | {cosine:.3f} [{low:.3f} to {high:.3f}] | {length:.2f} | {slope:.2f} |", flush=True)


if __name__ == "__main__":
    main()
