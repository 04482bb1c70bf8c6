"""The reader of images or vectors in an npz archive, or in a folder of npy files."""

import math
from itertools import chain
from pathlib import Path

import numpy as np

from condense.data.readers.base import Reader, Spec
from condense.data.readers.class_labels import number_labels
from condense.data.readers.pixels import LAYOUT, as_images, image_shape
from condense.data.readers.raw import as_vectors, assemble, assemble_rows, map_rows
from condense.data.readers.source import DRAWN, MODEL_SPACE, OPTIONS, STREAM, Source, check_alike, stratified
from condense.data.readers.vector_source import VECTORS, VectorSource
from condense.runtime.log import note
from synth.errors import BadInput
from synth.files.npy import ArrayFolder, arrays_at
from synth.files.npz import Archive, Member

NPZ = ("x_train", "y_train", "x_test", "y_test")
KEYS = (NPZ, ("train_images", "train_labels", "test_images", "test_labels"), ("x", "y", "", ""), ("images", "labels", "", ""))
TEXT = ("class_names", *(key for keys in KEYS for key in keys[1::2] if key))  # arrays that may hold text


def read_npz(path: Path, spec: Spec, *, mapped: bool = False) -> Source | VectorSource:
    """An .npz, or a folder of .npy files, with x_train, y_train and maybe x_test, y_test and class_names: images NHWC, NCHW or NHW, bytes
    or floats in [0, 1]; or vectors [n d] of any numbers, which become f32. MedMNIST's names of these arrays are known too.

    Where `mapped`, examples stay in the file, or in one that they are unpacked to. With the option `limit` only that many training images
    are held in memory, the first of every class in proportion.

    Raises:
      BadInput: arrays that are missing, of another type or shape, that do not fit each other or are more than memory may hold, known
        before any is read; labels that no class has, known before the images are; and damage.
    """
    limit, layout = spec.options.get("limit"), spec.options.get("layout")
    with arrays_at(path, text=TEXT, limit=None) as archive:
        keys = _keys(archive, spec.text)
        wanted = {key: _wanted(archive.members[key], key, spec.text, layout) for key in keys}
        x_key, y_key = keys[:2]
        vectors = len(wanted[x_key].shape) == 2
        both = [wanted[key] for key in (keys if len(keys) == 4 else (*keys, *keys))]
        check_alike(spec.text, *both, **(VECTORS if vectors else {}))
        given = archive.read("class_names").ravel() if "class_names" in archive.members else ()
        y_test = archive.read(keys[3]) if len(keys) == 4 else ()
        word = VECTORS["examples"] if vectors else "images"
        y_train, y_test, classes = number_labels(spec.text, archive.read(y_key), y_test, names=given, examples=word)
        some = len(keys) == 4 and limit is not None and limit < len(y_train)
        rows = stratified(y_train, limit) if some else None
        counts = {key: len(rows) if key == x_key and some else wanted[key].shape[0] for key in keys[::2]}
        numbers = sum(count * math.prod(wanted[key].shape[1:]) for key, count in counts.items())
        if mapped and not some and all(archive.is_mappable(key) for key in counts):
            rows = map_rows(spec, [(archive.mapped(key), y) for key, y in zip(counts, (y_train, y_test), strict=False)])
            return assemble_rows(spec, rows[0], rows[1] if len(rows) > 1 else None, classes, files=files_of(path))
        else:
            archive.reserve(*[key for key in counts if key != x_key or not some], more=MODEL_SPACE * numbers)
            found = [archive.read(key, rows=rows if key == x_key else None) for key in counts]
    found = as_vectors(spec.text, *found) if vectors else as_images(spec.text, found, layout)
    train = found[0], y_train if rows is None else y_train[rows]
    return assemble(spec, train, (found[1], y_test) if len(found) > 1 else None, classes)


