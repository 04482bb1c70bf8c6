"""The contract of a label kind: the methods that it must have, and defaults for the others.

A kind is a NamedTuple under `label_kind`, in a file of its own, and one line of `synth.labels.KINDS`. Nothing else names it: files,
teachers, training, evaluation and the command line ask it for what `Labels` lists.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from synth.images.views import BatchView, Mixed


class Labels(ABC):
    """Labels of n examples. A kind must define `kind`, `classes` and `targets`; everything else has the defaults written here.

    An array field is stored under its name, with the dtype and axes of its annotation; other fields stand in the file's header.

    Attributes:
      kind: its name in files and on the command line.
      classes: how many classes there are, a field or a property; of regression values, how many numbers an example has.
      sees: whether `targets` answer to the mixed view of a batch. Targets of other kinds belong to examples and are mixed by `mix`.
      replays: whether it holds answers to the views of every epoch, and to no others. Such a kind has fields `seed`, `batch` and `view`,
        which draw the views again, and a property `epochs`; its answers are kept on the disk while teachers give them.
      taught: whether teachers made it. Such a kind has fields `index` (the class of every example), `temperature`, `teachers` and
        `statistics`, see `synth.labels.common`.
      records: whether it holds the views themselves, and the order of the examples, so that these are shown in place of a recipe's. Such a
        kind has a field `batch`, a property `epochs`, `order_of(epoch)`, the example at every place, and `shown(images, epoch, batch)`, the
        `BatchView` of the images of a mini-batch.
      asks: whether teachers are asked while a network trains, see `with_teachers`.
      default_temperature: where none is asked for; None for the training recipe's.
      leaves: names of the fields that hold arrays; by default those that are annotated as arrays.
      make: (asker, *, ...) -> labels, a class method: makes the labels from what a `synth.labelling.Asker` hears of the teachers. None for
        a kind that teachers do not make. Its keyword arguments are the kind's own options, annotated as in `synth.options`, with their help
        in its docstring; the labels keep their values in fields of the same names.
      of_loss: names of the options that the loss alone reads, so that no answer of a teacher depends on them.
    """

    sees = replays = records = taught = asks = False
    leaves: tuple[str, ...] = ()
    of_loss: tuple[str, ...] = ()
    default_temperature: float | None = None
    make: Callable[..., "Labels"] | None = None

    @classmethod
    def bytes_each(cls, classes: int, epochs: int) -> int:
        """Payload bytes for one example, before labels exist. `epochs` counts the epochs of stored views, for kinds that store them. By
        default 4 bytes, for an index."""
        return 4

    @abstractmethod
    def targets(self, index: Int[Array, " b"], view: BatchView):
        """The training targets of a mini-batch under a view: a PyTree for `loss` and `mix` whose leaves have the batch first. `index` are
        its examples, as positions among all n."""

    def mix(self, a, b, lam):
        """Targets of mixed images, lam a + (1 - lam) b, from targets `a` of the images and `b` of their partners."""
        return lam * a + (1 - lam) * b

    def loss(self, logits: Float[Array, "b c"], targets: Float[Array, "b c"]) -> Float[Array, " b"]:
        """The loss of every example, from a network's logits: by default cross entropy against `targets`, in nats."""
        return optax.softmax_cross_entropy(logits, targets.astype(logits.dtype))

    def direction(self, targets: Float[Array, "b c"]) -> Float[Array, "b c"]:
        """What a loss that compares directions turns a network's logits to: by default the targets themselves; answers as logits."""
        return targets

    def probs(self) -> Float[Array, "n c"]:
        """Class probabilities of every example: by default one-hot rows of `index`."""
        return jax.nn.one_hot(self.index, self.classes)

    def regressed(self) -> Float[Array, "n c"]:
        """The values that a ridge head is fitted to: by default the class probabilities minus 1 / C, for C classes."""
        return self.probs() - jnp.float32(1 / self.classes)

    def nbytes(self) -> int:
        """Payload bytes: by default those of all arrays."""
        return sum(leaf.nbytes for leaf in jax.tree.leaves(self))

    def check(self) -> None:
        """Raises ValueError if a field is out of range. By default nothing is checked."""
        return None

    def with_teachers(self, find: Callable[[str], tuple]) -> "Labels":
        """Labels that networks can be trained on: by default the labels themselves. `find` gives (teachers, weights) for the text in the
        field `teachers`."""
        return self


REQUIRED = ("kind", "classes", "targets")


def label_kind(kind: type) -> type:
    """Decorator that turns a NamedTuple into a kind of `Labels`. The kind gets the defaults, and is a PyTree of its `leaves`; other fields
    are static.

    Raises TypeError where it lacks what a kind must have.
    """
    if missing := [name for name in REQUIRED if not hasattr(kind, name)]:
        raise TypeError(f"{kind.__name__} is no kind of labels: it has no {', '.join(missing)}")
    for name, default in vars(Labels).items():
        if not name.startswith("_") and not hasattr(kind, name):
            setattr(kind, name, default)
    Labels.register(kind)
    arrays = tuple(name for name, hint in get_type_hints(kind).items() if name in kind._fields and hasattr(hint, "dim_str"))
    leaves = kind.leaves or arrays
    if static := [name for name in kind._fields if name not in leaves]:

        def flatten(labels):
            return tuple(getattr(labels, name) for name in leaves), tuple(getattr(labels, name) for name in static)

        def rebuild(fields, values):
            return kind(**dict(zip(leaves, values, strict=True)), **dict(zip(static, fields, strict=True)))

        jax.tree_util.register_pytree_node(kind, flatten, rebuild)
    return kind


def option_parameters(kind: type[Labels]) -> dict[str, inspect.Parameter]:
    """The options of a label kind by name, with defaults and types. A kind that teachers do not make has none."""
    if not kind.make:
        return {}
    parameters = inspect.signature(kind.make, eval_str=True).parameters
    return {name: p for name, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def check_index(index: Int[Array, " n"], classes: int) -> None:
    """Raises ValueError if a number in `index` is no class: below 0, or `classes` and above."""
    low, high = np.min(index), np.max(index)
    if low < 0 or high >= classes:
        raise ValueError(f"labels run from {low} to {high}; 0 to {classes - 1} are right for {classes} classes")


def targets_of(labels: Labels, index: Int[Array, " b"], seen: BatchView, *, mixes: bool):
    """The training targets of a mini-batch. If the kind reads the view, they are its own answer to it; otherwise its targets for the
    examples `index`, mixed as the images of `seen` are where `mixes` says that these are mixed."""
    own = labels.targets(index, seen)
    if not mixes or labels.sees:
        return own
    mixed: Mixed = seen.mixed
    return labels.mix(own, jax.tree.map(lambda target: target[mixed.partner], own), mixed.lam)
