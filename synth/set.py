"""The synthetic set: one PyTree that methods learn, evaluators train on, and `synth.files.format` stores."""

from dataclasses import dataclass, field, replace

import jax
from jaxtyping import Array, Float

from synth.content import Content
from synth.images.preprocess import Preprocess
from synth.labels import Labels


@dataclass(frozen=True, eq=False)
class Info:
    """Where a set comes from, and the facts that are needed to use it.

    Args:
      data: the data specification it was made from, and `data_digest`, which tells its content.
      data_path: that specification with absolute paths, where `data` has relative ones.
      classes: class names in the order of the labels.
      preprocess: from raw images in [0, 1] to model space and back.
      net, recipe: specification of the network, and name of the recipe, that the maker trained with and advises to train with.
      method, config, seed: how it was made; `config` is the digest of the run's configuration.
      budget: what its size was given by: `ipc`, `size`, `bytes` or `fraction`; empty where that is not known.
      split_seed: the seed of the validation split that the maker set aside.
      represents: whether labels are representations, which belong to no class, even where they are as many numbers as there are classes.
    """

    classes: tuple[str, ...]
    preprocess: Preprocess
    data: str = ""
    data_digest: str = ""
    method: str = ""
    config: str = ""
    seed: int = 0
    split_seed: int = 0
    net: str = ""
    recipe: str = ""
    budget: str = ""
    represents: bool = False
    data_path: str = ""


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class SyntheticSet:
    """n examples with labels.

    Args:
      x, y: the examples and their labels.
      weight: how much each example counts, at least 0; None where all count 1.
      lr: a learned step size for training on the set; None where none was learned.
      info: where it comes from; None inside compiled code and checkpoints.
      cells: images a side of an example. Above 1 every example is a collage of cells x cells images of its class, and whoever trains on it
        is shown one of them at a time, see `synth.images.views.within_cells`.
    """

    x: Content
    y: Labels
    weight: Float[Array, " n"] | None = None
    lr: Float[Array, ""] | None = None
    info: Info | None = field(default=None, metadata={"static": True})
    cells: int = field(default=1, metadata={"static": True})

    def __len__(self) -> int:
        return self.x.n

    def __repr__(self) -> str:
        """A line; arrays would fill pages. JAX rebuilds sets around leaves that are no arrays, which have no length."""
        try:
            size = f"{len(self):,} {self.x.modality}, {self.y.kind} labels"
        except (AttributeError, TypeError, IndexError):
            size = f"{type(self.x).__name__}, {type(self.y).__name__}"
        made = f", {self.info.method or 'made'} of {self.info.data or 'data without a name'}" if self.info else ""
        return f"SyntheticSet({size}{made})"

    @property
    def represents(self) -> bool:
        """Whether the labels are representations instead of scores of the classes in `info`, which must be there. True where `info` says
        so, and where a label has another number of values than there are classes."""
        return self.info.represents or self.y.classes != len(self.info.classes)

    def bare(self) -> "SyntheticSet":
        """The set without `info`, for compiled code and checkpoints."""
        return replace(self, info=None)