def _keys(archive: Archive | ArrayFolder, spec: str) -> tuple[str, ...]:
    """The names of the arrays: training examples and labels, and those of the test where there are any."""
    there = archive.members
    for x_train, y_train, *test in KEYS:
        if x_train in there and y_train in there:
            if extra := [key for key in there if key.startswith(("val_", "valid_")) or key in ("x_val", "y_val")]:
                note(f"{spec}: {', '.join(extra)} are left out: validation rows are cut from those of training")
            missing = [key for key in test if key and key not in there]
            if len(missing) == 1:
                raise BadInput(f"{spec}: there is no array {missing[0]} (there: {', '.join(there)}); needed are {', '.join(NPZ)}")
            return (x_train, y_train) if missing or not test[0] else (x_train, y_train, *test)
    near = next((key for keys in KEYS for key in keys[:2] if key and key not in there and {*keys[:2]} & {*there}), NPZ[0])
    raise BadInput(f"{spec}: there is no array {near} (there: {', '.join(there)}); needed are {', '.join(NPZ)}")


def _wanted(member: Member, key: str, spec: str, layout: str | None) -> Member:
    """What an array of the archive is to be once it is read: images u8 or f32[n h w c], vectors f32[n d], labels [n ...]."""
    dtype, shape = member
    if "y" in key.split("_") or key.endswith("labels"):
        if dtype.kind not in "biufUS" or len(shape) not in (1, 2):
            raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; labels must be integers of shape [n], text or one-hot rows")
        return Member(dtype, shape)
    if dtype.kind not in "biuf" or len(shape) not in (2, 3, 4):
        images = "uint8 0..255 or float in [0, 1], [n h w], [n h w c] or [n c h w]"
        raise BadInput(f"{spec}: {key} is {dtype} of shape {shape}; needed is {images}, or numbers [n d] for vectors")
    if len(shape) == 2:
        return Member(np.dtype(np.float32), shape)
    return Member(np.dtype(np.float32) if dtype.kind in "fb" else dtype, image_shape(spec, shape, layout))


def read(spec: Spec) -> Source | VectorSource:
    """The images or vectors in the npz archive that the spec names, held in memory. Raises BadInput for an archive that is missing or
    damaged, and for arrays that are missing, of another type or shape, or do not fit each other."""
    return read_npz(spec.place(), spec)


def scan(spec: Spec) -> Source | VectorSource:
    """The images or vectors in the npz archive that the spec names. They stay in the file, mapped into memory, or in a nameless one that
    compressed arrays are unpacked to; arrays in another order of bytes or axes are held in memory, and so are all under `limit`, where
    there is a test.

    Raises BadInput for an archive that is missing or damaged, and for arrays that are missing, of another type or shape, or do not fit each
    other.
    """
    return read_npz(spec.place(), spec, mapped=True)


def files_of(place: Path) -> tuple[Path, ...]:
    """The files that hold the arrays of an archive, or of a folder of .npy files."""
    arrays = (place / f"{name}.npy" for name in sorted({"class_names", *chain(*KEYS)}) if name)
    return tuple(path for path in arrays if path.is_file()) if place.is_dir() else (place,)


def weigh(spec: Spec) -> int:
    """About how many bytes all examples take in memory, raw and normalised, as the archive declares them; for training no more than the
    limit. 0 where there is no such archive."""
    try:
        with arrays_at(spec.place(), text=TEXT, limit=None) as archive:
            there, limit = archive.members, spec.options.get("limit", math.inf)
            x_train, _, x_test, _ = next(keys for keys in KEYS if keys[0] in there and keys[1] in there)
            parts = [(there[x_train], limit), *([(there[x_test], math.inf)] if x_test in there else [])]
            return sum(min(x.shape[0], most) * math.prod(x.shape[1:]) * (x.dtype.itemsize + MODEL_SPACE) for x, most in parts)
    except (BadInput, StopIteration, IndexError):
        return 0  # what is wrong with it is said when it is read


ABOUT = "a file, or a folder of .npy files, of x_train, y_train, x_test, y_test: images [n h w c], [n c h w] or [n h w], or vectors [n d]"
READER = Reader("npz", ABOUT, read, OPTIONS | {"layout": LAYOUT} | DRAWN | STREAM, scan=scan, weigh=weigh)
