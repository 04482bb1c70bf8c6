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
    """Whether images of this shape [n a b c] are [n channels height width], as `layout` says (`nchw` or `nhwc`). For None: the last axis
    has the channels where it is 1 to 4; else the first, where it is 1 or 3 and the shortest.

    Raises BadInput where neither can be.
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
    """The shape [n h w c] of images that are stored in this shape, with one channel where it is [n h w]. Raises BadInput where `layout` is
    None and no axis is surely that of the channels."""
    if len(shape) != 4:
        return (*shape, 1)
    n, a, b, c = shape
    return (n, b, c, a) if channels_first(spec, shape, layout) else shape


def as_images(spec: str, x: list[np.ndarray], layout: str | None) -> list[np.ndarray]:
    """Arrays of images, the training images first, as u8 or f32 [n h w c], all by the same rule: uint8 stays, floats and booleans become
    f32 without scaling, wider integers in 0..255 become u8 (where the largest is at least 16), and uint16 beyond 255 is divided by 65535.

    Raises BadInput for other numbers, and where `layout` is None and no axis is surely that of the channels.
    """
    kinds = {one.dtype for one in x}
    wide = [one for one in x if one.size and one.dtype.kind in "iu" and one.dtype != np.uint8]
    convert = conversion(spec, x[0].shape, kinds, [(int(one.min()), int(one.max())) for one in wide], layout)
    return [convert(one) for one in x]


def conversion(
    spec: str, shape: tuple[int, ...], kinds: set[np.dtype], spans: list[tuple[int, int]], layout: str | None
) -> Callable[[np.ndarray], np.ndarray]:
    """Makes the function that turns the image arrays of one data set, whole or in parts, into u8 or f32 [n h w c], all by the same rule.

    uint8 stays as it is. Floats and booleans become f32 without scaling (False is 0, True is 1). Other integers become u8 where all lie in
    0..255 and the largest is at least 16; a smaller largest is refused, as these are more likely masks or classes. uint16 with a largest
    above 255 is divided by 65535 and becomes f32.

    Args:
      spec: begins messages.
      shape: of the training images: [n h w c], [n c h w] or [n h w], which gets one channel.
      kinds: the number types of all arrays, those of the test too.
      spans: (lowest, highest) of every array of integers other than uint8, or of every part of one.
      layout: `nhwc` or `nchw`; None finds the channels by their number, 1 to 4 on the last axis, else 1 or 3 on the first.

    Raises BadInput for other numbers, for integers mixed with another type, and where no axis is surely that of the channels.
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
