"""Paired timings: two resident processes take strict turns; the ratio of a round is the faster PyTorch writing's time over JAX's.

Prints first that all three agree on a small size, then the median ratio with the lowest and highest round, a profile of the JAX side,
and the share of processor time that the host took away meanwhile (steal). The default needs an idle machine: beside other programs the
threads of PyTorch wait for each other and lose many times over. There `--threads 1` pins both sides to one processor, and its ratio of
processor times is the one to quote.
"""

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Sequence

import numpy as np

from tests.bench import memory, problem

WRITINGS = ("torch", "torch in pieces")
SMALL = problem.Sizes(width=8, real=20, synthetic=3, steps=2)
TINY = problem.Sizes(width=4, real=1, synthetic=1, steps=3)  # of the comparison in double precision
WORKS = ("dm", "dc", "retrain", "mtt", "frepo")


def jax_worker(pipe, sizes, threads):
    """Serves answers, timings and profiles of the JAX side."""
    pin(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from tests.bench import jax_side, profile

    pipe.send(jax_side.exact(TINY, problem.numbers(TINY)))
    pipe.send({"jax": jax_side.answers(jax_side.make(SMALL, problem.numbers(SMALL)))})
    works = jax_side.make(sizes, problem.numbers(sizes))
    serve(pipe, jax_side, {"jax": works}, lambda name: profile.shares(works[name]))


def torch_worker(pipe, sizes, threads):
    """Serves answers and timings of both PyTorch writings."""
    pin(threads)
    import torch

    from tests.bench import torch_side

    torch.set_num_threads(threads)
    make = lambda sizes: {w: torch_side.make(sizes, problem.numbers(sizes), pieces=w != "torch") for w in WRITINGS}  # noqa: E731
    pipe.send(torch_side.exact(TINY, problem.numbers(TINY)))
    pipe.send({w: torch_side.answers(works) for w, works in make(SMALL).items()})
    serve(pipe, torch_side, make(sizes), None)


def pin(threads):
    """Keeps this process to the first processors: the number that both libraries then use."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def serve(pipe, side, works, shares):
    """Answers (what, writing, name) requests until None."""
    while (request := pipe.recv()) is not None:
        match request:
            case "time", writing, name:
                pipe.send(side.timed(works[writing][name]))
            case "memory", writing, name:
                pipe.send(memory.peak(lambda work=works[writing][name]: side.timed(work)))
            case "profile", _, name:
                pipe.send(shares(name))
            case _:
                pipe.send(side.matmul())


def ask(pipe, what, writing="", name=""):
    pipe.send((what, writing, name))
    return pipe.recv()


def check_exact(ours: list, theirs: list) -> None:
    """Exits where the student's loss or its gradient differs by more than 1e-8 of the largest entry in double precision."""
    errors = [np.abs(a - b).max() / np.abs(b).max() for a, b in zip(ours, theirs, strict=True)]
    if not max(errors) < 1e-8:
        sys.exit(f"mtt in double precision: loss and its gradient by images and step size differ by {errors} of the largest value")
    print(f"agreement in double precision, {TINY.steps} inner steps at width {TINY.width}: to {max(errors):.0e}")


def check(answers: dict) -> None:
    """Exits where a side disagrees: float32 rounding is amplified by the momentum steps, so 1 % of the largest change or value."""
    for name, reference in answers["jax"].items():
        for writing in WRITINGS:
            for ours, theirs in zip(reference, answers[writing][name], strict=True):
                error = np.abs(ours - theirs) / np.abs(theirs).max()
                # rounding may put one image on the other side of a ReLU's kink, where its gradient jumps
                error = np.sort(error.max((2, 3, 4)).ravel())[-2] if name == "frepo" and ours.ndim == 5 else error.max()
                if not error < 1e-2:
                    sys.exit(f"{name}: jax and {writing} differ by {error:.1e} of the largest value")
    print(f"agreement at width {SMALL.width}: all works, both PyTorch writings")


def steal() -> tuple[int, int]:
    """(stolen, all) ticks of all processors since the machine started."""
    with open("/proc/stat") as stat:
        ticks = [int(t) for t in stat.readline().split()[1:9]]
    return ticks[7], sum(ticks)


def compare_memory(name: str, sides: dict, temporaries: int) -> float:
    """Prints peak memory above what stays: as the system counts it, and of jax not less than what its compiler plans for. Returns how many
    times less it is than that of the leaner writing."""
    peaks = {writing: ask(pipe, "memory", writing, name) for writing, pipe in sides.items()}
    low, ours = min(peaks[w] for w in WRITINGS), max(peaks["jax"], temporaries)
    less = low / ours
    print(f"  peak memory: {less:.1f} times less than the leaner writing; ", end="")
    print(", ".join(f"{w} {size / 1e6:.0f} MB" for w, size in peaks.items()) + f", temporaries of jax {temporaries / 1e6:.0f} MB")
    return less


def measure(name: str, rounds: int, sides: dict) -> dict:
    """Prints one work's times and ratios, and returns those of the clock: `ratio`, its `lowest` and `highest` round, and the median
    `seconds` of each side."""
    for writing, pipe in sides.items():
        ask(pipe, "time", writing, name)  # compiles, warms up
    print(f"\n{name}")
    before, times = steal(), {w: [] for w in sides}
    for _ in range(rounds):
        for writing, pipe in sides.items():
            times[writing].append(ask(pipe, "time", writing, name))
    stolen = [b - a for a, b in zip(before, steal(), strict=True)]
    print(f"  {rounds} rounds, steal {100 * stolen[0] / max(stolen[1], 1):.1f} %")
    return compare_times(times, problem.EPOCHS if name == "retrain" else 1)


def compare_times(times: dict[str, list[tuple[float, float]]], scale: int = 1) -> dict:
    """Prints times and ratios of rounds, (seconds, processor seconds) of each side, and returns those of the clock as `measure` does."""
    writings, found = [writing for writing in times if writing != "jax"], []
    for kind, clock in enumerate(("wall", "processor")):
        of = {w: [t[kind] for t in both] for w, both in times.items()}
        best = min(writings, key=lambda w, of=of: statistics.median(of[w]))
        ratios = [t / j for t, j in zip(of[best], of["jax"], strict=True)]
        print(f"  {clock} time: {statistics.median(ratios):.2f} times as fast as {best} [{min(ratios):.2f} to {max(ratios):.2f}], ", end="")
        print(f"ratio of the lowest {min(of[best]) / min(of['jax']):.2f}; ", end="")
        medians = {w: statistics.median(t) / scale for w, t in of.items()}
        print("medians " + ", ".join(f"{w} {seconds:.3f} s" for w, seconds in medians.items()))
        spread = {"ratio": statistics.median(ratios), "lowest": min(ratios), "highest": max(ratios)}
        found.append({name: round(value, 3) for name, value in spread.items()} | {"seconds": {w: round(s, 4) for w, s in medians.items()}})
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--works", nargs="+", default=WORKS, choices=WORKS)
    parser.add_argument("--width", type=int, default=128)
    parser.add_argument("--real", type=int, default=256, help="real images a class")
    parser.add_argument("--synthetic", type=int, default=10, help="synthetic images a class")
    parser.add_argument("--steps", type=int, default=10, help="inner steps of mtt")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2, help="threads, and processors, of each side")
    args = parser.parse_args()
    compare(problem.Sizes(args.width, args.real, args.synthetic, args.steps), args.works, rounds=args.rounds, threads=args.threads)


