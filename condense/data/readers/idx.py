"""The reader of IDX files, MNIST's format, and how named sets are kept in them."""

import gzip
import math
import shutil
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from condense.data.named import Named, home
from condense.data.readers.base import Reader, Spec, Store
from condense.data.readers.class_labels import number_labels
from condense.data.readers.in_order import InOrder
from condense.data.readers.raw import assemble, assemble_rows
from condense.data.readers.source import AGAIN, LARGEST, MODEL_SPACE, OPTIONS, Source, check_alike, regular
from condense.data.readers.tfds import check_known, read_tfds
from condense.data.rows import pieces
from synth.errors import BadInput
from synth.files.memory import MemoryBudget
from synth.files.npz import Member

PIECE = 1 << 20  # bytes that are inflated at a time
IDX = tuple(f"{part}-{kind}-ubyte" for part in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))


def idx_place(folder: Path) -> Path:
    """The folder, or, where it has no IDX files itself, the first one inside it that has; the folder again where none has."""
    names = {f"{name}{end}" for name in IDX for end in ("", ".gz")}
    inside = sorted(path for path in (folder.iterdir() if folder.is_dir() else ()) if path.is_dir())
    return next((place for place in (folder, *inside) if any((place / name).exists() for name in names)), folder)


def find_idx(folder: Path, spec: str, *, remedy: str = "it must hold the four IDX files") -> list[Path]:
    """The four IDX files of a folder, plain or .gz: images and labels of train, then of test. If a folder has none, one inside it is looked
    through. Raises BadInput if one is missing."""
    found, folder = [], idx_place(folder)
    for name in IDX:
        plain = folder / name
        zipped = folder / f"{name}.gz"
        if not plain.exists() and not zipped.exists():
            raise BadInput(f"{spec}: there is no {name} or {name}.gz in {folder}; {remedy}")
        found.append(regular(plain if plain.exists() else zipped, spec, remedy=remedy))
    return found


@contextmanager
def idx_file(path: Path, spec: str, *, ndim: int) -> Iterator[tuple[BinaryIO, tuple[int, ...]]]:
    """An IDX file of bytes (plain or .gz), open where its body begins, and the shape that it declares.

    Its head is the magic 0, 0, 8, ndim, then big-endian sizes.

    Raises:
      BadInput: another magic, more bytes declared than the file can hold, or damage, also where it shows only while the body is read.
    """
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            head = file.read(4 + 4 * ndim)
            if len(head) < 4 + 4 * ndim or head[:4] != bytes((0, 0, 8, ndim)):
                raise BadInput(f"{spec}: {path} does not begin as an IDX file of {ndim}-dimensional bytes; {AGAIN}")
            shape = tuple(int(size) for size in np.frombuffer(head, ">u4", offset=4))
            # gzip packs at most 1032 to 1, so a larger claim is false whatever follows
            reach = path.stat().st_size * (1032 if path.suffix == ".gz" else 1)
            if math.prod(shape) > min(LARGEST, reach):
                raise BadInput(f"{spec}: {path} declares {'x'.join(map(str, shape))} bytes, more than it can hold; {AGAIN}")
            yield file, shape
    except (OSError, EOFError, zlib.error) as error:
        raise BadInput(f"{spec}: {path} is damaged ({error}); {AGAIN}") from None


def read_idx(path: Path, spec: str, *, ndim: int) -> UInt8[np.ndarray, "..."]:
    """The bytes of one IDX file (plain or .gz) with `ndim` axes, in the shape that it declares, row-major.

    Raises:
      BadInput: another head than that of such bytes, damage, more bytes declared than the file can hold, and where there are not exactly as
        many as declared; at most one more than that is read.
    """
    with idx_file(path, spec, ndim=ndim) as (_, shape):
        body, held = np.empty(math.prod(shape), np.uint8), 0
    for part in idx_pieces(path, spec, ndim=ndim):
        body[held : held + part.size] = part.ravel()
        held += part.size
    return body.reshape(shape)


