"""Networks by name. A spec is `name[:key=value,...]`, as in `convnet:width=32,depth=3`. `registry.NETS` lists them.

May import flax, `runtime` and `synth`. Importing this needs no JAX: what builds networks is imported when one is built.

Installed packages add to it by entry points `condense.nets`: factories whose keyword arguments are options, of
`(example shape, classes) -> Net or flax module`; one that cannot be loaded is left out with a note. A network maps images f32[b h w c], or
vectors f32[b d], in model space to logits f32[b classes] (`synth.base.Net`); those that take graphs map a `synth.graphs.base.GraphBatch`,
and are handed over as a `Net`.
"""

import inspect
import math
import typing
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from condense.nets.registry import BY_AXES, NETS, OWN, Network
from condense.runtime.entry_points import registered
from synth.errors import BadInput, nearest

if TYPE_CHECKING:
    import synth.base
    import synth.graphs.base

ENTRY_POINTS = "condense.nets"  # a package outside names its factories there
DEEPEST, WIDEST = 100, 1 << 16  # what an option called depth may be, and any other


def outside() -> dict[str, Network]:
    """The networks that installed packages register, by name. One that has the name of a network of this project is left out."""
    factories = {name: factory for name, factory in registered(ENTRY_POINTS, Callable).items() if name not in NETS}
    return {name: Network(name, factory, (inspect.getdoc(factory) or "").partition("\n")[0]) for name, factory in factories.items()}


def known_nets() -> dict[str, Network]:
    """All networks by name: this project's, then those that installed packages register."""
    return {**NETS, **outside()}


def factory_of(spec: str, name: str) -> Callable[..., Any]:
    """Imports the factory of the network called `name`: a function whose keyword arguments are the network's options. It gives a function
    of (example shape, classes, ...) that builds the network. `spec` is what messages quote.

    Raises BadInput, naming the known networks, for an unknown name.
    """
    if name not in NETS and name not in outside():
        raise BadInput(
            f"--net {spec}: unknown network '{name}' (known: {', '.join([*NETS, *outside()])}){nearest(name, (*NETS, *outside()))}"
        )
    return (NETS.get(name) or outside()[name]).load()


def named(net: Any, image: Any, classes: int) -> str:
    """A text that stands for a network: of a specification its canonical form, with all options; of a network given as a value the name
    under which it is registered here (`nets.own.register`).

    Args:
      net: a specification, a `synth.base.Net`, or a flax module as `nets.own.as_net` takes it.
      image: the shape of an example, or the alphabet of graphs; only a value is checked against it.
      classes: how many scores the network gives; only checked for a value.

    Raises BadInput for a wrong specification, and for a value that is no such network.
    """
    if isinstance(net, str):
        return canonical(net)
    from condense.nets import own

    return own.register(net, image, classes)


def listed(nets: Any) -> list[Any]:
    """Returns a list of networks from one network, several, or None (an empty list). Each is a specification or a value; neither is
    checked."""
    several = isinstance(nets, Sequence) and not isinstance(nets, str) and not hasattr(nets, "apply")  # a Net is a tuple too
    return list(nets) if several else [] if nets is None else [nets]


def parse(spec: str) -> tuple[str, dict[str, int | str]]:
    """The network's name and all its options, defaults included, in the order of the factory's signature. Whole numbers are int, all other
    values text.

    Raises:
      BadInput: an unknown name or key, a key given twice, or values that the network does not take.
    """
    name, _, rest = spec.partition(":")
    factory = factory_of(spec, name)
    parameters, kinds = inspect.signature(factory).parameters, typing.get_type_hints(factory)
    given: dict[str, int | str] = {}
    for item in rest.split(",") if rest else ():
        key, _, text = item.partition("=")
        if key not in parameters:
            raise BadInput(f"--net {spec}: unknown option '{key}' of {name} (known: {', '.join(parameters)}){nearest(key, parameters)}")
        if key in given:
            raise BadInput(f"--net {spec}: {key} is given twice")
        given[key] = _value(f"--net {spec}: {key}", text, kinds[key])
    options = {key: given.get(key, parameter.default) for key, parameter in parameters.items()}
    factory(**options)  # a factory refuses what its types cannot say
    return name, options


def _value(what: str, text: str, kind: Any) -> int | str:
    if kind is int:
        if not (text.isascii() and text.isdigit() and text.strip("0")):
            raise BadInput(f"{what} must be a whole number of at least 1, got '{text}'")
        most = DEEPEST if what.endswith(" depth") else WIDEST
        if len(text) > len(str(most)) or int(text) > most:
            raise BadInput(f"{what} must be at most {most}, got '{text}'")
        return int(text)
    choices = typing.get_args(kind)
    if text not in choices:
        raise BadInput(f"{what} must be one of {', '.join(choices)}, got '{text}'")
    return text


def canonical(spec: str) -> str:
    """A spec with all its options in full, as in `convnet:width=128,depth=3,norm=instance,act=relu,pool=avg`. The name of a network that
    was given as a value (`own-...`) stays as it is, unchecked. Raises BadInput for a wrong spec (see `parse`)."""
    if spec.startswith(OWN):
        return spec
    name, options = parse(spec)
    return name + ":" * bool(options) + ",".join(f"{key}={value}" for key, value in options.items())


def brief(spec: str) -> str:
    """A spec without the options that are at their defaults. A text that names no network of this project stays as it is. Raises BadInput
    for wrong options."""
    if spec.partition(":")[0] not in NETS:
        return spec
    name, options = parse(spec)
    usual = inspect.signature(NETS[name].load()).parameters
    given = [f"{key}={value}" for key, value in options.items() if value != usual[key].default]
    return name + ":" * bool(given) + ",".join(given)


def build(spec: str, image: "tuple[int, ...] | synth.graphs.base.Alphabet", classes: int) -> "synth.base.Net":
    """The network that a spec names.

    Args:
      spec: `name[:key=value,...]`, or the name (`own-...`) of a network that was registered as a value.
      image: height, width and channels of the images (28x28 images are padded to 32x32 inside the network), the
        length of vectors as (d,), or the alphabet of graphs.
      classes: number of logits.

    Raises:
      BadInput: a malformed spec (see `parse`), a name that is not registered, or a network that cannot take such data or images of this
        size; the message says what would work.
    """
    from condense.nets import adapter, own
    from synth.graphs.base import Alphabet

    if spec.startswith(OWN):
        return own.find(spec)
    name, options = parse(spec)
    made = factory_of(spec, name)(**options)
    if name not in NETS:
        return own.as_net(made(image, classes), image, classes, flag=f"--net {spec}")
    modality = "graphs" if isinstance(image, Alphabet) else BY_AXES[len(image)]
    if modality not in NETS[name].takes:
        known = sorted(other for other, network in NETS.items() if modality in network.takes)
        raise BadInput(f"--net {spec}: the data are {modality}, and {name} does not take them; use one of {', '.join(known)}")
    if modality == "graphs":
        return adapter.adapt_graphs(made, image, classes)
    return adapter.adapt(made, tuple(image), classes)


def count(net: "synth.base.Net") -> int:
    """How many numbers a network learns; running statistics do not count. Nothing is computed for it."""
    import jax

    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(jax.eval_shape(net.init, jax.random.key(0)).params))
