"""One recovery step beside two PyTorch writings: 10 slots of 10 classes of 28x28 images through ConvNet-BN and ResNet-8, run by hand.

`python -m tests.bench.recovery --help`. The sides are given the same two networks and the same images; gradients are compared first. Then
two resident processes take strict turns, as in `tests.bench`. The first PyTorch writing goes slot by slot with hooks on its norms, as the
papers' code does; the second sends all slots through a network at once, channels last, and takes each slot's statistics apart.
"""

import argparse
import multiprocessing
import os
import sys

import numpy as np

from tests.bench.bench import ask, compare_times, pin, steal

SLOTS, CLASSES, SIDE = 10, 10, 28
SETTINGS = {"lr": 0.1, "alpha_bn": 0.01, "first": 10.0}
NETS = ("convnet:norm=batch,width={width}", "resnet:width=16")
WRITINGS = ("torch", "torch together")


def numbers() -> np.ndarray:
    """Images f32[slots classes h w], white noise."""
    return np.random.default_rng(0).normal(size=(SLOTS, CLASSES, SIDE, SIDE)).astype(np.float32)


def jax_worker(pipe, width, threads):
    """Gives the networks' arrays and its gradient, then serves timings."""
    pin(threads)
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    from tests.bench import recovery_jax

    arrays, gradient, work = recovery_jax.make([name.format(width=width) for name in NETS], numbers())
    pipe.send(arrays)
    pipe.send(gradient)
    serve(pipe, {"jax": work})


def torch_worker(pipe, arrays, threads):
    """Gives the gradients of both writings, then serves timings."""
    pin(threads)
    import torch

    from tests.bench import recovery_torch

    torch.set_num_threads(threads)
    made = {w: recovery_torch.make(arrays, numbers(), together=w != "torch") for w in WRITINGS}
    pipe.send({w: gradient for w, (gradient, _) in made.items()})
    serve(pipe, {w: work for w, (_, work) in made.items()})


def serve(pipe, works):
    """Answers (what, writing, name) requests until None: (wall seconds, processor seconds) of one step."""
    import time

    while (request := pipe.recv()) is not None:
        wall, processor = time.perf_counter(), time.process_time()
        works[request[1]]()
        pipe.send((time.perf_counter() - wall, time.process_time() - processor))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.recovery", description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64, help="of the ConvNet")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--threads", type=int, default=2, help="threads, and processors, of each side")
    args = parser.parse_args()
    compare(args.width, rounds=args.rounds, threads=args.threads)


def compare(width: int, *, rounds: int, threads: int) -> dict:
    """Measures a step with a ConvNet of this width, prints all, and returns what `tests.bench.bench.measure` does."""
    os.environ.setdefault("OMP_NUM_THREADS", str(threads))
    print(f"\nrecovery: width {width}, {threads} threads a side, load {os.getloadavg()[0]:.1f} before the start")
    spawn = multiprocessing.get_context("spawn")
    ours, theirs = spawn.Pipe()
    jax_side = spawn.Process(target=jax_worker, args=(theirs, width, threads), daemon=True)
    jax_side.start()
    arrays, gradient = ours.recv(), ours.recv()
    other, far = spawn.Pipe()
    torch_side = spawn.Process(target=torch_worker, args=(far, arrays, threads), daemon=True)
    torch_side.start()
    for writing, found in other.recv().items():
        error = np.abs(found - gradient).max() / np.abs(gradient).max()
        print(f"gradient: jax and {writing} differ by {error:.1e} of the largest value")
        if not error < 1e-2:
            sys.exit("they disagree")
    sides = {"jax": ours, **dict.fromkeys(WRITINGS, other)}
    for writing, pipe in sides.items():
        ask(pipe, "time", writing)  # warms up
    before, times = steal(), {w: [] for w in sides}
    for _ in range(rounds):
        for writing, pipe in sides.items():
            times[writing].append(ask(pipe, "time", writing))
    stolen = [b - a for a, b in zip(before, steal(), strict=True)]
    print(f"  {rounds} rounds, steal {100 * stolen[0] / max(stolen[1], 1):.1f} %")
    for pipe in (ours, other):
        pipe.send(None)
    return {"work": "sre2l", "width": width, **compare_times(times)}


if __name__ == "__main__":
    main()
