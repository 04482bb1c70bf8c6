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
        input statistics stand under `norm0`, `norm1`, ... in call order, as (mean f32[d], biased variance f32[d]); likewise
        `running0`, `running1`, ... are the layers' running statistics before the call. Networks with batch normalisation also tell the
        inputs themselves, `norm_input0`, ..., and those of the convolutions, `conv_input0`, ... What a network has not is left out.
      stats: the running statistics after this call: moved when training, as they were otherwise.
    """

    logits: Float[Array, "b classes"]
    embed: Float[Array, "b d"]
    taps: dict[str, Any]
    stats: PyTree = ()


@runtime_checkable
class Apply(Protocol):
    """`(vars, x, *, train=False, key=None) -> Out`, pure. With `train`, batch norms normalise by the batch, and `Out.stats` are the running
    statistics moved towards it. `key` is for networks that draw random numbers while they train."""

    def __call__(self, vars: Vars, x: Float[Array, "b ..."], *, train: bool = False, key: jax.Array | None = None) -> Out: ...


class Net(NamedTuple):
    """A network: `init(key)` draws its variables, and `apply` computes its outputs with them."""

    init: Callable[[jax.Array], Vars]
    apply: Apply


class Teacher(NamedTuple):
    """A trained network whose variables never change. It labels images, or methods match images to its statistics.

    `apply(vars, x)` lets batch norms use the running statistics, and its taps tell those of the input. With `train=True` they use those of
    the batch, and running ones that moved are returned; whoever drops these has the batch's own without an update.

    Args:
      net, vars: the network, which takes examples in model space of the data it was trained on.
      name: its specification; empty where it is not known.
      resized: the shape (h, w, c) of other images -> the same network for those, which takes `vars` if no weight belongs to a pixel. Raises
        BadInput for a shape that it cannot take. None where the network takes images of one size alone.
    """

    net: Net
    vars: Vars
    name: str = ""
    resized: Callable[[tuple[int, int, int]], Net] | None = None


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
        """The m examples at the positions `index`, in its order, with their class indices. All of them are in memory then."""
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
        """The m examples at the positions `index`, in its order, with their class indices."""
        return Examples(self.x[index], self.y[index])


def take_all(split: Any) -> Any:
    """Every example of a split (or every row of what readers give), in order, as its `take` gives them; all of it is in memory then.
    `Examples` are all there already, and come back as they are."""
    return split if isinstance(split, Examples) else split.take(np.arange(len(split.y)))


def fresh(key: jax.Array, net: Net) -> Vars:
    """Draws the variables of a new network. No dtype is weak in JAX's sense, so a later step of the same shapes compiles nothing anew."""
    return jax.tree.map(lambda leaf: jax.lax.convert_element_type(leaf, leaf.dtype), net.init(key))
