"""Arrays of images as people keep them become u8 or f32 [n h w c]: channels first or last or none, wide integers, 16 bits, booleans."""

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
    """Arrays of images, the training images first, as u8 or f32 [n h w c], all read in the same way.

    Wide integers from 0 to at most 255 are bytes, uint16 beyond that is divided by 65535, and booleans are 0 and 1.
    Raises BadInput for other numbers, and for shapes that no axis explains.
    """
    if first := x[0].ndim == 4 and channels_first(spec, x[0].shape, layout):
        if layout is None:
            note(f"{spec}: images of shape {'x'.join(map(str, x[0].shape[1:]))} are read as channels, height and width")
        x = [np.moveaxis(one, 1, 3) if one.ndim == 4 else one for one in x]
    x = [one[..., None] if one.ndim == 3 and not first else one for one in x]
    kinds = {one.dtype for one in x}
    if kinds <= {np.dtype(np.uint8)}:
        return x
    if all(kind.kind in "fb" for kind in kinds):
        with np.errstate(over="ignore"):  # beyond float32 they become infinite, and are refused as such
            return [one.astype(np.float32, copy=False) for one in x]
    if any(kind.kind not in "iu" for kind in kinds) or len(kinds) > 1:
        raise BadInput(f"{spec}: images are {' and '.join(sorted(map(str, kinds)))}; needed is uint8 0..255 or float in [0, 1]")
    low, high = min(int(one.min()) for one in x if one.size), max(int(one.max()) for one in x if one.size)
    (kind,) = kinds
    if low >= 0 and DARK <= high <= BYTE:
        return [one.astype(np.uint8) for one in x]
    if kind == np.uint16 and high > BYTE:
        note(f"{spec}: images of 16 bits, up to {high}, are divided by {WORD}")
        return [(one / np.float32(WORD)).astype(np.float32) for one in x]
    raise BadInput(f"{spec}: images are {kind} with values from {low} to {high}; needed is uint8 0..255 or float in [0, 1]")
