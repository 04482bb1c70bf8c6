"""Arrays of images as people keep them become u8 or f32 [n h w c]: channels first or last or none, wide integers, 16 bits, booleans."""

from collections.abc import Callable

import numpy as np

from condense.data.readers.base import Choice
from condense.runtime.log import note
from synth.errors import BadInput

LAYOUT = Choice({"nhwc": "nhwc", "nchw": "nchw"})
USUAL = (1, 2, 3, 4)  # channels of a picture
BYTE, WORD = 255, 65535
DARK = 16  # wide integers whose largest is below are no bytes: more likely a mask or classes


def channels_first(spec: str, shape: tuple[int, ...], layout: str | None) -> bool:
    """Whether images of this shape [n a b c] are [n channels height width]; by the axes where `layout` does not say.

    Raises BadInput where neither the first nor the last axis is a usual number of channels.
    """
    _, a, b, c = shape
    if layout:
        return layout == "nchw"
    if c in USUAL:
        return False
    if a in (1, 3) and min(b, c) > a:
        return True
    which = f"?layout=nchw if the {a} are channels, or ?layout=nhwc if the {c} are"
    raise BadInput(f"{spec}: images have shape {a}x{b}x{c}, of which no axis is surely that of the channels; add {which}")


def image_shape(spec: str, shape: tuple[int, ...], layout: str | None) -> tuple[int, ...]:
    """The shape [n h w c] of images that are stored in this shape. Raises BadInput as `channels_first` does."""
    if len(shape) != 4:
        return (*shape, 1)
    n, a, b, c = shape
    return (n, b, c, a) if channels_first(spec, shape, layout) else shape


def as_images(spec: str, x: list[np.ndarray], layout: str | None) -> list[np.ndarray]:
    """Arrays of images, the training images first, as u8 or f32 [n h w c], all read in the same way, as `conversion` says."""
    kinds = {one.dtype for one in x}
    wide = [one for one in x if one.size and one.dtype.kind in "iu" and one.dtype != np.uint8]
    convert = conversion(spec, x[0].shape, kinds, [(int(one.min()), int(one.max())) for one in wide], layout)
    return [convert(one) for one in x]


def conversion(
    spec: str, shape: tuple[int, ...], kinds: set[np.dtype], spans: list[tuple[int, int]], layout: str | None
) -> Callable[[np.ndarray], np.ndarray]:
    """What makes arrays of images u8 or f32 [n h w c]. It reads all of them, and any part of them, in the same way.

    Wide integers from 0 to at most 255 are bytes, uint16 beyond that is divided by 65535, and booleans are 0 and 1.

    Args:
      shape: of the training images. kinds: of all numbers. spans: (lowest, highest) of integers, an array or a part of one each.
      layout: as the option says.

    Raises BadInput for other numbers, and for shapes that no axis explains.
    """
    first = len(shape) == 4 and channels_first(spec, shape, layout)
    if first and layout is None:
        note(f"{spec}: images of shape {'x'.join(map(str, shape[1:]))} are read as channels, height and width")
    numbers = _numbers(spec, kinds, spans)

    def convert(x: np.ndarray) -> np.ndarray:
        x = np.moveaxis(x, 1, 3) if first and x.ndim == 4 else x
        return numbers(x[..., None] if x.ndim == 3 and not first else x)

    return convert


def as_floats(x: np.ndarray) -> np.ndarray:
    """Numbers as f32; those beyond float32 become infinite, and are refused later."""
    with np.errstate(over="ignore"):
        return x.astype(np.float32, copy=False)


def _numbers(spec: str, kinds: set[np.dtype], spans: list[tuple[int, int]]) -> Callable[[np.ndarray], np.ndarray]:
    """What makes numbers of these kinds u8 or f32."""
    if kinds <= {np.dtype(np.uint8)}:
        return lambda x: x
    if all(kind.kind in "fb" for kind in kinds):
        return as_floats
    if any(kind.kind not in "iu" for kind in kinds) or len(kinds) > 1:
        raise BadInput(f"{spec}: images are {' and '.join(sorted(map(str, kinds)))}; needed is uint8 0..255 or float in [0, 1]")
    low, high = min(low for low, _ in spans), max(high for _, high in spans)
    (kind,) = kinds
    if low >= 0 and DARK <= high <= BYTE:
        return lambda x: x.astype(np.uint8)
    if kind == np.uint16 and high > BYTE:
        note(f"{spec}: images of 16 bits, up to {high}, are divided by {WORD}")
        return lambda x: (x / np.float32(WORD)).astype(np.float32)
    raise BadInput(f"{spec}: images are {kind} with values from {low} to {high}; needed is uint8 0..255 or float in [0, 1]")
