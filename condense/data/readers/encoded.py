"""Readers of encoded pictures (PNG, JPEG): class folders and prepared TFDS directories, as raw `Source`s of u8[n h w c].

Pictures are opened by content, not by name, and their sizes are checked before a pixel is decoded. TensorFlow is never imported.
"""

import io
import json
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int32, UInt8
from PIL import Image, ImageOps

from condense.data.readers.source import LARGEST, Source, regular, stratified
from condense.runtime.log import progress
from synth.errors import BadInput

MOST_PIXELS = 1 << 26  # of one picture: 8192 x 8192
LONG = 20_000  # pictures that take long enough for a progress bar
FEATURES = "tensorflow_datasets.core.features."
GREY, COLOUR = ("1", "L"), ("RGB", "RGBA", "P")
SUFFIXES = (".png", ".jpg", ".jpeg")


class Item(NamedTuple):
    """One encoded picture: a path or bytes in memory, its class index, and how messages call it."""

    file: Path | io.BytesIO
    label: int
    shown: str


def why(error: Exception) -> str:
    """The start of an error's message, in one line."""
    return (" ".join(str(error).split()) or type(error).__name__)[:100]


def decode(file: Path | io.BytesIO, shown: str, *, channels: int | None = None, size: int | None = None) -> UInt8[np.ndarray, "h w c"]:
    """One PNG or JPEG as bytes.

    Args:
      channels: 1 converts to grey, 3 to colour (transparency is dropped); as the file has it by default.
      size: the shorter side is scaled to it and the centre cut out, so that the result is size x size.

    Raises:
      BadInput: neither format, more than 2^26 pixels, truncated, or 16 bits a channel; the message begins with `shown`.
    """
    try:
        with warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning):
            picture = Image.open(file, formats=("PNG", "JPEG"))
        with picture:
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


def gather(
    items: Iterable[Item], n: int, spec: str, *, like: tuple[int, ...] | None = None, channels: int | None = None, size: int | None = None
) -> tuple[UInt8[np.ndarray, "n h w c"], Int32[np.ndarray, " n"]]:
    """n decoded pictures and their labels; all look as the first, or as `like` (h, w, c). Raises BadInput naming one that does not."""
    x, y = None, np.empty(n, np.int32)
    if n >= LONG:
        items = _watched(items, n, spec)
    for row, item in enumerate(items):
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


def read_folder(
    folder: Path, spec: str, *, name: str, size: int | None = None, grey: bool = False, limit: int | None = None, flips: bool = True
) -> Source:
    """Class folders: train/CLASS/*.png|jpg and test/CLASS (or val/CLASS); classes are the sorted folder names. With a `limit` only that
    many training pictures are decoded, the first of every class in proportion.

    Raises:
      BadInput: a missing part, different classes, other files, links that leave the folder, pictures of several sizes without `size`.
    """
    layout = "it must hold train/CLASS/*.png and test/CLASS/*.png (or .jpg; val for test)"
    if not folder.is_dir():
        raise BadInput(f"{spec}: there is no folder {folder}; {layout}")
    root = folder.resolve()
    parts = {path.name: path for path in _entries(root, root, spec)}
    held = parts.get("test", parts.get("val"))
    if "train" not in parts or held is None:
        raise BadInput(f"{spec}: {folder} has no folder {'train' if 'train' not in parts else 'test or val'}; {layout}")
    listings = [_listing(part, root, spec) for part in (parts["train"], held)]
    names, other = (tuple(listing) for listing in listings)
    if names != other:
        odd = sorted(set(names) ^ set(other))
        raise BadInput(f"{spec}: class folder '{odd[0]}' is not in both train and {held.name}; both must have the same")
    arrays, like = [], None
    for listing, most in zip(listings, (limit, None), strict=True):
        items = [Item(path, label, str(path)) for label, paths in enumerate(listing.values()) for path in paths]
        if most is not None and most < len(items):
            items = [items[row] for row in stratified(np.array([item.label for item in items]), most)]
        if not items:
            raise BadInput(f"{spec}: {folder} has a part without pictures; {layout}")
        arrays += gather(items, len(items), spec, like=like, channels=1 if grey else None, size=size)
        like = arrays[0].shape[1:]
    return Source(name, spec, *arrays, names, flips)


def _listing(part: Path, root: Path, spec: str) -> dict[str, list[Path]]:
    """Picture files by class name, both sorted."""
    listing = {}
    for folder in _entries(part, root, spec):
        if not folder.is_dir():
            raise BadInput(f"{spec}: {folder} is not a class folder; {part} must hold one folder a class")
        if any("\ud800" <= letter <= "\udfff" for letter in folder.name):  # bytes that Python could not read as letters
            raise BadInput(f"{spec}: the name of class folder {str(folder)!a} is not UTF-8; rename it")
        listing[folder.name] = [regular(path, spec, remedy="remove it or replace it by a picture") for path in _entries(folder, root, spec)]
        wrong = [path for path in listing[folder.name] if path.suffix.lower() not in SUFFIXES]
        if wrong:
            raise BadInput(f"{spec}: {wrong[0]} is not a picture; class folders hold only {', '.join(SUFFIXES)}")
    return listing


