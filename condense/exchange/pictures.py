"""PNG pictures of images, in memory and in archives of arrays beside them."""

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from condense.exchange.base import REST, Contents, Parcel
from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.files.npz import opened, write_npz

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
MOST_PIXELS = 1 << 26  # of one picture, as in `condense.data.readers.encoded`
TEXT = ("header", "classes", "files")


def png(image: UInt8[np.ndarray, "h w c"]) -> bytes:
    """One image of 1, 3 or 4 channels as the bytes of a PNG file, which keeps every bit."""
    held = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image, MODES[image.shape[-1]]).save(held, "PNG")
    return held.getvalue()


def pixels(data: bytes | Path, shown: str) -> UInt8[np.ndarray, "h w c"]:
    """The image in a PNG or JPEG file, a path or its bytes: grey with 1 channel, RGBA with 4, all others as RGB. Raises BadInput, which
    begins with `shown`, for anything else."""
    try:
        with Image.open(io.BytesIO(data) if isinstance(data, bytes) else data, formats=("PNG", "JPEG")) as picture:
            if picture.width * picture.height > MOST_PIXELS:
                raise BadInput(f"{shown} has {picture.width}x{picture.height} pixels, more than {MOST_PIXELS}; make it smaller")
            mode = picture.mode if picture.mode in MODES.values() else "RGB"
            found = np.asarray(picture.convert(mode), np.uint8)
    except BadInput:
        raise
    except Exception as error:  # decoders raise whatever they stumble over
        raise BadInput(f"{shown} is no whole PNG or JPEG ({' '.join(str(error).split())[:100]}); replace it") from error
    return found[..., None] if found.ndim == 2 else found


def stack(pictures: Iterable[tuple[bytes | Path, str]], n: int, shown: str, *, stored: int) -> UInt8[np.ndarray, "n h w c"]:
    """n pictures of one size as one array, each with what messages call it; `stored` are the bytes of their files.

    Raises BadInput where they differ, are none, or would take more memory than may be read.
    """
    x = None
    for row, (data, called) in enumerate(pictures):
        image = pixels(data, called)
        if x is None:
            MemoryBudget(shown, remedy="give fewer or smaller pictures").take(n * image.size, stored=stored)
            x = np.empty((n, *image.shape), np.uint8)
        if image.shape != x.shape[1:] or row >= n:
            sizes = " and ".join("x".join(map(str, shape)) for shape in (x.shape[1:], image.shape))
            raise BadInput(f"{shown}: needs {n} pictures of one size and kind, and has {sizes}; make them alike")
        x[row] = image
    if x is None or row + 1 < n:
        raise BadInput(f"{shown}: needs {n or 'some'} pictures, and has fewer; export the set again")
    return x


def write_rest(folder: Path, parcel: Parcel, **more: np.ndarray) -> None:
    """Writes the arrays that have no row an example, those in `more`, the header and the names of the classes as `rest.npz`."""
    write_npz(folder / REST, {**parcel.whole, **more, "header": np.array(parcel.header), "classes": np.array(parcel.classes)})


def read_rest(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """The arrays of `rest.npz` or `labels.npz` by name, and the header, which is not among them. Raises BadInput for a damaged file, and
    one without a header."""
    with opened(path, text=TEXT) as archive:
        archive.reserve(*archive.members)
        arrays = {name: archive.read(name) for name in archive.members}
    if "header" not in arrays:
        raise BadInput(f"{path}: has no header; it is no export of condense, or a damaged one")
    return arrays, str(arrays.pop("header"))


def contents_of(arrays: dict[str, np.ndarray], header: str, images: np.ndarray | None) -> Contents:
    """The contents of an export as `unpack` takes them: without the names of classes and files."""
    return Contents(images, {name: array for name, array in arrays.items() if name not in TEXT}, header)
