"""Networks by name. A spec is `name[:key=value,...]`, as in `convnet:width=32,depth=3`; `NETS` is the only registry.

A network maps images f32[b h w c] in model space to logits f32[b classes] (`synth.base.Net`);
those of `GRAPH_NETS` map a `synth.graphs.base.GraphBatch`.
"""

import inspect
import math
import typing
from typing import Any

import jax

from condense.nets import adapter
from condense.nets.alexnet import alexnet
from condense.nets.convnet import convnet, convnet_doubling
from condense.nets.densenet import densenet, densenet121
from condense.nets.efficientnet import efficientnet_b0
from condense.nets.graphs import GRAPH_NETS
from condense.nets.lenet import lenet
from condense.nets.mlp import mlp
from condense.nets.mobilenet import mobilenet, mobilenet_v2
from condense.nets.resnet import resnet, resnet18, resnet50
from condense.nets.shufflenet import shufflenet, shufflenet_v2
from condense.nets.vgg import vgg
from synth.base import Net
from synth.errors import BadInput
from synth.graphs.base import Alphabet

NETS = {
    "convnet": convnet,
    "convnet_doubling": convnet_doubling,
    "mlp": mlp,
    "lenet": lenet,
    "alexnet": alexnet,
    "vgg": vgg,
    "resnet": resnet,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenet": mobilenet,
    "mobilenet_v2": mobilenet_v2,
    "shufflenet": shufflenet,
    "shufflenet_v2": shufflenet_v2,
    "densenet": densenet,
    "densenet121": densenet121,
    "efficientnet_b0": efficientnet_b0,
    **GRAPH_NETS,
}


def parse(spec: str) -> tuple[str, dict[str, int | str]]:
    """The network's name and all its options, defaults included, in the order of the factory's signature.

    Raises:
      BadInput: an unknown name or key, a key given twice, or values that the network does not take.
    """
    name, _, rest = spec.partition(":")
    if name not in NETS:
        raise BadInput(f"--net {spec}: unknown network '{name}' (known: {', '.join(NETS)})")
    parameters, kinds = inspect.signature(NETS[name]).parameters, typing.get_type_hints(NETS[name])
    given: dict[str, int | str] = {}
    for item in rest.split(",") if rest else ():
        key, _, text = item.partition("=")
        if key not in parameters:
            raise BadInput(f"--net {spec}: unknown option '{key}' of {name} (known: {', '.join(parameters)})")
        if key in given:
            raise BadInput(f"--net {spec}: {key} is given twice")
        given[key] = _value(f"--net {spec}: {key}", text, kinds[key])
    options = {key: given.get(key, parameter.default) for key, parameter in parameters.items()}
    NETS[name](**options)  # a factory refuses what its types cannot say
    return name, options


def _value(what: str, text: str, kind: Any) -> int | str:
    if kind is int:
        if not (text.isascii() and text.isdigit() and int(text) > 0):
            raise BadInput(f"{what} must be a whole number of at least 1, got '{text}'")
        return int(text)
    choices = typing.get_args(kind)
    if text not in choices:
        raise BadInput(f"{what} must be one of {', '.join(choices)}, got '{text}'")
    return text


def canonical(spec: str) -> str:
    """A spec with all its options in full, as in `convnet:width=128,depth=3,norm=instance,act=relu,pool=avg`."""
    name, options = parse(spec)
    return name + ":" * bool(options) + ",".join(f"{key}={value}" for key, value in options.items())


def build(spec: str, image: tuple[int, int, int] | Alphabet, classes: int) -> Net:
    """The network that a spec names.

    Args:
      spec: `name[:key=value,...]`.
      image: height, width and channels of the images (28x28 images are padded to 32x32 inside the network), or the alphabet of graphs.
      classes: number of logits.

    Raises:
      BadInput: a malformed spec (see `parse`), or a network that cannot take images of this size; the message says what would work.
    """
    name, options = parse(spec)
    if (name in GRAPH_NETS) != isinstance(image, Alphabet):
        takes, known = ("graphs", GRAPH_NETS) if isinstance(image, Alphabet) else ("images", NETS.keys() - GRAPH_NETS.keys())
        raise BadInput(f"--net {spec}: the data are {takes}, and {name} does not take them; use one of {', '.join(sorted(known))}")
    if name in GRAPH_NETS:
        return adapter.adapt_graphs(NETS[name](**options), image, classes)
    return adapter.adapt(NETS[name](**options), tuple(image), classes)


def count(net: Net) -> int:
    """Number of parameters; nothing is computed."""
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0)).params))
