"""What both sides are given: sizes, and the same numbers for both. Images are f32[n 28 28 1] with zero mean and unit variance."""

import dataclasses

import numpy as np

CLASSES, DEPTH, SIDE = 10, 3, 28
LR_IMAGE, MOMENTUM_IMAGE = 1.0, 0.5
# of the kernel ridge step: real images, networks, lambda (large enough that rounding is not amplified), step sizes
REAL, POOL, REG, LR_LAMB, LR_POOL = 512, 10, 1e-2, 3e-4, 3e-4
LR_NET, MOMENTUM_NET, DECAY_NET, EPOCHS = 0.01, 0.9, 5e-4, 4
STEP_SIZE, LR_STEP_SIZE, MOVED = 0.01, 1e-5, 0.01  # of the student; how far from its start the expert ends, a parameter


@dataclasses.dataclass(frozen=True)
class Sizes:
    """Width of the ConvNet, real images a class, synthetic images a class, steps of a student that follows an expert."""

    width: int
    real: int
    synthetic: int
    steps: int = 10


def numbers(sizes: Sizes) -> dict:
    """The network as [(kernel HWIO, bias, scale, shift)] * 3 and (head [4*4*width classes], bias), and as an expert has it in the end;
    real and synthetic images by class."""
    r = np.random.default_rng(0)

    def uniform(fan_in, *shape):
        return (r.uniform(-1, 1, shape) / np.sqrt(fan_in)).astype(np.float32)

    def moved(a):
        return a + (MOVED * r.normal(size=a.shape)).astype(np.float32)

    w, blocks = sizes.width, []
    for c in (1, w, w):
        blocks.append((uniform(9 * c, 3, 3, c, w), uniform(9 * c, w), 1 + uniform(100, w), uniform(100, w)))
    head = (uniform(16 * w, 16 * w, CLASSES), uniform(16 * w, CLASSES))
    smooth = r.normal(size=(CLASSES, sizes.real + sizes.synthetic, SIDE, SIDE, 1)).astype(np.float32)
    return {
        "blocks": blocks,
        "head": head,
        "aim": {"blocks": [tuple(map(moved, block)) for block in blocks], "head": tuple(map(moved, head))},
        "real": smooth[:, : sizes.real].copy(),
        "synthetic": smooth[:, sizes.real :].copy(),
    }


def mixed(real: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most REAL images f32[n 28 28 1] of all classes in turn, and their classes i64[n]."""
    x = real.swapaxes(0, 1).reshape(-1, SIDE, SIDE, 1)[:REAL]
    return x, np.arange(len(x)) % CLASSES


def gigaflops(sizes: Sizes) -> dict[str, float]:
    """Multiply-adds of the convolutions by the direct algorithm, in GFLOP a unit of work; a recomputed pass is not counted."""
    wide = 2 * 9 * sizes.width**2 * (16**2 + 8**2) / 1e9
    thin = 2 * 9 * sizes.width * 32**2 / 1e9
    real, synthetic = CLASSES * sizes.real, CLASSES * sizes.synthetic
    first_order = 3 * wide + 2 * thin
    return {
        "dm": real * (wide + thin) + synthetic * 3 * (wide + thin),
        "dc": real * first_order + synthetic * 3 * first_order,  # each of the three products of a gradient has two derivatives of its own
        "retrain": synthetic * first_order,
        # each of the three products of a step's gradient has two derivatives; the first layer's image needs the second-order ones alone
        "mtt": synthetic * sizes.steps * (9 * wide + 6 * thin),
        "frepo": min(REAL, real) * (wide + thin) + synthetic * (2 * (wide + thin) + first_order),
    }
