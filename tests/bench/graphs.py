"""One full pass over graphs, loss and gradient: on padded batches of the graphs and on their colour graph. Run by hand:

python -m tests.bench.graphs tu:FILE [NET ...]
"""

import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from condense import nets
from condense.data.load import load_data
from condense.evaluation.graphs import depth_of, read_as_colours
from condense.nets.graphs import NEEDS_DEGREES
from synth.base import Vars, take_all
from synth.graphs.base import GraphExamples, batches
from synth.graphs.refinement import evaluations, refine

BATCH, ROUNDS = 128, 5


def measure(spec: str, name: str) -> tuple[str, dict]:
    """Seconds of either way (the least of a few rounds that take turns), their ratio, and how far the gradients are from the exact one: as
    a line, and the times as numbers."""
    data = load_data(spec)
    examples = GraphExamples(take_all(data.source.rows), data.source.rows.y, len(data.classes), data.image)
    net, n = nets.build(name, data.image, len(data.classes)), len(examples.y)
    params = net.init(jax.random.key(0)).params

    @jax.jit
    def slope(params, batch, y):
        def loss(params):
            losses = -jax.nn.log_softmax(net.apply(Vars(params), batch).logits)[jnp.arange(len(y)), y]
            return jnp.sum(losses * batch.real) / n

        return jax.grad(loss)(params)

    def doubled(tree):
        return jax.tree.map(lambda leaf: leaf.astype(np.float64) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf, tree)

    parts = [
        (batch, jnp.asarray(np.resize(examples.y[index], len(batch.real))))
        for index, batch in batches(examples.x, np.arange(n), size=BATCH)
    ]
    whole = read_as_colours(examples, name), jnp.asarray(examples.y)

    def on_batches(params=params, parts=parts):
        total = jax.tree.map(jnp.zeros_like, params)
        for batch, y in parts:
            total = jax.tree.map(jnp.add, total, slope(params, batch, y))
        return total

    ways, best = (on_batches, lambda: slope(params, *whole)), [np.inf, np.inf]
    made = [jax.block_until_ready(way()) for way in ways]  # compiles
    for _ in range(ROUNDS):
        for at, way in enumerate(ways):
            began = time.perf_counter()
            jax.block_until_ready(way())
            best[at] = min(best[at], time.perf_counter() - began)
    with jax.enable_x64(True):
        made.append(slope(*doubled((params, *whole))))
        made.append(on_batches(doubled(params), doubled(parts)))
    *others, exact = (np.concatenate([np.ravel(leaf).astype(np.float64) for leaf in jax.tree.leaves(slope)]) for slope in made)
    plain, merged, double = (np.abs(other - exact).max() / np.abs(exact).max() for other in others)
    counted = evaluations(refine(examples.x, depth_of(name), degrees=nets.parse(name)[0] in NEEDS_DEGREES))
    line = (
        f"{name}: {best[0]:.3f} s in {len(parts)} batches of {BATCH}, {best[1]:.4f} s on the colour graph, {best[0] / best[1]:.1f}x; "
        f"node evaluations {counted.graphs:,} and {counted.colours:,}; "
        f"gradient off that of batches in float64, in parts of its largest entry: batches {plain:.1e}, colours {merged:.1e}, "
        f"colours in float64 {double:.1e}"
    )
    return line, {"ratio": round(best[0] / best[1], 2), "seconds": {"batches": round(best[0], 4), "colours": round(best[1], 5)}}


if __name__ == "__main__":
    for name in sys.argv[2:] or ("gin", "gin:depth=3"):
        print(measure(sys.argv[1], nets.canonical(name))[0], flush=True)
