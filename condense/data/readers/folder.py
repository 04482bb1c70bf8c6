"""The reader of class folders: pictures in train/CLASS and test/CLASS."""

import os
from pathlib import Path

import numpy as np

from condense.data.readers.base import TRUTH, Number, Reader, Spec
from condense.data.readers.encoded import Item, gather
from condense.data.readers.source import OPTIONS, Source, arrays, regular, stratified
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

SUFFIXES = (".png", ".jpg", ".jpeg")


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
    test = parts.get("test", parts.get("val"))
    if "train" not in parts or test is None:
        raise BadInput(f"{spec}: {folder} has no folder {'train' if 'train' not in parts else 'test or val'}; {layout}")
    listings = [_listing(part, root, spec) for part in (parts["train"], test)]
    names, other = (tuple(listing) for listing in listings)
    if names != other:
        odd = sorted(set(names) ^ set(other))
        raise BadInput(f"{spec}: class folder '{odd[0]}' is not in both train and {test.name}; both must have the same")
    found, like, memory = [], None, MemoryBudget(spec, remedy="use fewer pictures, ?limit=N, or ?size=N")
    for listing, most in zip(listings, (limit, None), strict=True):
        items = [Item(path, label, str(path)) for label, paths in enumerate(listing.values()) for path in paths]
        if most is not None and most < len(items):
            items = [items[row] for row in stratified(np.array([item.label for item in items]), most)]
        if not items:
            raise BadInput(f"{spec}: {folder} has a part without pictures; {layout}")
        stored = sum(item.file.stat().st_size for item in items)
        found += gather(items, len(items), spec, memory=memory, stored=stored, like=like, channels=1 if grey else None, size=size)
        like = found[0].shape[1:]
    return arrays(name, spec, *found, names, flips=flips)


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


def read(spec: Spec) -> Source:
    """The folder that the spec names; of one with a limit, only that part is decoded. Raises BadInput as `read_folder` does."""
    asked = {key: spec.options.get(key) for key in ("size", "limit")}
    return read_folder(spec.place(), spec.text, name=spec.name, grey=spec.options.get("grey", False), **asked)


ABOUT = "a folder with pictures in train/CLASS and test/CLASS (or val/CLASS)"
READER = Reader("folder", ABOUT, read, OPTIONS | {"size": Number(most=4096), "grey": TRUTH})
