"""Networks by name, as text: a list of them needs neither JAX nor the networks. One line a network."""

from collections.abc import Callable
from importlib import import_module
from typing import Any, NamedTuple

OWN = "own-"  # begins the name of a network that a call hands over as a value
IMAGES, ARRAYS, GRAPHS = ("images",), ("images", "vectors"), ("graphs",)
BY_AXES = {1: "vectors", 3: "images"}  # the modality of examples that are arrays, by the number of their axes


class Network(NamedTuple):
    """A network before it is imported.

    Args:
      name: what users call it.
      factory: where its factory is, as `package.module:function`; a function itself is taken too.
      summary: one line, the first sentence of the factory's docstring.
      takes: modalities of the data that it takes.
    """

    name: str
    factory: str | Callable[..., Any]
    summary: str
    takes: tuple[str, ...] = IMAGES

    def load(self) -> Callable[..., Any]:
        """The factory; the import of its module happens here."""
        if callable(self.factory):
            return self.factory
        module, _, name = self.factory.partition(":")
        return getattr(import_module(module), name)


_ALL = (
    Network(
        "convnet",
        "condense.nets.convnet:convnet",
        "ConvNet of the condensation papers: blocks of 3x3 convolution, norm, activation and 2x2 pooling, then one linear layer.",
    ),
    Network(
        "convnet_doubling",
        "condense.nets.convnet:convnet_doubling",
        "ConvNet with twice as many channels from block to block: `width`, 2 `width`, 4 `width`, ...; with batch norm by default.",
    ),
    Network(
        "convnet_frepo",
        "condense.nets.convnet:convnet_frepo",
        "ConvNet of FRePo's release: norms before the convolutions, twice as many channels from block to block, flax's initialisation.",
    ),
    Network("mlp", "condense.nets.mlp:mlp", "MLP: three linear layers on the flattened image or the vector, two of them hidden.", ARRAYS),
    Network("linear", "condense.nets.linear:linear", "Linear: one linear layer on the flattened image or the vector.", ARRAYS),
    Network(
        "lenet",
        "condense.nets.lenet:lenet",
        "LeNet-5 with rectifiers and max pooling: two 5x5 convolutions and three linear layers, for images of at least 16x16.",
    ),
    Network(
        "alexnet",
        "condense.nets.alexnet:alexnet",
        "AlexNet for small images: five convolutions without striding and one linear layer, for images of at least 8x8.",
    ),
    Network(
        "vgg",
        "condense.nets.vgg:vgg",
        "VGG11 for small images: eight 3x3 convolutions and one linear layer, for images of at least 32x32 (or 28x28).",
    ),
    Network(
        "resnet",
        "condense.nets.resnet:resnet",
        "ResNet for small images: three stages of `width`, 2 `width` and 4 `width` channels; depth 8, 14, 20, ... (6n + 2).",
    ),
    Network(
        "resnet18",
        "condense.nets.resnet:resnet18",
        "ResNet-18: four stages of two blocks with 64, 128, 256 and 512 channels; a 3x3 stem below 160 pixels a side, else the published.",
    ),
    Network(
        "resnet50",
        "condense.nets.resnet:resnet50",
        "ResNet-50: 3, 4, 6 and 3 bottlenecks with 256, 512, 1024 and 2048 channels at their ends; stems as `resnet18`'s.",
    ),
    Network(
        "mobilenet",
        "condense.nets.mobilenet:mobilenet",
        "MobileNetV2's inverted residuals for small images: three stages of `depth` blocks with `width`, 2 and 4 `width` channels.",
    ),
    Network(
        "mobilenet_v2",
        "condense.nets.mobilenet:mobilenet_v2",
        "MobileNetV2 without its dropout. Images of less than 160 pixels a side are halved three times, not five.",
    ),
    Network(
        "shufflenet",
        "condense.nets.shufflenet:shufflenet",
        "ShuffleNet V2's units for small images: stages of 2 and 4 `width` channels, each a unit of stride 2 and `depth` plain ones.",
    ),
    Network(
        "shufflenet_v2",
        "condense.nets.shufflenet:shufflenet_v2",
        "ShuffleNet V2: stages of `width`, 2 and 4 `width` channels; 116 is the paper's 1x, 48 its 0.5x and 176 its 1.5x.",
    ),
    Network(
        "densenet",
        "condense.nets.densenet:densenet",
        "DenseNet with bottlenecks for small images: three stages of `depth` layers of `growth` channels, halved in number between stages.",
    ),
    Network(
        "densenet121",
        "condense.nets.densenet:densenet121",
        "DenseNet-121: stages of 6, 12, 24 and 16 layers of 32 channels; a 3x3 stem below 160 pixels a side, else the published.",
    ),
    Network(
        "efficientnet_b0",
        "condense.nets.efficientnet:efficientnet_b0",
        "EfficientNet-B0 without its dropout of units and blocks. Images of less than 160 pixels a side are halved three times, not five.",
    ),
    Network("gcn", "condense.nets.graphs.gcn:gcn", "GCN: neighbours weighed by the degrees of both ends, for graphs.", GRAPHS),
    Network("gat", "condense.nets.graphs.gat:gat", "GAT: neighbours weighed by learned attention, for graphs.", GRAPHS),
    Network("gin", "condense.nets.graphs.gin:gin", "GIN: the sum of the neighbours through two linear layers, for graphs.", GRAPHS),
    Network(
        "sage",
        "condense.nets.graphs.sage:sage",
        "GraphSAGE: a node and the mean of its neighbours, each through its own matrix, for graphs.",
        GRAPHS,
    ),
)
NETS = {network.name: network for network in _ALL}
