"""Readers of sets that others released, by the layout of their files. `RELEASES` lists them in the order in which they are tried."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from condense.data.images import Data
from condense.data.readers.encoded import Item, gather
from condense.data.readers.source import regular
from condense.exchange.released import Found
from condense.exchange.tables import is_table, read_table
from condense.exchange.torch_file import array, load
from condense.exchange.views import finds_views, read_views
from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.files.npz import opened

PICTURES = (".png", ".jpg", ".jpeg")


class Asked(NamedTuple):
    """What the call says of a release, beside its paths.

    Args:
      data: () -> what it was made from; it is read when it is asked for, so that a wrong file is refused before.
      seed, temperature, epochs: of recorded views, see `condense.exchange.views.read_views`.
    """

    data: Callable[[], Data]
    seed: int
    temperature: float
    epochs: int | None


class Release(NamedTuple):
    """One layout.

    Args:
      about: what is in it, as messages list it.
      finds: whether paths look like it.
      read: (paths, what is asked) -> what is found.
      normalise: what its float images have gone through where a call does not say: `published` where numbers are stated for the data, or
        `standard`.
    """

    about: str
    finds: Callable[[Sequence[Path]], bool]
    read: Callable[[Sequence[Path], Asked], Found]
    normalise: str = "standard"


def tensor_files(paths: Sequence[Path]) -> list[Path]:
    """The files of PyTorch among paths; in place of a folder its images_best.pt, labels_best.pt and a step size beside them, or those of
    `Normal` in it. Other paths are left out."""
    found = []
    for path in (path / "Normal" if (path / "Normal" / "images_best.pt").is_file() else path for path in paths):
        if path.is_dir() and (path / "images_best.pt").is_file():
            rates = sorted(path.glob("*lr*.pt"))
            rates = [rate for rate in rates if "best" in rate.name] or (rates if len(rates) == 1 else [])
            found += [path / "images_best.pt", path / "labels_best.pt", *rates[:1]]
        elif path.suffix in (".pt", ".pth"):
            found.append(path)
    return found


def read_tensors(paths: Sequence[Path], asked: Asked) -> Found:
    """Images, labels and perhaps a step size in files of their own (MTT, FTD, TESLA, DATM ...), or one file of DC, DSA or DM.

    Of the latter, which holds several experiments, the first is read. MTT, FTD and TESLA write images_best.pt, in model space (whitened
    under --zca), and classes in labels_best.pt, and DATM logits; DATM writes its step size beside them, in `Normal/lr_best.pt`, and TESLA
    none. TESLA's --teacher_label writes probabilities. The files images_zca_*.pt hold images whose whitening was undone.
    """
    files = tensor_files(paths)
    parts: dict[str, Any] = {}
    for path in files:
        held = load(path)
        if isinstance(held, dict) and isinstance(held.get("data"), list | tuple) and held["data"]:
            first = held["data"][0]
            if not isinstance(first, list | tuple) or len(first) != 2:
                raise BadInput(f"{path}: 'data' is no list of images and labels; only that layout is read")
            images, labels = (array(part, str(path)) for part in first)
            return Found(channels_last(images, path), labels, "released")
        numbers = array(held, str(path)) if hasattr(held, "numpy") else np.asarray(held) if isinstance(held, float | int) else None
        if numbers is None:
            raise BadInput(f"{path}: is neither a tensor nor a file of DC, DSA or DM; give images and labels")
        kind = "images" if numbers.ndim == 4 else "lr" if numbers.size == 1 and "lr" in path.stem else "labels"
        if kind in parts:
            raise BadInput(f"{path}: there are {kind} twice; give one file of each")
        parts[kind] = channels_last(numbers, path) if kind == "images" else numbers
    if missing := {"images", "labels"} - parts.keys():
        raise BadInput(f"{files[0]}: no {sorted(missing)[0]} beside it; give the images and the labels, or their folder")
    lr = parts.get("lr")
    return Found(parts["images"], parts["labels"], "released", lr=None if lr is None else float(lr.reshape(())))


def channels_last(images: np.ndarray, path: Path) -> np.ndarray:
    """Images [n c h w] of PyTorch as [n h w c], bytes or float32. Raises BadInput for another number of axes, and for signed integers and
    booleans. `path` begins messages."""
    if images.ndim != 4 or images.dtype.kind not in "fu":
        raise BadInput(f"{path}: images have the shape {list(images.shape)} and dtype {images.dtype}; [n c h w] of floats is right")
    return as_numbers(np.ascontiguousarray(np.moveaxis(images, 1, -1)))


def as_numbers(images: np.ndarray) -> np.ndarray:
    """Images of any numbers as bytes or float32; those beyond float32 become infinite, and are refused later."""
    with np.errstate(over="ignore"):
        return images.astype(np.uint8 if images.dtype == np.uint8 else np.float32)


def read_archive(paths: Sequence[Path], asked: Asked) -> Found:
    """An archive of numpy with `images` and `labels`, as KIP released its sets: labels [n classes] are regression values."""
    with opened(paths[0], text=("header", "class_names", "labels")) as archive:
        if "header" in archive.members:
            raise BadInput(f"{paths[0]}: is a set of this workbench, or a part of an export; `condense evaluate {paths[0]}` scores a set")
        if missing := {"images", "labels"} - archive.members.keys():
            raise BadInput(f"{paths[0]}: has no array '{sorted(missing)[0]}'; KIP's sets hold images and labels")
        dtype, shape = archive.members["images"]
        if len(shape) != 4 or dtype.kind not in "fu":
            raise BadInput(f"{paths[0]}: images have the shape {list(shape)} and dtype {dtype}; [n h w c] of floats is right")
        archive.reserve("images", "labels", more=8 * math.prod(shape))
        images, labels = archive.read("images"), archive.read("labels")
    return Found(as_numbers(images), labels, "released", regression=True)


def class_folders(folder: Path) -> dict[str, list[Path]]:
    """The pictures, sorted, in every class folder of `folder`, or of `train` in it if there is one, by the folder's name; in the order in
    which PyTorch's ImageFolder lists both. Folders without pictures, hidden ones and epoch_E are left out."""
    folder = folder / "train" if (folder / "train").is_dir() else folder
    kept = [path for path in sorted(folder.iterdir()) if path.is_dir() and not re.fullmatch(r"\..*|epoch_\d+", path.name)]
    found = {path.name: sorted(file for file in path.rglob("*") if file.suffix.lower() in PICTURES) for path in kept}
    return {name: files for name, files in found.items() if files}


