"""Encoded pictures as rows that are decoded whenever they are taken, for the readers of folders, tables and prepared sets."""

from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from jaxtyping import Int, Int32, UInt8

from condense.data.readers.base import Spec
from condense.data.readers.encoded import Items, decode, is_coloured
from synth.errors import BadInput


@dataclass(frozen=True, eq=False)
class Pictures:
    """Encoded pictures as rows: each is decoded whenever it is taken, and none is kept.

    Args:
      items: the pictures. y: the class index of each.
      size, scale: as `decode` has them. crops: whether networks are trained on random parts of them.
      look: height, width and channels of every picture. spec: begins messages.
      resize: the remedy that messages name where pictures differ in size.
    """

    items: Items
    y: Int32[np.ndarray, " n"]
    size: int | None
    look: tuple[int, int, int]
    spec: str
    resize: str
    scale: int | None = None
    crops: bool = False
    in_memory = False
    dtype = np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """The number of pictures, then the shape of one."""
        return (len(self.items), *self.look)

    def take(self, index: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m h w c"]:
        """The pictures that `index` names, in its order. Raises BadInput for one that is broken, or of another size than the first."""
        return self._decoded(index, None)

    def take_crops(self, index: Int[np.ndarray, " m"], seeds: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, "m h w c"]:
        """A random part (`random_box`) of every picture that `index` names, in its order, scaled to `size`. The seed of a row alone decides
        which part of its picture it is. Raises BadInput for a picture that is broken."""
        return self._decoded(index, seeds)

    def _decoded(self, index, seeds):
        index = np.asarray(index, np.int64)
        x = np.empty((len(index), *self.look), np.uint8)
        for row in np.argsort(index, kind="stable").tolist():  # what reads them is quick in their order
            item, crop = self.items[int(index[row])], None if seeds is None else np.random.default_rng(int(seeds[row]))
            how = {"channels": self.look[2], "size": self.size, "scale": self.scale, "crop": crop}
            picture = decode(item.file, f"{self.spec}: {item.shown}", **how)
            if picture.shape != self.look:
                have, want = ("x".join(map(str, shape)) for shape in (picture.shape, self.look))
                raise BadInput(f"{self.spec}: {item.shown} is {have} but others are {want}; {self.resize}")
            x[row] = picture
        return x


def scale_of(spec: Spec) -> int | None:
    """To what the shorter side of test pictures is scaled before their centre is cut; None where that is the option `size`. Raises BadInput
    where that is less, or there is no `size`."""
    size, scale = spec.options.get("size"), spec.options.get("scale")
    if scale is not None and (size is None or scale < size):
        right = "size=N with N at most that: the centre of N x N is cut from test pictures whose shorter side is scaled so"
        raise BadInput(f"{spec.text}: scale={scale} needs {right}")
    return scale


def scanned(parts: list[Items], spec: Spec, *, channels: int | None = None) -> list[Pictures | None]:
    """Pictures of training, and of the test where there are some, as rows; None for a test that is not there. All are of the size of the
    first, with three channels where the header of one says that it is coloured, unless `channels` says how many. The options of the spec
    say how they are cut."""
    size, one = spec.options.get("size"), parts[0][0]
    channels = 1 if spec.options.get("grey") else channels
    first = decode(one.file, f"{spec.text}: {one.shown}", channels=channels, size=size)
    coloured = first.shape[2] == 3 or (channels is None and any(is_coloured(item) for item in chain(*parts)))
    look = (*first.shape[:2], 3 if coloured else 1)
    labels = [items.y if hasattr(items, "y") else [item.label for item in items] for items in parts]
    ways = zip(parts, labels, (None, scale_of(spec)), strict=False)
    made = [Pictures(items, np.asarray(y, np.int32), size, look, spec.text, spec.to_one_size(), scale) for items, y, scale in ways]
    made[0] = replace(made[0], crops=bool(spec.options.get("crops")))
    return made if len(made) == 2 else [*made, None]
