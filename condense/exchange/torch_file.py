"""One file of tensors that `torch.load(..., weights_only=True)` opens; images lead with channels, as PyTorch wants them.

This is the only place that imports torch, from the extra `interop`. Nothing is unpickled but what `weights_only` lets through, and the
plain numbers of numpy, which releases mix with tensors.
"""

import contextlib
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from condense.data.readers.source import regular
from condense.exchange.base import Contents, Format, Parcel
from condense.exchange.pictures import contents_of
from condense.runtime.extras import needed
from synth.errors import BadInput
from synth.files.memory import MemoryBudget

FILE = "set.pt"
IMAGES = ("images", "raw", "x_pixels")  # n h w c here, n c h w there


def write(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes the tensors, images as [n c h w], the header, the names of the classes and the card into one file, set.pt. Raises BadInput
    where torch is missing."""
    torch = needed("torch", "--to torch", extra="interop")
    arrays = {**({} if parcel.images is None else {"images": parcel.images}), **parcel.numbers(), **parcel.whole}
    tensors = {name: torch.from_numpy(np.array(np.moveaxis(a, -1, 1) if name in IMAGES else a, order="C")) for name, a in arrays.items()}
    torch.save({**tensors, "classes": list(parcel.classes), "header": parcel.header, "card": card}, folder / FILE)


def read(path: Path) -> Contents:
    """Reads the tensors and the header of the file, or of set.pt in a folder; images come back as [n h w c]. Raises BadInput where torch is
    missing, or the file is damaged or no export."""
    path = path / FILE if path.is_dir() else path
    found = load(path)
    if not isinstance(found, dict) or not isinstance(found.get("header"), str):
        raise BadInput(f"{path}: holds no header; it is no export of condense")
    arrays = {name: array(value, f"{path}: '{name}'") for name, value in found.items() if hasattr(value, "numpy")}
    arrays |= {name: np.moveaxis(arrays[name], 1, -1) for name in IMAGES if name in arrays and arrays[name].ndim == 4}
    return contents_of(arrays, found["header"], arrays.pop("images", None))


def load(path: Path) -> Any:
    """What a file of PyTorch holds, read without unpickling anything but tensors, plain values and numbers of numpy.

    Raises BadInput for what holds more, is damaged, or where torch is missing.
    """
    torch, size = needed("torch", str(path), extra="interop"), regular(path, "import", remedy="give a file of PyTorch").stat().st_size
    if zipfile.is_zipfile(path):
        with contextlib.suppress(zipfile.BadZipFile, OSError, ValueError), zipfile.ZipFile(path) as held:  # what is damaged is told below
            MemoryBudget(str(path)).take(sum(info.file_size for info in held.infolist()), stored=size)
    scalar, kinds = np.float64(0).__reduce__()[0], (np.int64, np.int32, np.float64, np.float32, np.bool_)
    admitted = [np.dtype, *(type(np.dtype(kind)) for kind in kinds), (scalar, "numpy._core.multiarray.scalar")]
    try:
        with torch.serialization.safe_globals([*admitted, (scalar, "numpy.core.multiarray.scalar")]):
            found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever its unpickler and archives raise
        why = " ".join(str(error).split())
        if "weights_only" in why or "Unsupported" in why:
            named = why.partition("GLOBAL ")[2].split(" ")[0]
            what = f"holds more than tensors and plain values {f'({named}) ' * bool(named)}and is not opened, as such files can run code"
            raise BadInput(
                f"{path}: {what}; where you trust it, save its images and labels anew, as in torch.save({{'data': ...}})"
            ) from error
        raise BadInput(f"{path}: is no file of PyTorch, or a damaged one ({why[:100]}); copy it again") from error
    MemoryBudget(str(path)).take(numbers_in(found), stored=size)
    return found


def numbers_in(value: Any, *, deep: int = 8) -> int:
    """Bytes of all tensors in what a file holds, in tuples, lists and dictionaries up to eight deep. A tensor may show the few numbers that
    it stores as very many."""
    if isinstance(value, dict | list | tuple):
        inner = value.values() if isinstance(value, dict) else value
        return sum(numbers_in(one, deep=deep - 1) for one in inner) if deep else 0
    return value.numel() * value.element_size() if hasattr(value, "element_size") else 0


def array(value: Any, shown: str) -> np.ndarray:
    """A tensor as an array. Raises BadInput where numpy has no such numbers."""
    try:
        return value.detach().numpy()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        raise BadInput(f"{shown} is no tensor of plain numbers ({' '.join(str(error).split())[:80]})") from error


def is_export(path: Path) -> bool:
    """Whether a folder has the file, or a file is one of PyTorch that says it is an export."""
    if path.is_dir():
        return (path / FILE).is_file()
    if path.suffix != ".pt" or not path.is_file():
        return False
    found = load(path)
    return isinstance(found, dict) and isinstance(found.get("header"), str)


def orders(n: int, epochs: int, seed: int) -> np.ndarray:
    """The order in which PyTorch's sampler shows n examples in every epoch, i32[epochs n], from one generator of this seed."""
    torch = needed("torch", "the order of recorded labels", extra="interop")
    generator = torch.Generator()
    generator.manual_seed(seed)
    sampler = torch.utils.data.RandomSampler(range(n), generator=generator)
    return np.array([list(sampler) for _ in range(epochs)], np.int32)


FORMAT = Format(
    "one file of tensors, set.pt, for torch.load(..., weights_only=True)",
    write,
    read,
    is_export,
    (
        ("numpy", f'import torch\n\nfile = torch.load("{FILE}", weights_only=True)\nlabel = file["label"].numpy()'),
        (
            "PyTorch",
            f'import torch\n\nfile = torch.load("{FILE}", weights_only=True)\n'
            'images = file["raw"] if "raw" in file else file["images"] / 255\n'
            'data = torch.utils.data.TensorDataset(images, file["label"])',
        ),
        (
            "datasets",
            f'import datasets, torch\n\nfile = torch.load("{FILE}", weights_only=True)\n'
            'data = datasets.Dataset.from_dict({"image": file["images"].numpy(), "label": file["label"].numpy()})',
        ),
    ),
    file=FILE,
    pictures=False,
)
