"""What other machines can do by their makers' word, and how long so much work takes there: estimates for machines that are not at hand."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from condense.engine.operations import Work
from synth.errors import BadInput, nearest

HERE = "here"
SHARES = 0.05, 0.5  # of what a maker states, from a poor program to a good one: an assumption, not a measurement


class Span(NamedTuple):
    """The least and the most seconds that something may take."""

    least: float
    most: float


def together(spans: Iterable[Span]) -> Span:
    """One thing after another; 0 seconds for nothing."""
    return Span(*map(sum, zip(Span(0.0, 0.0), *spans, strict=True)))


class Device(Protocol):
    """What a device can do.

    Args:
      memory: bytes. platform: its name in `synth.numerics.backend.supposing`.
    """

    memory: float
    platform: str

    def seconds(self, work: Work) -> Span:
        """How long the device takes for so much work."""
        ...


class Published(NamedTuple):
    """What the maker of a device states.

    Args:
      flops: the most floating-point operations a second of f32 products, as JAX multiplies by default: in TF32 on NVIDIA's recent GPUs, in
        bfloat16 on TPUs, without the doubling that holds for sparse matrices alone.
      memory: bytes. bandwidth: bytes a second between memory and processor.
      platform: its name in `synth.numerics.backend.supposing`.
    """

    flops: float
    memory: float
    bandwidth: float
    platform: str

    def seconds(self, work: Work) -> Span:
        """What takes longer, to compute or to move bytes, at the greatest and the least of the two shares in `SHARES` of what is stated."""
        ideal = max(work.flops / self.flops, work.bytes / self.bandwidth)
        least, most = SHARES
        return Span(ideal / most, ideal / least)


class Fitted(NamedTuple):
    """What was measured of a device: operations and bytes a second, as in `Published`."""

    flops: float
    memory: float
    bandwidth: float
    platform: str

    def seconds(self, work: Work) -> Span:
        """What takes longer, to compute or to move bytes."""
        took = max(work.flops / self.flops, work.bytes / self.bandwidth)
        return Span(took, took)


def fit_rates(works: Sequence[Work], seconds: Sequence[float]) -> tuple[float, float]:
    """Operations and bytes a second that explain how long two or more works took (Williams, Waterman and Patterson's roofline).

    The works with the fewest operations a byte, at least one, wait for bytes, and the others, at least one, for operations; each group has
    the rate r with the least squares of 1 - (count / r) / seconds. Of all such divisions that one is taken under which
    1 - max(flops / a, bytes / b) / seconds has the least squares over all works.
    """
    order = sorted(range(len(works)), key=lambda at: works[at].flops / works[at].bytes)
    speeds = np.array([(works[at].flops / seconds[at], works[at].bytes / seconds[at]) for at in order])

    def rates(cut: int) -> np.ndarray:
        return np.array([np.square(own).sum() / own.sum() for own in (speeds[cut:, 0], speeds[:cut, 1])])

    def error(found: np.ndarray) -> float:
        return float(np.square(1 - (speeds / found).max(1)).sum())

    flops, bandwidth = min((rates(cut) for cut in range(1, len(works))), key=error)
    return float(flops), float(bandwidth)


# f32 products by default: https://docs.jax.dev/en/latest/201/precision.html
DEVICES = {
    # SXM, 80 GB: TF32 989 TFLOP/s with sparsity, half without, 3,350 GB/s: NVIDIA's data sheet, as quoted by
    # https://archive-lib.hpctech.co.jp/gpuproduct/nvidia-h100.html. That of the GH200, whose GPU is the same, states the half: 494.
    "h100": Published(494e12, 80e9, 3.35e12, "cuda"),
    # SXM: the GPU of the H100 with 141 GB, 4.8 TB/s: NVIDIA's data sheet, as quoted by https://aiwiki.ai/wiki/nvidia_h200
    "h200": Published(494e12, 141e9, 4.8e12, "cuda"),
    # SXM, 80 GB: TF32 156 TFLOP/s: https://developer.nvidia.com/blog/nvidia-ampere-architecture-in-depth/; 2,039 GB/s: NVIDIA's data sheet
    # (nvidia-a100-datasheet-us-nvidia-1758950-r4-web.pdf), as quoted by https://glennklockwood.com/garden/processors/A100
    "a100": Published(156e12, 80e9, 2.039e12, "cuda"),
    # TF32 82.6 TFLOP/s, 24 GB, 1,008 GB/s: as others quote NVIDIA's paper on its architecture,
    # https://images.nvidia.com/aem-dam/Solutions/geforce/ada/nvidia-ada-gpu-architecture.pdf
    "rtx4090": Published(82.6e12, 24e9, 1.008e12, "cuda"),
    # a chip: https://docs.cloud.google.com/tpu/docs/v4
    "v4": Published(275e12, 32 * 2**30, 1.2e12, "tpu"),
    # a chip: https://cloud.google.com/tpu/docs/v5e
    "v5e": Published(197e12, 16e9, 0.819e12, "tpu"),
    # a chip: https://cloud.google.com/tpu/docs/v5p-training
    "v5p": Published(459e12, 95e9, 2.765e12, "tpu"),
}


class Machine(NamedTuple):
    """A machine of `count` equal devices that work on one run: the name of their kind, and what each of them can do."""

    kind: str
    count: int
    device: Device

    def __str__(self) -> str:
        return "this machine" if self.kind == HERE else f"{self.count} x {self.kind}" if self.count > 1 else self.kind


def machine_of(text: str) -> Machine:
    """Reads the name of a machine: a kind in `DEVICES`, with xN behind it for N devices, as in `h100x8`. Raises BadInput for another kind
    or number."""
    kind, _, number = (text, "", "1") if text in DEVICES else text.rpartition("x")
    if kind not in DEVICES:
        known = ", ".join((*DEVICES, HERE))
        raise BadInput(f"--device {text}: is not known (known: {known}; xN behind one is N of them, as in h100x8){nearest(text, DEVICES)}")
    if not number.isdecimal() or not int(number):
        raise BadInput(f"--device {text}: '{number}' is no number of devices; give a whole number from 1, as in {kind}x8")
    return Machine(kind, int(number), DEVICES[kind])
