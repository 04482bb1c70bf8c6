"""Tar files as webdataset reads them: of every example `00000.png`, its class `00000.cls`, and a `.npy` for each array of rows."""

import io
import re
import tarfile
from pathlib import Path

import numpy as np

from condense.data.readers.source import regular
from condense.exchange.base import REST, Contents, Format, Parcel
from condense.exchange.pictures import contents_of, png, read_rest, stack, write_rest
from synth.errors import BadInput
from synth.files.npz import read_npy_header

SHARD = 5000  # examples a tar file
MOST = 1 << 30  # bytes of one member
NAME = re.compile(r"(\d{1,12})\.(png|cls|([a-z0-9_]+)\.npy)")


def write(parcel: Parcel, folder: Path, card: str) -> None:
    """Writes the tar files `data/train-000000.tar` and so on, 5,000 examples each, the same bytes for the same set; then the other arrays
    and the header to rest.npz. The card is not written here."""
    (folder / "data").mkdir()
    for shard, first in enumerate(range(0, len(parcel.label), SHARD)):
        with tarfile.open(folder / "data" / f"train-{shard:06d}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
            for row in range(first, min(first + SHARD, len(parcel.label))):
                _add(tar, f"{row:06d}.png", png(parcel.images[row]))
                _add(tar, f"{row:06d}.cls", str(parcel.label[row]).encode())
                for name, array in parcel.rows.items():
                    held = io.BytesIO()
                    np.save(held, array[row], allow_pickle=False)
                    _add(tar, f"{row:06d}.{name}.npy", held.getvalue())
    write_rest(folder, parcel)


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    tar.addfile(entry, io.BytesIO(data))


def read(folder: Path) -> Contents:
    """Reads the tar files `data/train-*.tar` and rest.npz. Raises BadInput where these are damaged."""
    arrays, header = read_rest(folder / REST)
    pictures, rows = [], {}
    for path in sorted((folder / "data").glob("train-*.tar")):
        try:
            with tarfile.open(regular(path, str(folder), remedy="export the set again"), "r:") as tar:
                for entry in tar:
                    _take(path, entry, tar, pictures, rows)
        except BadInput:
            raise
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise BadInput(f"{path}: is damaged ({' '.join(str(error).split())[:100]}); export the set again") from error
    if wrong := [name for name, found in rows.items() if len(found) != len(pictures) or len({a.shape for a in found}) > 1]:
        raise BadInput(f"{folder}: array {wrong[0]} is not there for every example; export the set again")
    arrays |= {name: np.stack(found) for name, found in rows.items()}
    images = stack(pictures, len(pictures), str(folder), stored=sum(len(data) for data, _ in pictures))
    return contents_of(arrays, header, images)


def _take(path: Path, entry: tarfile.TarInfo, tar: tarfile.TarFile, pictures: list, rows: dict[str, list]) -> None:
    match = NAME.fullmatch(entry.name)
    if not match or not entry.isfile() or entry.issparse() or entry.size > MOST:
        raise BadInput(f"{path}: holds {entry.name[:80]!r}, which is no part of an export; export the set again")
    data = tar.extractfile(entry).read()
    shown = f"{path}: {entry.name}"
    if match[2] == "png":
        pictures.append((data, shown))
    elif match[3]:
        member, fortran, start = read_npy_header(io.BytesIO(data), shown, False)
        numbers = np.frombuffer(data, member.dtype, offset=start)
        rows.setdefault(match[3], []).append(numbers.reshape(member.shape, order="F" if fortran else "C"))


USAGE = 'import webdataset\n\ndata = webdataset.WebDataset("data/train-000000.tar", shardshuffle=False).decode("rgb8")'
FORMAT = Format(
    "tar files as webdataset reads them; other arrays in rest.npz",
    write,
    read,
    lambda path: (path / "data" / "train-000000.tar").is_file() and (path / REST).is_file(),
    (
        (
            "numpy",
            "import io, tarfile\nimport numpy\n\n"
            'with tarfile.open("data/train-000000.tar") as tar:\n'
            '    label = [int(tar.extractfile(name).read()) for name in tar.getnames() if name.endswith(".cls")]\n'
            f'rest = numpy.load("{REST}", allow_pickle=False)',
        ),
        ("PyTorch, by webdataset", USAGE),
        ("datasets", 'import datasets\n\ndata = datasets.load_dataset("webdataset", data_files="data/train-*.tar", split="train")'),
    ),
    files="data/train-*.tar",
)
