"""Modalities: what kind of thing an example is.

A modality is a record of facts; what acts for it is a registry in each room, by this name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from condense import nets
from synth.errors import BadInput
from synth.images.augment import Augment, dsa, dsa_strategy
from synth.vectors import unaugmented


class Modality(NamedTuple):
    """Facts of a modality.

    Args:
      name: as data and contents name it (`Data.modality`, `Content.modality`).
      example: what messages call one example.
      net: (shape of an example, number of training examples) -> the network where a call names none; `usual_net` asks it.
      recipe: the evaluation recipe where neither a call nor a set names one.
      seeds: fresh networks a row of an evaluation, where a call does not say.
      sources: data that hold this modality, for messages.
      starts: whether the workbench starts its sets, from as many examples as a budget buys and `--start` chooses; otherwise methods do.
      augments: whether the siamese augmentation of images is for its examples.
    """

    name: str
    example: str
    net: Callable[[Any, int], str]
    recipe: str
    seeds: int
    sources: str
    starts: bool
    augments: bool = False


DEPTHS = ((4, 1), (28, 2), (64, 3), (128, 4))  # shorter sides below these many pixels -> blocks of a ConvNet; 5 from there on
WIDTH, SMALL = 128, 32
OF_VECTORS = "--data csv:FILE?label=COLUMN, or npz:FILE with x_train [n d]"


def fit_convnet(image: tuple[int, int, int], examples: int) -> str:
    """The ConvNet of the papers, at the size that suits images of this shape and so many of them.

    Its depth is the published one, 3 for 32 pixels a side, 4 for 64 and 5 for 128, and 2 for smaller images. Its width is the published
    128; for images of 16 pixels a side or less, and for fewer than 5,000 of them, it is 32, whose steps take about a tenth of the time.
    """
    side = min(image[:2])
    depth = next((depth for below, depth in DEPTHS if side < below), 5)
    return f"convnet:width={SMALL if side <= 16 or examples < 5_000 else WIDTH},depth={depth}"


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality("images", "image", fit_convnet, "dsa", 5, "`condense list data` shows sets of images", True, True),
        Modality("graphs", "graph", lambda alphabet, examples: "gin", "graph", 10, "--data toy_graphs, tu:FILE or smiles:FILE", False),
        Modality("vectors", "vector", lambda length, examples: "mlp", "dc", 5, OF_VECTORS, True),
    )
}


def augmentation(data) -> Augment:
    """The siamese augmentation of DSA that keeps the labels of the data; the identity where none is for such examples."""
    return dsa(dsa_strategy(data.flips)) if MODALITIES[data.modality].augments else unaugmented


def check_modality(data, *modalities: str, flag: str):
    """The data. Raises BadInput where they are of another modality than these."""
    if data.modality in modalities:
        return data
    there, takes = MODALITIES[data.modality], " or ".join(modalities)
    sources = "; ".join(MODALITIES[name].sources for name in modalities)
    raise BadInput(f"{flag} {data.spec}: holds {there.name}, and this takes {takes}; {sources}")


def usual_net(data) -> str:
    """The canonical specification of the network that suits these data, where neither a call nor a method names one."""
    return nets.canonical(MODALITIES[data.modality].net(data.image, len(data.train.y)))
