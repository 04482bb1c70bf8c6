"""Presets: one published claim each. The docstring is the experiment record: paper, command, cost, expected score.

A flag beats a preset beats a default. Scores are quoted from the papers' released read-me files where those state them.
"""

from collections.abc import Callable
from typing import Any

from synth.errors import BadInput


def dc_fashion_mnist_1() -> dict[str, Any]:
    """DC (Zhao, Mopuri and Bilen, ICLR 2021), Fashion-MNIST, 1 image a class, from noise.

    Published: 70.5 %, ConvNet depth 3 width 128, recipe `dc`.
    Command: condense distill dc --preset dc_fashion_mnist_1 --out runs/dc1
    Cost: 1,000 matching steps; hours on two cores, minutes on a GPU.
    """
    return {"method": "dc", "data": "fashion_mnist", "ipc": 1, "net": "convnet", "steps": 1000, "lr": 0.1, "net_lr": 0.01, "batch": 256}


def dc_fashion_mnist_10() -> dict[str, Any]:
    """DC, Fashion-MNIST, 10 images a class, from noise: 1,000 networks of 10 matching steps, 50 epochs between two.

    Published: 82.3 %, ConvNet depth 3 width 128, recipe `dc`.
    Command: condense distill dc --preset dc_fashion_mnist_10 --out runs/dc10
    Cost: 10,000 matching steps; needs a GPU to finish in a day.
    """
    return {**dc_fashion_mnist_1(), "ipc": 10, "steps": 10_000}


def dsa_fashion_mnist_1() -> dict[str, Any]:
    """DSA (Zhao and Bilen, ICML 2021), Fashion-MNIST, 1 image a class, from real images.

    Published: 70.6 %, ConvNet depth 3 width 128, recipe `dsa`.
    Command: condense distill dsa --preset dsa_fashion_mnist_1 --out runs/dsa1
    Cost: 1,000 matching steps; hours on two cores, minutes on a GPU.
    """
    return {**dc_fashion_mnist_1(), "method": "dsa"}


def dsa_fashion_mnist_10() -> dict[str, Any]:
    """DSA, Fashion-MNIST, 10 images a class, from real images.

    Published: 84.6 %, ConvNet depth 3 width 128, recipe `dsa`.
    Command: condense distill dsa --preset dsa_fashion_mnist_10 --out runs/dsa10
    Cost: 10,000 matching steps; needs a GPU to finish in a day.
    """
    return {**dsa_fashion_mnist_1(), "ipc": 10, "steps": 10_000}


def dm_cifar10_10() -> dict[str, Any]:
    """DM (Zhao and Bilen, WACV 2023), CIFAR-10, 10 images a class, from real images.

    Published: 48.9 %, ConvNet depth 3 width 128, recipe `dsa`.
    Command: condense distill dm --preset dm_cifar10_10 --out runs/dm-cifar10
    Cost: 20,000 steps; a day on two cores, an hour on a GPU.
    """
    return {"method": "dm", "data": "cifar10", "ipc": 10, "net": "convnet", "steps": 20_000, "lr": 1.0, "batch": 256}


def dc_cifar10_10() -> dict[str, Any]:
    """DC, CIFAR-10, 10 images a class, from noise.

    Published: 44.9 %, ConvNet depth 3 width 128, recipe `dc`.
    Command: condense distill dc --preset dc_cifar10_10 --out runs/dc-cifar10
    Cost: 10,000 matching steps; needs a GPU.
    """
    return {**dc_fashion_mnist_10(), "data": "cifar10"}


def dsa_cifar10_10() -> dict[str, Any]:
    """DSA, CIFAR-10, 10 images a class, from real images.

    Published: 52.1 %, ConvNet depth 3 width 128, recipe `dsa`.
    Command: condense distill dsa --preset dsa_cifar10_10 --out runs/dsa-cifar10
    Cost: 10,000 matching steps; needs a GPU.
    """
    return {**dsa_fashion_mnist_10(), "data": "cifar10"}


PRESETS: dict[str, Callable[[], dict[str, Any]]] = {
    preset.__name__: preset
    for preset in (
        dc_fashion_mnist_1,
        dc_fashion_mnist_10,
        dsa_fashion_mnist_1,
        dsa_fashion_mnist_10,
        dc_cifar10_10,
        dsa_cifar10_10,
        dm_cifar10_10,
    )
}


def preset(name: str, method: str) -> dict[str, Any]:
    """The settings of a preset. Raises BadInput for an unknown one, or one that belongs to another method."""
    if name not in PRESETS:
        raise BadInput(f"--preset: unknown preset '{name}' (known: {', '.join(PRESETS)})")
    settings = PRESETS[name]()
    if settings.pop("method") != method:
        raise BadInput(f"--preset {name}: it belongs to {PRESETS[name]()['method']}, not to {method}")
    return settings
