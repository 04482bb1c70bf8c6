"""The reader of npz archives of images."""

from pathlib import Path

import numpy as np

from condense.data.readers.base import Reader, Spec
from condense.data.readers.source import LARGEST, OPTIONS, Source, arrays, check_alike, class_indices, numbered
from synth.errors import BadInput
from synth.files.npz import Member, opened

NPZ = ("x_train", "y_train", "x_test", "y_test")


def read_npz(path: Path, spec: str, *, name: str) -> Source:
    """An .npz with x_train, y_train, x_test, y_test and maybe class_names; images NHWC or NHW, u8 0..255 or floats in [0, 1].

    Raises:
      BadInput: arrays that are missing, of another type or shape, that do not fit each other or take more than 16 GiB, known before any is
        read; labels that no class has, known before the images are; and damage.
    """
    found = {}
    with opened(path, text=("class_names",), limit=LARGEST) as archive:
        wanted = {key: _wanted(archive.members, key, spec) for key in NPZ}
        check_alike(spec, *wanted.values())
        for key in ("y_train", "y_test"):
            found[key] = class_indices(archive.read(key), f"{spec}: {key}", most=max(2, wanted["x_train"].shape[0]))
        for key in ("x_train", "x_test"):
            found[key] = archive.read(key).astype(wanted[key].dtype, copy=False).reshape(wanted[key].shape)
        given = archive.read("class_names").ravel() if "class_names" in archive.members else None
        names = numbered(found["y_train"]) if given is None else tuple(map(str, given))
    return arrays(name, spec, *(found[key] for key in NPZ), names)


def _wanted(members: dict[str, Member], key: str, spec: str) -> Member:
    """What an array of the archive is to be once it is read: images u8 or f32[n h w c], labels integers [n] or [n 1]."""
    if key not in members:
        raise BadInput(f"{spec}: there is no array {key} (there: {', '.join(members)}); needed are {', '.join(NPZ)}")
    dtype, shape = members[key]
    if key.startswith("y"):
        if dtype.kind not in "iu" or (len(shape) != 1 and shape[1:] != (1,)):
            raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; labels must be integers of shape [n]")
        return members[key]
    if not (dtype == np.uint8 or dtype.kind == "f") or len(shape) not in (3, 4):
        raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; needed is uint8 0..255 or float in [0, 1], [n h w] or [n h w c]")
    return Member(dtype if dtype == np.uint8 else np.dtype(np.float32), (*shape, *[1] * (4 - len(shape))))


def read(spec: Spec) -> Source:
    """The archive that the spec names. Raises BadInput as `read_npz` does."""
    return read_npz(spec.place(), spec.text, name=spec.name)


READER = Reader("npz", "a file with x_train, y_train, x_test, y_test: images [n h w c] or [n h w], and their class indices", read, OPTIONS)
