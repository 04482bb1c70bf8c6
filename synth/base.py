"""Networks as values. Examples are in model space (after `synth.images.preprocess`): images f32[b h w c], or vectors f32[b d]; class labels
are i32."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float, Int, PyTree


class Vars(NamedTuple):
    """The variables of a network: `params` are learned by gradients, `stats` (running batch statistics) are not."""

    params: PyTree
    stats: PyTree = ()


class Out(NamedTuple):
    """The outputs of a network. Compiled code removes those that its caller does not read.

    Args:
      logits: f32[b c], unnormalised class scores.
      embed: f32[b d], the flattened input of the last linear layer.
      taps: inner values by name; `conv` holds the last feature map f32[b h w d], and each batch-normalisation layer's
        input statistics stand under `norm0`, `norm1`, ... in call order, as (mean f32[d], biased variance f32[d]).
      stats: the statistics after this call: moved when training, as they were otherwise.
    """

    logits: Float[Array, "b classes"]
    embed: Float[Array, "b d"]
    taps: dict[str, Any]
    stats: PyTree = ()


@runtime_checkable
class Apply(Protocol):
    """`(vars, x, *, train=False, key=None) -> Out`, pure."""

    def __call__(self, vars: Vars, x: Float[Array, "b ..."], *, train: bool = False, key: jax.Array | None = None) -> Out: ...


class Net(NamedTuple):
    """A network: how to draw its variables from a key, and how to apply them."""

    init: Callable[[jax.Array], Vars]
    apply: Apply


class Teacher(NamedTuple):
    """A trained network whose variables never change. It labels images, or methods match images to its statistics.

    Batch norms have four modes: `apply(vars, x)` uses the running statistics, and its taps tell the input's; `train=True` uses the batch's
    own and returns running ones that moved; whoever drops those has the batch's own without an update.

    Args:
      net, vars: the network, in model space of the data it was trained on.
      name: its specification.
    """

    net: Net
    vars: Vars
    name: str = ""


@runtime_checkable
class Split(Protocol):
    """Real examples in model space that need not lie in memory: the training, validation or test split of a data set.

    `take` is the only way to them. Whoever wants a few takes these; what goes over all of them does so by `synth.training.stream`, and what
    needs all at once says so by `take_all`.
    """

    @property
    def in_memory(self) -> bool:
        """Whether they lie in memory, so that it costs little to hold all of them."""
        ...

    @property
    def y(self) -> Int[np.ndarray, " n"]:
        """The class index of every example."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples, then the shape of one."""
        ...

    def take(self, index: Int[np.ndarray, " m"]) -> "Examples":
        """The examples that `index` names, in its order."""
        ...


class Examples(NamedTuple):
    """Real examples in model space and their class indices, in memory. They are also a `Split`, whose rows are the examples themselves."""

    x: Float[Array, "n ..."]
    y: Int[Array, " n"]
    in_memory = True

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of examples, then the shape of one."""
        return self.x.shape

    def take(self, index: Int[np.ndarray, " m"]) -> "Examples":
        """The examples that `index` names, in its order."""
        return Examples(self.x[index], self.y[index])


def take_all(split: Any) -> Any:
    """Every example of a split (or every row of what readers give), in order; all of it is in memory then."""
    return split.take(np.arange(len(split.y)))


def fresh(key: jax.Array, net: Net) -> Vars:
    """Draws the variables of a new network, with strong dtypes, so that a later step with the same shapes does not compile again."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), net.init(key))