def idx_pieces(path: Path, spec: str, *, ndim: int) -> Iterator[UInt8[np.ndarray, "_ ..."]]:
    """The rows of an IDX file with `ndim` axes, as u8[m ...] of about a megabyte, one piece after another. Raises BadInput for a wrong head
    or damage, and, after the last piece, where there are not exactly as many bytes as declared."""
    with idx_file(path, spec, ndim=ndim) as (file, shape):
        size, held, row = math.prod(shape), 0, math.prod(shape[1:])
        many = max(1, PIECE // max(1, row)) * row
        while held < size and (part := read_up_to(file.read, min(many, size - held))):
            held += len(part)
            if len(part) % row == 0:
                yield np.frombuffer(part, np.uint8).reshape(-1, *shape[1:])
        more = held == size and file.read(1)
    if held != size or more:
        have = "more" if more else held
        raise BadInput(f"{spec}: {path} declares {'x'.join(map(str, shape))} = {size} bytes but holds {have}; {AGAIN}")


def read_up_to(read: Callable[[int], bytes], size: int) -> bytes:
    """So many bytes of a file that `read` reads, or what is left of it."""
    parts = []
    while size and (part := read(size)):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def read_idx_folder(folder: Path, spec: Spec, *, remedy: str, scanned: bool = False) -> Source:
    """The four IDX files of MNIST's layout in one folder, or in the one folder inside it that holds them. Where `scanned`, images stay in
    their files. Messages end in `remedy` where a file is missing.

    Raises:
      BadInput: a file that is missing, damaged or no IDX file, and files that do not fit each other; that is known before any body is read.
    """
    files, declared = list(zip(find_idx(folder, spec.text, remedy=remedy), (3, 1, 3, 1), strict=True)), []
    for path, ndim in files:
        with idx_file(path, spec.text, ndim=ndim) as (_, shape):
            declared.append(Member(np.dtype(np.uint8), (*shape, 1) if ndim == 3 else shape))
    check_alike(spec.text, *declared)
    if scanned:
        return scan_files(spec, [path for path, _ in files], [member.shape for member in declared])
    memory = MemoryBudget(spec.text, remedy="use fewer or smaller images")
    for (path, _), member in zip(files, declared, strict=True):
        memory.take((1 + MODEL_SPACE) * math.prod(member.shape), stored=path.stat().st_size)
    x_train, y_train, x_test, y_test = (read_idx(path, spec.text, ndim=ndim) for path, ndim in files)
    y_train, y_test, classes = number_labels(spec.text, y_train, y_test, names=spec.named.classes or ())
    return assemble(spec, (x_train[..., None], y_train), (x_test[..., None], y_test), classes, flips=spec.named.flips)


def scan_files(spec: Spec, files: list[Path], shapes: list[tuple[int, ...]]) -> Source:
    """The source of four files whose images are read when they are taken, quickly only in their order. `files` are images and labels of
    train, then of test, and `shapes` what they declare, images with one channel, [n h w 1]."""
    y_train, y_test, classes = number_labels(
        spec.text, *(read_idx(path, spec.text, ndim=1) for path in files[1::2]), names=spec.named.classes or ()
    )

    def rows(path: Path, look: tuple[int, ...], y: np.ndarray) -> InOrder:
        return InOrder(lambda: (part[..., None] for part in idx_pieces(path, spec.text, ndim=3)), y, look, np.dtype(np.uint8), spec.text)

    parts = (rows(path, shape[1:], y) for path, shape, y in zip(files[::2], shapes[::2], (y_train, y_test), strict=True))
    return assemble_rows(spec, *parts, classes, flips=spec.named.flips)


def read(spec: Spec, *, scanned: bool = False) -> Source:
    """Reads the four files of MNIST's layout: `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`, and the same of `t10k` for the test
    split, each plain or .gz. Images are u8[n h w 1].

    Args:
      spec: names the folder; where its location is empty, it is that of the named set. The files may also lie in a folder inside it.
      scanned: whether images stay in their files and are read when they are taken. Otherwise they are read into memory.

    Raises BadInput for a file that is missing or damaged; for files that do not fit each other, such as labels of another number than
    images, or test images of another size; for labels beyond the named classes, or in the test split alone; for an option that asks to draw
    a test split; and, unless `scanned`, for more images than memory allows.
    """
    files = f"the four files {', '.join(IDX)}, each plain or .gz"
    remedy = f"it must hold {files}" if spec.location else f"`condense data {spec.name} --from DIR` copies there {files}"
    return read_idx_folder(spec.place() if spec.location else home() / spec.name, spec, remedy=remedy, scanned=scanned)


def scan(spec: Spec) -> Source:
    """The four files in the folder that the spec names, or in that of the named set. Images stay in their files and are read when they are
    taken, quickly only in their order. Raises BadInput for a file that is missing or damaged, and for files that do not fit each other."""
    return read(spec, scanned=True)


def load_files(folder: Path, spec: Spec) -> Callable[[Path], None]:
    """Checks the four files of a folder, and returns a function that copies them unchanged into another folder, which it is given. Raises
    BadInput for options, for a file that is missing or damaged, and for files that do not fit each other or the set known by the spec's
    name."""
    remedy = "fetch the four IDX files"
    spec.refuse_options("IDX files")
    check_known(read_idx_folder(folder, spec, remedy=remedy), spec.name, spec.text)
    found = find_idx(folder, spec.text, remedy=remedy)

    def write(fresh: Path) -> None:
        for path in found:
            shutil.copyfile(path, fresh / path.name)

    return write


def keep_as_idx(folder: Path, name: str) -> None:
    """Puts the four IDX files, as .gz, where a prepared directory was, which is removed. Images keep its order, which is not that of the
    files of the set's makers: a set made from theirs names another digest."""
    source = read_tfds(folder, Spec(f"data {name}", name, "tfds", "", {}, Named("tfds", "")), remedy="download it again")
    for path in folder.iterdir():
        shutil.rmtree(path)
    for file, rows in zip((IDX[:2], IDX[2:]), (source.train, source.test), strict=True):
        for part, array in zip(file, (np.concatenate(list(pieces(rows)))[..., 0], rows.y), strict=True):
            write_idx(folder / f"{part}.gz", array.astype(np.uint8))


def write_idx(path: Path, array: UInt8[np.ndarray, "..."]) -> None:
    """Writes bytes as a compressed IDX file: magic 0, 0, 8, ndim, then big-endian sizes, then row-major bytes."""
    head = bytes((0, 0, 8, array.ndim)) + np.asarray(array.shape, ">u4").tobytes()
    path.write_bytes(gzip.compress(head + array.tobytes(), mtime=0))


STORE = Store(lambda name: home() / name, lambda name: "the four IDX files", load_files, keep_as_idx)
READER = Reader("idx", "a folder with the four IDX files of MNIST's layout, plain or .gz", read, OPTIONS, store=STORE, scan=scan)
