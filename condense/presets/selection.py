"""Selection: PCA (prune, combine, augment) as its paper has it on ImageNet-1K, and at a size for two cores; fractions of CIFAR.

The paper scores by EL2N over the first ten epochs of a training, keeps 224 pixels a side and trains by recipe `rethinking_hard`. Its
accuracies were not verified here, so no preset states one. Its 100 images a class are more than a set's file holds as float32.

Knowledge distillation on pruned data (Ben-Baruch et al., ICML 2025) keeps fractions of CIFAR and ImageNet-1K. Its temperatures, weights and
lengths were not seen, nor was any code, so the presets of fractions are this project's; half of ImageNet is more than a set's file holds.
Regimes and weights are flags of the evaluation: `condense evaluate DIR --regimes hard,soft,online --alpha A --teachers DIR`.
"""

from itertools import product
from typing import Any

from condense.presets.base import Preset

PAPER, PRUNED = "Xiao et al., ICML 2026", "Ben-Baruch et al., ICML 2025"
HERE = f"this project, after {PAPER}"
IMAGENET, NET = "folder:imagenet?size=224&scale=256&crops=true", "resnet18:norm=batch"
CLAIM = "no verified score"
STREAMED = "; images that memory cannot hold stay in their files"

# data, images a class, network: for two cores, where the proxies that a run trains itself are the usual ones
SMALL = (
    ("fashion_mnist", 10, "convnet:width=32"),
    ("fashion_mnist", 50, "convnet:width=32"),
    ("cifar10", 10, "convnet:width=32"),
    ("digits", 10, "convnet:width=32,depth=2"),
)
COST = {"fashion_mnist": "minutes on two cores", "cifar10": "minutes on two cores", "digits": "seconds on two cores"}


def _published():
    for ipc in (10, 50):
        settings: dict[str, Any] = {"ipc": ipc, "net": NET}
        first = f"condense rank --data '{IMAGENET}' --net {NET} --networks 1 --epochs 11 --out X"
        cost = f"one selection, and 11 epochs of ranking, on an accelerator{STREAMED}"
        yield Preset(f"pca_imagenet_{ipc}", "pca", IMAGENET, CLAIM, PAPER, cost, settings, first)


def _small():
    for data, ipc, net in SMALL:
        yield Preset(f"pca_{data}_{ipc}", "pca", data, "no published score", HERE, COST[data], {"ipc": ipc, "net": net})


def _fractions():
    for data, fraction in product(("cifar10", "cifar100"), (0.1, 0.5)):
        settings: dict[str, Any] = {"fraction": fraction, "net": "convnet:width=32"}
        name, own = f"{data}_part{100 * fraction:.0f}", f"this project, after {PRUNED}"
        yield Preset(f"random_{name}", "random", data, "no published score", own, "seconds on two cores", settings)
        yield Preset(f"select_{name}", "select", data, "no published score", own, "minutes on two cores", settings | {"rule": "hard"})


PRESETS = (*_published(), *_small(), *_fractions())