def read_folders(paths: Sequence[Path], asked: Asked) -> Found:
    """Class folders of pictures (SRe2L, CV-DD, RDED ...), and perhaps a folder of recorded views.

    Folders that are called as the classes are theirs; others are taken in the order of their names, if there are as many.
    """
    views = [path for path in paths if finds_views(path)]
    (folder, *others) = [path for path in paths if path not in views] or views
    if others or len(views) > 1:
        raise BadInput(f"{(others or views)[-1]}: give one folder of pictures, and one of recorded views if there is one")
    listing, data = class_folders(folder), asked.data()
    classes = data.classes
    if set(listing) == set(classes):
        number = {name: classes.index(name) for name in listing}
    elif len(listing) == len(classes):
        number = {name: i for i, name in enumerate(listing)}
    else:
        raise BadInput(
            f"{folder}: has pictures in {len(listing)} folders, and --data {data.spec} {len(classes)} classes; they must be as many"
        )
    files = [(path, number[name]) for name, found in listing.items() for path in found]
    items = [Item(regular(path, str(folder), remedy="remove it"), label, str(path)) for path, label in files]
    memory, stored = MemoryBudget(str(folder), remedy="give fewer pictures"), sum(item.file.stat().st_size for item in items)
    how = {"memory": memory, "stored": stored, "channels": data.image[-1], "resize": "make them alike"}
    images, index = gather(items, len(items), str(folder), **how)
    if not views:
        return Found(images, index, "released")
    told = {"seed": asked.seed, "temperature": asked.temperature, "epochs": asked.epochs}
    return Found(images, read_views(views[0], index, images.shape[1:], **told), "released", recipe="fkd")


RELEASES = (
    Release(
        "images_best.pt and labels_best.pt, or res_*.pt of DC, DSA and DM",
        lambda paths: bool(tensor_files(paths)),
        read_tensors,
        "published",
    ),
    Release("an .npz of images and labels, as KIP's", lambda paths: len(paths) == 1 and paths[0].suffix == ".npz", read_archive),
    Release(
        "a Hugging Face data set in parquet or saved by datasets",
        lambda paths: len(paths) == 1 and is_table(paths[0]),
        lambda paths, asked: read_table(paths[0], asked.data()),
    ),
    Release(
        "class folders of pictures, with or without epoch_E/batch_B.tar",
        lambda paths: all(path.is_dir() for path in paths) and any(class_folders(path) for path in paths),
        read_folders,
    ),
)
