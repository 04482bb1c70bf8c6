"""Encoded pictures (PNG, JPEG) as u8[n h w c], for the readers of class folders and of prepared sets.

Pictures are opened by content, not by name, and their sizes are checked before a pixel is decoded.
"""

import io
import math
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps

from condense.data.readers.source import LARGEST, MODEL_SPACE
from condense.runtime.log import progress
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

MOST_PIXELS = 1 << 26  # of one picture: 8192 x 8192
LONG = 20_000  # pictures that take long enough for a progress bar
GREY, COLOUR = ("1", "L"), ("RGB", "RGBA", "P")


class Item(NamedTuple):
    """One encoded picture: a path or bytes in memory, its class index, and how messages call it."""

    file: Path | io.BytesIO
    label: int
    shown: str


def why(error: Exception) -> str:
    """The start of an error's message, in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:100]


def decode(file: Path | io.BytesIO, shown: str, *, channels: int | None = None, size: int | None = None) -> UInt8[np.ndarray, "h w c"]:
    """Decodes one PNG or JPEG into u8[h w c].

    Args:
      channels: 1 converts to grey, 3 to colour (transparency is dropped); as the file has it by default.
      size: the shorter side is scaled to it and the centre cut out, so that the result is size x size.

    Raises:
      BadInput: neither format, more than 2^26 pixels, truncated, or 16 bits a channel; the message begins with `shown`.
    """
    try:
        with _opened(file) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadInput(f"{shown} has {picture.width}x{picture.height} pixels, more than {MOST_PIXELS}; make it smaller")
            if picture.mode not in GREY + COLOUR:
                raise BadInput(f"{shown} has pixels of kind '{picture.mode}'; convert it to 8-bit grey or colour")
            grey = picture.mode in GREY if channels is None else channels == 1
            plain = picture.convert("L" if grey else "RGB")
        if size and plain.size != (size, size):
            plain = ImageOps.fit(plain, (size, size), Image.Resampling.BICUBIC)
    except BadInput:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadInput(f"{shown} is no whole PNG or JPEG ({why(error)}); replace or remove it") from error
    pixels = np.asarray(plain, np.uint8)
    return pixels[..., None] if grey else pixels


def _opened(file: Path | io.BytesIO) -> Image.Image:
    """A picture of which only the header is read."""
    with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
        return Image.open(file, formats=("PNG", "JPEG"))


def _numbers(item: Item, spec: str, size: int | None) -> int:
    """How many numbers a picture decodes to, as its header says, with three channels unless it is grey."""
    try:
        with _opened(item.file) as picture:
            grey, (width, height) = picture.mode in GREY, (size, size) if size else picture.size
    except Exception as error:
        raise BadInput(f"{spec}: {item.shown} is no whole PNG or JPEG ({why(error)}); replace or remove it") from error
    if isinstance(item.file, io.BytesIO):
        item.file.seek(0)
    return width * height * (1 if grey else 3)


def gather(
    items: Iterable[Item],
    n: int,
    spec: str,
    *,
    memory: MemoryBudget,
    stored: int,
    like: tuple[int, ...] | None = None,
    channels: int | None = None,
    size: int | None = None,
) -> tuple[UInt8[np.ndarray, "n h w c"], Int32[np.ndarray, " n"]]:
    """n decoded pictures and their labels; all look as the first, or as `like` (h, w, c).

    Args:
      memory: what all of them may take, in bytes and normalised. stored: bytes of their files.

    Raises BadInput naming a picture that looks otherwise, and, before one is decoded, where the first says that all are too large.
    """
    x, y = None, np.empty(n, np.int32)
    if n >= LONG:
        items = _watched(items, n, spec)
    for row, item in enumerate(items):
        if x is None:
            memory.take((1 + MODEL_SPACE) * n * (math.prod(like) if like else _numbers(item, spec, size)), stored=stored)
        picture = decode(item.file, f"{spec}: {item.shown}", channels=channels, size=size)
        if x is None:
            like = like or picture.shape
            if n * picture.nbytes > LARGEST:
                raise BadInput(f"{spec}: {n} pictures of {picture.shape} take more than {LARGEST} bytes; use size=N, limit=N or fewer")
            x = np.empty((n, *like), np.uint8)
        if picture.shape != like:
            have, want = ("x".join(map(str, shape)) for shape in (picture.shape, like))
            hint = "add ?size=N to cut all to one size" if picture.shape[:2] != like[:2] else "add ?grey=true, or convert it"
            raise BadInput(f"{spec}: {item.shown} is {have} but those before it {want}; {hint}")
        x[row], y[row] = picture, item.label
    return x, y


def _watched(items: Iterable[Item], n: int, spec: str) -> Iterable[Item]:
    with progress(n, f"reading {spec}") as bar:
        for row, item in enumerate(items):
            yield item
            if row % 500 == 499 or row == n - 1:
                bar.advance(row % 500 + 1)
