"""What a step of trajectory matching costs as its inner steps grow: `python -m tests.bench.unrolled`.

Seconds (the median of rounds that take turns) and working memory (of the compiled program, beyond its arguments and results) for each
number N of inner steps, and how far N's seconds are from those in proportion to the first.
"""

import argparse
import statistics

import jax

from tests.bench import jax_side
from tests.bench.problem import Sizes, numbers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.unrolled", description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--synthetic", type=int, default=10, help="images a class")
    parser.add_argument("--steps", type=int, nargs="+", default=[10, 20, 40])
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    works, temporary, vector = {}, {}, 0
    for steps in args.steps:
        sizes = Sizes(args.width, 1, args.synthetic, steps)
        given = numbers(sizes)
        works[steps] = jax_side.make(sizes, given)["mtt"]
        step, inputs = works[steps].func, works[steps].args
        temporary[steps] = step.lower(*inputs).compile().memory_analysis().temp_size_in_bytes
        vector = jax_side.piece(given).start.nbytes
        jax.block_until_ready(works[steps]())
    taken = {steps: [] for steps in works}
    for _ in range(args.rounds):
        for steps, work in works.items():
            taken[steps].append(jax_side.timed(work)[0])
    seconds = {steps: statistics.median(each) for steps, each in taken.items()}
    first = args.steps[0]
    for steps in args.steps:
        apart, memory = seconds[steps] / seconds[first] / (steps / first) - 1, f"{temporary[steps] / 1e6:.1f} MB of working memory"
        if steps > first:
            memory += f", {(temporary[steps] - temporary[first]) / (steps - first) / vector:.2f} parameter vectors more a step"
        print(f"N = {steps}: {seconds[steps]:.3f} s, {100 * apart:+.0f} % off proportion; {memory}")


if __name__ == "__main__":
    main()
