"""Selection: PCA (prune, combine, augment) as its paper has it on ImageNet-1K, and at a size for two cores.

The paper scores by EL2N over the first ten epochs of a training, keeps 224 pixels a side and trains by recipe `rethinking_hard`. Its
accuracies were not verified here, so no preset states one. Its 100 images a class are more than a set's file holds as float32.
"""

from typing import Any

from condense.presets.base import Preset

PAPER = "Xiao et al., ICML 2026"
HERE = f"this project, after {PAPER}"
IMAGENET, NET = "folder:imagenet?size=224", "resnet18:norm=batch"
CLAIM = "no verified score"
UNREAD = "; of its images no more than 16 GiB are read, as with &limit=100000"

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
        cost = f"one selection, and 11 epochs of ranking, on an accelerator{UNREAD}"
        yield Preset(f"pca_imagenet_{ipc}", "pca", IMAGENET, CLAIM, PAPER, cost, settings, first)


def _small():
    for data, ipc, net in SMALL:
        yield Preset(f"pca_{data}_{ipc}", "pca", data, "no published score", HERE, COST[data], {"ipc": ipc, "net": net})


PRESETS = (*_published(), *_small())
