"""The contract of a content, which says how a synthetic set stores its examples, and the kinds that a file may hold."""

from collections.abc import Mapping
from typing import Any, Protocol

from jaxtyping import Array, Float, PyTree

from synth.graphs.content import ColourGraph, PackedGraphs, TreeSummary
from synth.graphs.dense import DenseGraphs
from synth.images.bases import Bases
from synth.images.coded import Half, Packed, Tiles
from synth.images.content import Bytes, Compensated, Pixels
from synth.vectors import Vectors


class Content(Protocol):
    """Stores the examples of a set: images as floats, in bytes, in half precision or as sums of bases; vectors; or graphs.

    A content is a NamedTuple of arrays. Methods, evaluation and files use what is listed here and nothing else of it.

    Every content has `n`, `modality`, `decode`, `store` and `nbytes`; stored graphs have `alphabet` and `frequency` too. The other members
    belong to one of two roles, and one class may play both, as `Pixels` does:

    - A content under work is what a method holds while it learns. It has `encode`, `learned`, `moved`, `bounded`, `clip` and `bytes_for`.
      Its arrays are usually float32, whatever `store` makes of them.
    - A stored content is what a file holds. It is one of `KINDS`, and has `kind`, `images`, and where they say something `example_axes`,
      `check`, and `like`. `synth.files.format` reads its arrays off the annotations of its fields.

    A method may instead make one content that is its own, by the constructor of that content: INFER makes `Summed`, which is stored as
    `Compensated`, and every method of graphs makes graphs. Such a content needs no `encode`, `bounded`, `clip` and `bytes_for`, and its
    method ignores which content the run started with. All other methods work with any content of images.

    `encode` and `bytes_for` read none of the arrays that hold images. They can be asked of the class, or, where a content has options or
    bounds, of any instance that holds these. Whoever starts a run is given such a class or instance, the run's first content.

    To add a content, write its file and add a line to `KINDS`. `tests/contract/test_contents.py` then covers it.
    """

    kind: str  # name in a file's header, the key in KINDS
    modality: str  # `images`, `graphs` or `vectors`, as in `condense.data.modality`

    @property
    def n(self) -> int:
        """How many examples it stands for."""

    @property
    def images(self) -> int:
        """How many real examples cost as much as these: `n`, or fewer where examples share stored images and real ones beside them would
        not."""

    def encode(self, images: Float[Array, "n ..."]) -> "Content":
        """Encodes these images or vectors as a content of the same kind, with the same options and bounds.

        Images that it cannot hold are approximated as well as it can: where images share numbers, by least squares. Images beyond the
        bounds are not clipped. It can be traced.
        """

    def decode(self) -> Any:
        """The examples: images f32[n h w c] or vectors f32[n d] in model space, differentiable by the learned arrays; or graphs."""

    def learned(self) -> PyTree[Float[Array, "..."]]:
        """The arrays that a method learns. They are selected, not computed, so that the same selection works on a gradient."""

    def moved(self, learned: PyTree[Float[Array, "..."]]) -> "Content":
        """The content with these arrays in place of those of `learned`, brought back within its bounds if it has some."""

    def bounded(self, mean: Float[Array, " c"], std: Float[Array, " c"]) -> "Content":
        """The same examples as a content that limits images to the values that raw images in [0, 1] can have under this normalisation.

        It is the content itself where it cannot keep bounds.
        """

    def clip(self, images: Float[Array, "n ..."]) -> Float[Array, "n ..."]:
        """Limits images to the bounds of the content. Without bounds, returns them unchanged."""

    def store(self) -> "Content":
        """The content that a file stores in place of this one. A content that files can store returns itself."""

    def nbytes(self) -> int:
        """Payload bytes that a file needs for this content, once it is stored. Arrays that undo a normalisation are not counted."""

    def bytes_for(self, n: int, image: tuple[int, ...]) -> int:
        """`nbytes()` for n examples of a shape, (h, w, c) or (d,), before they exist. It grows with n."""

    @property
    def per_image(self) -> int:
        """How many examples of a content under work take the room of one image. A content has it only where that is not one."""

    def like(self) -> "Content":
        """A content under work whose `encode` stores other images as these are stored: in as many bits, as tiles, or as sums of as many
        bases. Contents that hold images as they are do not have it."""

    @staticmethod
    def example_axes(sizes: Mapping[str, int]) -> dict[str, int]:
        """Sizes of the axes n, h, w, c of the examples that no stored array has, so that a file can be checked before it is read.

        Args:
          sizes: of the axes of its arrays, and its plain fields, by name.
        """

    def check(self) -> None:
        """Raises ValueError if stored arrays have impossible values."""


def images_for(content: Any, size: int, image: tuple[int, ...], *, classes: int, label_bytes: int) -> int:
    """How many examples of every class fit into `size` bytes together with their labels; 0 if not even one fits.

    Args:
      content: what they are stored as, a class or an instance of `Content` with `bytes_for`.
      size: bytes of images and labels together.
      image: the shape of an example.
      classes: how many there are.
      label_bytes: what the label of an image takes.
    """

    def needed(per_class: int) -> int:
        return content.bytes_for(per_class * classes, image) + per_class * classes * label_bytes

    low, high = 0, 1  # low fits
    while needed(high) <= size:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if needed(middle) <= size else (low, middle)
    return low


OF_IMAGES = (Pixels, Bytes, Compensated, Tiles, Half, Packed, Bases)
KINDS = {kind.kind: kind for kind in (*OF_IMAGES, TreeSummary, PackedGraphs, ColourGraph, DenseGraphs, Vectors)}
