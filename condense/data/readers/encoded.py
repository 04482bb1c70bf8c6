"""Encoded pictures as u8[n h w c], for the readers of folders, tables and prepared sets.

Pictures are opened by content, not by name, and their sizes are checked before a pixel is decoded. They are turned as their EXIF
orientation says. Transparency is dropped, other colours become RGB, and 16 bits the 8 upper ones. Grey pictures among coloured ones are
coloured.
"""

import io
import math
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from condense.data.readers.base import TRUTH, Number
from condense.data.readers.source import LARGEST, MODEL_SPACE
from condense.runtime.log import note, progress
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

MOST_PIXELS = 1 << 26  # of one picture: 8192 x 8192
LONG = 20_000  # pictures that take long enough for a progress bar
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
SUFFIXES = (".png", ".jpg", ".jpeg", ".jpe", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm", ".pnm")
KNOWN = "PNG, JPEG, GIF, BMP, TIFF, WebP or PPM"
GREY, COLOUR = ("1", "L", "LA", "La"), ("RGB", "RGBA", "RGBa", "RGBX", "P", "PA", "CMYK", "YCbCr", "LAB", "HSV")
DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I")  # one channel of 16 bits
SIZES = {"size": Number(most=4096), "scale": Number(most=4096), "crops": TRUTH}  # options of readers of pictures in files
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF orientation
PngImagePlugin.MAX_TEXT_CHUNK = PngImagePlugin.MAX_TEXT_MEMORY  # a long text beside the pixels makes no picture bad


class Item(NamedTuple):
    """One encoded picture: a path or bytes in memory, its class index, and how messages call it."""

    file: Path | io.BytesIO
    label: int
    shown: str


@runtime_checkable
class Items(Protocol):
    """Encoded pictures by number: a list of them, or what reads each when it is asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, row: int, /) -> Item: ...


def why(error: Exception) -> str:
    """The start of an error's message, in one line; Pillow's on unknown formats is the path alone."""
    return ("no known format" if isinstance(error, UnidentifiedImageError) else " ".join(str(error).split()) or type(error).__name__)[:100]


def decode(
    file: Path | io.BytesIO,
    shown: str,
    *,
    channels: int | None = None,
    size: int | None = None,
    scale: int | None = None,
    crop: np.random.Generator | None = None,
    said: Counter | None = None,
) -> UInt8[np.ndarray, "h w c"]:
    """Decodes one picture into u8[h w c].

    Args:
      channels: 1 converts to grey, 3 to colour (transparency is dropped); as the file has it by default.
      size: the shorter side is scaled to it and the centre cut out, so that the result is size x size.
      scale: the shorter side is scaled to this instead, at least `size`; None for `size`.
      crop: draws a part of the picture (`random_box`), which is scaled to size x size in place of the centre.
      said: counts, by their words, remarks that users should hear, such as that 16 bits were cut to 8.

    Raises:
      BadInput: no known format, more than 2^26 pixels, truncated, or pixels of another kind; the message begins with `shown`.
    """
    try:
        with _opened(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadInput(f"{shown} has {picture.width}x{picture.height} pixels, more than {MOST_PIXELS}; make it smaller")
            return shown_pixels(picture, shown, channels=channels, size=size, scale=scale, crop=crop, said=said)
    except BadInput:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadInput(f"{shown} is no whole picture ({why(error)}); replace or remove it, pictures are {KNOWN}") from error


def shown_pixels(
    picture: Image.Image,
    shown: str,
    *,
    channels: int | None = None,
    size: int | None = None,
    scale: int | None = None,
    crop: np.random.Generator | None = None,
    said: Counter | None = None,
) -> UInt8[np.ndarray, "h w c"]:
    """The pixels u8[h w c] of an opened picture, turned as its EXIF orientation says, grey or coloured for `channels` of 1 or 3, and with
    `size` cut to size x size once the shorter side is `scale` (by default `size`), or where `crop` draws. `said` counts remarks."""
    picture.load()  # some formats turn it here, and drop the tag
    turn = TURNS.get(_orientation(picture))
    grey = picture.mode in GREY + DEEP if channels is None else channels == 1
    plain = _plain(picture, shown, said).convert("L" if grey else "RGB")
    plain = plain if turn is None else plain.transpose(turn)
    if crop is not None:
        plain = plain.resize((size, size), Image.Resampling.BILINEAR, box=random_box(crop, *plain.size))
    elif size and (plain.size != (size, size) or scale):
        edge = (1 - size / scale) / 2 if scale else 0  # what falls outside of the centre, on each side
        plain = ImageOps.fit(plain, (size, size), Image.Resampling.BICUBIC, bleed=edge)
    pixels = np.asarray(plain, np.uint8)
    return pixels[..., None] if grey else pixels


def random_box(draws: np.random.Generator, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a part of a picture as Inception was trained on them (Szegedy et al., Going deeper with convolutions,
    2015): 8 to 100 % of its area, 3/4 to 4/3 times as wide as high, at a place where it fits. Of ten draws the first that fits; where none
    does, the largest part in the middle that is no wider or higher than that."""
    for _ in range(10):
        area, ratio = width * height * draws.uniform(0.08, 1), math.exp(draws.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            left, top = int(draws.integers(width - w + 1)), int(draws.integers(height - h + 1))
            return left, top, left + w, top + h
    w, h = min(width, max(1, round(height * 4 / 3))), min(height, max(1, round(width * 4 / 3)))
    return (width - w) // 2, (height - h) // 2, (width - w) // 2 + w, (height - h) // 2 + h


def _plain(picture: Image.Image, shown: str, said: Counter | None) -> Image.Image:
    """The picture with 8 bits a channel. Raises BadInput for pixels of no known kind."""
    if picture.mode in DEEP:
        deep = np.asarray(picture).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise BadInput(f"{shown} has pixels from {deep.min()} to {deep.max()}; convert it to 8-bit grey or colour")
        if said is not None:
            said["have 16 bits, of which the upper 8 are read"] += 1
        return Image.fromarray((deep >> 8).astype(np.uint8))
    if picture.mode not in GREY + COLOUR:
        raise BadInput(f"{shown} has pixels of kind '{picture.mode}'; convert it to 8-bit grey or colour")
    return picture.convert("RGBA") if picture.mode in ("P", "PA") and "transparency" in picture.info else picture


def _orientation(picture: Image.Image) -> int:
    try:
        return picture.getexif().get(0x0112, 1)
    except Exception:  # the pixels of a picture are whole, whatever stands beside them
        return 1


def _opened(file: Path | io.BytesIO) -> Image.Image:
    """A picture of which only the header is read."""
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        return Image.open(file, formats=FORMATS)


def numbers_of(file: Path | io.BytesIO, size: int | None) -> int:
    """How many numbers a picture decodes to, by its header and `size` (None or a side), of three channels or one; 0 if it is none."""
    try:
        with _opened(file) as picture:
            grey, (width, height) = picture.mode in GREY + DEEP, (size, size) if size else picture.size
    except Exception:  # decoders raise whatever they stumble over
        return 0
    if isinstance(file, io.BytesIO):
        file.seek(0)
    return width * height * (1 if grey else 3)


def broken_too(items: Items, first: int) -> str:
    """What a message adds on pictures from number `first` on whose headers say that they are none either; empty where there is none."""
    found = [item.shown for item in (items[row] for row in range(first, len(items))) if not numbers_of(item.file, None)]
    return f"; broken too: {found[0]}{f' and {len(found) - 1} more' if found[1:] else ''}" if found else ""


def gather(
    items: Items,
    n: int,
    spec: str,
    *,
    memory: MemoryBudget,
    stored: int | None,
    like: tuple[int, ...] | None = None,
    channels: int | None = None,
    size: int | None = None,
    scale: int | None = None,
    resize: str,
) -> tuple[UInt8[np.ndarray, "n h w c"], Int32[np.ndarray, " n"]]:
    """n decoded pictures and their labels; all have the size of the first, or of `like` (h, w, c), and all are coloured where one is.

    Args:
      memory: what all of them may take, in bytes and normalised. stored: bytes of their files; None where that says nothing.
      channels: 1 or 3; None for the files' own. size, scale: the centre of `size` is cut once the shorter side is `scale` (or `size`).
      resize: the remedy that messages name where pictures differ in size.

    Raises BadInput naming a picture of another size, and, before one is decoded, where the first says that all are too large.
    """
    x, y, said = None, [], Counter()
    for row, item in enumerate(_watched(items, n, spec) if n >= LONG else items):
        if x is None:
            memory.take((1 + MODEL_SPACE) * n * (math.prod(like) if like else numbers_of(item.file, size)), stored=stored)
        try:
            picture = decode(item.file, f"{spec}: {item.shown}", channels=channels, size=size, scale=scale, said=said)
        except BadInput as error:
            raise BadInput(f"{error}{broken_too(items, row + 1)}") from error
        if x is None:
            like = (*(like or picture.shape)[:2], picture.shape[2])
            if n * math.prod(like) > LARGEST:
                raise BadInput(f"{spec}: {n} pictures of {picture.shape} take more than {LARGEST} bytes; use size=N, limit=N or fewer")
            x = np.empty((n, *like), np.uint8)
        if picture.shape[:2] != like[:2]:
            have, want = ("x".join(map(str, shape)) for shape in (picture.shape, like))
            raise BadInput(f"{spec}: {item.shown} is {have} but those before it {want}; {resize}")
        if picture.shape[2] > x.shape[3]:
            memory.take((1 + MODEL_SPACE) * 2 * x.size)
            x = np.repeat(x, 3, 3)  # the grey ones before it, coloured
        x[row] = picture
        y.append(item.label)
    for what, count in said.items():
        note(f"{spec}: {count} of {n} pictures {what}")
    return x, np.array(y, np.int32)


def is_coloured(item: Item) -> bool:
    """Whether the header of a picture says that it has colours; False for one that is broken."""
    try:
        with _opened(item.file) as picture:
            return picture.mode in COLOUR
    except Exception:  # what is broken is told when it is taken
        return False


def same_channels(*x: UInt8[np.ndarray, "..."]) -> list[np.ndarray]:
    """Arrays of pictures in which all are coloured where one is: grey has the same value in all three channels."""
    most = max(one.shape[-1] for one in x)
    return [np.repeat(one, most, -1) if one.shape[-1] == 1 < most else one for one in x]


def _watched(items: Items, n: int, spec: str) -> Iterator[Item]:
    with progress(n, f"reading {spec}") as bar:
        for row, item in enumerate(items):
            yield item
            if row % 500 == 499 or row == n - 1:
                bar.advance(row % 500 + 1)
