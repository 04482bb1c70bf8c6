"""The reader of npz archives of images or vectors."""

import math
from pathlib import Path

import numpy as np

from condense.data.readers.base import Reader, Spec
from condense.data.readers.source import LARGEST, MODEL_SPACE, OPTIONS, Source, arrays, check_alike, class_indices, numbered, stratified
from condense.data.readers.vector_source import VECTORS, VectorSource
from condense.data.rows import InMemory
from synth.errors import BadInput
from synth.files.npz import Member, opened

NPZ = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, spec: str, *, name: str, limit: int | None = None) -> Source | VectorSource:
    """An .npz with x_train, y_train, x_test, y_test and maybe class_names: images NHWC or NHW, u8 0..255 or floats in [0, 1]; or vectors
    [n d] of any numbers, which become f32.

    With a `limit` only that many training images are held in memory, the first of every class in proportion.

    Raises:
      BadInput: arrays that are missing, of another type or shape, that do not fit each other or take more than 16 GiB, known before any is
        read; labels that no class has, known before the images are; and damage.
    """
    found = {}
    with opened(path, text=("class_names",), limit=LARGEST) as archive:
        wanted = {key: _wanted(archive.members, key, spec) for key in NPZ}
        vectors = len(wanted["x_train"].shape) == 2
        check_alike(spec, *wanted.values(), **(VECTORS if vectors else {}))
        for key in ("y_train", "y_test"):
            found[key] = class_indices(archive.read(key), f"{spec}: {key}", most=max(2, wanted["x_train"].shape[0]))
        rows = stratified(found["y_train"], limit) if limit is not None and limit < len(found["y_train"]) else None
        count = wanted["x_train"].shape[0] if rows is None else len(rows)
        shapes = {key: (count if key == "x_train" else wanted[key].shape[0], *wanted[key].shape[1:]) for key in ("x_train", "x_test")}
        whole = ["x_test"] if rows is not None else ["x_train", "x_test"]
        archive.reserve(*whole, more=sum(MODEL_SPACE * math.prod(shape) for shape in shapes.values()))
        for key, shape in shapes.items():
            found[key] = as_wanted(archive.read(key, rows=rows if key == "x_train" else None), wanted[key]._replace(shape=shape))
        given = archive.read("class_names").ravel() if "class_names" in archive.members else None
        names = numbered(found["y_train"]) if given is None else tuple(map(str, given))
        found["y_train"] = found["y_train"] if rows is None else found["y_train"][rows]
    if vectors:
        x_train, y_train, x_test, y_test = (found[key] for key in NPZ)
        return VectorSource(name, spec, InMemory(x_train, y_train), InMemory(x_test, y_test), names)
    return arrays(name, spec, *(found[key] for key in NPZ), names)


def as_wanted(array: np.ndarray, wanted: Member) -> np.ndarray:
    """An array of the archive in the type and shape that it is wanted in; numbers beyond float32 become infinite, and are refused later."""
    with np.errstate(over="ignore"):
        return array.astype(wanted.dtype, copy=False).reshape(wanted.shape)


def _wanted(members: dict[str, Member], key: str, spec: str) -> Member:
    """What an array of the archive is to be once it is read: images u8 or f32[n h w c], vectors f32[n d], labels integers [n] or [n 1]."""
    if key not in members:
        raise BadInput(f"{spec}: there is no array {key} (there: {', '.join(members)}); needed are {', '.join(NPZ)}")
    dtype, shape = members[key]
    if key.startswith("y"):
        if dtype.kind not in "iu" or (len(shape) != 1 and shape[1:] != (1,)):
            raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; labels must be integers of shape [n]")
        return members[key]
    if len(shape) == 2 and dtype.kind in "fiub":
        return Member(np.dtype(np.float32), shape)
    if not (dtype == np.uint8 or dtype.kind == "f") or len(shape) not in (3, 4):
        images = "uint8 0..255 or float in [0, 1], [n h w] or [n h w c]"
        raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; needed is {images}, or numbers [n d] for vectors")
    return Member(dtype if dtype == np.uint8 else np.dtype(np.float32), (*shape, *[1] * (4 - len(shape))))


def read(spec: Spec) -> Source | VectorSource:
    """The archive that the spec names. Raises BadInput as `read_npz` does."""
    return read_npz(spec.place(), spec.text, name=spec.name, limit=spec.options.get("limit"))


ABOUT = "a file with x_train, y_train, x_test, y_test: images [n h w c] or [n h w], or vectors [n d], and their class indices"
READER = Reader("npz", ABOUT, read, OPTIONS)