def _entries(folder: Path, root: Path, spec: str) -> list[Path]:
    """What a folder holds, sorted, without hidden files. Links must stay inside `root`."""
    try:
        found = sorted(folder / name for name in os.listdir(folder) if not name.startswith(".") and name != "Thumbs.db")
    except OSError as error:
        raise BadInput(f"{spec}: cannot read the folder {folder} ({error.strerror}); make it readable") from None
    for path in found:
        try:
            inside = not path.is_symlink() or path.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # which one depends on the version of Python
            raise BadInput(f"{spec}: {path} is a link that leads back to itself; remove it") from None
        if not inside:
            raise BadInput(f"{spec}: {path} is a link that leaves {root}; copy the file there instead")
    return found


def prepared(folder: Path) -> Path | None:
    """`folder` or its newest VERSION, whichever is a prepared TFDS directory; None if neither is."""
    versions = [path for path in (folder.iterdir() if folder.is_dir() else ()) if all(part.isdigit() for part in path.name.split("."))]
    versions.sort(key=lambda path: tuple(map(int, path.name.split("."))))
    return next((path for path in (folder, *reversed(versions)) if (path / "dataset_info.json").is_file()), None)


def read_tfds(folder: Path, spec: str, *, name: str, remedy: str, flips: bool = True) -> Source:
    """A set that tensorflow_datasets prepared as array_record: its Image and ClassLabel features, splits train and test (or validation).

    Args:
      folder: the directory with dataset_info.json, or the one above it.
      remedy: what to do where there is none.

    Raises:
      BadInput: no prepared set, another file format or other features, damaged records.
    """
    place = prepared(folder)
    if place is None:
        raise BadInput(f"{spec}: there is no prepared set in {folder}; {remedy}")
    weight = sum(regular(path, spec, remedy="prepare the set again").stat().st_size for path in place.iterdir())
    _trusted(place, spec)
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(place)
        image, label = _keys(builder.info.features, tfds, spec, place)
        held = "test" if "test" in builder.info.splits else "validation"
        sources = builder.as_data_source(["train", held], decoders={image: tfds.decode.SkipDecoding()})
    except BadInput:
        raise
    except Exception as error:  # the library names no exceptions of its own for a directory that it cannot read
        raise BadInput(f"{spec}: {place} cannot be read ({why(error)}); prepare it again as array_record") from error
    arrays, like = [], None
    for part, source in zip(("train", held), sources, strict=True):
        if not 0 < len(source) <= weight:
            raise BadInput(f"{spec}: {place} declares {len(source)} {part} examples in {weight} bytes; prepare it again")
        items = _records(source, part, place, image, label, spec)
        arrays += gather(items, len(source), spec, like=like, channels=builder.info.features[image].shape[-1])
        like = arrays[0].shape[1:]
    return Source(name, spec, *arrays, tuple(builder.info.features[label].names), flips)


def _records(source, part: str, place: Path, image: str, label: str, spec: str) -> Iterable[Item]:
    for row in range(len(source)):
        try:
            record = source[row]
            item = Item(io.BytesIO(record[image]), np.int32(int(record[label])), f"{part} example {row} of {place}")
        except Exception as error:
            raise BadInput(f"{spec}: {place} is damaged at {part} example {row} ({why(error)}); prepare it again") from error
        yield item


def _trusted(place: Path, spec: str) -> None:
    """features.json names classes that the library would import; only its own are let through."""
    try:
        features = json.loads(regular(place / "features.json", spec, remedy="prepare the set again").read_text())
    except (ValueError, OSError) as error:
        raise BadInput(f"{spec}: {place}/features.json is not readable ({error}); prepare the set again") from error
    todo = [features]
    while todo:
        node = todo.pop()
        if isinstance(node, dict):
            names = [node[key] for key in ("type", "pythonClassName") if isinstance(node.get(key), str)]
            if any(not name.startswith(FEATURES) for name in names):
                raise BadInput(f"{spec}: {place}/features.json asks for {names[0]}; only features of tensorflow_datasets are read")
        todo += node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()


def _keys(features, tfds, spec: str, place: Path) -> tuple[str, str]:
    """Names of the picture and the class in a record: the supervised ones of several."""
    images = [key for key, feature in features.items() if isinstance(feature, tfds.features.Image) and feature.np_dtype == np.uint8]
    labels = [key for key, feature in features.items() if isinstance(feature, tfds.features.ClassLabel) and feature.num_classes]
    if not images or not labels:
        raise BadInput(f"{spec}: {place} has the features {', '.join(features)}; needed are an 8-bit Image and a ClassLabel")
    return "image" if "image" in images else images[0], "label" if "label" in labels else labels[0]
