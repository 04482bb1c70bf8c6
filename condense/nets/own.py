"""Networks that users give as values: a `synth.base.Net`, or a flax module.

A module is taken with two parts, `features(x) -> f32[b d]` and `head`, a layer from d numbers to the class scores, and sees images. What
sees graphs is a `Net` that maps a `synth.graphs.base.GraphBatch`.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen, nnx

from condense.nets.adapter import keyed, plain
from condense.nets.registry import OWN
from synth.base import Net, Out, Vars
from synth.errors import BadInput
from synth.graphs.base import Alphabet, GraphBatch, Graphs, batch_of

KNOWN: dict[str, Net] = {}  # those that this process was given, by name
PARTS = "features(x) -> [b, d] and head, a layer from d numbers to the scores of the classes"


def register(value: Any, image: tuple[int, ...] | Alphabet, classes: int) -> str:
    """Registers a network given as a value and returns its name: `own-` and twelve hexadecimal digits. These depend on what the network
    computes (its variables from a fixed key, and its scores of two fixed examples), so that the same network has the same name in every
    process.

    Args:
      value: a network as `as_net` takes it.
      image: the shape of an example, or the alphabet of graphs.
      classes: how many scores it must give.

    Raises BadInput as `as_net` does.
    """
    net = as_net(value, image, classes)
    vars = net.init(jax.random.key(0))
    whole = hashlib.sha256()
    for leaf in jax.tree.leaves((vars, net.apply(vars, probe(image)).logits)):
        whole.update(f"{leaf.dtype}{leaf.shape}".encode() + np.asarray(leaf).tobytes())
    name = OWN + whole.hexdigest()[:12]
    KNOWN[name] = net
    return name


def probe(image: tuple[int, ...] | Alphabet) -> jax.Array | GraphBatch:
    """Two examples of such a shape, always the same: f32[2 ...] of images or vectors, or for an alphabet a batch of two graphs, a path of
    two nodes and one of three."""
    if not isinstance(image, Alphabet):
        return jnp.cos(jnp.arange(2 * int(np.prod(image)), dtype=jnp.float32)).reshape(2, *image)
    ends = np.array([[0, 1], [2, 3], [3, 4]] if image.directed else [[0, 1], [1, 0], [2, 3], [3, 2], [3, 4], [4, 3]], np.int32)
    tags, labels = np.arange(5, dtype=np.int32) % image.tags, ends.min(1) % image.edges
    return batch_of(Graphs(np.array([2, 3], np.int32), tags, ends[:, 0], ends[:, 1], labels))


def find(name: str) -> Net:
    """The network that `register` stored under this name. Raises BadInput if this process has not registered it."""
    if name not in KNOWN:
        raise BadInput(f"--net {name}: is a network that was handed over as a value in Python; hand it over again, as net=...")
    return KNOWN[name]


def as_net(value: Any, image: tuple[int, ...] | Alphabet, classes: int, *, flag: str = "net=") -> Net:
    """Turns a value into a `Net`: a `Net` itself, a linen module, or a function `rngs -> nnx.Module` such as the module's class.

    A module needs two parts, `features(x) -> f32[b d]` and `head`, a layer from d numbers to the scores, and may hold parameters alone, no
    running statistics and no random state.

    Args:
      value: the network.
      image: the shape of an example, or the alphabet of graphs.
      classes: how many scores it must give.
      flag: what named the network, for messages.

    Raises BadInput for anything else, for a module that is not like that or where the examples are graphs, for a network that fails on two
    such examples, and for scores that are not one a class.
    """
    if isinstance(value, Net):
        net = value
    elif isinstance(image, Alphabet):
        raise BadInput(
            f"{flag}: the data are graphs, which a Net takes and a module does not; use gcn, gat, gin, sage, or a Net of a GraphBatch"
        )
    elif isinstance(value, linen.Module):
        net = _from_linen(value, image, flag)
    elif callable(value) and not isinstance(value, nnx.Module):
        net = _from_nnx(value, flag)
    else:
        kind = type(value).__name__
        raise BadInput(f"{flag}: {kind} is no network; give a specification, a Net, a linen module, or a function rngs -> nnx.Module")
    try:
        out = jax.eval_shape(lambda key, x: net.apply(net.init(key), x), jax.random.key(0), probe(image))
    except BadInput:
        raise
    except Exception as error:  # a network of a user's may raise whatever it likes
        seen = "a GraphBatch" if isinstance(image, Alphabet) else f"examples f32[2 {' '.join(map(str, image))}]"
        why = f"{type(error).__name__}: {str(error).partition(chr(10))[0][:200]}"
        raise BadInput(f"{flag}: the network fails on {seen} ({why}); give one that takes them") from error
    if out.logits.shape != (2, classes):
        raise BadInput(f"{flag}: gives scores of shape {list(out.logits.shape)} for 2 examples; {classes} classes need [2, {classes}]")
    return net


def _from_linen(module: linen.Module, image: tuple[int, ...], flag: str) -> Net:
    if not callable(getattr(type(module), "features", None)):  # a layer may have a field of that name
        raise BadInput(f"{flag}: the module {type(module).__name__} has no features; it needs {PARTS}")

    def init(key):
        made = module.init(key, jnp.zeros((1, *image), jnp.float32))
        _check_stateless(module, flag, sorted(made.keys() - {"params"}))
        return Vars(made["params"])

    def apply(vars, x, *, train=False, key=None):
        held = {"params": vars.params}
        return Out(module.apply(held, x), module.apply(held, x, method=module.features), {}, vars.stats)

    return Net(init, apply)


def _from_nnx(construct: Callable[[nnx.Rngs], nnx.Module], flag: str) -> Net:
    graph = nnx.graphdef(nnx.eval_shape(lambda: construct(nnx.Rngs(0))))

    def init(key):
        module = construct(nnx.Rngs(key))
        if not hasattr(module, "features") or not hasattr(module, "head"):
            raise BadInput(f"{flag}: the module {type(module).__name__} lacks a part; it needs {PARTS}")
        _, params, rest = nnx.split(module, nnx.Param, ...)
        _check_stateless(module, flag, ["/".join(map(str, path)) for path, _ in nnx.to_flat_state(rest)])
        return Vars(plain(nnx.to_pure_dict(params)))

    def apply(vars, x, *, train=False, key=None):
        module = nnx.merge(graph, keyed(vars.params))
        embed = module.features(x)
        return Out(module.head(embed), embed, {}, vars.stats)

    return Net(init, apply)


def _check_stateless(module: Any, flag: str, held: list[str]) -> None:
    """Raises BadInput where a module carries more than parameters: running statistics would stand still, and draws repeat."""
    if held:
        name = type(module).__name__
        raise BadInput(
            f"{flag}: the module {name} carries {', '.join(held[:3])} beside its parameters; use norms of single examples, no dropout"
        )
