"""Class folders of PNG pictures, `train/CLASS/00000.png`, and all arrays in `labels.npz`, which opens with numpy alone."""

import re
from pathlib import Path

import numpy as np

from condense.exchange.base import Contents, Format, Parcel
from condense.exchange.pictures import contents_of, png, read_rest, stack
from synth.errors import BadInput
from synth.files.npz import write_npz

ARRAYS = "labels.npz"
PLAIN = re.compile(r"[\w -][\w. -]{0,49}")  # letters of any script; a name on a disk has at most 255 bytes


def folder_names(classes: tuple[str, ...]) -> list[str]:
    """Names of class folders whose alphabetical order is that of the classes: the classes' own, or with their number in front where those
    are not sorted or no plain names."""
    if all(PLAIN.fullmatch(name) for name in classes) and sorted(classes) == list(classes):
        return list(classes)
    plain = [re.sub(r"[^\w.-]", "-", name)[:50] for name in classes]
    return [f"{i:0{len(str(len(classes) - 1))}d}_{name}" for i, name in enumerate(plain)]


def write(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes every image as `train/CLASS/00000.png`, numbered through all classes, and all arrays, with the header and the names of classes
    and files, as labels.npz. The card is not written here."""
    names, digits, files = folder_names(parcel.classes), max(5, len(str(len(parcel.label)))), []
    for name in names:
        (folder / "train" / name).mkdir(parents=True)
    for row, (image, label) in enumerate(zip(parcel.images, parcel.label, strict=True)):
        files.append(f"train/{names[label]}/{row:0{digits}d}.png")
        (folder / files[-1]).write_bytes(png(image))
    text = {"header": parcel.header, "classes": parcel.classes, "files": files}
    write_npz(folder / ARRAYS, {**parcel.numbers(), **parcel.whole, **{name: np.array(value) for name, value in text.items()}})


def read(folder: Path) -> Contents:
    """Reads the arrays, and the pictures where the arrays do not hold the images themselves. Raises BadInput where a file is missing,
    damaged or outside the folder."""
    arrays, header = read_rest(folder / ARRAYS)
    root, images = folder.resolve(), None
    if "x_pixels" not in arrays:
        paths = [folder / str(name) for name in arrays.get("files", ())]
        if outside := [path for path in paths if not path.resolve().is_relative_to(root)]:
            raise BadInput(f"{folder / ARRAYS}: names a picture outside the folder, {outside[0]}; export the set again")
        if missing := [path for path in paths if not path.is_file()]:
            raise BadInput(f"{folder}: {missing[0]} is missing; export the set again")
        stored = sum(path.stat().st_size for path in {*paths})
        images = stack(((path, str(path)) for path in paths), len(paths), str(folder), stored=stored) if paths else None
    return contents_of(arrays, header, images)


FORMAT = Format(
    "class folders of PNG pictures, and all arrays in labels.npz",
    write,
    read,
    lambda path: (path / ARRAYS).is_file(),
    (
        ("numpy", 'import numpy\n\nfile = numpy.load("labels.npz", allow_pickle=False)\nlabel, classes = file["label"], file["classes"]'),
        (
            "PyTorch",
            "import numpy, torch\nfrom PIL import Image\n\n"
            'file = numpy.load("labels.npz", allow_pickle=False)\n'
            'images = file["raw"] if "raw" in file else numpy.stack([numpy.asarray(Image.open(name)) for name in file["files"]]) / 255\n'
            "images = numpy.moveaxis(images.reshape(*images.shape[:3], -1), -1, 1)  # channels first\n"
            'data = torch.utils.data.TensorDataset(torch.from_numpy(images.astype("float32")), torch.from_numpy(file["label"]))',
        ),
        ("datasets", 'import os\nimport datasets\n\ndata = datasets.load_dataset(os.getcwd(), split="train")'),
    ),
    files="train/**",
)
