"""Modalities: the kinds of examples, such as images, graphs and vectors.

A modality is a record of facts; what acts for it is a registry in each room, by this name.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp

from condense import nets
from synth.errors import BadInput
from synth.images.augment import Augment, dsa, dsa_strategy
from synth.images.content import Pixels
from synth.vectors import Vectors, unaugmented


class Modality(NamedTuple):
    """Facts of a modality.

    Args:
      name: as data and contents name it (`Data.modality`, `Content.modality`).
      example: what messages call one example.
      net: (shape of an example, number of training examples) -> the network where a call names none; `usual_net` asks it.
      recipe: the evaluation recipe where neither a call nor a set names one.
      seeds: how many fresh networks are trained for each row of an evaluation's table, where a call does not say.
      sources: data that hold this modality, for messages.
      content: data -> what encodes its examples as they are (a class or an instance of `synth.content.Content`); None where methods start
        their own sets.
      augments: whether the siamese augmentation of images is for its examples.
    """

    name: str
    example: str
    net: Callable[[Any, int], str]
    recipe: str
    seeds: int
    sources: str
    content: Callable[[Any], Any] | None
    augments: bool = False

    @property
    def starts(self) -> bool:
        """Whether a set starts from examples that are made before its method runs: as many as a budget buys, chosen as `--start` says.
        Otherwise methods make their own first examples."""
        return self.content is not None


DEPTHS = ((4, 1), (28, 2), (64, 3), (128, 4))  # shorter sides below these many pixels -> blocks of a ConvNet; 5 from there on
WIDTH, SMALL = 128, 32
OF_VECTORS = "--data csv:FILE?label=COLUMN, or npz:FILE with x_train [n d]"


def fit_convnet(image: tuple[int, int, int], examples: int) -> str:
    """The specification of the papers' ConvNet, with a width and depth that suit the shape h w c and the number of these images, such as
    `convnet:width=128,depth=3`.

    Its depth follows the shorter side: 1 below 4 pixels, 2 below 28, 3 below 64, 4 below 128, else 5; published are 3 for 32, 4 for 64 and
    5 for 128. Its width is the published 128; for images of 16 pixels a side or less, and for fewer than 5,000 of them, it is 32, whose
    steps take about a tenth of the time.
    """
    side = min(image[:2])
    depth = next((depth for below, depth in DEPTHS if side < below), 5)
    return f"convnet:width={SMALL if side <= 16 or examples < 5_000 else WIDTH},depth={depth}"


def named_columns(data) -> Vectors:
    """A content for vectors like those of the data: it has the names of their columns and holds no vector yet."""
    return Vectors(jnp.zeros((0, *data.image), jnp.float32), data.source.columns)


MODALITIES = {
    modality.name: modality
    for modality in (
        Modality("images", "image", fit_convnet, "dsa", 5, "`condense list data` shows sets of images", lambda data: Pixels, True),
        Modality("graphs", "graph", lambda alphabet, examples: "gin", "graph", 10, "--data toy_graphs, tu:FILE or smiles:FILE", None),
        Modality("vectors", "vector", lambda length, examples: "mlp", "dc", 5, OF_VECTORS, named_columns),
    )
}


def augmentation(data) -> Augment:
    """The DSA augmentation whose operations keep the labels of the data. For examples without such operations it is the identity."""
    return dsa(dsa_strategy(data.flips)) if MODALITIES[data.modality].augments else unaugmented


def check_modality(data, *modalities: str, flag: str):
    """Returns the data unchanged if they hold examples of a kind that the caller can use.

    Args:
      data: loaded data, of which the fields `modality` and `spec` are read.
      modalities: one or more names of allowed kinds: `images`, `graphs`, `vectors`.
      flag: the option of the command line that named the data, such as `--data`; the message of the error begins with it.

    Raises BadInput if the modality of the data is not one of `modalities`. Its message says what data would do.
    """
    if data.modality in modalities:
        return data
    there, takes = MODALITIES[data.modality], " or ".join(modalities)
    sources = "; ".join(MODALITIES[name].sources for name in modalities)
    raise BadInput(f"{flag} {data.spec}: holds {there.name}, and this takes {takes}; {sources}")


def usual_net(data) -> str:
    """The specification of the default network for these data, with all its options. It is used when neither the call nor the method names
    a network."""
    return nets.canonical(MODALITIES[data.modality].net(data.image, len(data.train.y)))