def compare(sizes: problem.Sizes, works: Sequence[str], *, rounds: int, threads: int) -> list[dict]:
    """Measures works at these sizes, prints all, and returns a row for each: what `measure` gives, `memory` (times less than the leaner
    writing), `gflops` a second of the direct algorithm's convolutions, and the `share` of the rate of the machine's own matrix product."""
    print(f"{sizes}, {problem.CLASSES} classes, {threads} threads a side, load {os.getloadavg()[0]:.1f} before the start")
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    spawn, pipes = multiprocessing.get_context("spawn"), {}
    for side, target in (("jax", jax_worker), ("torch", torch_worker)):
        pipes[side], end = spawn.Pipe()
        spawn.Process(target=target, args=(end, sizes, threads), daemon=True).start()
    check_exact(*(pipes[side].recv() for side in ("jax", "torch")))
    check({k: v for pipe in pipes.values() for k, v in pipe.recv().items()})
    sides = {"jax": pipes["jax"]} | {w: pipes["torch"] for w in WRITINGS}
    peak = {side: ask(pipe, "matmul") for side, pipe in pipes.items()}
    print("2048x2048 product, GFLOP/s: " + ", ".join(f"{side} {rate:.0f}" for side, rate in peak.items()))
    rows = []
    for name in works:
        row = {"work": name, "width": sizes.width, **measure(name, rounds, sides)}
        shares, seconds, temporaries = ask(pipes["jax"], "profile", "", name)
        row["memory"] = round(compare_memory(name, sides, temporaries), 2)
        work = problem.gigaflops(sizes)[name] * (problem.EPOCHS if name == "retrain" else 1)
        rate = work / seconds
        rows.append(row | {"gflops": round(rate, 1), "share": round(rate / peak["jax"], 3)})
        print(f"  jax: {rate:.0f} GFLOP/s of the direct algorithm's convolutions, {100 * rate / peak['jax']:.0f} % of the product's rate")
        print("  jax, share of thread time: " + ", ".join(f"{part} {100 * share:.0f} %" for part, share in shares.items()))
    for pipe in pipes.values():
        pipe.send(None)
    return rows


if __name__ == "__main__":
    main()
